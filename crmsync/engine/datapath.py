"""One run over the entities: which read each of them needs, and what to do when the schema changed underneath.

A deleted column is parked and the entity read anew without it; an expired delta link or a changed selection means a
new first read, in which fingerprints keep the unchanged from being written (change tracking, "Expiry and other reasons
for a full sync").
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.dynamics.tracking import ChangePage
from crmsync.engine.lane import Lane
from crmsync.engine.report import Counts, ProgressListener
from crmsync.engine.session import Session
from crmsync.engine.settle import settle_all
from crmsync.engine.setup import keep_snapshot, park_vanished, saved_selection, snapshots
from crmsync.engine.tempo import Tempo
from crmsync.errors import ChangeTrackingExpired, ColumnMissing, StateMismatch
from crmsync.fields.model import Selection
from crmsync.state.checkpoints import Checkpoint

log = logging.getLogger("crmsync.engine")

STARTS = 4
"""How often an entity is taken up anew in one run, when column after column turns out to be gone."""


class DataPath:
    """Carries the tenant's entities to Marketo, one after the other; ``counts`` and ``notes`` tell what happened."""

    def __init__(
        self,
        session: Session,
        schema: DynamicsSchema,
        selection: Selection,
        *,
        key_is_fresh: bool,
        listener: ProgressListener | None,
        pages: Mapping[str, ChangePage] | None = None,
    ) -> None:
        self._session = session
        self._schema = schema
        self._selection = selection
        self._key_is_fresh = key_is_fresh
        self._listener = listener
        self._pages = dict(pages or {})
        self.counts: dict[str, Counts] = {}
        self.notes: list[str] = []

    @classmethod
    async def open(
        cls, session: Session, listener: ProgressListener | None, pages: Mapping[str, ChangePage] | None = None
    ) -> DataPath:
        """Settle what an earlier run left in flight, and take schema and selection from the store. ``pages`` are the
        first pages of changes by entity, where they were read already."""
        await settle_all(session)
        schema, selection = await chosen_fields(session)
        row = await session.store.tenants.get(session.name)
        return cls(session, schema, selection, key_is_fresh=row.key_is_fresh, listener=listener, pages=pages)

    async def needs_first_read(self, name: str) -> bool:
        """Whether this entity was never read to the end with the fields that are selected now."""
        checkpoint = await self._session.store.checkpoints.get(self._session.name, name)
        return checkpoint is None or not checkpoint.read_done or checkpoint.selection_digest != self._digest(name)

    async def carry(self, name: str) -> None:
        """Carry one entity: its first read where that is needed, else what changed; then what is due again."""
        for start in range(STARTS):
            try:
                return await self._carry(name)
            except (ChangeTrackingExpired, ColumnMissing) as change:
                if start == STARTS - 1:
                    raise
                await self._take_up_anew(name, change)
        raise AssertionError("unreachable")

    async def _carry(self, name: str) -> None:
        checkpoint = await self._checkpoint(name)
        tempo = Tempo(self._session.name, checkpoint, self._listener, self._session.clock)
        lane = self.lane(name, tempo.moved)
        await lane.open()
        page = self._pages.pop(name, None)
        try:
            if not checkpoint.read_done:
                checkpoint = await lane.first_read(checkpoint)
            else:
                checkpoint = await lane.changes(checkpoint, page)
            written = await self._session.store.records.parents_written(self._session.name)
            if ids := await due_again(self._session, checkpoint, written):
                await lane.again(ids, checkpoint.read_number)
            if checkpoint.parents_met != written:
                met = checkpoint.model_copy(update={"parents_met": written})
                await self._session.store.checkpoints.put(self._session.name, met)
        finally:
            self.counts[name] = self.counts.get(name, Counts()) + lane.counts
            self.notes += lane.notes

    async def carry_record(self, name: str, record_id: str) -> bool:
        """Carry one record as it is now, after its owner and company where Marketo lacks them; whether Dynamics has it.

        One that Dynamics does not have (any more) is carried as deleted.
        """
        entity, store = self._schema.entities[name], self._session.store
        lane = self.lane(name)
        await lane.open()
        rows = await self._session.dynamics.read_by_ids(entity, self._selection.select(entity), [record_id])
        for row in rows:
            for parent, parent_id in lane.parents(row):
                if parent_id not in await store.records.in_marketo(self._session.name, parent, [parent_id]):
                    await self.carry_record(parent, parent_id)
        checkpoint = await store.checkpoints.get(self._session.name, name)
        try:
            await lane.again([record_id], checkpoint.read_number if checkpoint else 1)
        finally:
            self.counts[name] = self.counts.get(name, Counts()) + lane.counts
            self.notes += lane.notes
        return bool(rows)

    def lane(self, name: str, moved: Callable[[Checkpoint], Awaitable[None]] | None = None) -> Lane:
        """This entity's way to Marketo, not open yet."""
        entity = self._schema.entities[name]
        return Lane(self._session, entity, self._selection, key_is_fresh=self._key_is_fresh, moved=moved or _nobody)

    async def _checkpoint(self, name: str) -> Checkpoint:
        store, tenant, digest = self._session.store, self._session.name, self._digest(name)
        current = await store.checkpoints.get(tenant, name)
        if current is not None and current.selection_digest == digest:
            return current
        if current is not None and not current.selection_digest:
            fresh = current.model_copy(update={"selection_digest": digest})
        else:
            expected = await self._session.dynamics.record_counts([name])
            fresh = Checkpoint(
                entity=name,
                selection_digest=digest,
                read_number=current.read_number + 1 if current else 1,
                records_expected=expected.get(name),
            )
        await store.checkpoints.put(tenant, fresh)
        return fresh

    async def _take_up_anew(self, name: str, change: ChangeTrackingExpired | ColumnMissing) -> None:
        """The delta link does not serve any more: see which columns are gone, park them, and read anew."""
        entity = await self._session.dynamics.entity(name)
        if isinstance(change, ColumnMissing):
            entity = _without(entity, change.column)
        read_before = self._selection.select(self._schema.entities[name])
        if isinstance(change, ColumnMissing) and read_before == self._selection.select(entity):
            raise change
        self._schema = self._schema.with_entities([entity])
        await keep_snapshot(self._session, "dynamics", self._schema)
        mapped = {mapping.attribute for mapping in self._selection.mappings[name] if mapping.attribute}
        gone = mapped - entity.attributes.keys()
        self._selection = self._selection.without(name, gone)
        parked = await park_vanished(self._session)
        await self._session.store.schemas.keep_selection(self._session.name, self._selection.model_dump_json())
        for field in parked:
            self.notes.append(
                f"{field.entity}.{field.attribute} was deleted in Dynamics: its field '{field.marketo_field}' is parked"
            )
        if not parked:
            self.notes.append(f"{name}: the delta link has expired; everything is read once more")
        current = await self._session.store.checkpoints.get(self._session.name, name)
        if current is not None:
            stale = current.model_copy(update={"selection_digest": "expired"})
            await self._session.store.checkpoints.put(self._session.name, stale)

    def _digest(self, name: str) -> str:
        return selection_digest(self._schema, self._selection, name)


async def chosen_fields(session: Session) -> tuple[DynamicsSchema, Selection]:
    """Schema and selection as they are saved; raises ``StateMismatch`` where there are none yet."""
    schema, _ = await snapshots(session)
    selection = await saved_selection(session)
    if schema is None or selection is None:
        raise StateMismatch(
            "No fields were selected yet", tenant=session.name, remedy=f"Run: crmsync connect {session.name}"
        )
    return schema, selection


async def selection_digests(session: Session) -> dict[str, str]:
    """What tells one choice of fields from another, by entity. Schema and selection are large, so a session of many
    cycles reads them only when one of them is new."""
    numbers = await session.store.schemas.newest(session.name)
    kept: tuple[object, dict[str, str]] | None = session.memo.get("digests")
    if kept is None or kept[0] != numbers:
        schema, selection = await chosen_fields(session)
        kept = numbers, {name: selection_digest(schema, selection, name) for name in schema.entities}
        session.memo["digests"] = kept
    return kept[1]


async def due_again(session: Session, checkpoint: Checkpoint, parents_written: int) -> list[str]:
    """Records of this entity to be carried though they did not change: a retry is due, or an owner or company came.

    Very many may wait for a parent that never comes, so they are looked through only after parents were written.
    """
    store, tenant, name = session.store, session.name, checkpoint.entity
    due = set(await store.errors.due(tenant, name))
    if checkpoint.parents_met != parents_written:
        due.update(await store.records.relinkable(tenant, name))
    return sorted(due)


def selection_digest(schema: DynamicsSchema, selection: Selection, name: str) -> str:
    """Tells whether an entity is still read with the fields that it was read with."""
    columns = selection.select(schema.entities[name])
    mappings = [mapping.model_dump_json() for mapping in selection.mappings[name]]
    text = "\n".join([*columns, *mappings])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


async def _nobody(_: Checkpoint) -> None:
    """Listens to no checkpoint."""


def _without(entity: Entity, column: str | None) -> Entity:
    """The entity without a column that metadata, cached for a while, may still show."""
    gone = {column, (column or "").removeprefix("_").removesuffix("_value")}
    kept = {name: attribute for name, attribute in entity.attributes.items() if name not in gone}
    return entity.model_copy(update={"attributes": kept})
