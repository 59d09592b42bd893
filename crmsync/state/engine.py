"""Transactions that survive an outage of the database: each is done once, or its failure is known.

A store's method is one transaction, so it can be done again when the connection was lost, provided that the first
attempt was not committed. That is certain for all that fails before COMMIT; when the answer to COMMIT itself is lost,
PostgreSQL is asked for what became of the transaction (``pg_xact_status``: PostgreSQL's documentation, "System
Information Functions and Operators"). SQLite answers COMMIT at once.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from crmsync.errors import OperatorMustAct, StateUnavailable
from crmsync.state import fence
from crmsync.state.outages import is_wrong_address, kind_of, passes, refuses

log = logging.getLogger("crmsync.state")

STATE_URL_VARIABLE = "CRMSYNC_STATE_URL"
OUTAGE_SECONDS = 600.0
"""How long a database that is away is waited for."""

SHORTEST_WAIT, LONGEST_WAIT = 0.05, 2.0
REMEDY = (
    f"Set {STATE_URL_VARIABLE} to sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE, "
    "and see that the database can be reached."
)

R = TypeVar("R")


class Patience:
    """Waits for one database while it is away. ``seconds``: how long at most."""

    def __init__(self, url: sa.URL, seconds: float = OUTAGE_SECONDS) -> None:
        self._name = url.render_as_string(hide_password=True)
        self._seconds = seconds
        self._away_since: float | None = None

    async def through(self, work: Callable[[], Awaitable[R]], *, opening: bool = False) -> R:
        """Do this work, again and again while the database is away. ``opening``: nobody has reached it yet, so a
        name that leads nowhere is a mistake. Raises ``StateUnavailable`` when it stays away, and ``OperatorMustAct``
        when it does not let us in."""
        began, wait = time.monotonic(), SHORTEST_WAIT
        while True:
            try:
                result = await work()
            except Exception as error:
                if refuses(error) or (opening and is_wrong_address(error)):
                    raise OperatorMustAct(f"{self._cannot_be_used}: {kind_of(error)}", remedy=REMEDY) from error
                if not passes(error):
                    raise
                if time.monotonic() - began >= self._seconds:
                    raise StateUnavailable(f"{self._cannot_be_used}: {kind_of(error)}", remedy=REMEDY) from error
                self._is_away(error)
            else:
                self._is_back()
                return result
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - runs shall not come back together
            wait = min(2 * wait, LONGEST_WAIT)

    @property
    def is_waiting(self) -> bool:
        """Whether the database is away, as far as anybody knows."""
        return self._away_since is not None

    @property
    def _cannot_be_used(self) -> str:
        return f"The state database {self._name} cannot be used"

    def _is_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning(
                "The state database %s does not answer (%s); waiting up to %.0f seconds for it",
                self._name,
                kind_of(error),
                self._seconds,
            )

    def _is_back(self) -> None:
        if self._away_since is not None:
            log.warning("The state database answers again after %.1f seconds", time.monotonic() - self._away_since)
            self._away_since = None


class PatientEngine:
    """An engine whose transactions are fenced, and never in doubt about their end."""

    def __init__(self, engine: AsyncEngine, patience: Patience) -> None:
        self._engine = engine
        self.patience = patience

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """For reading."""
        async with self._engine.connect() as connection:
            try:
                yield connection
            except DBAPIError as error:
                await self._give_up(connection, error)
                raise

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """For writing, committed at the end. Raises ``LeaseLost`` for a run that is no more the holder."""
        lost: Exception | None = None
        async with self.connect() as connection:
            number = await fence.begin(connection)
            yield connection
            try:
                await connection.commit()
            except Exception as error:
                if number is None or not passes(error):
                    raise
                lost = error
        if lost is not None and not await self._was_committed(str(number)):
            raise lost

    async def _give_up(self, connection: AsyncConnection, error: DBAPIError) -> None:
        """A connection to a server that cannot go on is of no use to others either."""
        if passes(error) and not error.connection_invalidated and not self.is_sqlite:
            await connection.invalidate()

    async def _was_committed(self, number: str) -> bool:
        """What became of a transaction whose COMMIT was not answered."""
        query = sa.text("SELECT pg_xact_status(CAST(CAST(:number AS text) AS xid8))")

        async def status() -> str | None:
            async with self._engine.connect() as connection:
                found: str | None = await connection.scalar(query, {"number": number})
                if found == "in progress":
                    raise ConnectionError("PostgreSQL has not noticed yet that the connection is gone")
                return found

        try:
            return await self.patience.through(status) == "committed"
        except DBAPIError:  # a server that never saw this number: an older copy took its place
            return False


class SubStore:
    """One subject of the store. Each public method is one transaction, and is done again when the database was away
    meanwhile."""

    def __init__(self, engine: PatientEngine) -> None:
        self._engine = engine

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if inspect.iscoroutinefunction(method) and not name.startswith("_"):
                setattr(cls, name, _patient(method))


def _patient(method: Callable[..., Awaitable[R]]) -> Callable[..., Awaitable[R]]:
    @functools.wraps(method)
    async def through(self: SubStore, *values: Any, **named: Any) -> R:
        # What can be gone through only once would be empty the second time.
        values = tuple(_kept(value) for value in values)
        named = {name: _kept(value) for name, value in named.items()}
        return await self._engine.patience.through(lambda: method(self, *values, **named))

    return through


def _kept(value: Any) -> Any:
    return list(value) if isinstance(value, Iterator) else value
