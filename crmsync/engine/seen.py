"""Remembers which of millions of records were met, in eight bytes each.

Ids are kept as hashes, by their first two digits: whoever asks in order of ids has one small set in memory at a time.
Two ids of a million share a hash about once in forty million comparisons.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from xxhash import xxh3_64_intdigest


class SeenIds:
    """A set of record ids (lower case) that is filled first and asked afterwards, in order of ids."""

    def __init__(self) -> None:
        self._buckets: dict[str, array[int]] = {}
        self._open: tuple[str, frozenset[int]] = ("", frozenset())

    def add(self, ids: Iterable[str]) -> None:
        for one in ids:
            bucket = self._buckets.get(one[:2])
            if bucket is None:
                bucket = self._buckets[one[:2]] = array("Q")
            bucket.append(xxh3_64_intdigest(one.encode()))

    def __contains__(self, one: str) -> bool:
        if self._open[0] != one[:2]:
            self._open = one[:2], frozenset(self._buckets.get(one[:2], ()))
        return xxh3_64_intdigest(one.encode()) in self._open[1]
