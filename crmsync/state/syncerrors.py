"""Records and fields that could not be synced: reason, direction, next attempt (invariant 5: nothing is lost silently).

A field is the unit of refusal: a record whose other fields were written has an error for each field that was not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.sql import among, now, of_entity, upsert
from crmsync.state.tables import sync_errors

TO_MARKETO = "Dynamics → Marketo"
TO_DYNAMICS = "Marketo → Dynamics"


class SyncError(BaseModel):
    """One record, or one ``field`` of it (Marketo's name; "" for the record as a whole), that is out of step, and why.

    ``next_attempt`` None: it is tried again when it changes. ``refused`` is the fingerprint of the refused value, in
    hexadecimal digits: as long as the field has it, it is not sent before the next attempt.
    """

    entity: str
    record_id: str
    direction: str = TO_MARKETO
    field: str = ""
    operation: str = "upsert"
    code: str
    reason: str
    remedy: str = ""
    attempts: int = 1
    first_at: datetime | None = None
    last_at: datetime | None = None
    next_attempt: datetime | None = None
    refused: str | None = None


class RefusedField(NamedTuple):
    """A field whose value was refused, and when that value is to be tried again (None: not by itself)."""

    field: str
    refused: str | None
    next_attempt: datetime | None


FieldKey = tuple[str, str]
"""A record's id and a field of it."""


class SyncErrorStore(SubStore):
    """Reads sync errors; they are written with the outcomes they belong to."""

    async def all(self, tenant: str, *, limit: int | None = None) -> list[SyncError]:
        """The open sync errors, the newest last."""
        query = (
            sa.select(sync_errors)
            .where(sync_errors.c.tenant == tenant)
            .order_by(sync_errors.c.last_at, sync_errors.c.entity, sync_errors.c.record_id, sync_errors.c.field)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [SyncError(**row._mapping) for row in await connection.execute(query)]

    async def of(self, tenant: str, entity: str, ids: Sequence[str]) -> dict[str, list[SyncError]]:
        """The open sync errors of these records, in both directions."""
        found: dict[str, list[SyncError]] = {}
        async with self._engine.connect() as connection:
            query = sa.select(sync_errors).where(
                of_entity(sync_errors, tenant, entity), among(connection, sync_errors.c.record_id, ids)
            )
            for row in await connection.execute(query):
                found.setdefault(row.record_id, []).append(SyncError(**row._mapping))
        return found

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
        """How often these records, or the fields of them that are refused, were tried in vain."""
        async with self._engine.connect() as connection:
            query = (
                sa.select(sync_errors.c.record_id, sa.func.max(sync_errors.c.attempts))
                .where(
                    sync_errors.c.tenant == tenant,
                    sync_errors.c.entity == entity,
                    sync_errors.c.direction == direction,
                    among(connection, sync_errors.c.record_id, ids),
                )
                .group_by(sync_errors.c.record_id)
            )
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def refused_fields(
        self, tenant: str, entity: str, ids: Sequence[str], *, direction: str = TO_MARKETO
    ) -> dict[str, list[RefusedField]]:
        """The open errors of single fields of these records, by record."""
        found: dict[str, list[RefusedField]] = {}
        async with self._engine.connect() as connection:
            table = sync_errors.c
            query = sa.select(table.record_id, table.field, table.refused, table.next_attempt).where(
                table.tenant == tenant,
                table.entity == entity,
                table.direction == direction,
                table.field != "",
                among(connection, table.record_id, ids),
            )
            for record_id, *rest in await connection.execute(query):
                found.setdefault(record_id, []).append(RefusedField(*rest))
        return found

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
        """Records whose next attempt to reach Marketo is due, with all or with some of their fields."""
        query = (
            sa.select(sync_errors.c.record_id)
            .where(
                sync_errors.c.tenant == tenant,
                sync_errors.c.entity == entity,
                sync_errors.c.direction == TO_MARKETO,
                sync_errors.c.next_attempt <= now(),
            )
            .group_by(sync_errors.c.record_id)
            .order_by(sa.func.min(sync_errors.c.next_attempt), sync_errors.c.record_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def forget_parked(self, tenant: str, fields: Collection[FieldKey]) -> None:
        """Fields, by entity and Marketo's name, that are parked: one thing to be told, not one a record."""
        async with self._engine.begin() as connection:
            for entity, field in fields:
                await connection.execute(
                    sa.delete(sync_errors).where(of_entity(sync_errors, tenant, entity), sync_errors.c.field == field)
                )


async def keep_errors(connection: AsyncConnection, tenant: str, errors: Sequence[SyncError]) -> None:
    """Part of the transaction that writes outcomes: new errors start, known ones count one attempt more."""
    moment = now()
    rows = [{"tenant": tenant, **error.model_dump(), "first_at": moment, "last_at": moment} for error in errors]
    await upsert(connection, sync_errors, rows, keep=["first_at"], add=["attempts"])


async def forget_errors(
    connection: AsyncConnection,
    tenant: str,
    entity: str,
    ids: Sequence[str],
    *,
    direction: str = TO_MARKETO,
    but: Collection[FieldKey] = (),
) -> None:
    """Part of the same transaction: these records are in step again in this direction, ``but`` for these fields."""
    keys = {f"{record_id} {field}" for record_id, field in but}
    mine = sa.and_(
        sync_errors.c.tenant == tenant,
        sync_errors.c.entity == entity,
        sync_errors.c.direction == direction,
        among(connection, sync_errors.c.record_id, ids),
    )
    if keys:
        key = sync_errors.c.record_id.concat(" ").concat(sync_errors.c.field)
        mine = sa.and_(mine, sa.not_(among(connection, key, keys)))
    await connection.execute(sa.delete(sync_errors).where(mine))


async def forget_fields(
    connection: AsyncConnection, tenant: str, entity: str, fields: Collection[FieldKey], *, direction: str = TO_MARKETO
) -> None:
    """Part of the same transaction: these fields of these records are in step again, whatever the others are."""
    for record_id, field in fields:
        await connection.execute(
            sa.delete(sync_errors).where(
                sync_errors.c.tenant == tenant,
                sync_errors.c.entity == entity,
                sync_errors.c.direction == direction,
                sync_errors.c.record_id == record_id,
                sync_errors.c.field == field,
            )
        )
