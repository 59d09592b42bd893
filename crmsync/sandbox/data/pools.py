"""Names, places, words and dirt to draw from: made once by Faker for a seed, then only chosen from.

The dirt is what migrations trip over: scripts, emoji, quotes, commas, line breaks, leading zeros, blanks, words that
look like null, formulas, and text that is longer than a field.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from faker import Faker

CULTURES: dict[str, tuple[str, int]] = {
    "en_US": ("United States", 24),
    "en_GB": ("United Kingdom", 10),
    "de_DE": ("Deutschland", 14),
    "fr_FR": ("France", 8),
    "es_ES": ("España", 6),
    "pl_PL": ("Polska", 6),
    "cs_CZ": ("Česko", 3),
    "tr_TR": ("Türkiye", 3),
    "ru_RU": ("Россия", 3),
    "el_GR": ("Ελλάδα", 3),
    "ar_SA": ("السعودية", 3),
    "he_IL": ("ישראל", 3),
    "hi_IN": ("भारत", 3),
    "zh_CN": ("中国", 3),
    "ja_JP": ("日本", 4),
    "ko_KR": ("대한민국", 2),
    "th_TH": ("ประเทศไทย", 2),
}
"""Faker's locale, the country as its people write it, and how often it is drawn."""

STRANGE_NAMES = (
    "O'Brien",
    'Robert "Bob"',
    "Smith, Jr.",
    "Zoë 🎉",
    "van der Straße",
    " Padded ",
    "Null",
    "d’Artagnan",
    "José",
    "Mac\u00adDonald",
    "Žluťoučký",
    "=SUM(A1)",
    "Ng\u200bStory",
    "𝒜lice",
    "x",
    "Nguyễn",
    "Ærøskøbing",
    "\u202bمريم",
    "Marie\tClaire",
    "N/A",
)
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof. Dr.", "Herr", "Frau", "M.", "Mme", "様", "")
COLOURS = ("red", "blau", "vert, clair", '"green"', "黒", "🟣", "", "null", "0", "-")
URLS = ("https://example.com/a?b=1&c=2", "http://example.org", "www.example.net", "example.com/ü", "ftp://old.example")
BROKEN_EMAILS = (
    "nobody",
    "a@@example.com",
    "@example.com",
    "two words@example.com",
    "dot@example.com.",
    "x@",
    "?",
)
TITLES = (
    "Head of Sales",
    "CEO & Founder",
    "Leiter Einkauf",
    "Chargé d'affaires",
    "Software Engineer, Senior",
    "購買部長",
    "Директор",
    'VP "Special" Projects',
    "🚀 Growth",
    "Assistant\nto the Director",
    "-",
    "",
)
TOPICS = (
    "Wants a demo",
    "Trade fair, Hannover 2024",
    'Asked for "the big one"',
    "Re: Fwd: offer; urgent!",
    "見積もり依頼",
    "Needs 1,000 units\nby March",
    "🔥 hot",
    "Newsletter sign-up",
    "Angebot für Straße & Tiefbau",
)


@dataclass(frozen=True)
class Culture:
    """Names and places that belong together."""

    country: str
    first: tuple[str, ...]
    last: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    regions: tuple[str, ...]
    postcodes: tuple[str, ...]
    phones: tuple[str, ...]
    companies: tuple[str, ...]


@dataclass(frozen=True)
class Pools:
    """Everything to draw from. ``cultures`` repeats each culture as often as it shall be drawn."""

    cultures: tuple[Culture, ...]
    notes: tuple[str, ...]
    long_notes: tuple[str, ...]


@lru_cache(maxsize=2)
def make_pools(seed: int) -> Pools:
    """The pools of a seed; half a second's work."""
    cultures: list[Culture] = []
    for number, (locale, (country, weight)) in enumerate(CULTURES.items()):
        cultures += [_culture(locale, country, seed * 100 + number)] * weight
    faker = Faker("en_US")
    faker.seed_instance(seed)
    source = random.Random(seed)  # noqa: S311
    words = [faker.sentence(nb_words=9) for _ in range(200)]
    notes = tuple(_note(source, words, 1, 4) for _ in range(120))
    long_notes = tuple(_note(source, words, 30, 200) for _ in range(40))
    return Pools(tuple(cultures), (*notes, "", "NULL", "0", "  ", "\\N", "'; DROP TABLE leads; --"), long_notes)


def _culture(locale: str, country: str, seed: int) -> Culture:
    faker = Faker(locale)
    faker.seed_instance(seed)
    region = getattr(faker, "state", None) or getattr(faker, "administrative_unit", None) or faker.city
    return Culture(
        country=country,
        first=tuple(faker.first_name()[:50] for _ in range(70)),
        last=tuple(faker.last_name()[:50] for _ in range(90)),
        streets=tuple(faker.street_address()[:250] for _ in range(60)),
        cities=tuple(faker.city()[:80] for _ in range(40)),
        regions=tuple(str(region())[:50] for _ in range(15)),
        postcodes=(*(faker.postcode()[:20] for _ in range(40)), "01067", "00501", "00-950"),
        phones=(*(faker.phone_number()[:50] for _ in range(60)), "0049 351 000000", "+1 (555) 010-0000 ext. 12"),
        companies=tuple(faker.company()[:100] for _ in range(60)),
    )


def _note(source: random.Random, words: list[str], least: int, most: int) -> str:
    """Sentences with what notes have in them: line breaks of every kind, quotes, markup, emoji, tabs."""
    breaks = (" ", " ", " ", "\n", "\r\n", "\n\n", "\t", ' "', "; ", ", ", " 🙂 ", " <b>&amp;</b> ", " – ", " Ünïcödé ")
    parts = []
    for _ in range(source.randint(least, most)):
        parts += [source.choice(words), source.choice(breaks)]
    return "".join(parts)
