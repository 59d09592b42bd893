"""The SQLite file behind an organization: connections, table layout, text comparison as Dataverse does it.

One table for each entity with a real column for each stored attribute. GUIDs are lower-case text, date-times ISO 8601
text as the Web API writes them, so that they travel without conversion and sort rightly.

Case-insensitive comparison and wildcards: "Filter rows" (Power Apps developer documents).
"""

from __future__ import annotations

import re
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.schema import LiveTable

_SQL_TYPES = {
    "String": "TEXT COLLATE NOCASE",
    "Memo": "TEXT COLLATE NOCASE",
    "Integer": "INTEGER",
    "BigInt": "INTEGER",
    "Boolean": "INTEGER",
    "Picklist": "INTEGER",
    "State": "INTEGER",
    "Status": "INTEGER",
    "Decimal": "REAL",
    "Double": "REAL",
    "Money": "REAL",
}

_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS _deleted (entity TEXT NOT NULL, id TEXT NOT NULL, versionnumber INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS _deleted_by_version ON _deleted (entity, versionnumber);
CREATE TABLE IF NOT EXISTS _user_role (systemuserid TEXT, roleid TEXT, PRIMARY KEY (systemuserid, roleid));
CREATE TABLE IF NOT EXISTS _role_privilege (
    roleid TEXT, privilegeid TEXT, depth TEXT, PRIMARY KEY (roleid, privilegeid)
);
CREATE TABLE IF NOT EXISTS _user_profile (
    systemuserid TEXT, fieldsecurityprofileid TEXT, PRIMARY KEY (systemuserid, fieldsecurityprofileid)
);
CREATE TABLE IF NOT EXISTS _team_member (teamid TEXT, systemuserid TEXT, PRIMARY KEY (teamid, systemuserid));
CREATE TABLE IF NOT EXISTS _shared (
    entity TEXT, id TEXT, principalid TEXT, rights TEXT, PRIMARY KEY (entity, id, principalid)
);
CREATE TABLE IF NOT EXISTS _job (
    id TEXT PRIMARY KEY, import_job TEXT, solution TEXT, started REAL, due REAL, enable_steps INTEGER
);
CREATE TABLE IF NOT EXISTS _upload (id TEXT PRIMARY KEY, file BLOB);
"""


Parameters = Sequence[Any] | dict[str, Any]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sql_columns(column: Column) -> list[str]:
    """The column definitions in SQLite of one attribute; a polymorphic lookup has its target's name beside it."""
    own = f"{quoted(column.name)} {_SQL_TYPES.get(column.kind, 'TEXT')}"
    return [own, f"{quoted(column.name + 'type')} TEXT"] if column.polymorphic else [own]


def create_table(table: LiveTable) -> list[str]:
    """The statements that create an entity's table and its indexes."""
    columns: list[str] = []
    for column in table.stored.values():
        first, *rest = sql_columns(column)
        columns += [first + " NOT NULL PRIMARY KEY" if column.primary else first, *rest]
    indexed = [name for name in ("versionnumber", "modifiedon") if name in table.stored]
    return [
        f"CREATE TABLE {quoted(table.name)} ({', '.join(columns)})",
        *(f"CREATE INDEX {quoted(f'{table.name}_{name}')} ON {quoted(table.name)} ({name})" for name in indexed),
        *(create_index(table.name, column) for column in table.stored.values() if is_indexed(column)),
    ]


def is_indexed(column: Column) -> bool:
    """Lookups between records are followed backwards too: when their target is deleted, and in lambdas."""
    dense = {"ownerid", "businessunitid", "transactioncurrencyid"}
    return column.is_lookup and column.creatable and column.name not in dense


def key_index(table: LiveTable, columns: Sequence[str], name: str) -> str:
    """The unique index of an alternate key; rows with an empty value in it do not count."""
    named = ", ".join(quoted(column) for column in columns)
    return f"CREATE UNIQUE INDEX {quoted(f'key_{table.name}_{name}')} ON {quoted(table.name)} ({named})"


def create_index(table: str, column: Column) -> str:
    name = quoted(column.name)
    return f"CREATE INDEX {quoted(f'{table}_{column.name}')} ON {quoted(table)} ({name}) WHERE {name} IS NOT NULL"


@lru_cache(maxsize=500)
def _pattern(like: str) -> Callable[[str], object]:
    """A matcher for T-SQL's LIKE: ``%``, ``_`` and ``[...]`` are wildcards, case does not matter."""
    parts = re.findall(r"\[[^\]]+\]|%|_|.", like, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    source = "".join(wild.get(part) or (_charset(part) if len(part) > 1 else re.escape(part)) for part in parts)
    return re.compile(source, re.IGNORECASE | re.DOTALL).fullmatch


def _charset(part: str) -> str:
    inner = part[1:-1]
    negated = "^" if inner.startswith("^") else ""
    members = inner.removeprefix("^").replace("\\", r"\\").replace("]", r"\]").replace("[", r"\[").replace("^", r"\^")
    return f"[{negated}{members}]"


def _like(pattern: str, value: str | None) -> int:
    return int(value is not None and _pattern(pattern)(str(value)) is not None)


def _fold(value: str | None) -> str | None:
    return None if value is None else str(value).casefold()


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, fast rather than crash-proof: a sandbox's data can be made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536; "
        "PRAGMA mmap_size=4294967296; PRAGMA busy_timeout=60000;"
    )
    connection.create_function("crm_like", 2, _like, deterministic=True)
    connection.create_function("crm_fold", 1, _fold, deterministic=True)
    return connection


class Database:
    """One connection that writes and a pool of connections that read, from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.writer = connect(path)
        self.writer.executescript(_BOOKKEEPING)
        self._idle: deque[sqlite3.Connection] = deque()
        self._readers: list[sqlite3.Connection] = []

    def read(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement, on a connection of its own: sees what is committed."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connect(self._path)
            self._readers.append(connection)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            self._idle.append(connection)

    def look(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The same, but inside an open transaction it sees what that has done so far."""
        if self.writer.in_transaction:
            return self.writer.execute(sql, parameters).fetchall()
        return self.read(sql, parameters)

    def write(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """One statement on the writing connection."""
        return self.writer.execute(sql, parameters)

    def close(self) -> None:
        for connection in (*self._readers, self.writer):
            with suppress(sqlite3.Error):
                connection.close()
