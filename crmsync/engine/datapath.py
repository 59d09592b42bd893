"""One run over the entities: which read each of them needs, and what to do when the schema changed underneath.

A deleted column is parked and the entity read anew without it; an expired delta link or a changed selection means a
new first read, in which fingerprints keep the unchanged from being written (change tracking, "Expiry and other reasons
for a full sync").
"""

from __future__ import annotations

import hashlib
import logging

from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.back.direction import FromMarketo
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
    ) -> None:
        self._session = session
        self._schema = schema
        self._selection = selection
        self._key_is_fresh = key_is_fresh
        self._listener = listener
        self.counts: dict[str, Counts] = {}
        self.notes: list[str] = []
        self.from_marketo = FromMarketo(session)

    @property
    def shape(self) -> tuple[DynamicsSchema, Selection]:
        """Schema and selection as they are now: a column may turn out to be gone while its entity is carried."""
        return self._schema, self._selection

    @classmethod
    async def open(cls, session: Session, listener: ProgressListener | None) -> DataPath:
        """Settle what an earlier run left in flight, and take schema and selection from the store."""
        await settle_all(session)
        schema, _ = await snapshots(session)
        selection = await saved_selection(session)
        if schema is None or selection is None:
            raise StateMismatch(
                "No fields were selected yet", tenant=session.name, remedy=f"Run: crmsync connect {session.name}"
            )
        row = await session.store.tenants.get(session.name)
        return cls(session, schema, selection, key_is_fresh=row.key_is_fresh, listener=listener)

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
        lane = Lane(
            self._session,
            self._schema.entities[name],
            self._selection,
            key_is_fresh=self._key_is_fresh,
            moved=tempo.moved,
        )
        await lane.open()
        try:
            if not checkpoint.read_done:
                await lane.first_read(checkpoint)
            else:
                await lane.changes(checkpoint)
            await self._carry_again(name, lane, checkpoint.read_number)
        finally:
            self.counts[name] = self.counts.get(name, Counts()) + lane.counts
            self.notes += lane.notes

    async def _carry_again(self, name: str, lane: Lane, read_number: int) -> None:
        store, tenant = self._session.store, self._session.name
        ids = {*await store.errors.due(tenant, name), *await store.records.relinkable(tenant, name)}
        if ids:
            await lane.again(sorted(ids), read_number)

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
        columns = self._selection.select(self._schema.entities[name])
        mappings = [mapping.model_dump_json() for mapping in self._selection.mappings[name]]
        text = "\n".join([*columns, *mappings])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _without(entity: Entity, column: str | None) -> Entity:
    """The entity without a column that metadata, cached for a while, may still show."""
    gone = {column, (column or "").removeprefix("_").removesuffix("_value")}
    kept = {name: attribute for name, attribute in entity.attributes.items() if name not in gone}
    return entity.model_copy(update={"attributes": kept})
