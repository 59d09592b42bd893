"""Reads what happened in Marketo since the watermarks, and puts it where it waits to be worked on.

Each stream has a paging token of its own, which moves together with what was read before it. A token that Marketo
does not take any more is replaced by one of the moment it stood for, so that nothing is lost as long as Marketo keeps
activities. What it does not keep any more is caught up with (``crmsync.engine.back.catchup``).

What crmsync wrote itself comes back as an activity, too: it is recognised by its value, which is what the ledger says
was agreed on, because an activity's source tells all API users alike ("Activities", Marketo REST API).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing

from crmsync.engine.back.catchup import CatchUp
from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.back.listed import WatchedList
from crmsync.engine.back.streams import (
    CATCH_UP,
    DELETED,
    OTHERS,
    OVERLAP,
    Glimpse,
    Streams,
    moment,
    moved,
    watched,
)
from crmsync.engine.destination import PERSON_KEY
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import owners, put_keys_back
from crmsync.errors import PagingTokenRefused
from crmsync.marketo.activities import Activity, ActivityPage
from crmsync.state.forms import Form, Forms
from crmsync.state.inbox import Waiting, Watermark
from crmsync.state.records import DEAD, Known

log = logging.getLogger("crmsync.engine")

PAGES_A_ROUND = 30
"""Of 300 activities. What a round itself writes to people comes back (of leads and contacts 2,500 each, 17 full pages),
and pages may be short: so much is always read to the end. It is less than a third of the quota's window of calls."""

LEARNED_A_CYCLE = 15_000
"""People whose Marketo id a bulk import did not tell are looked up in portions: 50 calls."""

Record = tuple[str, str, Known]


class Collector:
    """Collects for one tenant. ``notes`` tells what an administrator should know, ``noted`` of which entities there
    are changes; with ``most`` pages of a stream read, the streams that have more are ``behind``, and so is what
    is to be caught up with. ``learn``: look up
    some of the people whose Marketo id is not known yet, which is once a cycle."""

    def __init__(
        self,
        session: Session,
        fields: Mapping[str, PersonFields],
        seen: Glimpse | None = None,
        *,
        most: int | None = None,
        learn: bool = True,
        watched_list: WatchedList | None = None,
    ) -> None:
        self._most = most
        self._learn = learn
        self.behind: set[str] = set()
        self.noted: set[str] = set()
        self._session = session
        self._fields = fields
        self._streams = Streams(session, watched(fields))
        self._seen = seen.pages if seen is not None else {}
        self._moved = seen.moved if seen is not None else ()
        self._field_sets: dict[str, dict[int, tuple[str, ...]]] = {}
        self._all_known = False
        self.notes: list[str] = []
        self._list = watched_list or WatchedList(session, self._tell)

    async def start(self) -> None:
        """Take the first tokens: what happens from now on will be read."""
        marks = await self._session.store.inbox.watermarks(self._session.name)
        missing = [stream for stream in self._streams.names if stream not in marks]
        if missing:
            if self._session.marketo.time is None:
                await self._session.marketo.identity()  # costs no call, and tells Marketo's time
            others = [marks[stream].moved_at for stream in self._streams.names if stream in marks]
            since = min(others, default=moment(self._session))
            token = await self._session.marketo.paging_token(since)
            for stream in missing:
                mark = Watermark(stream=stream, token=token, moved_at=since)
                await self._session.store.inbox.move(self._session.name, mark)

    async def run(self) -> None:
        """Read all streams to their ends, or the next pages of each; then catch up with what Marketo does not keep."""
        await self.start()
        catch_up = CatchUp(self._session, self._fields)
        try:
            await catch_up.look_for_gaps(self._streams)
            await self._read_all()
            if not self.behind and not await catch_up.work(self._most):
                self.behind.add(CATCH_UP)
        finally:
            self.notes += catch_up.notes
            self.noted |= catch_up.noted

    async def _read_all(self) -> None:
        for name in self._fields:
            self._field_sets[name] = await self._session.store.records.field_sets(self._session.name, name)
        await self._learn_ids(LEARNED_A_CYCLE if self._learn else 0)
        list_id = await self._list.number()
        for stream in self._streams.changed:
            async for page, mark in self._read(stream):
                await self._keep_changes(page.activities, mark)
        async for page, mark in self._read(OTHERS):
            taken_over = await self._merge([one for one in page.activities if one.kind == "merged"])
            self.noted |= taken_over.keys()
            listed = [one.lead_id for one in page.activities if one.kind == "listed" and one.list_id == list_id]
            await self._session.store.inbox.move(
                self._session.name, mark, changes=taken_over, listed=self._list.creations(listed)
            )
        async for page, mark in self._read(DELETED):
            await self._bury([one.lead_id for one in page.activities])
            await self._session.store.inbox.move(self._session.name, mark)

    async def _read(self, stream: str) -> AsyncGenerator[tuple[ActivityPage, Watermark], None]:
        """The stream's pages from its watermark on, each with the watermark to move to."""
        mark = (await self._session.store.inbox.watermarks(self._session.name))[stream]
        seen_from, seen = self._seen.get(stream, (None, None))
        number = 0
        if seen is not None and seen_from == mark.token:
            mark = next(one for one in self._moved if one.stream == stream)
            yield seen, mark
            number = 1
            if self._is_enough(stream, number, seen):
                return
        for again in (False, True):
            at = moment(self._session)
            try:
                async with aclosing(self._streams.pages(mark)) as pages:
                    async for page in pages:
                        yield page, moved(mark, page, at)
                        number += 1
                        if self._is_enough(stream, number, page):
                            return
                        at = moment(self._session)
                return
            except PagingTokenRefused:
                if again:
                    raise
                mark = await self._renewed(mark)

    def _is_enough(self, stream: str, number: int, page: ActivityPage) -> bool:
        """Whether this page, the so manieth, is the last one now."""
        if page.more and number == self._most:
            self.behind.add(stream)
        return not page.more or number == self._most

    async def _renewed(self, mark: Watermark) -> Watermark:
        since = mark.moved_at - OVERLAP
        refused = f"Marketo did not take its paging token any more ({mark.stream})"
        note = f"{refused}; read again from {since:%Y-%m-%d %H:%M} UTC"
        self.notes.append(note)
        log.warning("%s: %s", self._session.name, note)
        return mark.model_copy(update={"token": await self._session.marketo.paging_token(since)})

    # Changed fields

    async def _keep_changes(self, activities: Iterable[Activity], mark: Watermark) -> None:
        changed: dict[int, dict[str, list[str | None]]] = {}
        for one in activities:
            if one.kind == "changed":
                for name, value in one.values.items():
                    changed.setdefault(one.lead_id, {}).setdefault(name, []).append(value)
        waiting: dict[str, list[Waiting]] = {}
        astray: dict[str, int] = {}
        found = await self._records(changed)
        forms = {
            name: await self._session.store.forms.of(
                self._session.name, name, [record_id for entity, record_id, _ in found.values() if entity == name]
            )
            for name in {entity for entity, _, _ in found.values()}
        }
        for person, (entity, record_id, known) in found.items():
            fields = self._foreign(entity, known, changed[person], forms[entity].get(record_id, {}))
            if fields:
                waiting.setdefault(entity, []).append(Waiting(record_id, person, fields))
            key = changed[person].get(PERSON_KEY)
            if key and (key[-1] or "").lower() != record_id and known.in_marketo and known.status not in DEAD:
                astray[record_id] = person
        await put_keys_back(self._session, astray)
        await self._tell_copies({person: changed[person] for person in changed.keys() - found.keys()})
        self.noted |= waiting.keys()
        await self._session.store.inbox.move(self._session.name, mark, changes=waiting)

    def _foreign(
        self, entity: str, known: Known, values: Mapping[str, Sequence[str | None]], forms: Forms
    ) -> frozenset[str]:
        """The fields whose new value is not the one that was agreed on, nor what Marketo made of that: somebody else
        changed them."""
        fields, told = self._fields[entity], self._fields[entity].told
        values = {name: row for name, row in values.items() if name in fields.mappings or name in told}
        if known.fingerprints is None or known.field_set is None or known.status in DEAD:
            return frozenset()
        ledger = Ledger(fields.names, self._field_sets[entity][known.field_set], known.fingerprints)
        foreign = [
            name for name, row in values.items() if not _is_own(fields, name, ledger[name], row, forms.get(name))
        ]
        for name in foreign:
            if name in told:
                self._tell(f"{entity}: '{name}' was changed in Marketo and stays there: {told[name]}")
        return frozenset(name for name in foreign if name in fields.mappings)

    def _tell(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    async def _records(self, people: Iterable[int]) -> dict[int, Record]:
        """The record of each of these people; people that are in Marketo only are left out."""
        ids = list(people)
        if not ids:
            return {}
        store, tenant = self._session.store, self._session.name
        found = await store.people.by_marketo_id(tenant, self._fields, ids)
        unknown = [person for person in ids if person not in found]
        if unknown and not self._all_known:
            keys: dict[str, int] = {}
            for row in await self._session.marketo.people("id", list(map(str, unknown)), ["id", PERSON_KEY]):
                if row.get(PERSON_KEY):
                    keys[str(row[PERSON_KEY]).lower()] = int(row["id"])
            for entity in self._fields:
                known = await store.records.known(tenant, entity, list(keys))
                # Of a lead and a contact with one id only one has the person.
                known = {one: state for one, state in known.items() if state.in_marketo or state.status in DEAD}
                mine = await self._without_copies(entity, known, keys)
                await store.records.set_marketo_ids(tenant, entity, {one: keys[one] for one in mine})
                found |= {keys[one]: (entity, one, state) for one, state in mine.items()}
        return found

    async def _tell_copies(self, strangers: Mapping[int, Mapping[str, Sequence[str | None]]]) -> None:
        """Who is no record's person has been given a record's key."""
        given = {key.lower(): one for one, row in strangers.items() if (key := row.get(PERSON_KEY, [None])[-1])}
        for entity in self._fields if given else ():
            known = await self._session.store.records.known(self._session.name, entity, list(given))
            await self._without_copies(entity, known, given)

    async def _without_copies(
        self, entity: str, known: Mapping[str, Known], keys: Mapping[str, int]
    ) -> dict[str, Known]:
        """Those of these records whose person is who carries the key now: not where the person that is remembered is
        still there, and the key was copied."""
        numbers = {one: state.marketo_id for one, state in known.items() if state.in_marketo and state.marketo_id}
        rows = await self._session.marketo.people("id", list(map(str, numbers.values())), ["id"]) if numbers else []
        there = {int(row["id"]) for row in rows}
        copied = {one for one, number in numbers.items() if number in there}
        for one in sorted(copied):
            self._tell(
                f"{entity} {one}: person {keys[one]} in Marketo carries its key too, beside person {numbers[one]}, who "
                f"is its own; run: crmsync compare {self._session.name} --repair, which takes the key from the other"
            )
        return {one: state for one, state in known.items() if one not in copied}

    async def _learn_ids(self, most: int) -> None:
        """Look up people whose Marketo id is not known yet. Who is not there was deleted in Marketo before."""
        store, tenant = self._session.store, self._session.name
        self._all_known = True
        for entity in self._fields:
            ids = await store.people.without_marketo_id(tenant, entity, limit=most + 1)
            self._all_known = self._all_known and len(ids) <= most
            if not (ids := ids[:most]):
                continue
            rows = await self._session.marketo.people(PERSON_KEY, ids, ["id", PERSON_KEY])
            there = {str(row[PERSON_KEY]).lower(): int(row["id"]) for row in rows}
            await store.records.set_marketo_ids(tenant, entity, there)
            await store.people.bury(tenant, entity, [one for one in ids if one not in there], "gone")

    # Merges and deletions

    async def _merge(self, merges: Sequence[Activity]) -> dict[str, list[Waiting]]:
        """Losers' records are remembered as merged, unless the winner took over the loser's record: then the record
        goes on with the winner, all of whose values may be others."""
        taken_over: dict[str, list[Waiting]] = {}
        losers = {loser: one.lead_id for one in merges for loser in one.losers}
        if not losers:
            return taken_over
        store, tenant = self._session.store, self._session.name
        known = await store.people.by_marketo_id(tenant, self._fields, losers)
        winners = sorted({losers[person] for person in known})
        rows = await self._session.marketo.people("id", list(map(str, winners)), ["id", PERSON_KEY]) if winners else []
        keys = {int(row["id"]): str(row.get(PERSON_KEY) or "").lower() for row in rows}
        whose = await owners(self._session, winners)
        astray = {record: winner for winner, record in whose.items() if keys.get(winner, record) != record}
        for person, (entity, record_id, state) in known.items():
            winner = losers[person]
            if state.status in ("deleted", "merged", "converted"):
                continue
            key = keys.get(winner)
            if key in (record_id, "") and whose.setdefault(winner, record_id) == record_id:
                if key == "":
                    astray[record_id] = winner  # the loser's had been cleared before
                await store.people.revive(tenant, entity, record_id, winner)
                every = frozenset(self._fields[entity].two_way)
                taken_over.setdefault(entity, []).append(Waiting(record_id, winner, every))
                continue
            await store.people.bury(tenant, entity, [record_id], "merged")
            self._tell(
                f"{entity} {record_id}: its person was merged in Marketo into that of "
                f"{whose.get(winner) or key or 'a person without a record'}; the record in Dynamics stays as it is"
            )
        await put_keys_back(self._session, astray)
        return taken_over

    async def _bury(self, people: Sequence[int]) -> None:
        store, tenant = self._session.store, self._session.name
        gone: dict[str, list[str]] = {}
        found = await store.people.by_marketo_id(tenant, self._fields, people) if people else {}
        for entity, record_id, known in found.values():
            if known.status not in DEAD:
                gone.setdefault(entity, []).append(record_id)
        for entity, ids in gone.items():
            await store.people.bury(tenant, entity, ids, "gone")
            self._tell(f"{entity}: {len(ids)} were deleted in Marketo; Dynamics keeps them")


def _is_own(fields: PersonFields, name: str, agreed: bytes, values: Sequence[str | None], form: Form | None) -> bool:
    """Whether the last of a field's values is our own. Once Marketo has held just what was sent, another form of it is
    somebody's change."""
    if any(fields.unchanged(name, agreed, value) for value in values[:-1]):
        form = None
    return fields.unchanged(name, agreed, values[-1], form)
