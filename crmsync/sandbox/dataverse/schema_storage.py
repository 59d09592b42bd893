"""Keeps the schema in the organization's file: tables, many-to-many relationships, option sets, what changed when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

import orjson

from crmsync.sandbox.dataverse.columns import AlternateKey, Column, Link, OptionSet, Reference, Table
from crmsync.sandbox.dataverse.database import Database
from crmsync.sandbox.dataverse.history import FIRST_STAMP, History
from crmsync.sandbox.dataverse.options import Option
from crmsync.sandbox.dataverse.schema import LiveTable, Schema

_TABLES = """
CREATE TABLE IF NOT EXISTS _schema (name TEXT PRIMARY KEY, definition BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS _definition (
    kind TEXT NOT NULL, name TEXT NOT NULL, definition BLOB NOT NULL, PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS _metadata_history (id TEXT PRIMARY KEY, stamp INTEGER NOT NULL, deleted TEXT);
"""


class SchemaStorage:
    """Reads and writes the schema of one file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._saved = FIRST_STAMP
        database.writer.executescript(_TABLES)

    def load(self) -> Schema | None:
        """The schema that the file holds; None for a new file."""
        tables = [_table(orjson.loads(row[0])) for row in self._rows("SELECT definition FROM _schema ORDER BY rowid")]
        if not tables:
            return None
        links = (_link(data) for data in self._definitions("link"))
        option_sets = (_option_set(data) for data in self._definitions("option set"))
        return Schema(tables, links, option_sets, self._history())

    def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        return self._database.write(sql, list(parameters)).fetchall()

    def _definitions(self, kind: str) -> list[dict[str, Any]]:
        rows = self._rows("SELECT definition FROM _definition WHERE kind = ? ORDER BY rowid", [kind])
        return [orjson.loads(row[0]) for row in rows]

    def _history(self) -> History:
        rows = self._rows("SELECT id, stamp, deleted FROM _metadata_history")
        self._saved = max([FIRST_STAMP, *(row[1] for row in rows)])
        changed = {row[0]: row[1] for row in rows if row[2] is None}
        deleted = {row[0]: (row[2], row[1]) for row in rows if row[2] is not None}
        return History(self._saved, changed, deleted)

    def save_table(self, table: LiveTable) -> None:
        definition = orjson.dumps(asdict(table.definition))
        sql = "INSERT INTO _schema VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET definition = excluded.definition"
        self._database.write(sql, (table.name, definition))

    def delete_table(self, name: str) -> None:
        self._database.write("DELETE FROM _schema WHERE name = ?", (name,))

    def save_definition(self, kind: str, name: str, definition: Link | OptionSet) -> None:
        sql = (
            "INSERT INTO _definition VALUES (?, ?, ?) "
            "ON CONFLICT (kind, name) DO UPDATE SET definition = excluded.definition"
        )
        self._database.write(sql, (kind, name, orjson.dumps(asdict(definition))))

    def delete_definition(self, kind: str, name: str) -> None:
        self._database.write("DELETE FROM _definition WHERE kind = ? AND name = ?", (kind, name))

    def save_history(self, history: History) -> None:
        """What changed since it was saved the last time."""
        changed: list[tuple[str, int, str | None]] = [
            (metadata_id, stamp, None) for metadata_id, stamp in history.changed.items() if stamp > self._saved
        ]
        changed += [(metadata_id, stamp, kind) for metadata_id, (kind, stamp) in history.deleted.items()]
        self._database.writer.executemany("INSERT OR REPLACE INTO _metadata_history VALUES (?, ?, ?)", changed)
        self._saved = history.stamp


def _table(data: dict[str, Any]) -> Table:
    columns = tuple(_column(column) for column in data.pop("columns"))
    keys = tuple(AlternateKey(**{**one, "columns": tuple(one["columns"])}) for one in data.pop("keys", ()))
    known = {one.name for one in fields(Table)}
    return Table(columns=columns, keys=keys, **{name: value for name, value in data.items() if name in known})


def _column(data: dict[str, Any]) -> Column:
    data["options"] = tuple(Option(**one) for one in data["options"])
    data["references"] = tuple(Reference(**one) for one in data["references"])
    return Column(**data)


def _link(data: dict[str, Any]) -> Link:
    return Link(**{**data, "entities": tuple(data["entities"]), "navigations": tuple(data["navigations"])})


def _option_set(data: dict[str, Any]) -> OptionSet:
    return OptionSet(**{**data, "options": tuple(Option(**one) for one in data["options"])})
