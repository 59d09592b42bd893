"""One writer a tenant: a lease in the store, renewed while the run that holds it lives (invariant 3).

Whether a lease has expired is judged by the database's clock, and no clock is trusted alone: before a lease that has
expired is taken over, it is watched for half its length, in which a living holder renews it. So neither a clock that is
set nor an outage of the database costs a holder its lease. On this very machine the holder's process tells more: one
that is gone is taken over from at once, so that a killed run can be started again without waiting; and as SQLite has no
clock but the contender's, there a process that runs keeps its lease. A token grows with each holder, and is checked
with everything that a holder writes (``crmsync.state.fence``).

Fencing tokens: M. Kleppmann, "How to do distributed locking".
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import psutil
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.sql import insert, now
from crmsync.state.tables import UtcTime, leases

LEASE_SECONDS = 60
WATCH_SECONDS = 30
"""Longer than the time from one renewal to the next."""

STALE_SECONDS = 3.0
"""How old a look at a lease may be that it is taken over by: an outage lies between older ones and now."""

NOBODY = ""
_SAME_START = 5.0
"""Seconds by which the start of one process may seem to differ."""

SignOfLife = Literal["alive", "gone", "none"]

_alive: set[str] = set()
"""The holders of this process: a run that ended without giving its lease back does not hold it any more."""


class Lease(BaseModel):
    """Who holds a tenant, since when and until when. ``machine`` is where ``process`` has its meaning."""

    tenant: str
    holder: str
    token: int
    run: str
    host: str
    machine: str
    process: int
    process_started: float
    acquired_at: datetime
    expires_at: datetime

    @property
    def sign_of_life(self) -> SignOfLife:
        """What this machine can tell of the holder: ``none`` when it lived elsewhere, or its process is stopped."""
        if self.machine != _machine():
            return "none"
        if self.process == os.getpid():
            return "alive" if self.holder in _alive else "gone"
        return _look_at(self.process, self.process_started)


class LeaseStore(SubStore):
    """Takes, renews and gives back leases; each is one statement that only one of two contenders can win."""

    async def get(self, tenant: str) -> Lease | None:
        """The lease, expired or not; None when nobody holds the tenant."""
        lease, _ = await self._look(tenant)
        return lease if lease is not None and lease.holder != NOBODY else None

    async def take(
        self, tenant: str, run: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Lease | None:
        """The lease, or None while another run holds it. One that has expired is watched first, up to
        ``WATCH_SECONDS``."""
        current, has_expired = await self._look(tenant)
        if current is None or current.holder == NOBODY or (sign := current.sign_of_life) == "gone":
            return await self._claim(tenant, run, current)
        if not has_expired or (sign == "alive" and self._engine.is_sqlite):
            return None
        for _ in range(WATCH_SECONDS):
            await sleep(1)
            seen = time.monotonic()
            if (await self._look(tenant))[0] != current:
                return None
        return await self._claim(tenant, run, current, seen=seen)

    async def renew(self, lease: Lease) -> bool:
        """Whether the lease was still ours and now lasts longer. However late: nobody else has taken it."""
        async with self._engine.begin() as connection:
            statement = sa.update(leases).where(_is(lease)).values(expires_at=_clock(connection, LEASE_SECONDS))
            return (await connection.execute(statement)).rowcount == 1

    async def give_back(self, lease: Lease) -> None:
        """The row stays, with its token."""
        _alive.discard(lease.holder)
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(leases).where(_is(lease)).values(holder=NOBODY))

    async def _look(self, tenant: str) -> tuple[Lease | None, bool]:
        """The row, and whether it has expired."""
        async with self._engine.connect() as connection:
            has_expired = leases.c.expires_at <= _clock(connection)
            query = sa.select(leases, has_expired.label("has_expired")).where(leases.c.tenant == tenant)
            found = (await connection.execute(query)).mappings().first()
        return (None, False) if found is None else (_lease(found), bool(found["has_expired"]))

    async def _claim(self, tenant: str, run: str, current: Lease | None, *, seen: float | None = None) -> Lease | None:
        """Take the lease, if it is still the one that was looked at."""
        process = os.getpid()
        mine: dict[str, Any] = {
            "holder": str(uuid4()),
            "run": run,
            "host": socket.gethostname(),
            "machine": _machine(),
            "process": process,
            "process_started": _started(process),
        }
        async with self._engine.begin() as connection:
            if seen is not None and time.monotonic() - seen > STALE_SECONDS:
                return None
            mine |= {"acquired_at": _clock(connection), "expires_at": _clock(connection, LEASE_SECONDS)}
            statement = insert(connection, leases).values(tenant=tenant, token=1, **mine)
            if current is None:
                statement = statement.on_conflict_do_nothing()
            else:
                statement = statement.on_conflict_do_update(
                    index_elements=["tenant"],
                    set_=mine | {"token": leases.c.token + 1},
                    where=_is(current) & (leases.c.expires_at == current.expires_at),
                )
            taken = (await connection.execute(statement.returning(leases))).mappings().first()
        if taken is None:
            return None
        _alive.add(mine["holder"])
        return _lease(taken)


def _is(lease: Lease) -> sa.ColumnElement[bool]:
    return sa.and_(leases.c.tenant == lease.tenant, leases.c.holder == lease.holder, leases.c.token == lease.token)


def _lease(row: sa.RowMapping) -> Lease:
    return Lease(**{name: row[name] for name in Lease.model_fields})


def _clock(connection: AsyncConnection, seconds: int = 0) -> sa.ColumnElement[datetime]:
    """The database's clock, so many seconds from now."""
    ahead = timedelta(seconds=seconds)
    if connection.dialect.name == "sqlite":
        return sa.literal(now() + ahead, UtcTime())
    return sa.type_coerce(sa.func.clock_timestamp() + sa.literal(ahead, sa.Interval()), UtcTime())


def _machine() -> str:
    """Where a process's number means the same process: this boot of this machine, or this container in it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _look_at(process: int, started: float) -> SignOfLife:
    try:
        found = psutil.Process(process)
        if found.status() == psutil.STATUS_ZOMBIE or abs(_started(process) - started) > _SAME_START:
            return "gone"
        return "none" if found.status() == psutil.STATUS_STOPPED else "alive"
    except psutil.NoSuchProcess:
        return "gone"


def _started(process: int) -> float:
    """When a process started, in seconds since the machine did where the system counts so: the time of day may be set
    while it runs."""
    return psutil.Process(process).create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)
