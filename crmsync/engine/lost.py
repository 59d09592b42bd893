"""What becomes of changes of people whom Marketo did not find: "Lead not found" (1004) has several causes.

Somebody else goes on with the key, because the person was merged into that one or made anew by hand; a merge that was
not read yet has taken the person in; the key stands with another record's person; or the person was deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crmsync.engine.destination import PERSON_KEY
from crmsync.engine.plan import Change
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import find_people, merged_into, owners
from crmsync.marketo.outcomes import Outcome as Answer

NOBODY, SEVERAL = "1004", "1007"
TAKEN = "key-taken"
"""The code of a record whose person is gone while another record's person carries its key."""


@dataclass
class Fates:
    """``go_on`` with another Marketo id; ``create`` anew; ``merged`` into another record's person; ``gone``;
    ``refused``, each with what is told of it."""

    go_on: list[Change] = field(default_factory=list)
    create: list[Change] = field(default_factory=list)
    merged: list[Change] = field(default_factory=list)
    gone: list[Change] = field(default_factory=list)
    refused: list[tuple[Change, Answer]] = field(default_factory=list)


async def fates_of(session: Session, lost: Sequence[Change]) -> Fates:
    """Sort out whom an update did not find, by the Marketo id where it is known, else by the key."""
    fates = Fates()
    by_key = [change.record_id for change in lost if change.marketo_id is not None]
    found = await find_people(session, dict.fromkeys(by_key)) if by_key else {}
    for change in lost:
        people = found.get(change.record_id, [])
        if len(people) > 1:
            fates.refused.append((change, _twice(people)))
        elif people:
            change.marketo_id = int(people[0]["id"])
            fates.go_on.append(change)
        elif change.creates or session.tenant.deleted_in_marketo == "recreate":
            fates.create.append(change)
        else:
            fates.gone.append(change)
    if fates.create:
        await _look_twice(session, fates)
    return fates


async def _look_twice(session: Session, fates: Fates) -> None:
    """Nobody is made anew for whom a merge's winner stands, or whose key another record's person carries."""
    numbers = {change.marketo_id: change for change in fates.create if change.marketo_id is not None}
    winners = await merged_into(session, list(numbers)) if numbers else {}
    whose = await owners(session, list(winners.values()))
    for loser, winner in winners.items():
        change = numbers[loser]
        if whose.setdefault(winner, change.record_id) == change.record_id:
            change.marketo_id = winner
            fates.go_on.append(change)
        else:
            fates.merged.append(change)
    settled = {change.record_id for change in (*fates.go_on, *fates.merged)}
    rest = {change.record_id: change for change in fates.create if change.record_id not in settled}
    rows = await session.marketo.people(PERSON_KEY, sorted(rest), ["id", PERSON_KEY]) if rest else []
    for row in rows:
        if (change_or_none := rest.pop(str(row[PERSON_KEY]).lower(), None)) is not None:
            fates.refused.append((change_or_none, _taken(row)))
    fates.create = list(rest.values())
    for change in fates.create:
        change.only, change.marketo_id, change.in_marketo = None, None, False


def _twice(people: Sequence[Mapping[str, Any]]) -> Answer:
    numbers = ", ".join(str(person["id"]) for person in people)
    return Answer("skipped", code=SEVERAL, reason=f"Its person is gone, and several people carry its key: {numbers}")


def _taken(person: Mapping[str, Any]) -> Answer:
    reason = f"Its person is gone, and person {person['id']}, who is another record's, carries its key"
    return Answer("skipped", code=TAKEN, reason=reason)
