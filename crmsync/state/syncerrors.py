"""Records that could not be synced: reason, direction, next attempt (invariant 5: nothing is lost silently)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from crmsync.state.sql import among, now, upsert
from crmsync.state.tables import sync_errors

TO_MARKETO = "Dynamics → Marketo"
TO_DYNAMICS = "Marketo → Dynamics"


class SyncError(BaseModel):
    """One record that is out of step, and why. ``next_attempt`` None: it is tried again when it changes in Dynamics."""

    entity: str
    record_id: str
    direction: str = TO_MARKETO
    operation: str = "upsert"
    code: str
    reason: str
    remedy: str = ""
    attempts: int = 1
    first_at: datetime | None = None
    last_at: datetime | None = None
    next_attempt: datetime | None = None


class SyncErrorStore:
    """Reads sync errors; they are written with the outcomes they belong to."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self, tenant: str, *, limit: int | None = None) -> list[SyncError]:
        """The open sync errors, the newest last."""
        query = (
            sa.select(sync_errors)
            .where(sync_errors.c.tenant == tenant)
            .order_by(sync_errors.c.last_at, sync_errors.c.entity, sync_errors.c.record_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [SyncError(**row._mapping) for row in await connection.execute(query)]

    async def counts(self, tenant: str) -> dict[str, int]:
        """Open sync errors per entity."""
        query = (
            sa.select(sync_errors.c.entity, sa.func.count())
            .where(sync_errors.c.tenant == tenant)
            .group_by(sync_errors.c.entity)
        )
        async with self._engine.connect() as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def retries(self, tenant: str) -> dict[str, int]:
        """Open sync errors per entity that will be tried again by themselves."""
        query = (
            sa.select(sync_errors.c.entity, sa.func.count())
            .where(sync_errors.c.tenant == tenant, sync_errors.c.next_attempt.is_not(None))
            .group_by(sync_errors.c.entity)
        )
        async with self._engine.connect() as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def attempts(
        self, tenant: str, entity: str, ids: Sequence[str], *, direction: str = TO_MARKETO
    ) -> dict[str, int]:
        """How often these records were tried in vain."""
        async with self._engine.connect() as connection:
            query = sa.select(sync_errors.c.record_id, sync_errors.c.attempts).where(
                sync_errors.c.tenant == tenant,
                sync_errors.c.entity == entity,
                sync_errors.c.direction == direction,
                among(connection, sync_errors.c.record_id, ids),
            )
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def with_code(self, tenant: str, entity: str, code: str, ids: Sequence[str]) -> set[str]:
        """Which of these records were refused with this code last."""
        async with self._engine.connect() as connection:
            query = sa.select(sync_errors.c.record_id).where(
                sync_errors.c.tenant == tenant,
                sync_errors.c.entity == entity,
                sync_errors.c.code == code,
                among(connection, sync_errors.c.record_id, ids),
            )
            return set(await connection.scalars(query))

    async def due(self, tenant: str, entity: str, *, limit: int = 1000) -> list[str]:
        """Records whose next attempt to reach Marketo is due."""
        query = (
            sa.select(sync_errors.c.record_id)
            .where(
                sync_errors.c.tenant == tenant,
                sync_errors.c.entity == entity,
                sync_errors.c.direction == TO_MARKETO,
                sync_errors.c.next_attempt <= now(),
            )
            .order_by(sync_errors.c.next_attempt)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))


async def keep_errors(connection: AsyncConnection, tenant: str, errors: Sequence[SyncError]) -> None:
    """Part of the transaction that writes outcomes: new errors start, known ones count one attempt more."""
    moment = now()
    rows = [{"tenant": tenant, **error.model_dump(), "first_at": moment, "last_at": moment} for error in errors]
    await upsert(connection, sync_errors, rows, keep=["first_at"], add=["attempts"])


async def forget_errors(
    connection: AsyncConnection, tenant: str, entity: str, ids: Sequence[str], *, direction: str = TO_MARKETO
) -> None:
    """Part of the same transaction: these records are in step again, in this direction."""
    await connection.execute(
        sa.delete(sync_errors).where(
            sync_errors.c.tenant == tenant,
            sync_errors.c.entity == entity,
            sync_errors.c.direction == direction,
            among(connection, sync_errors.c.record_id, ids),
        )
    )
