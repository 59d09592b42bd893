"""Looks at people before they are written, while what happened in Marketo is not read to its end.

A mass change in Marketo is read in portions, and what is not read yet may concern a record that Dynamics changes, too.
Its person is then compared with what was agreed on: a field that differs was changed in Marketo, and waits to be
decided as if its activity had been read; who is not there was deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import find_people
from crmsync.state.inbox import Waiting
from crmsync.state.records import DEAD


class Unread(NamedTuple):
    """How many of the people looked at were changed, and how many are not there."""

    changed: int = 0
    gone: int = 0


async def note_unread(session: Session, fields: PersonFields, ids: Sequence[str]) -> bool:
    """Note what was changed in Marketo of these records; whether there was anything."""
    return any(await look_for_unread(session, fields, ids, fields.two_way))


async def look_for_unread(
    session: Session, fields: PersonFields, ids: Sequence[str], names: Sequence[str], *, learn: bool = False
) -> Unread:
    """Note what was changed in Marketo of these records in the fields of these names, and who is gone. A field that was
    not selected when a record was written last was never agreed on: what Marketo holds of it is no change. ``learn``:
    keep the ids of those who have another one by now."""
    name, records = fields.entity.logical_name, session.store.records
    sets = await records.field_sets(session.name, name)
    known = await records.known(session.name, name, ids)
    agreed = {
        one: (frozenset(sets[state.field_set]), Ledger(fields.names, sets[state.field_set], state.fingerprints))
        for one, state in known.items()
        if state.in_marketo and state.status not in DEAD and state.fingerprints and state.field_set is not None
    }
    if not agreed:
        return Unread()
    forms = await session.store.forms.of(session.name, name, agreed)
    people = await find_people(session, {one: known[one].marketo_id for one in agreed}, names)
    numbers: dict[str, int | None] = {}
    changed: list[Waiting] = []
    for key, [row, *_] in people.items():
        numbers[key] = int(row["id"])
        own, (written, ledger) = forms.get(key, {}), agreed[key]
        foreign = [
            name
            for name in names
            if name in written and not fields.unchanged(name, ledger[name], row.get(name), own.get(name))
        ]
        if foreign:
            changed.append(Waiting(key, int(row["id"]), frozenset(foreign)))
    gone = sorted(agreed.keys() - numbers.keys())
    await session.store.people.bury(session.name, name, gone, "gone")
    await session.store.inbox.wait(session.name, name, changed)
    if learn:
        others = {key: number for key, number in numbers.items() if number != known[key].marketo_id}
        await records.set_marketo_ids(session.name, name, others)
    return Unread(len(changed), len(gone))
