"""Connects to the state database, SQLite or PostgreSQL, and brings its tables up to date.

The URL comes from ``CRMSYNC_STATE_URL``; without it the state is a SQLite file in ``.crmsync/`` of the working
directory. ``postgresql://`` and ``sqlite:///`` are enough: the asynchronous drivers are chosen here.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random

from crmsync.errors import OperatorMustAct
from crmsync.state.engine import OUTAGE_SECONDS, REMEDY, STATE_URL_VARIABLE, Patience
from crmsync.state.outages import kind_of, passes

DEFAULT_STATE_URL = "sqlite:///.crmsync/state.db"
BUSY_SECONDS = 5.0
"""How long a SQLite connection waits for another one's writing before the transaction is begun anew."""

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 60
"""When PostgreSQL ends a transaction whose client is gone without a word, with the locks that it holds."""

_MIGRATION_LOCK = 7_367_021


def state_url(url: str | None = None) -> URL:
    """The URL to use, with its asynchronous driver; raises ``OperatorMustAct`` for one that cannot be."""
    try:
        parsed = make_url(url or os.environ.get(STATE_URL_VARIABLE) or DEFAULT_STATE_URL)
    except ArgumentError:
        raise OperatorMustAct("The state database's URL cannot be read", remedy=REMEDY) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+asyncpg")
    raise OperatorMustAct(f"The state cannot be kept in '{backend}'", remedy=REMEDY)


async def connect(url: str | None = None, *, patience: float = OUTAGE_SECONDS) -> AsyncEngine:
    """An engine on a database whose tables are up to date. One that is away is waited for, ``patience`` seconds at
    most; raises ``StateUnavailable`` then, and ``OperatorMustAct`` when it cannot be used as the URL says."""
    target = state_url(url)
    options: dict[str, Any] = {}
    if target.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": BUSY_SECONDS}
    else:
        options |= {"pool_pre_ping": True, "connect_args": {"timeout": CONNECT_SECONDS}}
    engine = create_async_engine(target, **options)
    tune = _tune_sqlite if target.get_backend_name() == "sqlite" else _tune_postgresql
    sa.event.listen(engine.sync_engine, "connect", tune)

    async def bring_up_to_date() -> None:
        async with engine.begin() as connection:
            await connection.run_sync(_migrate)

    try:
        if target.get_backend_name() == "sqlite" and target.database and target.database != ":memory:":
            Path(target.database).parent.mkdir(parents=True, exist_ok=True)
        await Patience(target, patience).through(bring_up_to_date, opening=True)
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        await engine.dispose()
        raise OperatorMustAct(
            f"The state database {target.render_as_string(hide_password=True)} cannot be used: {kind_of(error)}",
            remedy=REMEDY,
        ) from error
    except BaseException:
        await engine.dispose()
        raise
    return engine


def _tune_postgresql(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
    cursor.close()


def _tune_sqlite(connection: Any, _: Any) -> None:
    connection.run_async(_set_pragmas)


async def _set_pragmas(connection: aiosqlite.Connection) -> None:
    # SQLite's busy timeout does not wait for the switch to WAL while somebody else is making the first tables.
    patience = AsyncRetrying(
        retry=retry_if_exception(passes),
        stop=stop_after_delay(BUSY_SECONDS),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        async for attempt in patience:
            with attempt:
                await connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: Connection) -> None:
    if MigrationContext.configure(connection).get_current_revision() == _head():
        return
    config = _migrations()
    config.attributes["connection"] = connection
    # Two processes that start together would both create the tables.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    command.upgrade(config, "head")


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@functools.cache
def _head() -> str | None:
    """The newest migration; to read it from the scripts costs more than all else in opening a store."""
    return ScriptDirectory.from_config(_migrations()).get_current_head()
