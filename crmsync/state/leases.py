"""One writer a tenant: a lease in the store, renewed while the run that holds it lives (invariant 3).

A lease ends by itself when it is no longer renewed. One whose process is gone from this very machine is taken over at
once, so that a killed run can be started again without waiting.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from uuid import uuid4

import psutil
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from crmsync.state.sql import now
from crmsync.state.tables import leases

LEASE_SECONDS = 60


class Lease(BaseModel):
    """Who holds a tenant, since when and until when."""

    tenant: str
    holder: str
    run: str
    host: str
    process: int
    process_started: float
    acquired_at: datetime
    expires_at: datetime

    @property
    def holder_is_gone(self) -> bool:
        """Whether the holding process ran on this machine and runs no more."""
        return self.host == socket.gethostname() and _started(self.process) != self.process_started


class LeaseStore:
    """Takes, renews and gives back leases; each is one statement that only one of two contenders can win."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, tenant: str) -> Lease | None:
        async with self._engine.connect() as connection:
            found = (await connection.execute(sa.select(leases).where(leases.c.tenant == tenant))).mappings().first()
        return Lease(**found) if found else None

    async def take(self, tenant: str, run: str) -> Lease | None:
        """The lease, or None while another run holds it."""
        taken = now()
        mine = Lease(
            tenant=tenant,
            holder=str(uuid4()),
            run=run,
            host=socket.gethostname(),
            process=os.getpid(),
            process_started=_started(os.getpid()) or 0.0,
            acquired_at=taken,
            expires_at=taken + timedelta(seconds=LEASE_SECONDS),
        )
        current = await self.get(tenant)
        if current is None:
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(sa.insert(leases), [mine.model_dump()])
            except IntegrityError:
                return None
            return mine
        if current.expires_at > taken and not current.holder_is_gone:
            return None
        return mine if await self._change(current, mine) else None

    async def renew(self, lease: Lease) -> bool:
        """Whether the lease was still ours and now lasts longer."""
        return await self._change(
            lease, lease.model_copy(update={"expires_at": now() + timedelta(seconds=LEASE_SECONDS)})
        )

    async def give_back(self, lease: Lease) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.delete(leases).where(leases.c.tenant == lease.tenant, leases.c.holder == lease.holder)
            )

    async def _change(self, current: Lease, new: Lease) -> bool:
        statement = (
            sa.update(leases)
            .where(leases.c.tenant == current.tenant, leases.c.holder == current.holder)
            .values(**new.model_dump(exclude={"tenant"}))
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount == 1


def _started(process: int) -> float | None:
    try:
        return psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return None
