"""First syncs, cycles and resyncs: when they ran, how they ended, what they reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from crmsync.state.sql import now
from crmsync.state.tables import runs


class Run(BaseModel):
    """One run of the data path. ``outcome`` is done or failed; None while it runs or when it was killed."""

    id: int
    kind: str
    run: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    report: str | None = None


class RunStore:
    """The journal of runs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def start(self, tenant: str, kind: str, run: str) -> int:
        row: dict[str, Any] = {"tenant": tenant, "kind": kind, "run": run, "started_at": now()}
        async with self._engine.begin() as connection:
            number: int = (await connection.execute(sa.insert(runs).values(row).returning(runs.c.id))).scalar_one()
        return number

    async def end(self, number: int, outcome: str, report: str) -> None:
        values = {"ended_at": now(), "outcome": outcome, "report": report}
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(runs).where(runs.c.id == number).values(values))

    async def last(self, tenant: str, kind: str | None = None) -> Run | None:
        """The newest run, of one kind or of any."""
        query = sa.select(runs).where(runs.c.tenant == tenant).order_by(runs.c.id.desc()).limit(1)
        if kind is not None:
            query = query.where(runs.c.kind == kind)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).mappings().first()
        return Run(**found) if found else None
