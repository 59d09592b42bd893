"""What runs took away that have not ended well yet, and what is held until an operator allows it.

A run that is cut short, or that is stopped, is gone on with by the next one: what both take away counts together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.records import DEAD
from crmsync.state.sql import of_entity, upsert
from crmsync.state.tables import brakes, pending, records

LossKind = Literal["delete", "merge", "clear", "opt-out", "overwrite"]
"""``delete``: records are deleted, or flagged as deleted; ``merge``: people are merged into others; ``clear``: a field
gets empty; ``opt-out``: it is taken back; ``overwrite``: a field gets another value."""


class Loss(NamedTuple):
    """What is counted together: one kind of loss of one entity, where it is a field's of that field (Marketo's name).
    ``direction`` is that of ``crmsync.state.syncerrors``."""

    entity: str
    kind: LossKind
    direction: str
    field: str = ""


class Braked(NamedTuple):
    """How many records lost this in runs that have not ended well. ``since`` when more are held, and what is ``said``
    of them; None where nothing is."""

    loss: Loss
    written: int
    since: datetime | None
    said: str | None


class BrakeStore(SubStore):
    """The brakes of one database. Every method is one transaction."""

    async def all(self, tenant: str) -> list[Braked]:
        columns = brakes.c
        query = (
            sa.select(columns.entity, columns.kind, columns.direction, columns.field)
            .add_columns(columns.written, columns.since, columns.said)
            .where(columns.tenant == tenant)
            .order_by(columns.since, columns.entity, columns.field)
        )
        async with self._engine.connect() as connection:
            return [Braked(Loss(*row[:4]), *row[4:]) for row in await connection.execute(query)]

    async def add(self, tenant: str, written: Mapping[Loss, int]) -> None:
        """So many records more have lost this."""
        async with self._engine.begin() as connection:
            await _add(connection, tenant, written)

    async def hold(self, tenant: str, held: Sequence[Braked]) -> None:
        """These are held."""
        rows = [
            {"tenant": tenant, **one.loss._asdict(), "written": one.written, "since": one.since, "said": one.said}
            for one in held
        ]
        async with self._engine.begin() as connection:
            await upsert(connection, brakes, rows, keep=["written"])

    async def release(self, tenant: str, ended: Iterable[Loss], taken_back: Mapping[Loss, int]) -> None:
        """A run has ended well: count these anew, and let what it did of the others (less than nothing) not count."""
        async with self._engine.begin() as connection:
            for loss in ended:
                await connection.execute(sa.delete(brakes).where(_of(tenant, loss)))
            await _add(connection, tenant, taken_back)
            for loss in taken_back:
                nothing = sa.and_(brakes.c.written <= 0, brakes.c.since.is_(None))
                await connection.execute(sa.delete(brakes).where(_of(tenant, loss), nothing))

    async def total(self, tenant: str, entity: str) -> int:
        """How many records of an entity Marketo has."""
        return await self._count(tenant, entity, records.c.in_marketo.is_(True), records.c.status.not_in(DEAD))

    async def removals(self, tenant: str, entity: str) -> int:
        """How many of those that are marked as gone from Dynamics Marketo may have."""
        marked = sa.select(pending.c.record_id).where(of_entity(pending, tenant, entity), pending.c.kind == "delete")
        there = sa.or_(records.c.in_marketo.is_(True), records.c.status == "unknown")
        return await self._count(tenant, entity, there, records.c.status != "deleted", records.c.record_id.in_(marked))

    async def _count(self, tenant: str, entity: str, *which: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(records).where(of_entity(records, tenant, entity), *which)
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())


async def _add(connection: AsyncConnection, tenant: str, written: Mapping[Loss, int]) -> None:
    rows = [
        {"tenant": tenant, **loss._asdict(), "written": number, "since": None, "said": None}
        for loss, number in written.items()
    ]
    await upsert(connection, brakes, rows, add=["written"], keep=["since", "said"])


def _of(tenant: str, loss: Loss) -> sa.ColumnElement[bool]:
    return sa.and_(brakes.c.tenant == tenant, *[brakes.c[name] == value for name, value in loss._asdict().items()])
