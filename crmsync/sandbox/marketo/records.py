"""Opportunities, roles and custom objects as they are stored: by their id, by their key, or by a field."""

# ruff: noqa: S608 (columns are names of this program and of checked fields, values are bound)
from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crmsync.sandbox.marketo.database import Database, marks
from crmsync.sandbox.marketo.record_kinds import GUID

CHUNK = 300
COLUMNS = "id, guid, key, created_at, updated_at, body"


@dataclass
class Record:
    """A stored record; ``body`` holds what is not null, without id and times."""

    id: int
    guid: str
    key: str
    created_at: str
    updated_at: str
    body: dict[str, Any]
    new: bool = False
    changed: bool = False

    def members(self) -> dict[str, Any]:
        """Everything that is not null, by field name."""
        return {GUID: self.guid, "createdAt": self.created_at, "updatedAt": self.updated_at, **self.body}


class Records:
    """All records of all kinds; ``kind`` is the name they are stored under."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def by_keys(self, kind: str, keys: Sequence[str]) -> dict[str, Record]:
        """Records by key in lower case; what does not exist is absent."""
        return {record.key.lower(): record for record in self._select(kind, "key", keys)}

    def by_guids(self, kind: str, guids: Sequence[str]) -> dict[str, Record]:
        """Records by id; what does not exist is absent."""
        return {record.guid: record for record in self._select(kind, "guid", guids)}

    def by_member(self, kind: str, name: str, values: Sequence[Any]) -> list[Record]:
        """Records whose field ``name`` has one of ``values``, in the order in which they were made."""
        column = "guid" if name == GUID else self._database.indexed("records", name)
        return sorted(self._select(kind, column, values), key=lambda record: record.id)

    def page(self, kind: str, after: int, most: int, changed: tuple[str, str]) -> list[Record]:
        """The next records of a kind that were last changed between two moments."""
        statement = (
            f"SELECT {COLUMNS} FROM records WHERE kind = ? AND id > ? AND updated_at BETWEEN ? AND ? "
            "ORDER BY id LIMIT ?"
        )
        return [_record(row) for row in self._connection.execute(statement, (kind, after, *changed, most))]

    def make(self, moment: str, key: str, body: dict[str, Any]) -> Record:
        """A new record, which ``save`` stores."""
        return Record(0, str(uuid.uuid4()), key, moment, moment, body, new=True)

    def save(self, kind: str, records: Iterable[Record]) -> None:
        """Store what is new or changed; inside a transaction."""
        records = list(records)
        new = [record for record in records if record.new]
        for number, record in zip(self._database.take_numbers("records", len(new)), new, strict=True):
            record.id = number
        rows = [(r.id, kind, r.guid, r.key, r.created_at, r.updated_at, _json(r.body)) for r in new]
        self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        changed = [(r.updated_at, _json(r.body), r.id) for r in records if r.changed and not r.new]
        self._connection.executemany("UPDATE records SET updated_at = ?, body = ? WHERE id = ?", changed)
        for record in records:
            record.new = record.changed = False

    def change_key(self, record: Record, key: str, body: dict[str, Any]) -> None:
        """What only a merge does: another key for a record; inside a transaction."""
        row = (key, _json(body), record.id)
        self._connection.execute("UPDATE records SET key = ?, body = ? WHERE id = ?", row)

    def delete(self, record: Record) -> None:
        """Delete for good; inside a transaction."""
        self._connection.execute("DELETE FROM records WHERE id = ?", (record.id,))

    def delete_with(self, kind: str, name: str, values: Sequence[Any]) -> None:
        """Delete the records whose field has one of ``values``; inside a transaction."""
        for record in self.by_member(kind, name, values):
            self.delete(record)

    def delete_all(self, kind: str) -> None:
        """Delete every record of a kind; inside a transaction."""
        self._connection.execute("DELETE FROM records WHERE kind = ?", (kind,))

    def any_with(self, kind: str, name: str, value: Any) -> bool:
        """Whether a record has ``value`` in ``name``."""
        column = self._database.indexed("records", name)
        statement = f"SELECT 1 FROM records WHERE kind = ? AND {column} = ? LIMIT 1"
        return self._connection.execute(statement, (kind, value)).fetchone() is not None

    def _select(self, kind: str, column: str, values: Sequence[Any]) -> Iterator[Record]:
        for start in range(0, len(values), CHUNK):
            chunk = tuple(values[start : start + CHUNK])
            statement = f"SELECT {COLUMNS} FROM records WHERE kind = ? AND {column} IN ({marks(chunk)})"
            for row in self._connection.execute(statement, (kind, *chunk)).fetchall():
                yield _record(row)


def _record(row: tuple[Any, ...]) -> Record:
    return Record(row[0], row[1], row[2], row[3], row[4], orjson.loads(row[5]))


def _json(body: dict[str, Any]) -> str:
    return orjson.dumps(body).decode()
