"""The organization's rows: inserts, updates, deletes, row versions and traces of deleted rows, and the schema itself.

Row versions are one counter for the whole organization, as SQL Server's ``rowversion`` is; change tracking reads them.

"Use change tracking to synchronize data with external systems" (Power Apps developer documents).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from crmsync.sandbox.core import Organization
from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.database import Database, create_table, is_indexed, quoted
from crmsync.sandbox.dataverse.defaults import Defaults
from crmsync.sandbox.dataverse.entities import TABLES
from crmsync.sandbox.dataverse.errors import referenced
from crmsync.sandbox.dataverse.schema import LiveTable, Schema
from crmsync.sandbox.dataverse.schema_storage import SchemaStorage
from crmsync.sandbox.dataverse.seed import Ids, first_tables, seed

Row = dict[str, Any]
_CHUNK = 5000


def timestamp(moment: datetime) -> str:
    """A moment as the Web API writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class DataverseStore:
    """One organization's data in one SQLite file; a new file is filled with schema, users and roles.

    All writes happen in one thread, the event loop's; reads (``database.read``) may come from others.
    """

    def __init__(self, org: Organization) -> None:
        self.org = org
        self.ids = Ids(org)
        self.database = Database(org.database)
        self.storage = SchemaStorage(self.database)
        known = self.storage.load()
        self.schema = known or Schema(first_tables(TABLES, org))
        self._defaults: dict[str, tuple[int, Defaults]] = {}
        self.version = 1_000_000
        if known:
            self.version = max([self.version, *self._versions()])
        else:
            with self.transaction():
                for table in self.schema.tables.values():
                    for statement in create_table(table):
                        self.database.write(statement)
                    self.storage.save_table(table)
                seed(self)

    def close(self) -> None:
        self.database.close()

    def now(self) -> str:
        return timestamp(self.org.clock.now())

    def _versions(self) -> Iterator[int]:
        for table in self.schema.tables:
            yield self.database.write(f"SELECT max(versionnumber) FROM {quoted(table)}").fetchone()[0] or 0
        yield self.database.write("SELECT max(versionnumber) FROM _deleted").fetchone()[0] or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; joins a transaction that is open already."""
        if self.database.writer.in_transaction:
            yield
            return
        self.database.write("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.write("ROLLBACK")
            raise
        self.database.write("COMMIT")

    def defaults(self, table: LiveTable) -> Defaults:
        """What fills in the columns that a new row of ``table`` does not name."""
        stamp, known = self._defaults.get(table.name, (0, None))
        if known is None or stamp != self.schema.stamp:
            known = Defaults(table, self.ids, self.rates())
            self._defaults[table.name] = (self.schema.stamp, known)
        return known

    def _forget_rates(self, table: LiveTable) -> None:
        if table.name == "transactioncurrency":
            self._defaults.clear()

    def rates(self) -> dict[str, float]:
        """Exchange rates by currency id."""
        return dict(self.database.look("SELECT transactioncurrencyid, exchangerate FROM transactioncurrency"))

    # Rows

    def insert_many(self, entity: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Insert rows by logical column name, quickly and without validation; returns how many.

        Lookups are GUIDs under their column's name (``ownerid``); a polymorphic one takes its target from
        ``<column>type`` (default: its first target). Date-times may be ISO text, ``datetime`` or ``date``. What is
        not given is filled in: id, owner, state, dates, ``fullname``, ``_base`` amounts.
        """
        table = self.schema.tables[entity]
        remaining = iter(rows)
        count = 0
        self._forget_rates(table)
        while chunk := list(itertools.islice(remaining, _CHUNK)):
            with self.transaction():
                self._insert_chunk(table, chunk)
            count += len(chunk)
        return count

    def _insert_chunk(self, table: LiveTable, rows: list[Mapping[str, Any]]) -> None:
        fill = self.defaults(table).fill
        now = self.now()
        first = self.version + 1
        self.version += len(rows)
        records = [fill(row, now, version) for version, row in enumerate(rows, first)]
        columns = list(dict.fromkeys(itertools.chain.from_iterable(records)))
        convert = [(name, function) for name in columns if (function := _bulk_conversion(table.stored.get(name)))]
        for record in records:
            for name, function in convert:
                if (value := record.get(name)) is not None and value.__class__ is not str:
                    record[name] = function(value)
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {quoted(table.name)} ({', '.join(map(quoted, columns))}) VALUES ({marks})"
        self.database.writer.executemany(sql, [[record.get(name) for name in columns] for record in records])

    def insert(self, table: LiveTable, row: Row) -> str:
        """Insert one row of valid values; returns its id."""
        self.insert_many(table.name, [row])
        return str(row[table.primary_id])

    def get(self, table: LiveTable, row_id: str) -> Row | None:
        """One row with all its stored columns, inside the open transaction if there is one."""
        columns = ", ".join(map(quoted, table.sql_names))
        sql = f"SELECT {columns} FROM {quoted(table.name)} WHERE {table.primary_id} = ?"
        found = self.database.look(sql, (row_id,))
        return dict(zip(table.sql_names, found[0], strict=True)) if found else None

    def update(self, table: LiveTable, row_id: str, changes: Row) -> None:
        """Set columns of an existing row; its version moves on."""
        self._forget_rates(table)
        self.version += 1
        values = {**changes, "versionnumber": self.version}
        if "modifiedon" in table.stored:
            values["modifiedon"] = self.now()
        assignments = ", ".join(f"{quoted(name)} = ?" for name in values)
        sql = f"UPDATE {quoted(table.name)} SET {assignments} WHERE {table.primary_id} = ?"
        self.database.write(sql, [*values.values(), row_id])

    def delete(self, table: LiveTable, row_id: str) -> bool:
        """Delete a row, clear the lookups that point to it, leave a trace for change tracking."""
        with self.transaction():
            gone = self.database.write(f"DELETE FROM {quoted(table.name)} WHERE {table.primary_id} = ?", (row_id,))
            if not gone.rowcount:
                return False
            self.version += 1
            self.database.write("INSERT INTO _deleted VALUES (?, ?, ?)", (table.name, row_id, self.version))
            self._unlink(table, row_id)
        return True

    def _unlink(self, table: LiveTable, row_id: str) -> None:
        """What pointed to a deleted row: lookups are cleared, or their rows go too, or forbid the deletion."""
        for one in self.schema.collections(table.name).values():
            if one.link:
                self.database.write(f"DELETE FROM {quoted(one.link[0])} WHERE {one.link[1]} = ?", (row_id,))
                continue
            other = self.schema.tables[one.target]
            column = other.stored.get(one.column or "")
            if column is None or not is_indexed(column):
                continue
            referring = self.database.write(
                f"SELECT {other.primary_id} FROM {quoted(other.name)} WHERE {quoted(column.name)} = ?", (row_id,)
            ).fetchall()
            reference = other.reference(column, table.name)
            behaviour = reference.on_delete if reference else "RemoveLink"
            if referring and behaviour == "Restrict":
                raise referenced(table.name, other.name)
            cleared = {column.name: None, **({one.column_type: None} if one.column_type else {})}
            for (other_id,) in referring:
                if behaviour == "Cascade":
                    self.delete(other, other_id)
                else:
                    self.update(other, other_id, cleared)


def _bulk_conversion(column: Column | None) -> Callable[[Any], Any] | None:
    """How a bulk value that is not text becomes what SQLite stores, when that needs anything."""
    if column is None or column.kind in {"Integer", "BigInt", "Decimal", "Double", "Money", "Boolean"}:
        return None
    if column.kind == "DateTime":
        return _stored_date if column.date_only else _stored_moment
    if column.kind == "MultiSelectPicklist":
        return _stored_choices
    return str if column.kind in {"Uniqueidentifier", "Lookup", "Customer", "Owner"} else None


def _stored_choices(values: Any) -> str:
    return ",".join(map(str, sorted(values)))


def _stored_moment(value: Any) -> str:
    if isinstance(value, datetime):
        return timestamp(value if value.tzinfo else value.replace(tzinfo=UTC))
    return f"{value.isoformat()}T00:00:00Z" if isinstance(value, date) else str(value)


def _stored_date(value: Any) -> str:
    return str(value.isoformat()[:10])
