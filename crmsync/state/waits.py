"""What waits, and since when: whatever one side has and the other is still to get.

Changes made in Marketo, people to be created in Dynamics, marks for later, requests without an answer, and records
that were written without their owner or company. What waits too long becomes a sync error (invariant 5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast

import orjson
import sqlalchemy as sa

from crmsync.state.engine import SubStore
from crmsync.state.sql import among, of_entity
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO, SyncError, keep_errors
from crmsync.state.tables import creations, in_flight, marketo_changes, pending, records, sync_errors

Kind = Literal["change", "creation", "again", "delete", "roles", "heir", "request", "owner", "company", "parent"]
"""``change``: fields were changed in Marketo; ``creation``: a person is to be created in Dynamics; ``again``,
``delete``, ``roles`` and ``heir``: the marks of ``crmsync.state.pending``; ``request``: in flight; ``owner``,
``company`` and ``parent``: Marketo does not have whom the record belongs to."""

WAITING = "waiting"
"""The code of the sync error that what waits too long becomes."""

PERSON = "Marketo person "
"""Under this, and its number, a person without a record stands among the sync errors."""


class Wait(NamedTuple):
    """Why a record waits. ``fields``: Marketo's names of those that do; none where it is the record as a whole."""

    kind: Kind
    since: datetime | None
    fields: frozenset[str] = frozenset()


class Overdue(NamedTuple):
    """Something that waits too long: ``record_id`` and ``direction`` as its sync error names them."""

    kind: Kind
    entity: str
    record_id: str
    direction: str
    since: datetime
    fields: frozenset[str]


class Queue(NamedTuple):
    """How many records of an entity wait for the same, and the first of them since when."""

    kind: Kind
    entity: str
    records: int
    since: datetime | None


class WaitStore(SubStore):
    """Reads what waits in one database, whatever table it waits in. Every method is one transaction."""

    async def of(self, tenant: str, entity: str, ids: Collection[str]) -> dict[str, list[Wait]]:
        """Why these records wait; those that do not are absent."""
        found: dict[str, list[Wait]] = defaultdict(list)
        if not ids:
            return found
        async with self._engine.connect() as connection:
            change = marketo_changes.c
            query = sa.select(change.record_id, change.since, change.fields).where(
                of_entity(marketo_changes, tenant, entity), among(connection, change.record_id, ids)
            )
            for record_id, since, fields in await connection.execute(query):
                found[record_id].append(Wait("change", since, frozenset(orjson.loads(fields))))
            query = sa.select(pending.c.record_id, pending.c.kind, pending.c.since).where(
                of_entity(pending, tenant, entity), among(connection, pending.c.record_id, ids)
            )
            for record_id, kind, since in await connection.execute(query):
                found[record_id].append(Wait(kind, since))
            query = sa.select(in_flight.c["keys"], in_flight.c.sent_at).where(of_entity(in_flight, tenant, entity))
            wanted = set(ids)
            for keys, sent_at in await connection.execute(query):
                for key in wanted.intersection(orjson.loads(keys)):
                    found[key].append(Wait("request", sent_at))
        return found

    async def written_at(self, tenant: str, entity: str, ids: Collection[str]) -> dict[str, datetime | None]:
        """When these records were written to Marketo last: without their owner or company, where they wait for it."""
        async with self._engine.connect() as connection:
            query = sa.select(records.c.record_id, records.c.synced_at).where(
                of_entity(records, tenant, entity), among(connection, records.c.record_id, ids)
            )
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def creations(self, tenant: str, entity: str) -> dict[int, datetime]:
        """The people who are to be created as such records, by Marketo's ids, and since when."""
        query = sa.select(creations.c.marketo_id, creations.c.since).where(of_entity(creations, tenant, entity))
        async with self._engine.connect() as connection:
            return {row[0]: row[1] for row in await connection.execute(query.order_by(creations.c.marketo_id))}

    async def queues(self, tenant: str) -> list[Queue]:
        """All that waits, by what for and entity. Of owners, companies and parents the oldest write is not looked for:
        very many may wait for one that never comes."""
        nothing: Any = sa.null()
        of: list[tuple[Any, sa.Table, Any, list[sa.ColumnElement[bool]]]] = [
            (sa.literal("change"), marketo_changes, sa.func.min(marketo_changes.c.since), []),
            (sa.literal("creation"), creations, sa.func.min(creations.c.since), []),
            (pending.c.kind, pending, sa.func.min(pending.c.since), []),
            (sa.literal("owner"), records, nothing, [records.c.waiting_owner.is_not(None)]),
            (sa.literal("company"), records, nothing, [records.c.waiting_company.is_not(None)]),
            (sa.literal("parent"), records, nothing, [records.c.parent_id.is_not(None), records.c.status == "waiting"]),
        ]
        found = []
        async with self._engine.connect() as connection:
            for kind, table, since, where in of:
                query = (
                    sa.select(kind.label("kind"), table.c.entity, sa.func.count(), sa.type_coerce(since, _TIME))
                    .where(table.c.tenant == tenant, *where)
                    .group_by(kind, table.c.entity)
                )
                found += [Queue(*row) for row in await connection.execute(query)]
        return sorted(found, key=lambda queue: (queue.kind, queue.entity))

    async def overdue(
        self, tenant: str, before: datetime, entities: Sequence[str], *, limit: int | None = None
    ) -> list[Overdue]:
        """What waits since before then without a sync error of its own, the oldest first."""
        everything = _everything(tenant)
        its_error = sa.exists().where(
            sync_errors.c.tenant == tenant,
            sync_errors.c.entity == everything.c.entity,
            sync_errors.c.record_id == everything.c.record_id,
            sync_errors.c.direction == everything.c.direction,
        )
        query = (
            sa.select(everything)
            .where(everything.c.since < before, everything.c.entity.in_(entities), ~its_error)
            .order_by(everything.c.since, everything.c.record_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Overdue(cast(Kind, row.kind), row.entity, row.record_id, row.direction, row.since,
                    frozenset(orjson.loads(row.fields)))
            for row in rows
        ]  # fmt: skip

    async def errors(self, tenant: str) -> int:
        """How many sync errors say that something waits too long."""
        query = sa.select(sa.func.count()).where(sync_errors.c.tenant == tenant, sync_errors.c.code == WAITING)
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def keep_errors(self, tenant: str, errors: Sequence[SyncError]) -> None:
        """Tell what waits too long."""
        async with self._engine.begin() as connection:
            await keep_errors(connection, tenant, errors)

    async def forget_errors(self, tenant: str) -> None:
        """Take away the sync errors of what does not wait any more."""
        everything = _everything(tenant)
        waits_still = sa.exists().where(
            everything.c.entity == sync_errors.c.entity,
            everything.c.record_id == sync_errors.c.record_id,
            everything.c.direction == sync_errors.c.direction,
            everything.c.since <= sync_errors.c.first_at,
        )
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.delete(sync_errors).where(
                    sync_errors.c.tenant == tenant, sync_errors.c.code == WAITING, ~waits_still
                )
            )


def _everything(tenant: str) -> sa.Subquery:
    """Whatever waits to be carried, each under the name of its sync error."""
    person = sa.literal(PERSON) + sa.cast(creations.c.marketo_id, sa.String)
    sources: Iterable[tuple[sa.Table, Any, Any, str, Any]] = (
        (marketo_changes, sa.literal("change"), marketo_changes.c.record_id, TO_DYNAMICS, marketo_changes.c.fields),
        (creations, sa.literal("creation"), person, TO_DYNAMICS, sa.literal("[]")),
        (pending, pending.c.kind, pending.c.record_id, TO_MARKETO, sa.literal("[]")),
    )
    return sa.union_all(
        *(
            sa.select(
                kind.label("kind"),
                table.c.entity,
                record_id.label("record_id"),
                sa.literal(direction).label("direction"),
                table.c.since,
                fields.label("fields"),
            ).where(table.c.tenant == tenant)
            for table, kind, record_id, direction, fields in sources
        )
    ).subquery()


_TIME = marketo_changes.c.since.type
