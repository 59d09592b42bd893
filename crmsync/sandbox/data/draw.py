"""Drawing lots quickly and repeatably: a few helpers over ``random.Random``, for a million records and more."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

NEWEST = datetime(2025, 6, 30, 12, 0, 0)  # noqa: DTZ001
"""No record is younger, so that the same seed makes the same records whenever it is used."""


def record_guid(world: str, entity: str, number: int) -> str:
    """The key of an entity's ``number``-th record; computed, so that nobody has to remember a million keys."""
    digest = hashlib.blake2b(f"{world}/{entity}/{number}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"


class Draw:
    """Chances and choices of one entity; the same ``world`` and ``entity`` draw the same."""

    def __init__(self, world: str, entity: str) -> None:
        self.source = random.Random(f"{world}/{entity}")  # noqa: S311
        self._random = self.source.random

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self._random() < probability

    def below(self, number: int) -> int:
        """0 to ``number`` - 1."""
        return int(self._random() * number)

    def one(self, pool: Sequence[T]) -> T:
        """Any of them."""
        return pool[int(self._random() * len(pool))]

    def maybe(self, probability: float, pool: Sequence[T]) -> T | None:
        """Any of them that often, else nothing."""
        return pool[int(self._random() * len(pool))] if self._random() < probability else None

    def amount(self, top: float) -> float:
        """An amount of money, small ones more often, two digits."""
        return round(top * self._random() ** 4, 2)

    def day(self, first: date, days: int) -> str:
        """A date in the ``days`` after ``first``."""
        return (first + timedelta(days=int(self._random() * days))).isoformat()

    def moment_before(self, latest: datetime, days: int) -> datetime:
        """A moment, whole seconds, in the ``days`` before ``latest``."""
        return latest - timedelta(seconds=int(self._random() * days * 86400))


def stamp(moment: datetime) -> str:
    """As Dataverse writes it."""
    return moment.isoformat() + "Z"
