"""Finds the person of a record, also where the record's id does not lead there any more.

Somebody in Marketo may clear a person's key, change it, or copy it to another person. That a key is not found does not
say that the person is gone, and who carries it need not be the person: the ledger remembers Marketo's own id, which
nobody can change and which is never given again. Only where nobody has that id is the key believed, and never where
it leads to the person of another record.

"Leads" (Marketo REST API): ``filterType=id``; ``lookupField`` ``id`` goes with ``updateOnly``, so it creates nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from crmsync.engine.back.streams import KEPT, OTHERS, OVERLAP
from crmsync.engine.destination import PERSON_KEY, Destination
from crmsync.engine.session import Session
from crmsync.errors import PermissionMissing
from crmsync.marketo.activities import MERGE_LEADS
from crmsync.state.pending import PEOPLE
from crmsync.state.records import DEAD, Known

log = logging.getLogger("crmsync.engine")

Row = dict[str, Any]


async def find_people(
    session: Session, wanted: Mapping[str, int | None], fields: Sequence[str] = ()
) -> dict[str, list[Row]]:
    """The people of these records, each with the Marketo id that is remembered of it. Of a record that has nobody of
    that id it is whoever carries the key, but for the people of other records; those may be several."""
    names = list(dict.fromkeys(["id", PERSON_KEY, *fields]))
    records = {number: record for record, number in wanted.items() if number is not None}
    rows = await session.marketo.people("id", list(map(str, records)), names) if records else []
    found = {records[int(row["id"])]: [row] for row in rows}
    if missing := sorted(wanted.keys() - found.keys()):
        rows = await session.marketo.people(PERSON_KEY, missing, names)
        others = await owners(session, [int(row["id"]) for row in rows])
        for row in sorted(rows, key=lambda row: int(row["id"])):
            key = str(row[PERSON_KEY]).lower()
            if others.get(int(row["id"]), key) == key and key in wanted:
                found.setdefault(key, []).append(row)
    return found


async def still_there(session: Session, where: Destination, known: Mapping[str, Known]) -> set[str]:
    """Which of these records Marketo still has."""
    if where.target != "person":
        return await where.present(list(known)) if known else set()
    return set(await find_people(session, {one: state.marketo_id for one, state in known.items()})) if known else set()


async def owners(session: Session, people: Sequence[int]) -> dict[int, str]:
    """Whose people these are, by the ids that are remembered; who is nobody's, or was once, is absent."""
    if not people:
        return {}
    known = await session.store.people.by_marketo_id(session.name, PEOPLE, people)
    return {number: record for number, (_, record, state) in known.items() if state.status not in DEAD}


async def put_keys_back(session: Session, people: Mapping[str, int]) -> None:
    """Give these people, by record, the keys that they had."""
    if not people:
        return
    rows = [{"id": number, PERSON_KEY: record} for record, number in people.items()]
    await session.marketo.sync_people(rows, action="updateOnly", lookup_field="id")
    log.warning("%s: put back the keys of %d people that others had in Marketo", session.name, len(people))


async def take_keys(session: Session, people: Sequence[int]) -> None:
    """Take from these people the keys that were copied to them; who is another record's person gets that one's."""
    whose = await owners(session, people)
    rows = [{"id": one, PERSON_KEY: whose.get(one)} for one in people]
    if rows:
        await session.marketo.sync_people(rows, action="updateOnly", lookup_field="id")


async def merged_into(session: Session, people: Sequence[int]) -> dict[int, int]:
    """Into whom those of these people were merged who lost a merge in Marketo, as far as it remembers and tells."""
    marks = await session.store.inbox.watermarks(session.name) if session.tenant.to_dynamics else {}
    now = session.clock()
    since = marks[OTHERS].moved_at - OVERLAP if OTHERS in marks else now - KEPT[OTHERS] + timedelta(hours=1)
    winners: dict[int, int] = {}
    try:
        token = await session.marketo.paging_token(since)
        async with aclosing(session.marketo.activities(token, [MERGE_LEADS])) as pages:
            async for page in pages:
                winners |= {loser: one.lead_id for one in page.activities for loser in one.losers}
    except PermissionMissing as missing:
        log.warning("%s: merges in Marketo cannot be read: %s", session.name, missing)
    found = {one: winners[one] for one in people if one in winners}
    for _ in winners:
        further = {one: winners[winner] for one, winner in found.items() if winner in winners}
        if not further:
            break
        found |= further
    return found
