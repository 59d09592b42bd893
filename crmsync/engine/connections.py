"""Reads connections. Marketo has no such object: they are noted, and opportunity roles follow from them.

The same reading as a lane's: a first read by change tracking, changes from then on, the checkpoint behind each page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from crmsync.dynamics.schema import Entity
from crmsync.dynamics.tracking import ChangePage
from crmsync.engine.absence import Absence
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.lane import OVERLAP, PAGE_SIZE, prefetched
from crmsync.engine.participants import of_connection
from crmsync.engine.plan import Mode
from crmsync.engine.report import Counts
from crmsync.engine.session import Session
from crmsync.fields.model import Selection
from crmsync.state.checkpoints import Checkpoint

_GUARDS = ("_record1id_value", "_record2id_value", "_record2roleid_value")


class ConnectionLane:
    """Carries connections into the ledger. ``filtered`` counts those that bring nobody to an opportunity, and the
    mirror row of each; the others are ``unchanged``, because nothing of their own is written."""

    def __init__(
        self,
        session: Session,
        entity: Entity,
        selection: Selection,
        *,
        moved: Callable[[Checkpoint], Awaitable[None]],
        prove: Prove = proves_nothing,
    ) -> None:
        self._prove = prove
        self._session = session
        self._entity = entity
        self._select = selection.select(entity)
        self._moved = moved
        self._absence = Absence(session)
        self.counts = Counts()
        self.notes: list[str] = []

    async def open(self) -> None:
        """Nothing to prepare."""

    async def first_read(self, checkpoint: Checkpoint, *, through: bool = True) -> Checkpoint:
        """Read everything, from the start or from where it was left; without ``through`` only one page of it."""
        if checkpoint.delta_link is None:
            checkpoint = await self._drain(self._changes(checkpoint.next_link), checkpoint, through)
            if checkpoint.delta_link is None:
                return checkpoint
        since: datetime = (checkpoint.read_started_at or self._session.clock()) - OVERLAP
        late = self._session.dynamics.read(
            self._entity,
            self._select,
            filter=f"modifiedon ge {since:%Y-%m-%dT%H:%M:%SZ}",
            page_size=PAGE_SIZE,
            lookup_types=True,
        )
        async for rows in late:
            await self._note(rows, [], checkpoint.read_number)
        if checkpoint.read_number > 1:
            unmet = await self._session.store.participants.unmet(self._session.name, checkpoint.read_number)
            await self._note([], await self._absence.gone(self._entity, unmet), checkpoint.read_number)
        return await self._move(checkpoint.model_copy(update={"read_done": True}))

    async def changes(
        self, checkpoint: Checkpoint, first: ChangePage | None = None, *, through: bool = True
    ) -> Checkpoint:
        """Read what changed since the checkpoint; ``first`` is the first page, where it was read already. Without
        ``through`` only one page of it, and a small first one before that."""
        pages = self._changes(checkpoint.next_link or checkpoint.delta_link, first)
        return await self._drain(pages, checkpoint, through, first)

    async def again(
        self, ids: Sequence[str], read_number: int, *, mode: Mode = "forced", needed: bool = False, **_: object
    ) -> int:
        """Read these once more. How many of them Dynamics has."""
        rows = await self._session.dynamics.read_by_ids(self._entity, self._select, ids, lookup_types=True)
        there = {row[self._entity.primary_id].lower() for row in rows}
        absent = [one for one in ids if one not in there]
        await self._note(rows, await self._absence.gone(self._entity, absent), read_number)
        return len(there)

    async def remove(self, ids: Sequence[str], read_number: int) -> None:
        """Nothing was left for later: a connection that is gone was forgotten when it was noted."""

    def _changes(self, link: str | None, first: ChangePage | None = None) -> AsyncGenerator[ChangePage, None]:
        return self._session.dynamics.changes(
            self._entity, self._select, link=link, page_size=PAGE_SIZE, first=first, lookup_types=True
        )

    async def _drain(
        self,
        pages: AsyncGenerator[ChangePage, None],
        checkpoint: Checkpoint,
        through: bool,
        first: ChangePage | None = None,
    ) -> Checkpoint:
        async with aclosing(prefetched(pages) if through else pages) as read:
            async for page in read:
                checkpoint = await self._page(page, checkpoint)
                if not through and page is not first:
                    break
        return checkpoint

    async def _page(self, page: ChangePage, checkpoint: Checkpoint) -> Checkpoint:
        gone = [*page.deleted, *await self._absence.gone(self._entity, page.removed)]
        noted = await self._note(page.records, gone, checkpoint.read_number)
        rest = len(page.records) - noted
        counts = Counts(read=len(page.records), filtered=rest, unchanged=noted)
        await self._session.store.records.count(self._session.name, "connection", counts.model_dump())
        self.counts += counts
        return await self._move(
            checkpoint.model_copy(
                update={
                    "read_started_at": checkpoint.read_started_at or page.server_time,
                    "records_read": checkpoint.records_read + len(page.records),
                    "next_link": page.next_link,
                    "delta_link": page.delta_link or checkpoint.delta_link,
                }
            )
        )

    async def _note(self, rows: Sequence[dict[str, Any]], deleted: Sequence[str], read_number: int) -> int:
        if any(rows and all(row.get(name) is None for row in rows) for name in _GUARDS):
            await self._prove("connection")
        found = [one for row in rows if (one := of_connection(row)) is not None]
        sources = [row[self._entity.primary_id].lower() for row in rows] + list(deleted)
        if sources:
            await self._session.store.participants.note(
                self._session.name, ("connection",), sources, found, read_number
            )
        return len(found)

    async def _move(self, checkpoint: Checkpoint) -> Checkpoint:
        await self._session.store.checkpoints.put(self._session.name, checkpoint)
        await self._moved(checkpoint)
        return checkpoint
