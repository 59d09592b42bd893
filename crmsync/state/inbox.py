"""What came from Marketo and waits to be brought to Dynamics: watermarks, changed fields, people to be created.

A watermark moves in the transaction that puts what was read before it into the inbox, so that nothing is lost between
the two (invariant 1). The inbox holds names of fields, never their values: those are read when they are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.collisions import Collision, keep_collisions
from crmsync.state.counting import BACK_COUNTERS
from crmsync.state.engine import SubStore
from crmsync.state.pending import mark
from crmsync.state.records import Outcome
from crmsync.state.sql import among, among_numbers, now, upsert
from crmsync.state.syncerrors import TO_DYNAMICS, FieldKey, SyncError, forget_errors, keep_errors
from crmsync.state.tables import creations, in_flight, marketo_changes, records, watermarks


class Watermark(BaseModel):
    """How far one stream of activities is read. ``moved_at``: a moment that its token surely covers from. ``seen``:
    the activities that may come again from the token on, by id."""

    stream: str
    token: str
    moved_at: datetime
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record with fields that were changed in Marketo. ``not_before``: when to try again."""

    record_id: str
    marketo_id: int
    fields: frozenset[str]
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Creation:
    """A person to be created in Dynamics. ``record_id`` is noted before the request that creates it is sent."""

    marketo_id: int
    entity: str
    record_id: str | None
    not_before: datetime | None = None


@dataclass
class Landing:
    """What became of waiting changes: ledger rows, what still waits, what is done, collisions, errors, counts.

    ``kept`` are fields whose errors stay as they are; ``healthy`` are records without new ones, though they may wait.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    collisions: list[Collision] = field(default_factory=list)
    errors: list[SyncError] = field(default_factory=list)
    kept: set[FieldKey] = field(default_factory=set)
    healthy: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, **more: int) -> None:
        for name, number in more.items():
            self.counts[name] = self.counts.get(name, 0) + number


class InboxStore(SubStore):
    """The inbox of one database. Every method is one transaction."""

    async def watermarks(self, tenant: str) -> dict[str, Watermark]:
        query = sa.select(watermarks).where(watermarks.c.tenant == tenant)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return {row["stream"]: Watermark(**{name: row[name] for name in Watermark.model_fields}) for row in rows}

    async def move(
        self,
        tenant: str,
        mark: Watermark,
        *,
        changes: Mapping[str, Sequence[Waiting]] | None = None,
        listed: Iterable[Creation] = (),
    ) -> None:
        """Move a watermark, and keep what was read before it."""
        async with self._engine.begin() as connection:
            for entity, rows in (changes or {}).items():
                await _keep_changes(connection, tenant, entity, rows)
            people = [
                {"tenant": tenant, "marketo_id": one.marketo_id, "entity": one.entity, "record_id": None,
                 "since": now(), "not_before": None}
                for one in listed
            ]  # fmt: skip
            await upsert(connection, creations, people, keep=["entity", "record_id", "since"])
            await upsert(connection, watermarks, [{"tenant": tenant, **mark.model_dump()}])

    async def move_all(self, tenant: str, marks: Iterable[Watermark]) -> None:
        """Move several watermarks that have nothing to be kept with them."""
        async with self._engine.begin() as connection:
            await upsert(connection, watermarks, [{"tenant": tenant, **mark.model_dump()} for mark in marks])

    async def forget(self, tenant: str, stream: str) -> None:
        """Take a watermark away: there is nothing to read of it any more."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.delete(watermarks).where(watermarks.c.tenant == tenant, watermarks.c.stream == stream)
            )

    async def is_due(self, tenant: str) -> bool:
        """Whether anything that waits may be tried now."""
        due = [
            sa.exists().where(
                table.c.tenant == tenant, sa.or_(table.c.not_before.is_(None), table.c.not_before <= now())
            )
            for table in (marketo_changes, creations)
        ]
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(sa.select(sa.or_(*due))))

    async def wait(self, tenant: str, entity: str, rows: Sequence[Waiting]) -> None:
        """Let these changes wait, with those that wait already."""
        if rows:
            async with self._engine.begin() as connection:
                await _keep_changes(connection, tenant, entity, rows)

    async def held(self, tenant: str, entity: str, ids: Iterable[str]) -> dict[str, frozenset[str]]:
        """Fields of these records whose change in Marketo is waiting; they are due at once, as Dynamics moves too."""
        async with self._engine.begin() as connection:
            mine = _changes_of(connection, tenant, entity, ids)
            query = sa.select(marketo_changes.c.record_id, marketo_changes.c.fields).where(mine)
            found = {row[0]: frozenset(orjson.loads(row[1])) for row in await connection.execute(query)}
            if found:
                await connection.execute(
                    sa.update(marketo_changes)
                    .where(mine, marketo_changes.c.not_before.is_not(None))
                    .values(not_before=None)
                )
        return found

    async def due(self, tenant: str, entity: str, *, after: str = "", limit: int = 300) -> list[Waiting]:
        """The next records whose changes are due, by id from ``after`` on."""
        table = marketo_changes.c
        query = (
            sa.select(table.record_id, table.marketo_id, table.fields, table.not_before)
            .where(
                table.tenant == tenant,
                table.entity == entity,
                table.record_id > after,
                sa.or_(table.not_before.is_(None), table.not_before <= now()),
            )
            .order_by(table.record_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [Waiting(row[0], row[1], frozenset(orjson.loads(row[2])), row[3])
                    for row in await connection.execute(query)]  # fmt: skip

    async def sizes(self, tenant: str) -> dict[str, int]:
        """Records whose changes are waiting, per entity."""
        found: dict[str, int] = {}
        async with self._engine.connect() as connection:
            for table in (marketo_changes, creations):
                query = sa.select(table.c.entity, sa.func.count()).where(table.c.tenant == tenant)
                for entity, number in await connection.execute(query.group_by(table.c.entity)):
                    found[entity] = found.get(entity, 0) + number
        return found

    async def land(self, tenant: str, entity: str, landing: Landing, *, flight: str | None = None) -> None:
        """Write what became of waiting changes, all at once."""
        moment = now()
        back = [error for error in landing.errors if error.direction == TO_DYNAMICS]
        whole = {error.record_id for error in back if not error.field}
        partly = {error.record_id for error in back if error.field}
        kept = landing.kept | {(error.record_id, error.field) for error in back}
        async with self._engine.begin() as connection:
            rows = [
                {"tenant": tenant, "entity": entity, **one._asdict(), "synced_at": moment} for one in landing.outcomes
            ]
            await upsert(connection, records, rows)
            await _drop_changes(connection, tenant, entity, landing.done)
            await _keep_changes(connection, tenant, entity, landing.waiting, merge=False)
            await keep_collisions(connection, tenant, landing.collisions)
            await keep_errors(connection, tenant, landing.errors)
            healthy = [one for one in (*landing.done, *landing.healthy, *partly) if one not in whole]
            await forget_errors(connection, tenant, entity, healthy, direction=TO_DYNAMICS, but=kept)
            await BACK_COUNTERS.add(connection, tenant, entity, landing.counts, moment if rows else None)
            if flight is not None:
                await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight))

    async def creations(self, tenant: str, *, after: int = 0, limit: int = 300) -> list[Creation]:
        """The next people to be created in Dynamics, by id from ``after`` on."""
        table = creations.c
        query = (
            sa.select(table.marketo_id, table.entity, table.record_id, table.not_before)
            .where(
                table.tenant == tenant,
                table.marketo_id > after,
                sa.or_(table.not_before.is_(None), table.not_before <= now()),
            )
            .order_by(table.marketo_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [Creation(*row) for row in await connection.execute(query)]

    async def name_creations(self, tenant: str, ids: Mapping[int, str]) -> None:
        """Note the ids that these people's records will have, before they are created."""
        statement = (
            sa.update(creations)
            .where(creations.c.tenant == tenant, creations.c.marketo_id == sa.bindparam("person"))
            .values(record_id=sa.bindparam("record"))
        )
        if ids:
            async with self._engine.begin() as connection:
                await connection.execute(statement, [{"person": one, "record": ids[one]} for one in ids])

    async def land_creations(
        self,
        tenant: str,
        entity: str,
        *,
        outcomes: Sequence[Outcome] = (),
        done: Sequence[int] = (),
        later: Mapping[int, datetime] | None = None,
        errors: Sequence[SyncError] = (),
        well: Sequence[str] = (),
        again: Sequence[str] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Write what became of people to be created: those in ``done`` wait no more, ``later`` says when to try again.

        ``well`` are the names under which earlier errors of theirs stand, ``again`` the records to be read once more.
        """
        moment = now()
        async with self._engine.begin() as connection:
            rows = [{"tenant": tenant, "entity": entity, **one._asdict(), "synced_at": moment} for one in outcomes]
            await upsert(connection, records, rows)
            await connection.execute(
                sa.delete(creations).where(
                    creations.c.tenant == tenant, among_numbers(connection, creations.c.marketo_id, done)
                )
            )
            for person, at in (later or {}).items():
                await connection.execute(
                    sa.update(creations)
                    .where(creations.c.tenant == tenant, creations.c.marketo_id == person)
                    .values(not_before=at)
                )
            await mark(connection, tenant, entity, "again", again)
            await keep_errors(connection, tenant, errors)
            await forget_errors(connection, tenant, entity, well, direction=TO_DYNAMICS)
            await BACK_COUNTERS.add(connection, tenant, entity, counts or {}, moment if rows else None)

    async def counters(self, tenant: str) -> dict[str, dict[str, Any]]:
        """The counters of this direction since the tenant was connected, per entity."""
        async with self._engine.connect() as connection:
            return await BACK_COUNTERS.of(connection, tenant)


def _changes_of(connection: AsyncConnection, tenant: str, entity: str, ids: Iterable[str]) -> sa.ColumnElement[bool]:
    table = marketo_changes.c
    return sa.and_(table.tenant == tenant, table.entity == entity, among(connection, table.record_id, ids))


async def _keep_changes(
    connection: AsyncConnection, tenant: str, entity: str, rows: Sequence[Waiting], *, merge: bool = True
) -> None:
    """New changes join those of the same record that wait already (``merge``), and make them due."""
    if not rows:
        return
    before: dict[str, frozenset[str]] = {}
    if merge:
        mine = _changes_of(connection, tenant, entity, [one.record_id for one in rows])
        query = sa.select(marketo_changes.c.record_id, marketo_changes.c.fields).where(mine)
        before = {row[0]: frozenset(orjson.loads(row[1])) for row in await connection.execute(query)}
    values = [
        {
            "tenant": tenant,
            "entity": entity,
            "record_id": one.record_id,
            "marketo_id": one.marketo_id,
            "fields": orjson.dumps(sorted(one.fields | before.get(one.record_id, frozenset()))).decode(),
            "since": now(),
            "not_before": one.not_before,
        }
        for one in rows
    ]
    await upsert(connection, marketo_changes, values, keep=["since"])


async def _drop_changes(connection: AsyncConnection, tenant: str, entity: str, ids: Sequence[str]) -> None:
    if ids:
        await connection.execute(sa.delete(marketo_changes).where(_changes_of(connection, tenant, entity, ids)))
