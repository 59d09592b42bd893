"""Packs records into calls: at most 300 and 1 MB each, never the same key twice in one. Pure.

Records are written as JSON once, one by one, so that a batch's size is known before it is sent and halving it costs
nothing. None stays null, which clears a field.

Source: "Lead Database" (300 records), "Error Codes" (413: 1 MB; 1036: the same key twice).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Key = str | tuple[str, ...]
"""The field that identifies a record, or the fields that do so together."""

MAX_RECORDS = 300
MAX_BYTES = 1_000_000
_ROOM_FOR_HEAD = 1_000


@dataclass(frozen=True)
class Piece:
    """One record, ready to be sent: its place in the input and its JSON."""

    place: int
    json: bytes


@dataclass(frozen=True)
class Unsendable:
    """A record that cannot be sent at all, and why."""

    place: int
    reason: str


def batches(
    records: Sequence[Mapping[str, Any]], *, key: Key, max_records: int = MAX_RECORDS, max_bytes: int = MAX_BYTES
) -> Iterator[list[Piece] | Unsendable]:
    """The records in calls of their order. A second record of one key starts a new call, to be sent after the first."""
    batch: list[Piece] = []
    size = _ROOM_FOR_HEAD
    keys: set[str] = set()
    for place, record in enumerate(records):
        piece = _piece(place, record, max_bytes)
        if isinstance(piece, Unsendable):
            yield piece
            continue
        this = _key(record, key, place)
        if batch and (len(batch) == max_records or size + len(piece.json) + 1 > max_bytes or this in keys):
            yield batch
            batch, size, keys = [], _ROOM_FOR_HEAD, set()
        batch.append(piece)
        size += len(piece.json) + 1
        keys.add(this)
    if batch:
        yield batch


def body(head: Mapping[str, str], pieces: Sequence[Piece]) -> bytes:
    """The request body: the head's members, then ``input``."""
    members = [orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in head.items()]
    members.append(b'"input":[' + b",".join(piece.json for piece in pieces) + b"]")
    return b"{" + b",".join(members) + b"}"


def _key(record: Mapping[str, Any], key: Key, place: int) -> str:
    """What two records of one call must not have in common; a record without a key is like no other."""
    if isinstance(key, str):
        return str(record.get(key, place)).lower()
    return "\n".join(str(record.get(name, place)).lower() for name in key)


def _piece(place: int, record: Mapping[str, Any], max_bytes: int) -> Piece | Unsendable:
    try:
        json = orjson.dumps(record)
    except orjson.JSONEncodeError as error:
        return Unsendable(place, f"the record cannot be written as JSON: {error}")
    if len(json) + _ROOM_FOR_HEAD > max_bytes:
        return Unsendable(place, f"the record alone is larger ({len(json):,} bytes) than a call may be")
    return Piece(place, json)
