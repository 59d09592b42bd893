"""Who continues whom: a lead that became a contact, a record that was merged into another, each with its heir.

A predecessor's row names its heir (``parent_id``). Once the heir has its person the row is a tombstone: ``merged`` or
``converted``; so it never makes a second person, and nothing that happens to it touches the heir's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.pending import PEOPLE, mark, mark_hanging
from crmsync.state.records import Known, Outcome
from crmsync.state.sql import among, upsert
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO, forget_errors
from crmsync.state.tables import marketo_changes, participants, records

LONGEST_CHAIN = 10
"""So often heirs were merged in their turn, before what is stored is taken for a circle."""


class Tombstone(NamedTuple):
    """A record that goes on as ``heir``. ``in_marketo``: a person that stays behind as it is; with an ``heir`` it waits
    for that one to be synced, without one it is left alone for good."""

    entity: str
    record_id: str
    status: Literal["merged", "converted"]
    heir: str | None
    in_marketo: bool = False
    marketo_id: int | None = None
    read_number: int = 1


class Continuation(NamedTuple):
    """A person that goes on as the heir's: what is remembered of the heir, and whose changes it takes over."""

    entity: str
    heir: Outcome
    of: tuple[str, str] | None = None


class SuccessionStore(SubStore):
    """Successions of one database."""

    async def of(self, tenant: str, heirs: Iterable[str]) -> dict[str, list[tuple[str, str, Known]]]:
        """The leads and contacts that name these as heirs, by heir: entity, id and what is known."""
        columns = [records.c.entity, records.c.record_id, *(records.c[name] for name in Known._fields)]
        found: dict[str, list[tuple[str, str, Known]]] = {}
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                records.c.tenant == tenant,
                records.c.entity.in_(PEOPLE),
                among(connection, records.c.parent_id, heirs),
            )
            for entity, record_id, *rest in await connection.execute(query):
                known = Known(*rest)
                found.setdefault(str(known.parent_id), []).append((entity, record_id, known))
        return found

    async def heirs(self, tenant: str, ids: Iterable[str]) -> dict[str, str]:
        """As whom these records go on, at the end of the chain; those that go on as themselves are absent."""
        found: dict[str, str] = {}
        asked = set(ids)
        async with self._engine.connect() as connection:
            for _ in range(LONGEST_CHAIN):
                query = sa.select(records.c.record_id, records.c.parent_id).where(
                    records.c.tenant == tenant,
                    records.c.entity.in_(PEOPLE),
                    among(connection, records.c.record_id, asked),
                    records.c.status.in_(["merged", "converted", "deleted"]),
                    records.c.in_marketo.is_(False),
                    records.c.parent_id.is_not(None),
                )
                step = {row[0]: row[1] for row in await connection.execute(query)}
                if not step:
                    break
                found = {**step, **{one: step.get(heir, heir) for one, heir in found.items()}}
                asked = set(step.values())
        return found

    async def expect(self, tenant: str, entity: str, heirs: Mapping[str, str]) -> None:
        """Remember whom these records name as heirs; what becomes of their people is decided later. A filter that kept
        one of them out does not any more."""
        is_stale = sa.and_(records.c.status == "filtered", records.c.in_marketo.is_(True))
        statement = (
            sa.update(records)
            .where(records.c.tenant == tenant, records.c.entity == entity, records.c.record_id == sa.bindparam("key"))
            .values(parent_id=sa.bindparam("heir"), status=sa.case((is_stale, "synced"), else_=records.c.status))
        )
        if heirs:
            async with self._engine.begin() as connection:
                await connection.execute(statement, [{"key": one, "heir": heir} for one, heir in heirs.items()])

    async def named(self, tenant: str, contacts: Mapping[str, str]) -> None:
        """Remember of qualified leads which contacts they named: open again, they are none of these."""
        statement = (
            sa.update(records)
            .where(records.c.tenant == tenant, records.c.entity == "lead", records.c.record_id == sa.bindparam("key"))
            .values(middle_id=sa.bindparam("contact"))
        )
        if contacts:
            async with self._engine.begin() as connection:
                await connection.execute(statement, [{"key": one, "contact": c} for one, c in contacts.items()])

    async def land(
        self, tenant: str, tombstones: Sequence[Tombstone], successions: Sequence[Continuation] = ()
    ) -> None:
        """Write what became of predecessors and heirs, all at once: rows, errors that are over, changes in Marketo that
        wait, and marks for what hung on either."""
        async with self._engine.begin() as connection:
            blank = Outcome("", "unknown", False, None, None, None, None, None, 1)._asdict()
            rows = [
                {
                    **blank,
                    "tenant": tenant,
                    "entity": one.entity,
                    "record_id": one.record_id,
                    "status": one.status,
                    "in_marketo": one.in_marketo,
                    "marketo_id": one.marketo_id,
                    "read_number": one.read_number,
                    "parent_id": one.heir,
                    "synced_at": None,
                }
                for one in tombstones
            ]
            await upsert(connection, records, rows, keep=["synced_at", "middle_id"])
            for entity in {one.entity for one in tombstones}:
                ids = [one.record_id for one in tombstones if one.entity == entity]
                for direction in (TO_MARKETO, TO_DYNAMICS):
                    await forget_errors(connection, tenant, entity, ids, direction=direction)
            await self._go_on(connection, tenant, successions)
            moved = {one.record_id for one in tombstones if not one.in_marketo}
            await _mark_what_hangs_on(connection, tenant, moved | {one.heir.record_id for one in successions})

    async def _go_on(self, connection: AsyncConnection, tenant: str, successions: Sequence[Continuation]) -> None:
        heirs = [
            {"tenant": tenant, "entity": one.entity, **one.heir._asdict(), "synced_at": None} for one in successions
        ]
        await upsert(connection, records, heirs, keep=["synced_at"])
        for one in successions:
            if one.of is not None:
                await _take_over_changes(connection, tenant, one.of, (one.entity, one.heir.record_id))


async def _take_over_changes(
    connection: AsyncConnection, tenant: str, of: tuple[str, str], heir: tuple[str, str]
) -> None:
    """What was changed in Marketo and waits goes to the heir's record, where nothing waits for that yet."""
    table = marketo_changes

    def row(one: tuple[str, str]) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.tenant == tenant, table.c.entity == one[0], table.c.record_id == one[1])

    if (await connection.execute(sa.select(table.c.record_id).where(row(heir)))).first() is None:
        await connection.execute(sa.update(table).where(row(of)).values(entity=heir[0], record_id=heir[1]))
    else:
        await connection.execute(sa.delete(table).where(row(of)))


async def _mark_what_hangs_on(connection: AsyncConnection, tenant: str, ids: set[str]) -> None:
    """Roles are worked out anew, and the other records that hang on these people are written once more."""
    query = sa.select(participants.c.opportunity_id.distinct()).where(
        participants.c.tenant == tenant, among(connection, participants.c.person_id, ids)
    )
    await mark(connection, tenant, "opportunity", "roles", await connection.scalars(query))
    await mark_hanging(connection, tenant, ids)
