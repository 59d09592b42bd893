"""Catches up with what Marketo no longer tells: people are compared with what both sides agreed on.

Marketo keeps changes of fields for 90 days and deletions for 14. What happened before that, while nobody read it, is
noted as a gap before any stream is read further. Then every person of the ledger is looked at: a field that differs was
changed in Marketo, and waits to be decided as if its activity had been read; who is not there was deleted. Members of
the tenant's list are found by reading the list anew. Where it is, is kept in the store.

Some of those who differ were never changed: Marketo rounds what it stores. That is seen when they are decided, with the
values of both sides, and nothing is written then.

"Retention" (Adobe's white paper on CRM synchronization): a sync that was down for longer compares instead of replaying.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from crmsync.engine.back.fields import PersonFields
from crmsync.engine.back.streams import CATCH_UP, DELETED, KEPT, LIST, OTHERS, Streams, is_too_old
from crmsync.engine.back.unread import Unread, look_for_unread
from crmsync.engine.session import Session
from crmsync.marketo.quota import patiently
from crmsync.state.inbox import Watermark

log = logging.getLogger("crmsync.engine")

PAGE = 300
"""People a call."""


class Gap(NamedTuple):
    """What is to be caught up with: ``since`` when nobody knows what happened, whether fields may have changed or only
    people may have been deleted, the entity and record behind which the comparison goes on, and what it has found."""

    since: datetime
    fields: bool
    entity: str = ""
    after: str = ""
    changed: int = 0
    gone: int = 0

    def as_watermark(self) -> Watermark:
        what = "fields" if self.fields else "deletions"
        token = f"{what} {self.changed} {self.gone} {self.entity} {self.after}"
        return Watermark(stream=CATCH_UP, token=token, moved_at=self.since)

    @classmethod
    def of(cls, marks: Mapping[str, Watermark]) -> Gap | None:
        """The gap that is open, if one is."""
        mark = marks.get(CATCH_UP)
        if mark is None:
            return None
        what, changed, gone, entity, after = mark.token.split(" ")
        return cls(mark.moved_at, what == "fields", entity, after, int(changed), int(gone))

    def __str__(self) -> str:
        return f"What happened in Marketo since {self.since:%Y-%m-%d %H:%M} UTC"


class CatchUp:
    """Notes gaps of one tenant, and works on them; ``notes`` tell of both, ``noted`` of which entities there are
    changes now."""

    def __init__(self, session: Session, fields: Mapping[str, PersonFields]) -> None:
        self._session = session
        self._fields = fields
        self.notes: list[str] = []
        self.noted: set[str] = set()

    async def look_for_gaps(self, streams: Streams) -> None:
        """Note what Marketo does not keep any more, before a watermark is moved past it.

        A gap is not compared as long as a stream is behind (``work``), so one that has been begun with is closed at its
        beginning, and a further one means to begin anew.
        """
        inbox, name = self._session.store.inbox, self._session.name
        marks = await inbox.watermarks(name)
        old = [mark for stream in streams.names if is_too_old(mark := marks[stream], self._session.clock())]
        if not old:
            return
        known = Gap.of(marks)
        since, fields = min(mark.moved_at for mark in old), any(mark.stream in streams.changed for mark in old)
        self.notes.append(_note(since, fields))
        if known is not None and not known.entity and known.since <= since and known.fields >= fields:
            return
        if known is not None:
            since, fields = min(since, known.since), fields or known.fields
        moved = [Gap(since, fields).as_watermark()]
        if LIST in marks and any(mark.stream == OTHERS for mark in old):
            moved.append(marks[LIST].model_copy(update={"token": "0 read anew"}))
        await inbox.move_all(name, moved)
        log.warning("%s: %s", name, self.notes[-1])

    async def work(self, most: int | None) -> bool:
        """Compare the next people, ``most`` pages of them or all; whether nobody is left. To be called only when all
        streams were read to their ends: a merge tells what became of who is not there."""
        inbox, name = self._session.store.inbox, self._session.name
        gap = Gap.of(await inbox.watermarks(name))
        if gap is None:
            return True
        pages, names = 0, list(self._fields)
        for entity in names[names.index(gap.entity) if gap.entity in names else 0 :]:
            if entity != gap.entity:
                gap = gap._replace(entity=entity, after="")
            while ids := await self._session.store.records.in_marketo_after(name, entity, gap.after, PAGE):
                if most is not None and pages == most:
                    self.notes.append(f"{gap} is being caught up with")
                    return False
                found = await self._compare(self._fields[entity], ids, gap)
                pages += 1
                gap = gap._replace(after=ids[-1], changed=gap.changed + found.changed, gone=gap.gone + found.gone)
                await inbox.move_all(name, [gap.as_watermark()])
        await inbox.forget(name, CATCH_UP)
        self.notes.append(
            f"{gap} was caught up with: {gap.changed:,} people were other than agreed on, and are decided field by "
            f"field; {gap.gone:,} were deleted there"
        )
        log.info("%s: %s", name, self.notes[-1])
        return True

    async def _compare(self, fields: PersonFields, ids: Sequence[str], gap: Gap) -> Unread:
        names = fields.two_way if gap.fields else ()
        with patiently():
            found = await look_for_unread(self._session, fields, ids, names, learn=True)
        if found.changed:
            self.noted.add(fields.entity.logical_name)
        return found


def _note(since: datetime, fields: bool) -> str:
    kept = KEPT["changed"] if fields else KEPT[DELETED]
    what = "changes" if fields else "deletions"
    return (
        f"Marketo keeps {what} for {kept.days} days, and they were read last at {since:%Y-%m-%d %H:%M} UTC: some since "
        "then are missing, so people are compared with what was agreed on"
    )
