"""One run over the entities: which read each of them needs, and what to do when the schema changed underneath.

A deleted column is parked and the entity read anew without it; an expired delta link or a changed selection means a
new first read, in which fingerprints keep the unchanged from being written (change tracking, "Expiry and other reasons
for a full sync").
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from crmsync.dynamics.definition_changes import DefinitionChanges
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.dynamics.tracking import ChangePage
from crmsync.engine import renames
from crmsync.engine.back.direction import FromMarketo
from crmsync.engine.back.streams import Glimpse
from crmsync.engine.chosen import carried, checkpoint_of, chosen_fields, is_stopped, left_out, selection_digest
from crmsync.engine.column_rights import changed_rights, ensure_seen
from crmsync.engine.connections import ConnectionLane
from crmsync.engine.destination import ROLE
from crmsync.engine.due import DueRecords
from crmsync.engine.handover import Handover
from crmsync.engine.lane import Lane
from crmsync.engine.links import Links
from crmsync.engine.look import look_again
from crmsync.engine.parking import is_hidden_field, park_deleted, park_hidden, park_team_names
from crmsync.engine.refresh import refresh_metadata
from crmsync.engine.removals import Removals, removal_of, removes
from crmsync.engine.report import Counts, ProgressListener
from crmsync.engine.roles import Roles
from crmsync.engine.session import Session
from crmsync.engine.settle import settle_all
from crmsync.engine.setup import keep_snapshot
from crmsync.engine.succession import PEOPLE, Succession
from crmsync.engine.tempo import Tempo
from crmsync.errors import (
    AllowanceNeeded,
    AnotherType,
    ChangeTrackingExpired,
    ChangeTrackingOff,
    ColumnMissing,
    CrmsyncError,
    EntityMissing,
    FeatureMissing,
    OperatorMustAct,
    PermissionMissing,
    RecordRefused,
    RequestRefused,
)
from crmsync.fields.model import Selection
from crmsync.state.checkpoints import Checkpoint
from crmsync.tenants import ENTITIES, is_optional

log = logging.getLogger("crmsync.engine")

STARTS = 4
"""How often an entity is taken up anew in one run, when column after column turns out to be gone."""

REMOVED_AT_ONCE = 1200

LEAVE_OUT = (ChangeTrackingOff, EntityMissing, FeatureMissing, PermissionMissing)
"""Why an entity that the rest does without is left out of a run; the next run tries again."""

LEAVE_OUT_CUSTOM = (*LEAVE_OUT, RecordRefused, RequestRefused)
"""The same for custom ones, of which anything may be refused: the custom object may be gone."""


class DataPath:
    """Carries the tenant's entities to Marketo; ``counts`` and ``notes`` tell what happened.

    An entity is carried to its end (``carry``) or in turns of a page (``turn``); those that need more turns are
    ``behind``. No two entities are carried at the same time, so no key is in flight twice when one brings a record of
    another (invariant 2).
    """

    def __init__(
        self,
        session: Session,
        schema: DynamicsSchema,
        selection: Selection,
        *,
        key_is_fresh: bool,
        listener: ProgressListener | None,
        pages: Mapping[str, ChangePage] | None = None,
        seen: Glimpse | None = None,
    ) -> None:
        self._session = session
        self._schema = schema
        self._selection = selection
        self._key_is_fresh = key_is_fresh
        self._listener = listener
        self._pages = dict(pages or {})
        self.counts: dict[str, Counts] = {}
        self.notes: list[str] = []
        self.left_out = left_out(session.tenant, schema, selection)
        self.behind: set[str] = set()
        self._braked: set[str] = set()
        self._stopped: set[str] = set()
        self._see_guards()
        self.from_marketo = FromMarketo(session, seen, self.refreshed, self.proved, self._stopped)
        self._refreshed: set[str] = set()
        self._starts: Counter[str] = Counter()
        self._tempos: dict[str, Tempo] = {}
        self._due = DueRecords(session)
        self._parents: dict[str, Lane | ConnectionLane] = {}
        self._links = Links(session, bring=self._bring, remember=partial(renames.remember, session))

    @property
    def shape(self) -> tuple[DynamicsSchema, Selection]:
        """Schema and selection as they are now: a column may turn out to be gone while its entity is carried."""
        return self._schema, self._selection

    @classmethod
    async def open(
        cls,
        session: Session,
        listener: ProgressListener | None,
        pages: Mapping[str, ChangePage] | None = None,
        seen: Glimpse | None = None,
        *,
        allow: bool = False,
        command: str = "",
    ) -> DataPath:
        """Settle what an earlier run left in flight, and take schema and selection from the store. ``pages`` are the
        first pages of changes by entity, and ``seen`` those of Marketo's activities, where they were read already.
        ``allow`` loosens the brake; ``command`` is the one that does it."""
        await session.new_brake(allow=allow, command=command)
        await renames.begin(session)
        schema, selection = await chosen_fields(session)
        fresh = (await session.store.tenants.get(session.name)).key_is_fresh
        path = cls(session, schema, selection, key_is_fresh=fresh, listener=listener, pages=pages, seen=seen)
        await path.without_hidden(lambda: settle_all(session))
        return path

    @property
    def carried(self) -> list[str]:
        """The entities that are to be carried, in order."""
        return carried(self._session.tenant, self._schema, self._selection)

    @property
    def entities(self) -> list[str]:
        """Those of them that this run has not left out."""
        return [name for name in self.carried if name not in self.left_out]

    def is_carried(self, name: str) -> bool:
        """Whether a run that ends now has carried this entity as a whole, or it is none that is carried at all."""
        return name not in self.left_out or name not in {*self.carried, ROLE}

    async def needs_first_read(self, name: str) -> bool:
        """Whether this entity was never read to the end with the fields that are selected now."""
        checkpoint = await self._session.store.checkpoints.get(self._session.name, name)
        return checkpoint is None or not checkpoint.read_done or checkpoint.selection_digest != self._digest(name)

    async def is_unfinished(self) -> bool:
        """Whether a run was killed after it had read everything, before what is left for its end was done."""
        return bool(await self._session.store.pending.counts(self._session.name))

    async def collect(self, *, most: int | None = None) -> None:
        """Before the entities: what happened in Marketo, and new records in Dynamics for whom it wants there; with
        ``most`` only for about so many of each entity."""
        before = {name: counts.created for name, counts in self.from_marketo.counts.items()}
        await self.without_hidden(lambda: self.from_marketo.collect(*self.shape, most=most))
        for name, counts in self.from_marketo.counts.items():
            if counts.created > before.get(name, 0):
                self._pages.pop(name, None)  # read before the new records were made

    async def write_back(self, *, most: int | None = None) -> None:
        """After the entities: settle what waits to be brought to Dynamics; ``most`` as for ``collect``."""
        try:
            await self.without_hidden(lambda: self.from_marketo.write_back(*self.shape, most=most))
        except ColumnMissing as change:
            # Dynamics does not know a column that was to be written: it is parked, if it is really gone.
            if change.entity is None or (await self._session.dynamics.entity(change.entity)).has(change.column):
                return
            await self._park_deleted(change.entity, change)

    async def refreshed(self, name: str) -> Entity | None:
        """An entity's definition as it is now, where it is another one; it is asked for once in a run."""
        if name in self._refreshed:
            return None
        self._refreshed.add(name)
        try:
            self._schema, notes = await refresh_metadata(self._session, self._schema, name)
        except (EntityMissing, PermissionMissing) as error:
            log.warning("%s: the definition of %s cannot be read: %s", self._session.name, name, error)
            return None  # whoever reads its records is told what to do
        self.notes += notes
        return self._schema.entities[name] if notes else None

    async def proved(self, name: str) -> None:
        """See whether all that is read of this entity can still be read; raises ``ColumnHidden``. For whoever has just
        read an empty value where there was one."""
        await ensure_seen(self._session.dynamics, *self.shape, name)

    def _see_guards(self) -> None:
        """Stop the entities of which a guard cannot be read, and go on with those of which it can again."""
        now = left_out(self._session.tenant, *self.shape)
        stopped = {name for name in now if is_stopped(self._session.tenant, name, *self.shape)}
        for name in self._stopped - stopped:
            self.left_out.pop(name, None)
        self._stopped.clear()
        self._stopped |= stopped
        for name in sorted(stopped):
            self.left_out[name] = now[name]
            self.behind.discard(name)
            note = f"{name} is left out: {now[name]}"
            if note not in self.notes:
                self.notes.append(note)
                log.warning("%s: %s", self._session.name, note)

    async def take_definitions(self, changed: DefinitionChanges | None) -> None:
        """Read the definitions that Dynamics says have changed, before anything is converted by them."""
        if changed is None or not changed.entities:
            return
        for name in sorted(changed.entities & self._schema.entities.keys()):
            self._refreshed.discard(name)
            try:
                await self.refreshed(name)
            except ColumnMissing as change:
                await self._park_hidden(change)
        self._schema = self._schema.model_copy(update={"stamp": changed.stamp})
        await keep_snapshot(self._session, "dynamics", self._schema)
        self._see_guards()

    async def see_rights(self) -> None:
        """Before anything is compared: take up what column security hides by now, or does not hide any more."""
        changed = await changed_rights(self._session.dynamics, *self.shape)
        await self.take_definitions(DefinitionChanges(changed, self._schema.stamp))

    async def take_names(self) -> None:
        """Have written again what has the name of a team or a connection role that was renamed."""
        tables = renames.named(self._selection, self.carried)
        self.notes += await renames.follow(self._session, self._schema, tables)

    async def carry(self, name: str) -> None:
        """Carry one entity to its end: its first read where that is needed, else what changed; then what is due again.

        An optional entity that cannot be read or written is left out, which is told; the others go on.
        """
        await self.turn(name, through=True)
        while name in self.behind:
            await self.turn(name, through=True)

    async def turn(self, name: str, *, through: bool = False) -> None:
        """Carry one page of this entity, and a page of what is due again; with ``through`` all that is to be read."""
        if name in self.left_out or name in self._braked:
            return
        try:
            await self._carry_with_patience(name, through=through)
        except AllowanceNeeded:
            self._braked.add(name)  # the others go on, and the run tells it at its end
            self.behind.discard(name)
        except LEAVE_OUT_CUSTOM as error:
            self._leave_out_or_raise(name, error)
        if name in PEOPLE and name == [one for one in self.entities if one in PEOPLE][-1]:
            await self.without_hidden(self._hand_over)

    async def look_again(self) -> None:
        """Between two rounds of turns: see what changed meanwhile, on both sides."""
        again = await look_again(self._session)
        self._pages = dict(again.pages)
        self.from_marketo.seen = again.seen
        await self.take_definitions(again.definitions)

    async def finish(self) -> None:
        """After the entities: opportunity roles, then deletions in the opposite order of creation. An entity's wait
        until nothing that depends on it is behind, because more deletions may be among that."""
        await self.without_hidden(self._finish)

    async def _finish(self) -> None:
        await self._hand_over()
        pending = await self._session.store.pending.counts(self._session.name)
        failed = await self._session.store.errors.retries(self._session.name)
        if ("opportunity", "roles") in pending or ROLE in failed:
            await self.carry_roles()
        for name in reversed(self.entities):
            if name in self.behind:
                break
            if (name, "delete") in pending:
                await self.remove(name)
        self._close_parents()
        self.notes += [note for note in self._links.notes if note not in self.notes]
        if self._links.no_teams is not None:
            found = await park_team_names(self._session, self._selection, self._links.no_teams)
            self.notes += [note for note in found if note not in self.notes]

    def _close_parents(self) -> None:
        for parent, lane in self._parents.items():
            self.counts[parent] = self.counts.get(parent, Counts()) + lane.counts
        self._parents.clear()

    async def _hand_over(self) -> None:
        """After leads and contacts: people whose record goes on as another, or was merged into it."""
        pending = await self._session.store.pending.counts(self._session.name)
        if not any((name, "heir") in pending for name in PEOPLE):
            return
        lanes: dict[str, Lane] = {}

        async def lane(name: str) -> tuple[Lane, int]:
            if name not in lanes:
                opened = await self.open_lane(name)
                assert isinstance(opened, Lane)
                lanes[name] = opened
            return lanes[name], (await self._checkpoint(name)).read_number

        try:
            with suppress(AllowanceNeeded):
                await Handover(self._session, self.shape, self.entities, lane, self.proved).run()
        finally:
            for name, used in lanes.items():
                self.counts[name] = self.counts.get(name, Counts()) + used.counts

    async def carry_roles(self) -> None:
        """The roles of opportunities that are marked."""
        roles = Roles(self._session, self._links)
        try:
            await roles.carry(leaving=not await self._removal_is_held("opportunity"))
        except LEAVE_OUT as error:
            self._leave_out(ROLE, error)
        finally:
            self.counts[ROLE] = self.counts.get(ROLE, Counts()) + roles.counts

    async def remove(self, name: str) -> None:
        """Carry the deletions of this entity that were left for later, unless the brake holds them."""
        if await self._removal_is_held(name) or (name == "opportunity" and self._session.brake.holds(ROLE)):
            return  # Marketo deletes no opportunity that has roles
        store, tenant = self._session.store, self._session.name
        checkpoint = await self._checkpoint(name)
        lane = await self.open_lane(name)
        number = await store.brakes.removals(tenant, name)
        try:
            while ids := await store.pending.first(tenant, name, "delete", limit=REMOVED_AT_ONCE):
                await lane.remove(ids, checkpoint.read_number)
        except LEAVE_OUT_CUSTOM as error:
            self._leave_out_or_raise(name, error)
        finally:
            self.counts[name] = self.counts.get(name, Counts()) + lane.counts
        await self._session.brake.wrote({removal_of(name): number})

    async def _removal_is_held(self, name: str) -> bool:
        """Whether the brake holds the deletions of this entity that were left for later: counted as a whole, and
        without the records that Dynamics has (again)."""
        entity = self._schema.entities.get(name)
        if entity is None or not removes(self._session.tenant, name):
            return False
        return await Removals(self._session, entity).are_held()

    def _leave_out_or_raise(self, name: str, error: CrmsyncError) -> None:
        if not may_be_left_out(name, error):
            raise error
        self._leave_out(name, error)

    def _leave_out(self, name: str, error: CrmsyncError) -> None:
        self.left_out[name] = error.message
        self.behind.discard(name)
        self.notes.append(f"{name} is left out: {error.message}")
        log.warning("%s: %s is left out: %s", self._session.name, name, error)

    async def _bring(self, name: str, ids: Sequence[str]) -> None:
        """Read and write these parents now: a record that is being planned names them."""
        if name not in self.entities:
            return
        if name not in self._parents:
            self._parents[name] = await self.open_lane(name)
        checkpoint = await self._checkpoint(name)
        with suppress(AllowanceNeeded):
            await self._parents[name].again(ids, checkpoint.read_number, needed=True)

    async def open_lane(
        self, name: str, moved: Callable[[Checkpoint], Awaitable[None]] | None = None
    ) -> Lane | ConnectionLane:
        """This entity's way to Marketo."""
        entity, moved = self._schema.entities[name], moved or _nobody
        if name == "connection":
            return ConnectionLane(self._session, entity, self._selection, moved=moved, prove=self.proved)
        lane = Lane(
            self._session,
            entity,
            self._selection,
            key_is_fresh=self._key_is_fresh,
            links=self._links,
            succession=Succession(self._session, self.entities),
            moved=moved,
            refresh=self.refreshed,
            prove=self.proved,
            unread=self.from_marketo.reads_on,
        )
        await lane.open()
        return lane

    async def _carry_with_patience(self, name: str, *, through: bool) -> None:
        while name not in self._stopped:
            try:
                await self._carry(name, through=through)
                return
            except (ChangeTrackingExpired, ColumnMissing) as change:
                self._starts[name] += 1
                if self._starts[name] == STARTS:
                    raise
                if isinstance(change, ColumnMissing) and is_hidden_field(change):
                    await self._park_hidden(change)
                else:
                    await self._park_deleted(name, change)
            except AnotherType as change:
                await self._see_types(change)

    async def without_hidden(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do this; where a field turns out to be hidden in Marketo, or of another type than it was, it is parked, and
        this is done once more."""
        for start in range(1, STARTS + 1):
            try:
                await work()
                return
            except ColumnMissing as change:
                if start == STARTS or not is_hidden_field(change):
                    raise
                await self._park_hidden(change)
            except AnotherType as change:
                await self._see_types(change)

    async def _see_types(self, change: AnotherType) -> None:
        """Go on by the metadata as they are now; raises the change where these do not explain it."""
        name = change.entity
        try:
            if name is None or (await self.refreshed(name) is None and not await self._without_gone(name)):
                raise change
        except ColumnMissing as parked:
            await self._park_hidden(parked)

    async def _without_gone(self, name: str) -> bool:
        """Whether columns that are selected do not exist any more, and are parked now."""
        there = await self._session.dynamics.entity(name)
        selected = self._selection.select(self._schema.entities[name])
        gone = next((column for column in selected if not there.has(column)), None)
        if gone is not None:
            missing = ColumnMissing(f"{name} has no column {gone} any more", column=gone, entity=name)
            await self._park_deleted(name, missing)
        return gone is not None

    async def _park_hidden(self, change: ColumnMissing) -> None:
        """Go on without the fields that Marketo does not take any more: their entities are read anew without them."""
        self._schema, self._selection, notes = await park_hidden(self._session, change)
        self.notes += notes
        self._see_guards()
        self._tempos.clear()
        self._close_parents()
        await settle_all(self._session)  # calls of the same records were cut short

    async def _park_deleted(self, name: str, change: ChangeTrackingExpired | ColumnMissing) -> None:
        """Go on without the columns that Dynamics does not have any more: the entity is read anew without them."""
        self._schema, self._selection, notes = await park_deleted(self._session, name, self.shape, change)
        self.notes += notes
        self._see_guards()
        self._tempos.pop(name, None)

    async def _carry(self, name: str, *, through: bool) -> None:
        checkpoint = await self._checkpoint(name)
        if name not in self._tempos:
            self._tempos[name] = Tempo(self._session.name, checkpoint, self._listener, self._session.clock)
        lane = await self.open_lane(name, self._tempos[name].moved)
        page = self._pages.pop(name, None)
        try:
            if not checkpoint.read_done:
                checkpoint = await lane.first_read(checkpoint, through=through)
            elif page is not None or name not in self.behind or checkpoint.next_link:
                checkpoint = await lane.changes(checkpoint, page, through=through)
            more = bool(checkpoint.next_link or not checkpoint.read_done)
            more |= await self._due.carry_some(lane, checkpoint)
            (self.behind.add if more else self.behind.discard)(name)
        finally:
            self.counts[name] = self.counts.get(name, Counts()) + lane.counts
            self.notes += lane.notes

    async def carry_record(self, name: str, record_id: str) -> bool:
        """Carry one record as it is now, after its owner and company where Marketo lacks them; whether Dynamics has it.

        One that Dynamics does not have (any more) is carried as deleted; one whose person was deleted or merged in
        Marketo is brought back.
        """
        checkpoint = await self._session.store.checkpoints.get(self._session.name, name)
        found = 0

        async def carry() -> None:
            nonlocal found
            await self.proved(name)
            self.ensure_carried(name)
            lane = await self.open_lane(name)
            try:
                with suppress(AllowanceNeeded):
                    found = 1
                    found = await lane.again([record_id], checkpoint.read_number if checkpoint else 1, mode="asked")
            finally:
                self.counts[name] = self.counts.get(name, Counts()) + lane.counts
                self.notes += lane.notes

        await self.without_hidden(carry)
        return bool(found)

    def ensure_carried(self, name: str) -> None:
        """Raise ``OperatorMustAct`` for an entity that is left out."""
        if name in self.left_out:
            raise OperatorMustAct(
                f"This tenant does not sync {name}: {self.left_out[name]}",
                tenant=self._session.name,
                entity=name,
                remedy=f"See what it syncs: crmsync status {self._session.name}",
            )

    async def _checkpoint(self, name: str) -> Checkpoint:
        return await checkpoint_of(self._session, name, self._digest(name))

    def _digest(self, name: str) -> str:
        return selection_digest(self._session.tenant, self._schema, self._selection, name)


def may_be_left_out(name: str, error: CrmsyncError) -> bool:
    """Whether the others go on without this entity, which cannot be read or written for this reason."""
    return is_optional(name) and isinstance(error, LEAVE_OUT if name in ENTITIES else LEAVE_OUT_CUSTOM)


async def _nobody(_: Checkpoint) -> None:
    """Nobody follows a lane that was opened for single records."""
