"""What a page leaves for later in the run, kept in the store so that a crash in between loses nothing.

A deletion waits until everything was created, an opportunity's roles wait until its people are there, and a record
whose surroundings changed is read once more. A mark goes only after what it stands for has an outcome.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.sql import among, now, upsert
from crmsync.state.tables import participants, pending, records

Kind = Literal["again", "delete", "roles", "heir"]
"""``again``: read and write once more; ``delete``: gone from Dynamics; ``roles``: an opportunity's roles are due;
``heir``: a lead or contact of which one continues as the other, or was merged into it."""

PEOPLE = ("lead", "contact")
ROLE = "opportunityrole"


class PendingStore(SubStore):
    """Marks of one database. Setting a mark twice is the same as once: it waits since the first time."""

    async def add(self, tenant: str, entity: str, kind: Kind, ids: Iterable[str]) -> None:
        async with self._engine.begin() as connection:
            await mark(connection, tenant, entity, kind, ids)

    async def first(self, tenant: str, entity: str, kind: Kind, *, limit: int, after: str = "") -> list[str]:
        """Some of the records that are marked, by id from ``after`` on."""
        mine = sa.and_(_of(tenant, entity, kind), pending.c.record_id > after)
        query = sa.select(pending.c.record_id).where(mine).order_by(pending.c.record_id)
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query.limit(limit)))

    async def marked(self, tenant: str, entity: str, kind: Kind, ids: Iterable[str]) -> set[str]:
        """Which of these records are marked."""
        async with self._engine.connect() as connection:
            query = sa.select(pending.c.record_id).where(
                _of(tenant, entity, kind), among(connection, pending.c.record_id, ids)
            )
            return set(await connection.scalars(query))

    async def done(self, tenant: str, entity: str, kind: Kind, ids: Iterable[str]) -> None:
        """Take the marks away."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.delete(pending).where(_of(tenant, entity, kind), among(connection, pending.c.record_id, ids))
            )

    async def counts(self, tenant: str) -> dict[tuple[str, str], int]:
        """How many records are marked, by entity and kind: one look tells whether there is anything to do."""
        query = (
            sa.select(pending.c.entity, pending.c.kind, sa.func.count())
            .where(pending.c.tenant == tenant)
            .group_by(pending.c.entity, pending.c.kind)
        )
        async with self._engine.connect() as connection:
            return {(row[0], row[1]): row[2] for row in await connection.execute(query)}


async def mark(connection: AsyncConnection, tenant: str, entity: str, kind: Kind, ids: Iterable[str]) -> None:
    """Set marks, as part of a transaction."""
    moment = now()
    rows = [
        {"tenant": tenant, "entity": entity, "kind": kind, "record_id": one, "since": moment}
        for one in sorted(set(ids))
    ]
    await upsert(connection, pending, rows, keep=["since"])


async def mark_arrivals(connection: AsyncConnection, tenant: str, entity: str, ids: Sequence[str]) -> None:
    """These are in Marketo now: the roles that waited for people or opportunities are due, and the records of custom
    entities that waited for a person or a company."""
    if entity in PEOPLE or entity == "account":
        await mark_hanging(connection, tenant, ids)
    if entity != "opportunity" and entity not in PEOPLE:
        return
    if entity in PEOPLE:
        came = sa.select(records.c.record_id).where(
            records.c.tenant == tenant, among(connection, records.c.parent_id, ids), records.c.entity.in_(PEOPLE)
        )  # who goes on as one of these
        whose = sa.or_(among(connection, participants.c.person_id, ids), participants.c.person_id.in_(came))
    else:
        whose = among(connection, participants.c.opportunity_id, ids)
    query = sa.select(participants.c.opportunity_id.distinct()).where(participants.c.tenant == tenant, whose)
    await mark(connection, tenant, "opportunity", "roles", await connection.scalars(query))


async def mark_hanging(connection: AsyncConnection, tenant: str, ids: Iterable[str]) -> None:
    """The records of custom entities, and others, that hang on these people or companies are read once more."""
    query = sa.select(records.c.entity, records.c.record_id).where(
        records.c.tenant == tenant,
        among(connection, records.c.parent_id, ids),
        records.c.entity.not_in([*PEOPLE, ROLE]),
        records.c.status != "deleted",
    )
    hanging: dict[str, list[str]] = defaultdict(list)
    for entity, record_id in await connection.execute(query):
        hanging[entity].append(record_id)
    for entity, some in hanging.items():
        await mark(connection, tenant, entity, "again", some)


def _of(tenant: str, entity: str, kind: Kind) -> sa.ColumnElement[bool]:
    return sa.and_(pending.c.tenant == tenant, pending.c.entity == entity, pending.c.kind == kind)
