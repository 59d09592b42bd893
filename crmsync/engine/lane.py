"""One entity's way from Dynamics to Marketo: pages in, outcomes and checkpoint out.

The first read and a cycle are the same path; they differ in where they start. Pages are gathered into a window, the
window is planned and loaded, and only when each of its records has an outcome does the checkpoint move behind it
(invariant 1). A lane that is carried through reads the next window while one is on its way to Marketo, so memory holds
two, however large the table is (invariant 8); where lanes take turns, a turn ends behind one window.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from crmsync.dynamics.schema import Entity
from crmsync.dynamics.tracking import ChangePage
from crmsync.engine.absence import Absence
from crmsync.engine.back.fields import PersonFields
from crmsync.engine.back.streams import PERSON_ENTITIES
from crmsync.engine.back.unread import note_unread
from crmsync.engine.beside import beside
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.custom.below import Below
from crmsync.engine.custom.planner import planner_for
from crmsync.engine.destination import destination_in
from crmsync.engine.imports import Importer, ImportFile, fits_a_file, is_worthwhile
from crmsync.engine.links import Links
from crmsync.engine.load import Loader
from crmsync.engine.losses import by_loss, with_cleared
from crmsync.engine.parents import Parents
from crmsync.engine.participants import Observer, observer
from crmsync.engine.plan import Change, Mode, Plan
from crmsync.engine.refresh import Refresh, never
from crmsync.engine.removal import Remover
from crmsync.engine.report import Counts
from crmsync.engine.session import Session
from crmsync.engine.succession import Succession
from crmsync.fields.model import Selection
from crmsync.state.brakes import Loss
from crmsync.state.checkpoints import Checkpoint
from crmsync.state.records import Outcome
from crmsync.state.syncerrors import FieldKey, SyncError

PAGE_SIZE = 2000
"""Records a page: Dataverse gives up to 5,000, but two decoded pages are in memory, and wide tables make large ones."""

OVERLAP = timedelta(minutes=5)
"""How long before a first read the overlap query starts: more than two clocks may differ."""

Item = TypeVar("Item")


@dataclass
class Window:
    """What is loaded together: files of new records, changes for Sync calls, deletions, and the outcomes that need
    no write."""

    files: list[ImportFile] = field(default_factory=list)
    filed: set[str] = field(default_factory=set)
    changes: dict[str, Change] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[SyncError] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    healed: list[FieldKey] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    records: int = 0

    @property
    def full(self) -> bool:
        """Whether it should be loaded before another page is read: a file is more than half full, or there is none
        and Sync calls can begin."""
        return not self.files or len(self.files) > 1 or self.files[-1].half_full


class Lane:
    """Carries one entity of one tenant. ``moved`` is called with the checkpoint whenever it has moved, ``refresh``
    reads the entity's metadata once more, ``prove`` sees whether what is empty can be read; ``unread`` says that more
    has happened to people in Marketo than was read."""

    def __init__(
        self,
        session: Session,
        entity: Entity,
        selection: Selection,
        *,
        key_is_fresh: bool,
        links: Links,
        succession: Succession,
        moved: Callable[[Checkpoint], Awaitable[None]],
        refresh: Refresh = never,
        prove: Prove = proves_nothing,
        unread: bool = False,
    ) -> None:
        self._session = session
        self._entity = entity
        self._person = PersonFields(entity, selection) if entity.logical_name in PERSON_ENTITIES else None
        self._unread = self._person if unread else None
        self._select = selection.select(entity)
        self._names = selection.field_names(entity.logical_name)
        self._columns = selection.columns(entity.logical_name)
        self._planner = planner_for(session, entity, selection, links, refresh, prove)
        self._observer: Observer = observer(session, entity)
        self._below = Below(session, entity, selection)
        self._absence = Absence(session)
        self._lookup_types = self._observer.lookup_types or entity.logical_name in selection.custom_objects
        self._succession = succession
        self._where = destination_in(selection, entity.logical_name, session.marketo)
        self._links = links
        self._custom = custom = selection.custom_objects.get(entity.logical_name)
        self._may_import = self._where.imports is not None and (key_is_fresh if custom is None else custom.is_fresh)
        self._moved = moved
        self._is_braked = False

    async def open(self) -> None:
        """Number the field set; before anything else."""
        await self._planner.prepare()
        name = self._entity.logical_name
        columns = self._columns
        parents = Parents(self._session, name, self._links, self._custom)
        number = self._planner.field_set
        self._loader = Loader(self._session, name, self._where, number, columns, self._person, parents)
        self._remover = Remover(self._session, name, self._where, self._loader)
        self._importer = Importer(self._session, self._loader, name, self._where)

    @property
    def counts(self) -> Counts:
        return self._loader.counts

    @property
    def notes(self) -> list[str]:
        return [*self._importer.notes, *self._loader.notes]

    async def first_read(self, checkpoint: Checkpoint, *, through: bool = True) -> Checkpoint:
        """Read everything, from the start or from where it was left, and end with the link to later changes; without
        ``through`` only one window of it."""
        if checkpoint.delta_link is None:
            expected, quota = checkpoint.records_expected or 0, self._session.tenant.quota
            importing = self._may_import and is_worthwhile(expected, quota, alone=through)
            pages = self._session.dynamics.changes(
                self._entity,
                self._select,
                link=checkpoint.next_link,
                page_size=PAGE_SIZE,
                lookup_types=self._lookup_types,
            )
            checkpoint = await self._drain(pages, checkpoint, importing=importing, through=through)
            if checkpoint.delta_link is None:
                return checkpoint
        await self._overlap(checkpoint)
        if checkpoint.read_number > 1:
            await self._delete_vanished(checkpoint.read_number)
        return await self._move(checkpoint.model_copy(update={"read_done": True}))

    async def changes(
        self, checkpoint: Checkpoint, first: ChangePage | None = None, *, through: bool = True
    ) -> Checkpoint:
        """Read what changed since the checkpoint; ``first`` is the first page, where it was read already. Without
        ``through`` only one page of it, and a small first one before that."""
        pages = self._session.dynamics.changes(
            self._entity,
            self._select,
            link=checkpoint.next_link or checkpoint.delta_link,
            page_size=PAGE_SIZE,
            first=first,
            lookup_types=self._lookup_types,
        )
        return await self._drain(pages, checkpoint, importing=False, through=through, first=first)

    async def again(
        self,
        ids: Sequence[str],
        read_number: int,
        *,
        mode: Mode = "forced",
        needed: bool = False,
        settled: bool = False,
        emptied: Mapping[str, Collection[str]] | None = None,
    ) -> int:
        """Read and write these records once more: a retry is due, or an owner or company has arrived. How many of
        them Dynamics has. ``settled`` says that nobody is left who continues another, ``emptied`` which fields have
        values in Marketo that the ledger does not know of, and lose them."""
        if not ids:
            return 0
        rows = await self._session.dynamics.read_by_ids(
            self._entity, self._select, ids, lookup_types=self._lookup_types
        )
        window = Window()
        plan = await self._plan(rows, read_number, mode=mode, needed=needed, settled=settled)
        for change in plan.changes:
            change.lost = with_cleared(change.lost, (emptied or {}).get(change.record_id, ()))
        self._add(window, plan, importing=False)
        found = {row[self._entity.primary_id].lower() for row in rows}
        absent = [one for one in ids if one not in found]
        # Whoever is needed and only out of sight must not pass for nobody: what names it would lose its link.
        window.deleted = await self._absence.gone(self._entity, absent if needed else await self._alive(absent))
        await self._load(window, read_number)
        await self._tell_braked()
        return len(found)

    async def _drain(
        self,
        pages: AsyncGenerator[ChangePage, None],
        checkpoint: Checkpoint,
        *,
        importing: bool,
        through: bool,
        first: ChangePage | None = None,
    ) -> Checkpoint:
        loading: asyncio.Task[Checkpoint] | None = None
        window, on_its_way = Window(), Window()
        pages = prefetched(pages) if through else pages
        async with aclosing(pages), beside() as group:
            edited = checkpoint.read_done
            async for page in pages:
                if checkpoint.read_started_at is None:
                    checkpoint = checkpoint.model_copy(update={"read_started_at": page.server_time})
                plan = await self._plan(page.records, checkpoint.read_number, edited=edited)
                window.records += len(page.records)
                window.deleted += [*page.deleted, *await self._gone(page.removed)]
                self._add(window, plan, importing=importing, earlier=on_its_way.filed)
                if window.full or page.next_link is None:
                    if loading is not None:
                        checkpoint = await loading
                    loading = group.create_task(self._load_and_move(window, checkpoint, page))
                    window, on_its_way = Window(), window
                    # Behind a page with changes that are held the others are looked through for what may go on.
                    if not through and page is not first and not self._is_braked:
                        break
        checkpoint = await loading if loading is not None else checkpoint
        await self._tell_braked()
        return checkpoint

    async def left_out(self, number: int) -> None:
        """So many were read that go on as other records."""
        await self._loader.land([], [], Counts(read=number, tombstones=number))

    async def _plan(
        self,
        rows: list[dict[str, Any]],
        read_number: int,
        *,
        mode: Mode = "changed",
        needed: bool = False,
        settled: bool = False,
        edited: bool = False,
    ) -> Plan:
        await self._planner.prove_guards(rows)
        if not settled and (aside := await self._succession.put_aside(self._entity, rows, read_number)):
            rows = [row for row in rows if row[self._entity.primary_id].lower() not in aside]
        plan = await self._planner.plan(rows, read_number, mode=mode, needed=needed, edited=edited)
        there = [change.record_id for change in plan.changes if change.in_marketo] if self._unread else []
        if self._unread and there and await note_unread(self._session, self._unread, there):
            plan = await self._planner.plan(rows, read_number, mode=mode, needed=needed, edited=edited)
        await self._observer.met(rows, plan, read_number)
        await self._below.met(rows, plan)
        return plan

    def _add(self, window: Window, plan: Plan, *, importing: bool, earlier: Set[str] = frozenset()) -> None:
        for change in plan.changes:
            # A record that moved while paging comes twice: what a file has carried once, a file does not carry again.
            again = change.record_id in window.filed or change.record_id in earlier
            if importing and not again and fits_a_file(change):
                if not window.files or not window.files[-1].add(change):
                    window.files.append(ImportFile(self._where.key, self._names))
                    window.files[-1].add(change)
                window.filed.add(change.record_id)
            else:
                window.changes[change.record_id] = change
        window.outcomes += plan.outcomes
        window.errors += plan.errors
        window.seen += plan.seen
        window.healed += plan.healed
        settled = Counts(
            read=len(plan.outcomes) + len(plan.seen),
            filtered=plan.filtered,
            tombstones=plan.tombstones,
            unchanged=plan.unchanged,
            failed=plan.failed,
        )
        window.counts += settled

    async def _load_and_move(self, window: Window, checkpoint: Checkpoint, page: ChangePage) -> Checkpoint:
        await self._load(window, checkpoint.read_number)
        if self._is_braked:
            return checkpoint
        return await self._move(
            checkpoint.model_copy(
                update={
                    "records_read": checkpoint.records_read + window.records,
                    "next_link": page.next_link,
                    "delta_link": page.delta_link or checkpoint.delta_link,
                }
            )
        )

    async def _load(self, window: Window, read_number: int) -> None:
        losses = await self._without_held(window)
        for file in window.files:
            await self._importer.write(file, read_number)
        await self._loader.write(list(window.changes.values()), read_number)
        await self._session.brake.wrote(losses)
        await self._keep([*window.filed, *window.changes, *window.seen])
        await self._leave_for_later(window.deleted)
        if window.seen and read_number > 1:
            await self._session.store.records.mark_seen(
                self._session.name, self._entity.logical_name, window.seen, read_number
            )
        await self._loader.land(window.outcomes, window.errors, window.counts, healed=window.healed)

    async def _without_held(self, window: Window) -> Counter[Loss]:
        """Take the changes that the brake holds out of the window; their opt-outs go all the same. What is lost by the
        others."""
        losses = by_loss(self._entity.logical_name, window.changes.values())
        refused = await self._session.brake.refused(losses) if losses else ()
        if refused:
            self._is_braked = True
            held = [window.changes.pop(one) for one in sorted(refused)]
            await self._loader.opt_out(held, self._planner.opt_outs)
            losses = by_loss(self._entity.logical_name, window.changes.values())
        return Counter({loss: len(ids) for loss, ids in losses.items()})

    async def _tell_braked(self) -> None:
        """Raises ``AllowanceNeeded`` where changes of what was read are held."""
        if self._is_braked:
            self._is_braked = False
            raise await self._session.brake.error()

    async def _move(self, checkpoint: Checkpoint) -> Checkpoint:
        await self._session.store.checkpoints.put(self._session.name, checkpoint)
        await self._moved(checkpoint)
        return checkpoint

    async def _overlap(self, checkpoint: Checkpoint) -> None:
        """Whether a delta link counts from the start or the end of its first read is not documented: what was
        modified since just before the read began is read once more."""
        since: datetime = (checkpoint.read_started_at or self._session.clock()) - OVERLAP
        rows = self._session.dynamics.read(
            self._entity,
            self._select,
            filter=f"modifiedon ge {since:%Y-%m-%dT%H:%M:%SZ}",
            page_size=PAGE_SIZE,
            lookup_types=self._lookup_types,
        )
        async for page in rows:
            window = Window()
            self._add(window, await self._plan(page, checkpoint.read_number), importing=False)
            window.counts = Counts()  # they were counted when they were read the first time
            await self._load(window, checkpoint.read_number)
        await self._tell_braked()

    async def _delete_vanished(self, read_number: int) -> None:
        records = self._session.store.records
        unmet = await records.vanished(self._session.name, self._entity.logical_name, read_number)
        await self._leave_for_later(await self._gone(unmet))

    async def _keep(self, ids: Sequence[str]) -> None:
        """These records are there: a deletion that was left for later was undone meanwhile."""
        pending, tenant, name = self._session.store.pending, self._session.name, self._entity.logical_name
        if ids and (marked := await pending.marked(tenant, name, "delete", ids)):
            await pending.done(tenant, name, "delete", sorted(marked))

    async def _leave_for_later(self, ids: Sequence[str]) -> None:
        """These records are gone from Dynamics. Deletions come last in a run, in the opposite order of creation."""
        if gone := await self._alive(ids):
            await self._session.store.pending.add(self._session.name, self._entity.logical_name, "delete", gone)
            await self._observer.gone(gone)

    async def _alive(self, ids: Sequence[str]) -> list[str]:
        """Those of these records that are known, and not as deleted."""
        if not ids:
            return []
        known = await self._session.store.records.known(self._session.name, self._entity.logical_name, ids)
        return [one for one in ids if one in known and known[one].status != "deleted"]

    async def _gone(self, absent: Sequence[str]) -> list[str]:
        """Those of these records, which an answer did not have, that were known and are gone."""
        return await self._absence.gone(self._entity, await self._alive(absent))

    async def remove(self, ids: Sequence[str], read_number: int) -> None:
        """Carry deletions that were left for later."""
        await self._remover.flag_deleted(ids, read_number)
        await self._session.store.pending.done(self._session.name, self._entity.logical_name, "delete", ids)


async def prefetched(items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
    """The same items, the next one being fetched while the last one is worked on."""
    iterator = aiter(items)
    coming = asyncio.ensure_future(anext(iterator, None))
    try:
        while (item := await coming) is not None:
            coming = asyncio.ensure_future(anext(iterator, None))
            yield item
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await coming
