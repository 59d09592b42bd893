"""What became of each record, which requests are in flight, and the counters: the ledger behind "at least once".

A record's values are kept as fingerprints only, six bytes a field, in the order of its field set. A request stands in
``in_flight`` from before it is sent until its outcomes are written, so that a run that starts after a crash knows
which keys may still be on their way (invariant 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import orjson
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from crmsync.state.counting import COUNTERS
from crmsync.state.pending import mark_arrivals
from crmsync.state.sql import among, among_numbers, now, upsert
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO, SyncError, forget_errors, keep_errors
from crmsync.state.tables import counters, field_sets, in_flight, records

RecordStatus = Literal[
    "synced", "filtered", "failed", "deleted", "unknown", "unneeded", "waiting", "gone", "merged", "converted"
]
"""``unneeded``: an account that no synced person belongs to, where the tenant wants only the others. ``waiting``: a
custom entity's record whose person or company is not in Marketo. ``deleted``: from Dynamics. Tombstones: ``gone``, the
person was deleted in Marketo; ``merged``, it is one with that of another record, by a merge on either side;
``converted``, the lead became a contact. ``parent_id`` of the last two is that other record."""
DEAD = ("deleted", "gone", "merged", "converted")

FlightKind = Literal["sync", "import", "delete", "back"]
"""``back``: to Dynamics; the others to Marketo."""
PARENTS = ("systemuser", "account")
"""The entities that records wait for before they can be linked."""


class Known(NamedTuple):
    """What the store knows of one record. ``unknown`` status: it may have been written by a run that was killed."""

    status: RecordStatus
    in_marketo: bool
    marketo_id: int | None
    field_set: int | None
    fingerprints: bytes | None
    waiting_owner: str | None
    waiting_company: str | None
    read_number: int
    parent_id: str | None = None


class Outcome(NamedTuple):
    """What became of one record that was handled: a row of the ledger. ``parent_id``: the opportunity of a role; the
    record that a lead or contact was merged into, or that a lead was converted to; the person or company that a custom
    entity's record belongs to, ``middle_id`` the record that leads there."""

    record_id: str
    status: RecordStatus
    in_marketo: bool
    marketo_id: int | None
    field_set: int | None
    fingerprints: bytes | None
    waiting_owner: str | None
    waiting_company: str | None
    read_number: int
    parent_id: str | None = None
    middle_id: str | None = None


class Flight(BaseModel):
    """A request whose outcomes are not known yet: a Sync call, an import or a deletion, with the keys it carries, and
    for people with ``marks``, the fingerprints of what is agreed on once it is executed, key by key."""

    id: str
    entity: str
    kind: FlightKind
    job: int | None
    keys: list[str]
    sent_at: datetime
    field_set: int | None = None
    marks: bytes | None = None


class RecordStore:
    """The ledger of one database. Every method is one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def known(self, tenant: str, entity: str, ids: Sequence[str]) -> dict[str, Known]:
        """What is known of these records, by id; unknown ones are absent."""
        columns = [records.c.record_id, *(records.c[name] for name in Known._fields)]
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(_of(records, tenant, entity), among(connection, records.c.record_id, ids))
            return {row[0]: Known(*row[1:]) for row in await connection.execute(query)}

    async def in_marketo(self, tenant: str, entity: str, ids: Iterable[str]) -> set[str]:
        """Which of these records Marketo has."""
        async with self._engine.connect() as connection:
            query = sa.select(records.c.record_id).where(
                _of(records, tenant, entity),
                among(connection, records.c.record_id, ids),
                records.c.in_marketo.is_(True),
            )
            return set(await connection.scalars(query))

    async def in_marketo_after(self, tenant: str, entity: str, after: str, limit: int) -> list[str]:
        """The next ids, in their order, of records that Marketo has and that are not known as deleted."""
        query = (
            sa.select(records.c.record_id)
            .where(
                _of(records, tenant, entity),
                records.c.record_id > after,
                records.c.in_marketo.is_(True),
                records.c.status != "deleted",
            )
            .order_by(records.c.record_id)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def field_set(self, tenant: str, entity: str, names: Sequence[str]) -> int:
        """The number of this list of field names, new or old."""
        text = orjson.dumps(list(names)).decode()
        query = sa.select(field_sets.c.id).where(_of(field_sets, tenant, entity), field_sets.c.names == text)
        async with self._engine.begin() as connection:
            number = (await connection.execute(query)).scalar()
            if number is None:
                row = {"tenant": tenant, "entity": entity, "names": text}
                statement = sa.insert(field_sets).values(row).returning(field_sets.c.id)
                number = (await connection.execute(statement)).scalar_one()
        return int(number)

    async def field_sets(self, tenant: str, entity: str) -> dict[int, tuple[str, ...]]:
        query = sa.select(field_sets.c.id, field_sets.c.names).where(_of(field_sets, tenant, entity))
        async with self._engine.connect() as connection:
            return {row.id: tuple(orjson.loads(row.names)) for row in await connection.execute(query)}

    async def take_off(
        self,
        tenant: str,
        entity: str,
        kind: FlightKind,
        keys: Sequence[str],
        parents: Mapping[str, str] | None = None,
        *,
        field_set: int | None = None,
        marks: bytes | None = None,
    ) -> Flight:
        """Note a request before it is sent. With ``parents`` its keys get rows at once: what a key hangs on must be
        known even if the answer is lost."""
        flight = Flight(
            id=str(uuid4()), entity=entity, kind=kind, job=None, keys=list(keys), sent_at=now(),
            field_set=field_set, marks=marks,
        )  # fmt: skip
        row = flight.model_dump() | {"tenant": tenant, "keys": orjson.dumps(flight.keys).decode()}
        async with self._engine.begin() as connection:
            await connection.execute(sa.insert(in_flight), [row])
            if parents:
                await _insert_unknown(connection, tenant, entity, keys, parents)
        return flight

    async def never_left(self, flight: str) -> None:
        """The service refused the request as a whole: nothing of it was executed."""
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight))

    async def set_job(self, flight: str, job: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(in_flight).where(in_flight.c.id == flight).values(job=job))

    async def flights(self, tenant: str) -> list[Flight]:
        """Requests in flight, oldest first: after a crash, those that may have been executed."""
        query = sa.select(in_flight).where(in_flight.c.tenant == tenant).order_by(in_flight.c.sent_at)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [Flight(**{**row, "keys": orjson.loads(row["keys"])}) for row in rows]

    async def land(
        self,
        tenant: str,
        entity: str,
        outcomes: Sequence[Outcome],
        *,
        flight: str | None = None,
        errors: Sequence[SyncError] = (),
        counts: dict[str, int] | None = None,
        arrived: Sequence[str] = (),
    ) -> None:
        """Write outcomes, their sync errors and counters, and take the request out of ``in_flight``, all at once.

        ``arrived`` are records that Marketo did not have before: what waited for them is due.
        """
        failed = {error.record_id for error in errors}
        moment = now()
        rows = [
            {
                "tenant": tenant,
                "entity": entity,
                **outcome._asdict(),
                "synced_at": moment if outcome.status in {"synced", "deleted"} else None,
            }
            for outcome in outcomes
        ]
        async with self._engine.begin() as connection:
            await upsert(connection, records, rows)
            await keep_errors(connection, tenant, errors)
            done = [outcome.record_id for outcome in outcomes if outcome.record_id not in failed]
            await forget_errors(connection, tenant, entity, done)
            if arrived:
                await mark_arrivals(connection, tenant, entity, arrived)
            await COUNTERS.add(connection, tenant, entity, counts or {}, moment if rows else None)
            if flight is not None:
                await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight))

    async def settle(self, tenant: str, flight: Flight, learned: Sequence[Outcome] = ()) -> None:
        """A request of a killed run is over: its keys without an outcome become ``unknown``, to be written anew with
        every value told, because Marketo may hold them already. ``learned`` are rows of what it is seen to hold."""
        rows = [
            {"tenant": tenant, "entity": flight.entity, **one._asdict(), "synced_at": flight.sent_at} for one in learned
        ]
        async with self._engine.begin() as connection:
            await upsert(connection, records, rows)
            if flight.kind != "back":
                await _insert_unknown(connection, tenant, flight.entity, flight.keys, {})
            await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight.id))

    async def led_by(self, tenant: str, entity: str, middles: Iterable[str]) -> list[str]:
        """The records of a custom entity that lead to whom they belong to by these, without deleted ones."""
        async with self._engine.connect() as connection:
            query = sa.select(records.c.record_id).where(
                _of(records, tenant, entity),
                among(connection, records.c.middle_id, middles),
                records.c.status != "deleted",
            )
            return list(await connection.scalars(query))

    async def children(self, tenant: str, entity: str, parents: Iterable[str]) -> dict[str, Known]:
        """The records of ``entity`` that hang on these parents, by their own id, without deleted ones."""
        columns = [records.c.record_id, *(records.c[name] for name in Known._fields)]
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                _of(records, tenant, entity),
                among(connection, records.c.parent_id, parents),
                records.c.status != "deleted",
            )
            return {row[0]: Known(*row[1:]) for row in await connection.execute(query)}

    async def set_marketo_ids(self, tenant: str, entity: str, ids: Mapping[str, int | None]) -> None:
        """Marketo's own ids of these records, learned or, with None, found to be wrong."""
        statement = (
            sa.update(records)
            .where(_of(records, tenant, entity), records.c.record_id == sa.bindparam("key"))
            .values(marketo_id=sa.bindparam("number"))
        )
        async with self._engine.begin() as connection:
            if ids:
                rows = [{"key": key, "number": number} for key, number in ids.items()]
                await connection.execute(statement, rows)

    async def awaited_companies(self, tenant: str, ids: Iterable[str]) -> set[str]:
        """Which of these accounts a synced person waits for."""
        async with self._engine.connect() as connection:
            query = sa.select(records.c.waiting_company.distinct()).where(
                records.c.tenant == tenant,
                among(connection, records.c.waiting_company, ids),
                records.c.status == "synced",
                records.c.entity == "contact",
            )
            return set(await connection.scalars(query))

    async def by_marketo_id(
        self, tenant: str, entities: Iterable[str], ids: Iterable[int]
    ) -> dict[int, tuple[str, str, Known]]:
        """The record behind each of these people: entity, id, what is known. Of several, the one that is alive."""
        columns = [
            records.c.marketo_id,
            records.c.entity,
            records.c.record_id,
            *(records.c[name] for name in Known._fields),
        ]
        found: dict[int, tuple[str, str, Known]] = {}
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                records.c.tenant == tenant,
                records.c.entity.in_(list(entities)),
                among_numbers(connection, records.c.marketo_id, ids),
            )
            for number, entity, record_id, *rest in await connection.execute(query):
                known = Known(*rest)
                if number not in found or known.status not in DEAD:
                    found[number] = (entity, record_id, known)
        return found

    async def without_marketo_id(self, tenant: str, entity: str, *, limit: int) -> list[str]:
        """People that are in Marketo under an id that nobody has told yet: bulk imports tell none."""
        query = (
            sa.select(records.c.record_id)
            .where(
                _of(records, tenant, entity),
                records.c.marketo_id.is_(None),
                records.c.in_marketo.is_(True),
                records.c.status.not_in(DEAD),
            )
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def bury(self, tenant: str, entity: str, ids: Sequence[str], status: Literal["gone", "merged"]) -> None:
        """The people of these records are no more in Marketo: a tombstone keeps them from being created again.

        Fingerprints stay, should the person turn up again under another id.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(records)
                .where(
                    _of(records, tenant, entity),
                    among(connection, records.c.record_id, ids),
                    records.c.status.not_in(["deleted", "merged", "converted"]),
                )
                .values(status=status, in_marketo=False, waiting_owner=None, waiting_company=None)
            )
            for direction in (TO_MARKETO, TO_DYNAMICS):
                await forget_errors(connection, tenant, entity, ids, direction=direction)

    async def revive(self, tenant: str, entity: str, record_id: str, marketo_id: int) -> None:
        """The record's person goes on under another id: it was merged into one that had no record."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(records)
                .where(_of(records, tenant, entity), records.c.record_id == record_id)
                .values(
                    marketo_id=marketo_id,
                    in_marketo=True,
                    status=sa.case((records.c.status.in_(["gone", "merged"]), "synced"), else_=records.c.status),
                )
            )

    async def mark_seen(self, tenant: str, entity: str, ids: Sequence[str], read_number: int) -> None:
        """These unchanged records were met by this read."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(records)
                .where(_of(records, tenant, entity), among(connection, records.c.record_id, ids))
                .values(read_number=read_number)
            )

    async def vanished(self, tenant: str, entity: str, read_number: int) -> list[str]:
        """Records that a whole new first read did not meet: deleted in Dynamics meanwhile."""
        query = sa.select(records.c.record_id).where(
            _of(records, tenant, entity),
            records.c.read_number < read_number,
            records.c.status.not_in(["deleted", "unknown"]),
        )
        async with self._engine.connect() as connection:
            return list(await connection.scalars(query))

    async def relinkable(self, tenant: str, entity: str) -> list[str]:
        """Records that were synced without their owner or company, whose owner or company is in Marketo now."""
        found: set[str] = set()
        async with self._engine.connect() as connection:
            for waiting, parent_entity in (
                (records.c.waiting_owner, "systemuser"),
                (records.c.waiting_company, "account"),
            ):
                # Many wait for few: the few are looked up once each, in every cycle.
                awaited = (
                    sa.select(waiting.label("id"))
                    .where(records.c.tenant == tenant, waiting.is_not(None))
                    .distinct()
                    .subquery()
                )
                parent = records.alias("parent")
                come = (
                    sa.select(awaited.c.id)
                    .join(parent, sa.and_(_of(parent, tenant, parent_entity), parent.c.record_id == awaited.c.id))
                    .where(parent.c.in_marketo.is_(True))
                )
                if ids := list(await connection.scalars(come)):
                    query = sa.select(records.c.record_id).where(
                        _of(records, tenant, entity), waiting.is_not(None), among(connection, waiting, ids)
                    )
                    found.update(await connection.scalars(query))
        return sorted(found)

    async def parents_written(self, tenant: str) -> int:
        """How often owners and companies were written so far: as long as it is the same, none has come to Marketo."""
        query = sa.select(sa.func.coalesce(sa.func.sum(counters.c.created + counters.c.updated), 0)).where(
            counters.c.tenant == tenant, counters.c.entity.in_(PARENTS)
        )
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def count(self, tenant: str, entity: str, counts: dict[str, int]) -> None:
        """Add to the counters of an entity."""
        async with self._engine.begin() as connection:
            await COUNTERS.add(connection, tenant, entity, counts, None)

    async def counters(self, tenant: str) -> dict[str, dict[str, Any]]:
        """The counters since the tenant was connected, and when each entity was last written to Marketo."""
        async with self._engine.connect() as connection:
            return await COUNTERS.of(connection, tenant)


def _of(table: Any, tenant: str, entity: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == tenant, table.c.entity == entity)


async def _insert_unknown(
    connection: AsyncConnection, tenant: str, entity: str, keys: Sequence[str], parents: Mapping[str, str]
) -> None:
    """Rows for the keys that have none: nobody knows yet what Marketo holds of them."""
    query = sa.select(records.c.record_id).where(
        _of(records, tenant, entity), among(connection, records.c.record_id, keys)
    )
    there = set(await connection.scalars(query))
    blank = Outcome("", "unknown", False, None, None, None, None, None, 0)._asdict()
    rows = [
        {
            "tenant": tenant,
            "entity": entity,
            "synced_at": None,
            **blank,
            "record_id": key,
            "parent_id": parents.get(key),
        }
        for key in keys
        if key not in there
    ]
    if rows:
        await connection.execute(sa.insert(records), rows)
