"""How people go: deleted by a call, or as the losers of a merge.

"Leads" (Delete, Merge). Whether a merge's losers also appear among the deleted is not documented: a switch. Who goes
leaves every list and opportunity; custom objects stay as they are and hang on nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from crmsync.sandbox.marketo.activities import changed
from crmsync.sandbox.marketo.activity_types import DELETE_LEAD, MERGE_LEADS
from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.people import COMPANY_KEY, Person
from crmsync.sandbox.marketo.record_kinds import ROLE
from crmsync.sandbox.marketo.values import whole_number

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

MOST_LOSERS = 25


def remove(marketo: Marketo, people: Sequence[Person], *, log: bool = True) -> None:
    """Delete people for good; inside a transaction."""
    ids = [person.id for person in people]
    marketo.people.delete(ids)
    marketo.lists.forget(ids)
    marketo.records.delete_with(ROLE, "leadId", ids)
    if log:
        marketo.activities.add([(DELETE_LEAD, person.id, _name(person)) for person in people])


def _name(person: Person) -> str:
    names = (person.body.get("firstName"), person.body.get("lastName"))
    return " ".join(str(name) for name in names if name) or str(person.body.get("email", ""))


async def merge_leads(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/leads/{id}/merge.json``; the answer has no result."""
    winner, losers = _merged(call)
    if (call.text("mergeInCRM") or "").lower() == "true":
        raise MarketoError(1003, "mergeInCRM is for subscriptions that are synchronized with Salesforce natively")
    await marketo.work("write", len(losers))
    with marketo.database.transaction():
        people = marketo.people.load([winner, *losers])
        if len(people) <= len(losers):
            raise MarketoError(1004)
        _merge(marketo, people[winner], [people[number] for number in losers])
    return Answer()


def _merged(call: Call) -> tuple[int, list[int]]:
    named = [whole_number(value) for value in (call.path["id"], *call.listed("leadId"), *call.listed("leadIds"))]
    numbers = [number for number in named if number is not None]
    if len(numbers) < len(named):
        raise MarketoError(1001, "leadIds", "integer")
    winner, losers = numbers[0], list(dict.fromkeys(numbers[1:]))
    if not losers:
        raise MarketoError(1002, "leadIds")
    if len(losers) > MOST_LOSERS:
        raise MarketoError(1080)
    if winner in losers:
        raise MarketoError(1003, "A lead cannot be merged with itself")
    return winner, losers


def _merge(marketo: Marketo, winner: Person, losers: Sequence[Person]) -> None:
    """The winner's values stay; what it lacks comes from the losers, the first that has it."""
    before = dict(winner.body)
    for loser in losers:
        _fill(marketo, winner, loser)
    ids = [loser.id for loser in losers]
    filled = [name for name in winner.body if name not in before]
    marketo.activities.move(ids, winner.id)
    marketo.lists.move(ids, winner.id)
    _move_roles(marketo, ids, winner.id)
    if filled:
        winner.changed, winner.updated_at = True, marketo.moment()
        known = [(field.id, name) for name in filled if (field := marketo.person_fields.get(name))]
        changes = [(number, None, winner.body[name]) for number, name in known]
        marketo.activities.add([changed(winner.id, changes, "Merge Leads")])
    marketo.people.save([winner], marketo.moment())
    marketo.activities.add([(MERGE_LEADS, winner.id, orjson.dumps({"losers": ids, "fields": filled}).decode())])
    remove(marketo, losers, log=bool(marketo.switches["merge_losers_in_deleted_leads"]))


def _fill(marketo: Marketo, winner: Person, loser: Person) -> None:
    joins = COMPANY_KEY in loser.body and COMPANY_KEY not in winner.body
    for name, value in loser.body.items():
        field = marketo.person_fields.get(name)
        company = field is not None and field.company
        if name not in winner.body and not (company and COMPANY_KEY in winner.body):
            winner.body[name] = value
    if joins:
        for field in marketo.person_fields:
            if field.company:
                winner.body.pop(field.name, None)


def _move_roles(marketo: Marketo, losers: Sequence[int], winner: int) -> None:
    """The winner takes the losers' opportunity roles over, but for those it has itself."""
    kind = marketo.role_kind()
    for role in marketo.records.by_member(ROLE, "leadId", losers):
        body = role.body | {"leadId": winner}
        key = kind.key_of(body)
        if not marketo.records.by_keys(ROLE, [key]):
            marketo.records.change_key(role, key, body)
