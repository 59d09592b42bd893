"""The direction Marketo → Dynamics of one tenant, in the order of a cycle.

First what happened in Marketo is collected and new people are created in Dynamics; then the entities' changes go from
Dynamics to Marketo, with what waits held back; then the waiting changes are settled, field by field.

The order is that of the white paper ("Order of a cycle"): read both sides, then write.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Iterable

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.collect import PAGES_A_ROUND, Collector
from crmsync.engine.back.creation import Creator
from crmsync.engine.back.decide import rules_of_nothing
from crmsync.engine.back.listed import WatchedList
from crmsync.engine.back.streams import Glimpse, not_read, person_fields
from crmsync.engine.back.writeback import WriteBack
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.destination import destination
from crmsync.engine.load import Loader
from crmsync.engine.refresh import Refresh, never
from crmsync.engine.report import BackCounts
from crmsync.engine.session import Session
from crmsync.errors import PermissionMissing
from crmsync.fields.model import Selection

log = logging.getLogger("crmsync.engine")


class FromMarketo:
    """Both stages; ``counts`` and ``notes`` grow as they work. ``selection`` may have lost fields between them.
    ``seen`` is what a glimpse found already, ``refresh`` reads an entity's metadata once more, ``prove`` sees whether
    what is empty can be read. What waits for an entity that is ``stopped`` goes on waiting."""

    def __init__(
        self,
        session: Session,
        seen: Glimpse | None = None,
        refresh: Refresh = never,
        prove: Prove = proves_nothing,
        stopped: Container[str] = (),
    ) -> None:
        self._session = session
        self._refresh = refresh
        self._prove = prove
        self._stopped = stopped
        self.seen = seen
        self._more_to_create = False
        self._go_on_after: dict[str, str] = {}
        self._noted: set[str] = set()
        self._learned = False
        self.reads_on = False
        """Whether more has happened in Marketo than was read, because there was so much."""

        self.counts: dict[str, BackCounts] = {}
        self.notes: list[str] = []
        self._list = WatchedList(session, lambda note: self._note([note]))

    async def start(self, schema: DynamicsSchema, selection: Selection) -> None:
        """The first sync is done: what happens in Marketo from now on is read by the cycles."""
        if self._session.tenant.to_dynamics:
            await self._allowed(Collector(self._session, person_fields(schema, selection)).start)

    @property
    def is_behind(self) -> bool:
        """Whether more waits than was worked on, because there was so much."""
        return self.reads_on or self._more_to_create or bool(self._go_on_after)

    async def collect(self, schema: DynamicsSchema, selection: Selection, *, most: int | None = None) -> None:
        """Before the entities: read Marketo, create who is to be created; with ``most`` of each entity about so many,
        and some pages of what happened, the next ones next time."""
        if not self._session.tenant.to_dynamics:
            return
        fields = person_fields(schema, selection)
        pages = None if most is None else PAGES_A_ROUND
        self._note(rules_of_nothing(self._session.tenant.conflicts, fields))
        collector = Collector(
            self._session, fields, self.seen, most=pages, learn=not self._learned, watched_list=self._list
        )
        self._learned = True
        try:
            await self._allowed(collector.run)
        finally:
            self._note(collector.notes)
            self._noted |= collector.noted
        self.reads_on = bool(collector.behind)
        self._more_to_create = False
        for name, mine in fields.items():
            if name in self._stopped:
                continue
            number = await self._session.store.records.field_set(self._session.name, name, mine.names)
            creator = Creator(self._session, mine, number, selection, self._refresh)
            self._more_to_create |= await creator.run(most=most)
            self._count(name, creator.counts)

    async def write_back(self, schema: DynamicsSchema, selection: Selection, *, most: int | None = None) -> None:
        """After the entities: settle what waits; of each entity at most so many records, the next ones next time."""
        if not self._session.tenant.to_dynamics:
            return
        for name, mine in person_fields(schema, selection).items():
            if name in self._stopped:
                continue
            number = await self._session.store.records.field_set(self._session.name, name, mine.names)
            where, columns = destination(name, self._session.marketo), selection.columns(name)
            loader = Loader(self._session, name, where, number, columns, mine)
            work = WriteBack(self._session, mine, selection, loader, number, self._refresh, self._prove)
            try:
                start = self._go_on_after.pop(name, "")
                if not start:
                    self._noted.discard(name)
                after = await work.run(after=start, most=most)
                if after is None and start and name in self._noted:
                    after = ""  # what has come meanwhile may stand before where this began
                if after is not None:
                    self._go_on_after[name] = after
            finally:
                self._count(name, work.counts)
                self._note([*work.notes, *loader.notes])

    def _count(self, name: str, counts: BackCounts) -> None:
        self.counts[name] = self.counts.get(name, BackCounts()) + counts

    def _note(self, notes: Iterable[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    async def _allowed(self, step: Callable[[], Awaitable[None]]) -> None:
        """A missing permission to read activities leaves the other direction running."""
        try:
            await step()
        except PermissionMissing as missing:
            note = not_read(missing)
            log.warning("%s: %s", self._session.name, note)
            self._note([note])
