"""What became of each record, and the counters: the ledger behind "at least once".

A record's values are kept as fingerprints only, six bytes a field, in the order of its field set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson
import sqlalchemy as sa

from crmsync.state.counting import COUNTERS
from crmsync.state.engine import SubStore
from crmsync.state.pending import ROLE, mark, mark_arrivals
from crmsync.state.sql import among, now, numbered, of_entity, upsert
from crmsync.state.syncerrors import FieldKey, SyncError, forget_errors, forget_fields, keep_errors
from crmsync.state.tables import counters, field_sets, in_flight, records

RecordStatus = Literal[
    "synced", "filtered", "failed", "deleted", "unknown", "unneeded", "waiting", "gone", "merged", "converted"
]
"""``unneeded``: an account that no synced person belongs to, where the tenant wants only the others. ``waiting``: a
custom entity's record whose person or company is not in Marketo. ``deleted``: from Dynamics. Tombstones: ``gone``, the
person was deleted in Marketo; ``merged``, it is one with that of another record, by a merge on either side;
``converted``, the lead became a contact. ``parent_id`` of the last two is that other record."""
DEAD = ("deleted", "gone", "merged", "converted")
DISTRUSTED = "?"
"""Before a name in a field set: the marks of this field hold no longer. Names of Marketo's fields have no such sign."""

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
    middle_id: str | None = None


class Outcome(NamedTuple):
    """What became of one record that was handled: a row of the ledger. ``parent_id``: the opportunity of a role; the
    record that a lead or contact was merged into, or that a lead was converted to; the person or company that a custom
    entity's record belongs to, ``middle_id`` the record that leads there; of a lead, the contact that it named when it
    was qualified, which does not continue it any more once it is open again."""

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


class RecordStore(SubStore):
    """The ledger of one database. Every method is one transaction."""

    async def known(self, tenant: str, entity: str, ids: Sequence[str]) -> dict[str, Known]:
        """What is known of these records, by id; unknown ones are absent."""
        columns = [records.c.record_id, *(records.c[name] for name in Known._fields)]
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                of_entity(records, tenant, entity), among(connection, records.c.record_id, ids)
            )
            return {row[0]: Known(*row[1:]) for row in await connection.execute(query)}

    async def in_marketo(self, tenant: str, entity: str, ids: Iterable[str]) -> set[str]:
        """Which of these records Marketo has."""
        async with self._engine.connect() as connection:
            query = sa.select(records.c.record_id).where(
                of_entity(records, tenant, entity),
                among(connection, records.c.record_id, ids),
                records.c.in_marketo.is_(True),
            )
            return set(await connection.scalars(query))

    async def in_marketo_after(self, tenant: str, entity: str, after: str, limit: int) -> list[str]:
        """The next ids, in their order, of records that Marketo has and that are not known as deleted."""
        query = (
            sa.select(records.c.record_id)
            .where(
                of_entity(records, tenant, entity),
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
        query = sa.select(field_sets.c.id).where(of_entity(field_sets, tenant, entity), field_sets.c.names == text)
        async with self._engine.begin() as connection:
            number = (await connection.execute(query)).scalar()
            if number is None:
                row = {"tenant": tenant, "entity": entity, "names": text}
                statement = sa.insert(field_sets).values(row).returning(field_sets.c.id)
                number = (await connection.execute(statement)).scalar_one()
        return int(number)

    async def field_sets(self, tenant: str, entity: str) -> dict[int, tuple[str, ...]]:
        query = sa.select(field_sets.c.id, field_sets.c.names).where(of_entity(field_sets, tenant, entity))
        async with self._engine.connect() as connection:
            return {row.id: tuple(orjson.loads(row.names)) for row in await connection.execute(query)}

    async def distrust(self, tenant: str, entity: str, names: Collection[str]) -> None:
        """Trust no mark of these fields any more: their type has changed, and so may have what either side holds."""
        async with self._engine.begin() as connection:
            query = sa.select(field_sets.c.id, field_sets.c.names).where(of_entity(field_sets, tenant, entity))
            for number, text in (await connection.execute(query)).all():
                before = orjson.loads(text)
                after = [f"{DISTRUSTED}{name}" if name in names else name for name in before]
                if after != before:
                    values = {"names": orjson.dumps(after).decode()}
                    await connection.execute(sa.update(field_sets).where(field_sets.c.id == number).values(values))

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
        refused: Collection[FieldKey] = (),
        healed: Collection[FieldKey] = (),
        again: Sequence[str] = (),
    ) -> None:
        """Write outcomes, their sync errors and counters, and take the request out of ``in_flight``, all at once.

        ``arrived`` are records that Marketo did not have before: what waited for them is due. ``refused`` are fields
        whose errors stay as they are, ``healed`` those that are in step again though nothing was written, ``again``
        records to be read once more.
        """
        failed = {error.record_id for error in errors if not error.field}
        kept = {(error.record_id, error.field) for error in errors} | set(refused)
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
            await forget_errors(connection, tenant, entity, done, but=kept)
            await forget_fields(connection, tenant, entity, healed)
            await mark(connection, tenant, entity, "again", again)
            if arrived:
                await mark_arrivals(connection, tenant, entity, arrived)
            await COUNTERS.add(connection, tenant, entity, counts or {}, moment if rows else None)
            if flight is not None:
                await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight))

    async def led_by(self, tenant: str, entity: str, middles: Iterable[str]) -> list[str]:
        """The records of a custom entity that lead to whom they belong to by these, without deleted ones."""
        async with self._engine.connect() as connection:
            query = sa.select(records.c.record_id).where(
                of_entity(records, tenant, entity),
                among(connection, records.c.middle_id, middles),
                records.c.status != "deleted",
            )
            return list(await connection.scalars(query))

    async def children(self, tenant: str, entity: str, parents: Iterable[str]) -> dict[str, Known]:
        """The records of ``entity`` that hang on these parents, by their own id, without deleted ones."""
        columns = [records.c.record_id, *(records.c[name] for name in Known._fields)]
        async with self._engine.connect() as connection:
            query = sa.select(*columns).where(
                of_entity(records, tenant, entity),
                among(connection, records.c.parent_id, parents),
                records.c.status != "deleted",
            )
            return {row[0]: Known(*row[1:]) for row in await connection.execute(query)}

    async def set_marketo_ids(self, tenant: str, entity: str, ids: Mapping[str, int | None]) -> None:
        """Marketo's own ids of these records, learned or, with None, found to be wrong."""
        if not ids:
            return
        async with self._engine.begin() as connection:
            each = numbered(connection, ids)
            await connection.execute(
                sa.update(records)
                .where(of_entity(records, tenant, entity), records.c.record_id == each.c.key)
                .values(marketo_id=each.c.value)
            )

    async def lost(self, tenant: str, entity: str, ids: Sequence[str]) -> None:
        """Marketo does not have these any more: somebody has deleted them there. With an opportunity its roles go."""
        nothing = {"in_marketo": False, "marketo_id": None, "field_set": None, "fingerprints": None}
        async with self._engine.begin() as connection:
            mine = sa.and_(of_entity(records, tenant, entity), among(connection, records.c.record_id, ids))
            await connection.execute(sa.update(records).where(mine).values(nothing))
        if entity == "opportunity":
            await self.lost_roles(tenant, ids)

    async def lost_roles(self, tenant: str, opportunities: Sequence[str]) -> None:
        """These opportunities were deleted in Marketo, and their roles with them."""
        if not opportunities:
            return
        nothing = {"in_marketo": False, "field_set": None, "fingerprints": None}
        async with self._engine.begin() as connection:
            hang = among(connection, records.c.parent_id, opportunities)
            await connection.execute(sa.update(records).where(of_entity(records, tenant, ROLE), hang).values(nothing))

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

    async def mark_seen(self, tenant: str, entity: str, ids: Sequence[str], read_number: int) -> None:
        """These unchanged records were met by this read."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(records)
                .where(of_entity(records, tenant, entity), among(connection, records.c.record_id, ids))
                .values(read_number=read_number)
            )

    async def vanished(self, tenant: str, entity: str, read_number: int) -> list[str]:
        """Records that a whole new first read did not meet."""
        query = sa.select(records.c.record_id).where(
            of_entity(records, tenant, entity),
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
                    .join(parent, sa.and_(of_entity(parent, tenant, parent_entity), parent.c.record_id == awaited.c.id))
                    .where(parent.c.in_marketo.is_(True))
                )
                if ids := list(await connection.scalars(come)):
                    query = sa.select(records.c.record_id).where(
                        of_entity(records, tenant, entity), waiting.is_not(None), among(connection, waiting, ids)
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
