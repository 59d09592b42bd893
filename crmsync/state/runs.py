"""First syncs, cycles and resyncs: when they ran, how they ended, what they reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel

from crmsync.state.engine import SubStore
from crmsync.state.sql import now
from crmsync.state.tables import brakes, runs, tenants
from crmsync.state.tenantstore import NO_DOUBT


class Run(BaseModel):
    """One run of the data path. ``outcome`` is done, idle (done, and there was nothing to do) or failed; None while it
    runs or when it was killed."""

    id: int
    kind: str
    run: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    report: str | None = None


def _no_doubt(tenant: Any) -> sa.Update:
    """A run that ended well takes back what an earlier one doubted."""
    return sa.update(tenants).where(tenants.c.tenant == tenant, tenants.c.doubt.is_not(None)).values(NO_DOUBT)


class RunStore(SubStore):
    """The journal of runs. One that ends well takes back a tenant's doubt."""

    async def start(self, tenant: str, kind: str, run: str) -> int:
        row: dict[str, Any] = {"tenant": tenant, "kind": kind, "run": run, "started_at": now()}
        async with self._engine.begin() as connection:
            number: int = (await connection.execute(sa.insert(runs).values(row).returning(runs.c.id))).scalar_one()
        return number

    async def end(self, number: int, outcome: str, report: str) -> None:
        values = {"ended_at": now(), "outcome": outcome, "report": report}
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(runs).where(runs.c.id == number).values(values))
            if outcome == "done":
                tenant = sa.select(runs.c.tenant).where(runs.c.id == number).scalar_subquery()
                await connection.execute(_no_doubt(tenant))

    async def idle(self, tenant: str, kind: str, run: str, started_at: datetime, report: str) -> None:
        """A run that found nothing to do. It takes the place of an idle one just before it: rows grow with what
        happens, not with time."""
        values: dict[str, Any] = {
            "run": run,
            "started_at": started_at,
            "ended_at": now(),
            "outcome": "idle",
            "report": report,
        }
        newest = sa.select(sa.func.max(runs.c.id)).where(runs.c.tenant == tenant, runs.c.kind == kind)
        again = sa.and_(runs.c.id == newest.scalar_subquery(), runs.c.outcome == "idle")
        async with self._engine.begin() as connection:
            if (await connection.execute(sa.update(runs).where(again).values(values))).rowcount == 0:
                await connection.execute(sa.insert(runs), [values | {"tenant": tenant, "kind": kind}])
            await connection.execute(_no_doubt(tenant))
            await connection.execute(sa.delete(brakes).where(brakes.c.tenant == tenant))

    async def ended(self, kind: str) -> dict[str, datetime]:
        """When the newest run of this kind ended, for every tenant that has one; one that still runs has not."""
        other = runs.alias()
        newest = (
            sa.select(sa.func.max(other.c.id)).where(other.c.tenant == tenants.c.tenant, other.c.kind == kind)
        ).scalar_subquery()
        query = sa.select(runs.c.tenant, runs.c.ended_at).join(tenants, runs.c.id == newest)
        async with self._engine.connect() as connection:
            return {row.tenant: row.ended_at for row in await connection.execute(query) if row.ended_at is not None}

    async def last(self, tenant: str, kind: str | None = None) -> Run | None:
        """The newest run, of one kind or of any."""
        query = sa.select(runs).where(runs.c.tenant == tenant).order_by(runs.c.id.desc()).limit(1)
        if kind is not None:
            query = query.where(runs.c.kind == kind)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).mappings().first()
        return Run(**found) if found else None
