"""Looks at people before they are written, while what happened in Marketo is not read to its end.

A mass change in Marketo is read in portions, and what is not read yet may concern a record that Dynamics changes, too.
Its person is then compared with what was agreed on: a field that differs was changed in Marketo, and waits to be
decided as if its activity had been read; who is not there was deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.destination import PERSON_KEY
from crmsync.engine.session import Session
from crmsync.state.inbox import Waiting
from crmsync.state.records import DEAD


async def note_unread(session: Session, fields: PersonFields, ids: Sequence[str]) -> bool:
    """Note what was changed in Marketo of these records; whether there was anything."""
    name, records = fields.entity.logical_name, session.store.records
    sets = await records.field_sets(session.name, name)
    known = await records.known(session.name, name, ids)
    agreed = {
        one: Ledger(fields.names, sets[state.field_set], state.fingerprints)
        for one, state in known.items()
        if state.in_marketo and state.status not in DEAD and state.fingerprints and state.field_set is not None
    }
    if not agreed:
        return False
    rows = await session.marketo.people(PERSON_KEY, list(agreed), ["id", PERSON_KEY, *fields.two_way])
    there: set[str] = set()
    changed: list[Waiting] = []
    for row in rows:
        key = str(row[PERSON_KEY]).lower()
        there.add(key)
        foreign = [one for one in fields.two_way if not fields.unchanged(one, agreed[key][one], row.get(one))]
        if foreign:
            changed.append(Waiting(key, int(row["id"]), frozenset(foreign)))
    gone = sorted(agreed.keys() - there)
    await session.store.people.bury(session.name, name, gone, "gone")
    await session.store.inbox.wait(session.name, name, changed)
    return bool(gone or changed)
