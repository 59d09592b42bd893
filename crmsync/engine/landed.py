"""What a request without an answer has done: told by the values that are there now.

A request in flight stands in the store with the fingerprints of what it carries. Where a side holds the value that was
sent, or Marketo tells that it has held it, the request has been executed and the ledger takes it for agreed on; else it
would come back as somebody else's change, and be set against a later one (invariant 4, also across a crash). What is
not found stays as it was: it is sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import aclosing
from typing import Any, NamedTuple

from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.back.streams import PERSON_ENTITIES, Streams, person_fields
from crmsync.engine.chosen import chosen_fields
from crmsync.engine.destination import PERSON_KEY, Destination
from crmsync.engine.fingerprint import NEVER_AGREED, WIDTH, fingerprints
from crmsync.engine.forms import resembles
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import still_there
from crmsync.errors import PagingTokenRefused, PermissionMissing, RecordRefused
from crmsync.state.flights import Flight
from crmsync.state.forms import Form, Forms
from crmsync.state.records import DEAD, Known, Outcome

MODIFIED_BY = "_modifiedby_value"


class Found(NamedTuple):
    """A record as it is on the side that the request went to. ``values``: as it has them, and before these what it was
    changed to lately. ``holds`` tells of a field whether any is the one of that fingerprint."""

    marketo_id: int | None
    holds: Callable[[str, bytes], bool]
    values: Sequence[Mapping[str, Any]]


async def executed(session: Session, where: Destination, flight: Flight, keys: Sequence[str]) -> set[str]:
    """Of which of these records it is proved that the request has been executed.

    That a key is there proves a creation, and only where nobody but crmsync can have used it before. An update is
    proved by a value that was not agreed on before, a deletion by the absence of what was there. Who writes the same
    value by hand between a crash and the next run is not told from the request.
    """
    if flight.kind == "link":
        return await where.present(keys)
    if flight.kind == "merge":
        return set(keys) - await where.present(keys)
    known = await session.store.records.known(session.name, flight.entity, keys)
    if flight.kind == "delete":
        return {key for key in known if known[key].in_marketo} - await still_there(session, where, known)
    proved: set[str] = set()
    if flight.kind in ("sync", "import") and await _is_fresh(session, flight.entity):
        new = [key for key in keys if key not in known]
        proved |= await where.present(new) if new else set()
    sent = await _sent(session, flight)
    if sent is None or not known:
        return proved
    there = await (_in_dynamics if flight.kind == "back" else _in_marketo)(session, sent.fields, list(known))
    return proved | {
        key
        for key, found in there.items()
        if (marks := sent.agreed(known[key])) is not None
        and any(found.holds(name, sent.of(key)[name]) for name in sent.differing(key, marks))
    }


async def _is_fresh(session: Session, entity: str) -> bool:
    """Whether nobody but crmsync can have given a record of this entity its key."""
    if entity in PERSON_ENTITIES:
        return (await session.store.tenants.get(session.name)).key_is_fresh
    custom = (await chosen_fields(session))[1].custom_objects.get(entity)
    return custom is not None and custom.is_fresh


class Sent:
    """What a request carries, as fingerprints, beside what the ledger says."""

    def __init__(self, fields: PersonFields, flight: Flight, sets: Mapping[int, tuple[str, ...]]) -> None:
        assert flight.field_set is not None
        assert flight.marks is not None
        self.fields = fields
        self._sets = sets
        self.names = sets[flight.field_set]
        width = len(self.names) * WIDTH
        self._marks = {key: flight.marks[at * width : (at + 1) * width] for at, key in enumerate(flight.keys)}

    def of(self, key: str) -> Ledger:
        return Ledger(self.names, self.names, self._marks[key])

    def agreed(self, known: Known) -> Ledger | None:
        """What was agreed on before, where anything was."""
        if known.fingerprints is None or known.field_set is None or known.status in DEAD:
            return None
        return Ledger(self.names, self._sets[known.field_set], known.fingerprints)

    def differing(self, key: str, agreed: Ledger) -> list[str]:
        """The fields whose value the request changes."""
        sent = self.of(key)
        return [name for name in self.names if name in self.fields.mappings and sent[name] != agreed[name]]


async def _sent(session: Session, flight: Flight) -> Sent | None:
    """None where the request does not say what it carries, or what it carried is not synced any more."""
    if flight.marks is None or flight.field_set is None or flight.entity not in PERSON_ENTITIES:
        return None
    fields = person_fields(*await chosen_fields(session)).get(flight.entity)
    sets = await session.store.records.field_sets(session.name, flight.entity)
    return Sent(fields, flight, sets) if fields is not None and flight.field_set in sets else None


async def learned(session: Session, flight: Flight) -> list[Outcome]:
    """The ledger's rows as they should be, where the request has changed what is agreed on."""
    sent = await _sent(session, flight)
    if sent is None:
        return []
    in_marketo = flight.kind != "back"
    there = await (_in_marketo if in_marketo else _in_dynamics)(session, sent.fields, flight.keys)
    if in_marketo:
        there = await _with_what_was(session, sent.fields, there)
    known = await session.store.records.known(session.name, flight.entity, list(there))
    forms = await _own_forms(session, sent, there, known) if in_marketo else {}
    await session.store.forms.put(session.name, flight.entity, forms)
    rows = [_row(flight, sent, key, known.get(key), found, forms.get(key, {})) for key, found in there.items()]
    return [row for row in rows if row is not None]


async def _own_forms(
    session: Session, sent: Sent, there: Mapping[str, Found], known: Mapping[str, Known]
) -> dict[str, dict[str, Form]]:
    """What Marketo seems to have made of what was sent: the first value that is not the one before, and resembles what
    Dynamics has sent and still holds."""
    open_fields: dict[str, list[str]] = {}
    for key, found in there.items():
        ledger = sent.agreed(known[key]) if key in known else None
        marks = sent.of(key)
        for name in sent.differing(key, ledger) if ledger is not None else ():
            if not found.holds(name, marks[name]):
                open_fields.setdefault(key, []).append(name)
    if not open_fields:
        return {}
    entity, fields = sent.fields.entity, sent.fields
    select = sorted({fields.attribute(name).select_name for names in open_fields.values() for name in names})
    forms: dict[str, dict[str, Form]] = {}
    for row in await session.dynamics.read_by_ids(entity, select, list(open_fields)):
        key = str(row[entity.primary_id]).lower()
        for name in open_fields[key]:
            mark = sent.of(key)[name]
            if _mark(fields, name, row) != mark:
                continue  # Dynamics holds another one by now, which is sent
            value = fields.sent(name, row)
            before = sent.agreed(known[key])
            assert before is not None
            for stored in (held[name] for held in there[key].values if name in held):
                if resembles(value, stored) and not fields.unchanged(name, before[name], stored):
                    forms.setdefault(key, {}).setdefault(name, Form(mark, fields.mark(name, stored)))
    return forms


def _mark(fields: PersonFields, name: str, row: dict[str, Any]) -> bytes:
    """The fingerprint of what Dynamics has; of what cannot be sent none that a request carries."""
    try:
        return fingerprints([fields.sent(name, row)])
    except RecordRefused:
        return NEVER_AGREED


def _row(flight: Flight, sent: Sent, key: str, before: Known | None, found: Found, forms: Forms) -> Outcome | None:
    assert flight.field_set is not None
    marks = sent.of(key)
    if before is None:
        # Nobody but the request can have created it. It is written once more, as a whole but for what is changed there.
        blank = Outcome(key, "unknown", True, found.marketo_id, flight.field_set, marks.joined(), None, None, 0)
        return blank if flight.kind != "back" else None
    ledger = sent.agreed(before)
    if ledger is None:
        return None
    old = ledger.joined()
    for name in sent.differing(key, ledger):
        if found.holds(name, marks[name]) or name in forms:
            ledger[name] = marks[name]
    if ledger.joined() == old:
        return None
    return Outcome(key, **{**before._asdict(), "field_set": flight.field_set, "fingerprints": ledger.joined()})


async def _in_marketo(session: Session, fields: PersonFields, keys: Sequence[str]) -> dict[str, Found]:
    rows = await session.marketo.people(PERSON_KEY, keys, ["id", PERSON_KEY, *fields.two_way])
    there = {key: row for row in rows if (key := str(row[PERSON_KEY]).lower()) in set(keys)}

    def found(row: Mapping[str, Any]) -> Found:
        return Found(int(row["id"]), lambda name, mark: fields.unchanged(name, mark, row.get(name)), [row])

    return {key: found(row) for key, row in there.items()}


async def _with_what_was(session: Session, fields: PersonFields, there: Mapping[str, Found]) -> dict[str, Found]:
    """The same, where also what a field was since changes were read last counts as held."""
    since = await _since(session, fields, {one.marketo_id for one in there.values() if one.marketo_id is not None})

    def widened(found: Found) -> Found:
        values = since[found.marketo_id or 0]
        return found._replace(
            holds=lambda name, mark: (
                found.holds(name, mark) or any(fields.unchanged(name, mark, one[name]) for one in values if name in one)
            ),
            values=[*values, *found.values],
        )

    return {key: widened(found) for key, found in there.items()}


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


async def _in_dynamics(session: Session, fields: PersonFields, keys: Sequence[str]) -> dict[str, Found]:
    entity = fields.entity
    select = sorted({fields.attribute(name).select_name for name in fields.two_way} | {MODIFIED_BY})
    rows = await session.dynamics.read_by_ids(entity, select, keys)
    binding = (await session.store.tenants.get(session.name)).binding
    us = binding.sync_user_id.lower() if binding is not None else None

    def found(row: dict[str, Any]) -> Found:
        # What somebody else has written since may be that one's own value: then it is decided as their change.
        ours = str(row.get(MODIFIED_BY)).lower() == us
        return Found(None, lambda name, mark: ours and _mark(fields, name, row) == mark, [row])

    return {str(row[entity.primary_id]).lower(): found(row) for row in rows}
