"""Collisions: a field that was changed on both sides, who won, and by which rule.

Values are remembered as fingerprints only: two rows with the same fingerprint held the same value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.sql import now
from crmsync.state.tables import collisions

Side = Literal["marketo", "dynamics"]


class Collision(BaseModel):
    """One decision. ``rule``: ``opt-out``, ``field`` or ``entity`` (the tenant file's), or ``default``."""

    entity: str
    record_id: str
    attribute: str
    marketo_field: str
    dynamics_fingerprint: str
    marketo_fingerprint: str
    winner: Side
    rule: str
    run: str
    at: datetime | None = None


class CollisionStore(SubStore):
    """Reads collisions; they are written with the outcomes they led to."""

    async def all(self, tenant: str, *, limit: int | None = None) -> list[Collision]:
        """The decisions, the newest first."""
        query = sa.select(collisions).where(collisions.c.tenant == tenant).order_by(collisions.c.id.desc()).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [Collision(**{name: row[name] for name in Collision.model_fields}) for row in rows]


async def keep_collisions(connection: AsyncConnection, tenant: str, rows: Sequence[Collision]) -> None:
    """Part of the transaction that writes outcomes."""
    if rows:
        moment = now()
        values = [{"tenant": tenant, **one.model_dump(), "at": moment} for one in rows]
        await connection.execute(sa.insert(collisions), values)
