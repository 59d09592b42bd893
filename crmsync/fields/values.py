"""Single values: cleaning and cutting text, instants, and whether two values mean the same.

Formats are those of "Field types" (Marketo REST API) and "Query data using the Web API" (Power Apps developer
documents); that Marketo answers datetimes in three forms is from the samples in its pages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from crmsync.fields.model import Mapping

FLOAT_TOLERANCE = 1e-6

# All of Unicode's control characters but tab, line feed and carriage return; and halves of surrogate pairs, which
# cannot be written as UTF-8 at all.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_GUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?")


CORRECT_IT = "Correct the value in Dynamics; the record is sent again when it changes."


class Unfit(ValueError):
    """A value that cannot be converted: the reason, and what a person can do about it. ``unexplained``: it may fit the
    column as it is now, if not as it was when its metadata were read."""

    def __init__(self, reason: str, remedy: str = CORRECT_IT, *, unexplained: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.unexplained = unexplained


def clean(text: str) -> str | None:
    """Text without control characters; None for nothing."""
    if not text.isprintable():
        text = _CONTROL.sub("", text)
    return text or None


def shortener(limit: int, *, in_bytes: bool, cut: bool) -> Callable[[str], str]:
    """Cuts text to what a field holds, or, where cutting was not told in advance, refuses what is too long."""

    def shorten(text: str) -> str:
        short = cut_bytes(text, limit) if in_bytes else text[:limit]
        if not cut and short != text:
            unit = "bytes" if in_bytes else "characters"
            raise Unfit(
                f"the value is longer than the {limit} {unit} that Marketo's field holds",
                "The column was made longer after the fields were selected: run resync.",
                unexplained=True,
            )
        return short

    return shorten


def cut_bytes(text: str, limit: int) -> str:
    """As much of the text as ``limit`` bytes of UTF-8 hold, without half a character at the end."""
    data = text.encode()
    return text if len(data) <= limit else data[:limit].decode(errors="ignore")


def utf16_length(text: str) -> int:
    """How long a text is as Dataverse counts: characters outside of Unicode's first plane are two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def may_be_cut(text: str, limit: int, *, in_bytes: bool) -> bool:
    """Whether a value is as long as one that was cut: nobody can tell such a value from a whole one."""
    return len(text.encode()) > limit - 4 if in_bytes else len(text) >= limit


def ascii_address(limit: int) -> Callable[[str], str | None]:
    """Checks an e-mail address. It is never cut, because that would be another address."""

    def convert(value: str) -> str | None:
        text = clean(value)
        if text is None:
            return None
        if not text.isascii():
            raise Unfit("the e-mail address holds characters that are not ASCII, which Marketo refuses")
        if len(text) > limit:
            raise Unfit(f"the e-mail address is longer than the {limit} characters that Marketo holds")
        return text

    return convert


def instant(text: str) -> datetime:
    """A point in time in any form that either side writes it in; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unfit("this is no date and time") from None


def utc(value: str) -> str | None:
    """``YYYY-MM-DDThh:mm:ssZ``; fractions of a second are dropped."""
    if len(value) == 20 and value[19] == "Z":
        return value
    return f"{_whole_seconds(value)}Z" if value else None


def wall_time(value: str) -> str | None:
    """``YYYY-MM-DDThh:mm:ss`` without a zone, because the Z that Dataverse writes means nothing here."""
    if len(value) == 20 and value[19] == "Z":
        return value[:19]
    return _whole_seconds(value) if value else None


def _whole_seconds(value: str) -> str:
    return instant(value).replace(microsecond=0, tzinfo=None).isoformat()


def day(value: str) -> str | None:
    """``YYYY-MM-DD``, also from a date that carries a time."""
    if len(value) == 10:
        return value
    if value and value[10:11] != "T":
        raise Unfit("this is no date")
    return value[:10] or None


def day_in(zone: ZoneInfo) -> Callable[[str], str | None]:
    """The date that it is in this zone at a moment."""

    def convert(value: str) -> str | None:
        if not value or len(value) == len("2026-04-01"):
            return day(value)
        try:
            return instant(value).astimezone(zone).date().isoformat()
        except OverflowError:
            raise Unfit("this is no date that a calendar holds") from None

    return convert


def midnight_in(zone: ZoneInfo) -> Callable[[str], str]:
    """The moment at which a date begins in this zone, in UTC. Where clocks skip midnight that is the moment after; a
    date that they skip whole is refused."""

    def convert(value: str) -> str:
        try:
            wanted = date.fromisoformat(day(value) or "")
            moment = datetime(wanted.year, wanted.month, wanted.day, tzinfo=zone).astimezone(UTC)
            there = moment.astimezone(zone).date()
        except (ValueError, OverflowError):
            raise Unfit("this is no date") from None
        if there != wanted:
            raise Unfit(f"there was no {wanted} in {zone.key}, whose clocks skipped that day")
        return f"{moment.replace(tzinfo=None).isoformat()}Z"

    return convert


def number_text(value: int | float) -> str:
    """A number's digits without exponent; 20000.0 is written 20000."""
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def guid(value: str) -> str:
    """A record's id in lower case, without braces."""
    found = _GUID.fullmatch(value.lower())
    if found is None:
        raise Unfit("this is no record id (GUID)")
    return found.group(1)


def number(value: Any) -> float:
    """A number, also when a file wrote it as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("this is no number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise Unfit("this is no number") from None
    if not math.isfinite(found):
        raise Unfit("this is no number")
    return found


def whole(value: Any) -> int:
    """A whole number, also when a file wrote it as text; 64-bit numbers stay exact."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(value) if isinstance(value, str) else _exact(number(value))
    except ValueError:
        raise Unfit("this is no whole number") from None


def _exact(value: float) -> int:
    if not value.is_integer():
        raise Unfit("this is no whole number")
    return int(value)


def truth(value: Any) -> bool:
    """Yes or no, also when a file wrote it as text."""
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if found is None:
        raise Unfit("this is neither true nor false")
    return found


def equal(mapping: Mapping, sent: Any, read: Any) -> bool:
    """Whether a value that Marketo answers is the one that was sent.

    Nothing and "" are the same, an unset boolean is False, floats compare with a tolerance of 1e-6, points in time as
    such and to the second, and ids without regard to case.
    """
    if sent == read and type(sent) is type(read):
        return True
    if mapping.data_type == "boolean":
        return _same(truth, sent or False, read or False)
    sent, read = (None if value == "" else value for value in (sent, read))
    if sent is None or read is None:
        return sent is read
    meaning = number if mapping.data_type in ("float", "currency") else _MEANING.get(mapping.convert, str)
    return _same(meaning, sent, read)


def _same(meaning: Callable[[Any], Any], sent: Any, read: Any) -> bool:
    try:
        left, right = meaning(sent), meaning(read)
    except (ValueError, ArithmeticError, AttributeError, TypeError):
        return bool(sent == read)
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=FLOAT_TOLERANCE)
    return bool(left == right)


def _second(value: str) -> datetime:
    return instant(value).replace(microsecond=0)


_MEANING: dict[str, Callable[[Any], Any]] = {
    "integer": whole,
    "number as text": Decimal,
    "value": whole,
    "date": day,
    "zoned date": day,
    "datetime": _second,
    "wall time": _second,
    "guid": str.lower,
    "owner": str.lower,
    "company": str.lower,
    "link": lambda value: str(value).lower(),
}
