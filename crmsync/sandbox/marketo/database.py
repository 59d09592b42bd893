"""The subscription's data in one SQLite file: tables, numbers that are never given twice, indexes on demand.

A record is a JSON object in ``body``; what is looked up often gets an index on that member when it is first asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fields (
    id INTEGER PRIMARY KEY, target TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
    UNIQUE (target, name)
);
CREATE TABLE IF NOT EXISTS people (
    id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL,
    touched_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS companies (
    id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL,
    key TEXT NOT NULL COLLATE NOCASE UNIQUE
);
CREATE TABLE IF NOT EXISTS sales_persons (
    id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL,
    key TEXT NOT NULL COLLATE NOCASE UNIQUE
);
CREATE TABLE IF NOT EXISTS owners_of_deleted_companies (key TEXT PRIMARY KEY COLLATE NOCASE) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS imports (
    id INTEGER PRIMARY KEY, created REAL NOT NULL, status TEXT NOT NULL, format TEXT NOT NULL,
    lookup_field TEXT NOT NULL, file BLOB, processed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    warned INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '', failures TEXT NOT NULL DEFAULT '',
    warnings TEXT NOT NULL DEFAULT '', object TEXT, list INTEGER, partition INTEGER, started REAL, finished REAL
);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, guid TEXT NOT NULL UNIQUE, key TEXT NOT NULL COLLATE NOCASE,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, key)
);
CREATE TABLE IF NOT EXISTS custom_types (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE UNIQUE, definition TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS lists (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, description TEXT, created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL, program TEXT COLLATE NOCASE
);
CREATE TABLE IF NOT EXISTS members (list INTEGER, lead INTEGER, PRIMARY KEY (list, lead)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_by_lead ON members (lead);
CREATE TABLE IF NOT EXISTS activities (
    at INTEGER, id INTEGER, type INTEGER NOT NULL, lead INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (at, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS exports (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, user TEXT NOT NULL, status TEXT NOT NULL,
    request TEXT NOT NULL, format TEXT NOT NULL, created REAL NOT NULL, queued REAL, started REAL, finished REAL,
    records INTEGER, size INTEGER, checksum TEXT, error TEXT
);
CREATE TABLE IF NOT EXISTS usage (day TEXT, user TEXT, count INTEGER, PRIMARY KEY (day, user)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS errors (day TEXT, code TEXT, count INTEGER, PRIMARY KEY (day, code)) WITHOUT ROWID;
"""

PRAGMAS = ("journal_mode=WAL", "synchronous=OFF", "temp_store=MEMORY", "cache_size=-32768", "wal_autocheckpoint=8000")


class Database:
    """One connection, used by one event loop; a transaction never spans an ``await``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in PRAGMAS:
            self.connection.execute(f"PRAGMA {pragma}")
        self.connection.executescript(SCHEMA)
        self._indexed: set[tuple[str, str]] = set()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def take_numbers(self, name: str, count: int, *, first: int = 1) -> range:
        """``count`` numbers that this subscription has never given to a ``name``; inside a transaction."""
        row = self.connection.execute("SELECT next FROM numbers WHERE name = ?", (name,)).fetchone()
        start = row[0] if row else first
        self.connection.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, start + count))
        return range(start, start + count)

    def indexed(self, table: str, member: str) -> str:
        """An SQL expression for a member of ``body`` that ignores case and has an index."""
        expression = f"json_extract(body, '$.{member}') COLLATE NOCASE"
        if (table, member) not in self._indexed:
            statement = f'CREATE INDEX IF NOT EXISTS "{table}_by_{member}" ON {table} ({expression})'
            self.connection.execute(statement)
            self._indexed.add((table, member))
        return expression

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def marks(values: Sized) -> str:
    """One question mark for each value."""
    return ",".join("?" * len(values))
