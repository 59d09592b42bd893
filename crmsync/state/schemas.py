"""Snapshots of both sides' schemas, the selected fields, and the fields that are parked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel

from crmsync.state.engine import SubStore
from crmsync.state.sql import now, upsert
from crmsync.state.tables import parked_fields, schemas, selections

Side = Literal["dynamics", "marketo"]


class Parked(BaseModel):
    """A selected field whose column vanished; ``reviewed_at`` when an operator's resync has seen it."""

    entity: str
    attribute: str
    marketo_field: str
    since: datetime
    reason: str
    reviewed_at: datetime | None = None


class SchemaStore(SubStore):
    """Keeps JSON documents; what stands in them is the business of those who write them."""

    async def snapshot(self, tenant: str, side: Side) -> str | None:
        """The newest snapshot of a side, as JSON."""
        query = (
            sa.select(schemas.c.body)
            .where(schemas.c.tenant == tenant, schemas.c.side == side)
            .order_by(schemas.c.id.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar()

    async def keep_snapshot(self, tenant: str, side: Side, body: str, *, content: str) -> None:
        """Keep a snapshot. ``content`` is the same without its time: equal content replaces the newest one."""
        digest = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        newest = sa.select(sa.func.max(schemas.c.id)).where(schemas.c.tenant == tenant, schemas.c.side == side)
        same = sa.and_(schemas.c.id == newest.scalar_subquery(), schemas.c.digest == digest)
        values = {"taken_at": now(), "body": body}
        async with self._engine.begin() as connection:
            if (await connection.execute(sa.update(schemas).where(same).values(values))).rowcount == 0:
                await connection.execute(
                    sa.insert(schemas), [values | {"tenant": tenant, "side": side, "digest": digest}]
                )

    async def selection(self, tenant: str) -> str | None:
        """The newest selection of fields, as JSON."""
        query = (
            sa.select(selections.c.body).where(selections.c.tenant == tenant).order_by(selections.c.id.desc()).limit(1)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar()

    async def keep_selection(self, tenant: str, body: str) -> None:
        """Keep a selection; one equal to the newest is kept once."""
        if await self.selection(tenant) == body:
            return
        digest = hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.insert(selections), [{"tenant": tenant, "at": now(), "digest": digest, "body": body}]
            )

    async def newest(self, tenant: str) -> tuple[int | None, int | None]:
        """The numbers of the newest Dynamics snapshot and of the newest selection: what was read of them before
        still holds as long as the numbers are the same."""
        query = sa.select(
            sa.select(sa.func.max(schemas.c.id))
            .where(schemas.c.tenant == tenant, schemas.c.side == "dynamics")
            .scalar_subquery(),
            sa.select(sa.func.max(selections.c.id)).where(selections.c.tenant == tenant).scalar_subquery(),
        )
        async with self._engine.connect() as connection:
            schema, selection = (await connection.execute(query)).one()
        return schema, selection

    async def parked(self, tenant: str) -> list[Parked]:
        """All parked fields, reviewed or not, oldest first."""
        query = (
            sa.select(parked_fields)
            .where(parked_fields.c.tenant == tenant)
            .order_by(parked_fields.c.since, parked_fields.c.entity, parked_fields.c.attribute)
        )
        async with self._engine.connect() as connection:
            return [Parked(**row._mapping) for row in await connection.execute(query)]

    async def park(self, tenant: str, fields: Iterable[Parked]) -> None:
        rows = [{"tenant": tenant, **field.model_dump()} for field in fields]
        async with self._engine.begin() as connection:
            await upsert(connection, parked_fields, rows)

    async def mark_reviewed(self, tenant: str) -> None:
        """An operator has seen the parked fields."""
        statement = (
            sa.update(parked_fields)
            .where(parked_fields.c.tenant == tenant, parked_fields.c.reviewed_at.is_(None))
            .values(reviewed_at=now())
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def unpark(self, tenant: str, fields: Iterable[tuple[str, str]]) -> None:
        """The columns are back: (entity, attribute) pairs."""
        async with self._engine.begin() as connection:
            for entity, attribute in fields:
                await connection.execute(
                    sa.delete(parked_fields).where(
                        parked_fields.c.tenant == tenant,
                        parked_fields.c.entity == entity,
                        parked_fields.c.attribute == attribute,
                    )
                )
