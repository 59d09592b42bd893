"""The streams of activities that tell what happened in Marketo, and a first glimpse of them.

Three streams, one call each when nothing happened: changed fields, merges with additions to the tenant's list,
deletions. Where a glimpse finds nothing a cycle ends with it; else the cycle goes on from the pages that it saw.

"Activities", "Paging Tokens" (Marketo REST API).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.fields import PersonFields
from crmsync.engine.destination import PERSON_KEY, TARGETS
from crmsync.engine.session import Session
from crmsync.errors import ColumnMissing, PagingTokenRefused, PermissionMissing
from crmsync.fields.model import Selection
from crmsync.marketo.activities import ADD_TO_LIST, MERGE_LEADS, ActivityPage, field_chunks
from crmsync.state.inbox import Watermark

LIST_LOOKED_FOR = timedelta(hours=1)
"""How often the list is looked for when nothing else is to be done."""

SKEW = timedelta(seconds=10)
"""How much Marketo's clocks may differ among themselves when a token's moment is told."""

NOT_READ = "Changes in Marketo are not read"
PERSON_ENTITIES = ("lead", "contact")
OTHERS, DELETED, LIST, CATCH_UP = "others", "deleted", "list", "catch up"
"""Names of watermarks beside those of changed fields; the last two are of no stream."""

KEPT = {"changed": timedelta(days=90), DELETED: timedelta(days=14), OTHERS: timedelta(days=90)}
"""How long Marketo keeps activities ("Activities"; CRM synchronization white paper, "Retention")."""

OVERLAP = timedelta(minutes=5)
"""How far before its moment a lost token is taken up again; what comes twice is recognised by its value."""


def person_fields(schema: DynamicsSchema, selection: Selection) -> dict[str, PersonFields]:
    """The fields of the entities whose records are people."""
    return {
        name: PersonFields(schema.entities[name], selection)
        for name in PERSON_ENTITIES
        if name in schema.entities and name in selection.mappings and TARGETS.get(name) == "person"
    }


def watched(fields: Mapping[str, PersonFields]) -> tuple[str, ...]:
    """The Marketo fields whose changes are asked for; one-way ones too, so that they can be told, and the key, so that
    it is put back."""
    names = tuple(dict.fromkeys(name for one in fields.values() for name in (*one.two_way, *one.told)))
    return (*names, PERSON_KEY) if names and PERSON_KEY not in names else names


def is_too_old(mark: Watermark, now: datetime) -> bool:
    """Whether Marketo does not keep all that happened since this watermark any more."""
    return now - (mark.moved_at - OVERLAP) > KEPT[mark.stream.partition(" ")[0]]


class Streams:
    """The streams of one tenant by name, and how each is read from a token on."""

    def __init__(self, session: Session, fields: Sequence[str]) -> None:
        self._marketo = session.marketo
        self._types = [MERGE_LEADS, ADD_TO_LIST] if session.tenant.create_in_dynamics else [MERGE_LEADS]
        self.changed = {
            f"changed {at}" if at else "changed": chunk for at, chunk in enumerate(field_chunks(list(fields)))
        }
        """The changed fields that are asked for, usually in one list."""

    @property
    def names(self) -> list[str]:
        return [*self.changed, OTHERS, DELETED]

    def pages(self, mark: Watermark) -> AsyncGenerator[ActivityPage, None]:
        """The stream's pages from its watermark on; raises ``PagingTokenRefused``."""
        if mark.stream == OTHERS:
            return self._marketo.activities(mark.token, self._types, seen=mark.seen)
        if mark.stream == DELETED:
            return self._marketo.deletions(mark.token, seen=mark.seen)
        return self._marketo.lead_changes(mark.token, self.changed[mark.stream], seen=mark.seen)

    async def first(self, mark: Watermark) -> ActivityPage:
        """The first of them."""
        async with aclosing(self.pages(mark)) as pages:
            return await anext(pages)


@dataclass(frozen=True)
class Glimpse:
    """What a first look at the streams found. ``moved`` are the watermarks as they stand behind the pages seen, and
    ``pages`` these by stream, with the token that each was read from."""

    is_idle: bool
    moved: tuple[Watermark, ...] = ()
    pages: Mapping[str, tuple[str, ActivityPage]] = field(default_factory=dict)
    note: str | None = None


async def glimpse(session: Session, fields: Sequence[str]) -> Glimpse:
    """The first page of each stream, read at once."""
    streams, marks = Streams(session, fields), await session.store.inbox.watermarks(session.name)
    if not marks.keys() >= set(streams.names) or not _knows_the_list(session, marks):
        return Glimpse(False)
    began = session.clock()
    try:
        found = await _to_their_ends([streams.first(marks[name]) for name in streams.names])
    except (ColumnMissing, PagingTokenRefused):
        return Glimpse(False)  # the cycle meets it again, and mends it
    except PermissionMissing as missing:
        return Glimpse(True, note=not_read(missing))
    at = moment(session) - (session.clock() - began)  # Marketo's time is known from its answers
    if CATCH_UP in marks or any(is_too_old(marks[name], at) for name in streams.names):
        return Glimpse(False)  # there is more to do than to read on
    pages = dict(zip(streams.names, found, strict=True))
    return Glimpse(
        not any(page.activities or page.more for page in found),
        tuple(moved(marks[name], page, at) for name, page in pages.items()),
        {name: (marks[name].token, page) for name, page in pages.items()},
    )


def moment(session: Session) -> datetime:
    """Now, as Marketo's clock shows it: by a clock of ours that is ahead of it, what happens until then would be lost.
    Nobody's loss is a moment that is too early: what comes twice is recognised by its value."""
    now: datetime = session.clock()
    return min(now, session.marketo.time or now) - SKEW


def moved(before: Watermark, page: ActivityPage, now: datetime) -> Watermark:
    """The watermark behind a page. From when on its token covers what happens, nobody knows better than before in the
    middle of a stream."""
    moved_at = before.moved_at if page.more else now
    return Watermark(stream=before.stream, token=page.token, moved_at=moved_at, seen=page.seen)


async def _to_their_ends(work: Iterable[Awaitable[ActivityPage]]) -> list[ActivityPage]:
    """All of them, side by side. A failure waits for the others: a request that is cancelled while it connects leaves
    its socket open, and an expired token fails before the others have connected."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def list_name(session: Session) -> str | None:
    """The list whose members are created in Dynamics, and as what: another one is read anew."""
    wanted = session.tenant.create_in_dynamics
    return f"{wanted.list} as {wanted.as_}" if wanted is not None else None


def known_list(session: Session, marks: Mapping[str, Watermark]) -> int:
    """Its id as it was found last; 0 where it was not."""
    number, _, name = marks[LIST].token.partition(" ") if LIST in marks else ("0", "", "")
    return int(number) if name == list_name(session) else 0


def _knows_the_list(session: Session, marks: Mapping[str, Watermark]) -> bool:
    if session.tenant.create_in_dynamics is None:
        return True
    return bool(known_list(session, marks)) and session.clock() - marks[LIST].moved_at < LIST_LOOKED_FOR


def not_read(missing: PermissionMissing) -> str:
    """What to tell where the API user may not read activities."""
    return f"{NOT_READ}: {missing.message}. {missing.remedy}"
