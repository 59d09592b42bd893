"""Who takes part in which opportunity, as Dynamics says: ids only, from which the roles in Marketo follow.

Change tracking tells of a deleted connection no more than its id, so what it connected has to be remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.pending import mark
from crmsync.state.sql import among, upsert
from crmsync.state.tables import participants

Kind = Literal["connection", "contact", "customer"]
"""Where it stands: in a connection, or in an opportunity's columns ``parentcontactid`` and ``customerid``."""


class Participant(NamedTuple):
    """One person of one opportunity. ``source_id`` is the connection, or the opportunity itself; ``role_id`` the
    connection role, if there is one."""

    source_id: str
    kind: Kind
    opportunity_id: str
    person_id: str
    role_id: str | None
    since: datetime | None


class ParticipantStore(SubStore):
    """Participants of one database. What changes them marks the opportunities whose roles are due, at once."""

    async def of(self, tenant: str, opportunities: Iterable[str]) -> list[Participant]:
        """Everybody who takes part in these opportunities."""
        async with self._engine.connect() as connection:
            return await _select(connection, tenant, participants.c.opportunity_id, opportunities)

    async def note(
        self,
        tenant: str,
        kinds: Sequence[Kind],
        sources: Iterable[str],
        found: Sequence[Participant],
        read_number: int,
    ) -> None:
        """These sources now say exactly ``found``: what they said before and do not any more is forgotten."""
        sources = list(sources)
        async with self._engine.begin() as connection:
            before = {
                (one.source_id, one.kind): one
                for one in await _select(connection, tenant, participants.c.source_id, sources)
                if one.kind in kinds
            }
            now = {(one.source_id, one.kind): one for one in found}
            changed = [one for key, one in now.items() if before.get(key) != one]
            gone = [one for key, one in before.items() if key not in now]
            rows = [{"tenant": tenant, **one._asdict(), "read_number": read_number} for one in found]
            await upsert(connection, participants, rows)
            await _forget(connection, tenant, gone)
            moved = [before[key] for key in now.keys() & before.keys() if before[key] != now[key]]
            due = {one.opportunity_id for one in (*changed, *gone, *moved)}
            await mark(connection, tenant, "opportunity", "roles", due)

    async def unmet(self, tenant: str, read_number: int) -> list[str]:
        """The connections that a whole new first read did not meet."""
        query = sa.select(participants.c.source_id).where(
            participants.c.tenant == tenant,
            participants.c.kind == "connection",
            participants.c.read_number < read_number,
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def mark_those_with(self, tenant: str, roles: Iterable[str]) -> None:
        """These connection roles have other names now: the roles of opportunities that have them are due."""
        async with self._engine.begin() as connection:
            query = sa.select(participants.c.opportunity_id.distinct()).where(
                participants.c.tenant == tenant, among(connection, participants.c.role_id, roles)
            )
            await mark(connection, tenant, "opportunity", "roles", await connection.scalars(query))

    async def mark_customers_of(self, tenant: str, contacts: Iterable[str]) -> None:
        """These contacts changed: opportunities whose customer they are may belong to another company now."""
        async with self._engine.begin() as connection:
            query = sa.select(participants.c.opportunity_id.distinct()).where(
                participants.c.tenant == tenant,
                participants.c.kind == "customer",
                among(connection, participants.c.person_id, contacts),
            )
            await mark(connection, tenant, "opportunity", "again", await connection.scalars(query))


async def _select(
    connection: AsyncConnection, tenant: str, column: sa.ColumnElement[str], values: Iterable[str]
) -> list[Participant]:
    columns = [participants.c[name] for name in Participant._fields]
    query = sa.select(*columns).where(participants.c.tenant == tenant, among(connection, column, values))
    return [Participant(*row) for row in await connection.execute(query)]


async def _forget(connection: AsyncConnection, tenant: str, gone: Sequence[Participant]) -> None:
    for kind in {one.kind for one in gone}:
        sources = [one.source_id for one in gone if one.kind == kind]
        await connection.execute(
            sa.delete(participants).where(
                participants.c.tenant == tenant,
                participants.c.kind == kind,
                among(connection, participants.c.source_id, sources),
            )
        )
