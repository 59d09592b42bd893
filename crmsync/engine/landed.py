"""What a request without an answer has done: told by the values that are there now.

A request in flight stands in the store with the fingerprints of what it carries. Where a side holds the value that was
sent, or Marketo tells that it has held it, the request has been executed and the ledger takes it for agreed on; else it
would come back as somebody else's change, and be set against a later one (invariant 4, also across a crash). What is
not found stays as it was: it is sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from contextlib import aclosing
from typing import Any, NamedTuple

from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.back.streams import PERSON_ENTITIES, Streams, person_fields
from crmsync.engine.chosen import chosen_fields
from crmsync.engine.destination import PERSON_KEY
from crmsync.engine.fingerprint import WIDTH, fingerprints
from crmsync.engine.session import Session
from crmsync.errors import PagingTokenRefused, PermissionMissing
from crmsync.state.flights import Flight
from crmsync.state.records import DEAD, Known, Outcome

MODIFIED_BY = "_modifiedby_value"


class Found(NamedTuple):
    """A record as it is on the side that the request went to. ``holds`` tells of a field whether it has that value."""

    marketo_id: int | None
    holds: Callable[[str, bytes], bool]


async def learned(session: Session, flight: Flight) -> list[Outcome]:
    """The ledger's rows as they should be, where the request has changed what is agreed on."""
    if flight.marks is None or flight.field_set is None or flight.entity not in PERSON_ENTITIES:
        return []
    fields = person_fields(*await chosen_fields(session)).get(flight.entity)
    if fields is None:
        return []
    there = await (_in_dynamics if flight.kind == "back" else _in_marketo)(session, fields, flight.keys)
    records = session.store.records
    sets = await records.field_sets(session.name, flight.entity)
    known = await records.known(session.name, flight.entity, list(there))
    sent = _by_key(flight, len(sets[flight.field_set]) * WIDTH)
    rows = [_row(flight, fields, sets, key, sent[key], known.get(key), found) for key, found in there.items()]
    return [row for row in rows if row is not None]


def _row(
    flight: Flight,
    fields: PersonFields,
    sets: Mapping[int, tuple[str, ...]],
    key: str,
    marks: bytes,
    before: Known | None,
    found: Found,
) -> Outcome | None:
    assert flight.field_set is not None
    if before is None:
        # Nobody but the request can have created it. It is written once more, as a whole but for what is changed there.
        blank = Outcome(key, "unknown", True, found.marketo_id, flight.field_set, marks, None, None, 0)
        return blank if flight.kind != "back" else None
    if before.fingerprints is None or before.field_set is None or before.status in DEAD:
        return None
    names = sets[flight.field_set]
    sent, ledger = Ledger(names, names, marks), Ledger(names, sets[before.field_set], before.fingerprints)
    old = ledger.joined()
    for name in set(names) & fields.mappings.keys():
        if sent[name] != ledger[name] and found.holds(name, sent[name]):
            ledger[name] = sent[name]
    if ledger.joined() == old:
        return None
    return Outcome(key, **{**before._asdict(), "field_set": flight.field_set, "fingerprints": ledger.joined()})


def _by_key(flight: Flight, width: int) -> dict[str, bytes]:
    assert flight.marks is not None
    return {key: flight.marks[at * width : (at + 1) * width] for at, key in enumerate(flight.keys)}


async def _in_marketo(session: Session, fields: PersonFields, keys: list[str]) -> dict[str, Found]:
    rows = await session.marketo.people(PERSON_KEY, keys, ["id", PERSON_KEY, *fields.two_way])
    there = {key: row for row in rows if (key := str(row[PERSON_KEY]).lower()) in keys}
    since = await _since(session, fields, {int(row["id"]) for row in there.values()})

    def found(row: Mapping[str, Any]) -> Found:
        number = int(row["id"])

        def holds(name: str, mark: bytes) -> bool:
            values = [row.get(name), *(one[name] for one in since[number] if name in one)]
            return any(fields.unchanged(name, mark, value) for value in values)

        return Found(number, holds)

    return {key: found(row) for key, row in there.items()}


async def _since(
    session: Session, fields: PersonFields, people: Set[int]
) -> Mapping[int, list[Mapping[str, str | None]]]:
    """What these people's fields were changed to since changes were read last: what was sent may have been there, and
    somebody has changed it since."""
    found: dict[int, list[Mapping[str, str | None]]] = defaultdict(list)
    marks = await session.store.inbox.watermarks(session.name) if session.tenant.to_dynamics and people else {}
    streams = Streams(session, fields.two_way)
    for stream in streams.changed.keys() & marks.keys():
        try:
            async with aclosing(streams.pages(marks[stream])) as pages:
                async for page in pages:
                    for one in page.activities:
                        if one.kind == "changed" and one.lead_id in people:
                            found[one.lead_id].append(one.values)
        except (PagingTokenRefused, PermissionMissing):
            continue  # a later change of the same field is a collision then
    return found


async def _in_dynamics(session: Session, fields: PersonFields, keys: list[str]) -> dict[str, Found]:
    entity = fields.entity
    select = sorted({fields.attribute(name).select_name for name in fields.two_way} | {MODIFIED_BY})
    rows = await session.dynamics.read_by_ids(entity, select, keys)
    binding = (await session.store.tenants.get(session.name)).binding
    us = binding.sync_user_id.lower() if binding is not None else None

    def found(row: dict[str, Any]) -> Found:
        # What somebody else has written since may be that one's own value: then it is decided as their change.
        ours = str(row.get(MODIFIED_BY)).lower() == us
        return Found(None, lambda name, mark: ours and fingerprints([fields.sent(name, row)]) == mark)

    return {str(row[entity.primary_id]).lower(): found(row) for row in rows}
