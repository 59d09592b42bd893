"""Fingerprints: what was last written, six bytes a field, so that the unchanged is never written again.

A record's fingerprints stand in the order of its field set (the list of Marketo field names). Two records compare also
across different field sets: fields that both know must be equal, a field that only the new one knows must be empty.
So a vanished column rewrites nothing, and a new one only the records that have a value in it. An empty value and a
field that was never there have the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from xxhash import xxh3_64_digest

from crmsync.state.records import DISTRUSTED

WIDTH = 6
NOTHING = bytes(WIDTH)
"""The mark of a field without a value."""

NEVER_AGREED = b"\xff" * WIDTH
"""A field's mark that is no value's: whatever is there, it was not agreed on."""
_NOT_TEXT = 1


def fingerprints(values: Iterable[Any]) -> bytes:
    """The fingerprints of these values, one after the other; the number 3 and the text "3" have different ones."""
    return b"".join(
        [
            NOTHING
            if value is None or value == ""
            else xxh3_64_digest(value.encode())[:WIDTH]
            if type(value) is str
            else xxh3_64_digest(orjson.dumps(value), _NOT_TEXT)[:WIDTH]
            for value in values
        ]
    )


def changed(old_names: Sequence[str], old: bytes, new_names: Sequence[str], new: bytes) -> bool:
    """Whether any field has another value than before; fields that are no longer synced do not count."""
    if old_names == new_names:
        return old != new
    before = by_name(old_names, old)
    return any(before.get(name, NOTHING) != new[at * WIDTH : (at + 1) * WIDTH] for at, name in enumerate(new_names))


def by_name(names: Sequence[str], marks: bytes) -> dict[str, bytes]:
    """The marks of a record by field; what was agreed on before a field's type changed holds no longer."""
    found = {name: marks[at * WIDTH : (at + 1) * WIDTH] for at, name in enumerate(names)}
    for name in names:
        if name.startswith(DISTRUSTED):
            found[name.removeprefix(DISTRUSTED)] = NEVER_AGREED
    return found
