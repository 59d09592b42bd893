"""Companies and sales persons as they are stored: by their own key, by id, or by another searchable field.

"Lead Database" (Describe, Query): both have a Marketo id and one dedupe field that is set once.
"""

# ruff: noqa: S608 (tables and columns are names of this program and of checked fields, values are bound)
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crmsync.sandbox.marketo.database import Database, marks

CHUNK = 300


@dataclass(frozen=True)
class Kind:
    """What tells companies and sales persons apart."""

    table: str
    target: str
    name: str
    key: str
    key_length: int
    permission: str
    duplicates_refused: bool
    default_fields: tuple[str, ...] | None

    @property
    def display_name(self) -> str:
        """What describe calls it; permissions are named by it."""
        return self.permission

    @property
    def read(self) -> tuple[str, ...]:
        """The permissions one of which reading needs."""
        return (f"Read-Only {self.permission}", f"Read-Write {self.permission}")

    @property
    def write(self) -> tuple[str, ...]:
        """The permission that writing needs."""
        return (f"Read-Write {self.permission}",)


COMPANY = Kind(
    table="companies",
    target="company",
    name="Company",
    key="externalCompanyId",
    key_length=100,
    permission="Company",
    duplicates_refused=True,
    default_fields=("id", "externalCompanyId", "updatedAt", "createdAt"),
)
SALES_PERSON = Kind(
    table="sales_persons",
    target="sales_person",
    name="SalesPerson",
    key="externalSalesPersonId",
    key_length=255,
    permission="Sales Person",
    duplicates_refused=False,
    default_fields=None,
)


@dataclass
class Stored:
    """A stored record; ``body`` holds what is not null, with the key but without id and times."""

    id: int
    created_at: str
    updated_at: str
    body: dict[str, Any]
    key: str

    def members(self) -> dict[str, Any]:
        """Everything that is not null, by field name."""
        return {"id": self.id, "createdAt": self.created_at, "updatedAt": self.updated_at, **self.body}


class ObjectStore:
    """All companies, or all sales persons."""

    def __init__(self, database: Database, kind: Kind) -> None:
        self._database = database
        self._connection = database.connection
        self.kind = kind

    def by_keys(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Records by key in lower case; what does not exist is absent."""
        return {stored.key.lower(): stored for stored in self._select("key", keys)}

    def by_ids(self, ids: Sequence[int]) -> dict[int, Stored]:
        """Records by id; what does not exist is absent."""
        return {stored.id: stored for stored in self._select("id", ids)}

    def by_member(self, name: str, values: Sequence[Any]) -> list[Stored]:
        """Records whose field ``name`` has one of ``values``, by id."""
        column = {"id": "id", self.kind.key: "key"}.get(name) or self._database.indexed(self.kind.table, name)
        return sorted(self._select(column, values), key=lambda stored: stored.id)

    def insert(self, moment: str, body: dict[str, Any]) -> Stored:
        """A new record with the next id; inside a transaction."""
        number = self._database.take_numbers(self.kind.table, 1)[0]
        stored = Stored(number, moment, moment, body, body[self.kind.key])
        row = (number, moment, moment, orjson.dumps(body).decode(), stored.key)
        self._connection.execute(f"INSERT INTO {self.kind.table} VALUES (?, ?, ?, ?, ?)", row)
        return stored

    def update(self, stored: Stored) -> None:
        """Keep what was changed; inside a transaction."""
        row = (stored.updated_at, orjson.dumps(stored.body).decode(), stored.id)
        self._connection.execute(f"UPDATE {self.kind.table} SET updated_at = ?, body = ? WHERE id = ?", row)

    def delete(self, stored: Stored) -> None:
        """Delete for good; inside a transaction."""
        self._connection.execute(f"DELETE FROM {self.kind.table} WHERE id = ?", (stored.id,))

    def any_with(self, member: str, value: str) -> bool:
        """Whether a record names ``value`` in ``member``."""
        column = self._database.indexed(self.kind.table, member)
        statement = f"SELECT 1 FROM {self.kind.table} WHERE {column} = ? LIMIT 1"
        return self._connection.execute(statement, (value,)).fetchone() is not None

    def _select(self, column: str, values: Sequence[Any]) -> Iterable[Stored]:
        for start in range(0, len(values), CHUNK):
            chunk = tuple(values[start : start + CHUNK])
            statement = (
                f"SELECT id, created_at, updated_at, body, key FROM {self.kind.table} "
                f"WHERE {column} IN ({marks(chunk)})"
            )
            for number, created, updated, body, key in self._connection.execute(statement, chunk).fetchall():
                yield Stored(number, created, updated, orjson.loads(body), key)
