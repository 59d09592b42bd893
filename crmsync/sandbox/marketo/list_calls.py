"""The calls on static lists: find them, read their members, add, remove, ask for membership.

"List Membership (Static Lists)" and the OpenAPI file. Ids stand in the query, repeated or comma-joined, or in the
body's ``input``, also with DELETE. What a person who is no member answers when removed is assumed, and a switch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import PAGE, Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.leads import DEFAULT_FIELDS, requested_fields
from crmsync.sandbox.marketo.lists import StaticList
from crmsync.sandbox.marketo.paging import page_after, page_token
from crmsync.sandbox.marketo.values import whole_number

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo


async def lists(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/lists.json``, all or by id, name and program."""
    size, after = call.page_size(), page_after(call, "lists")
    ids = {whole_number(value) for value in call.listed("id")}
    names = {name.lower() for name in call.listed("name")}
    spaces = call.listed("workspaceName")
    programs = {name.lower() for name in call.listed("programName")}
    if spaces and "Default" not in spaces:
        return Answer([])
    found = [each for each in marketo.lists.all() if each.id > after]
    found = [each for each in found if not programs or (each.program or "").lower() in programs]
    found = [each for each in found if (not ids or each.id in ids) and (not names or each.name.lower() in names)]
    answer = Answer([each.as_json() for each in found[:size]])
    if len(found) > size:
        answer.next_page_token = page_token(found[size - 1].id, "lists")
    return answer


async def list_by_id(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/lists/{id}.json``."""
    return Answer([list_of(marketo, call.path["id"]).as_json()])


async def list_members(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/lists/{id}/leads.json``, also below ``/rest/v1/list``; no ``moreResult``, as in the sample."""
    number = list_of(marketo, call.path["id"]).id
    names = requested_fields(call, marketo.person_fields) or DEFAULT_FIELDS
    size, after = call.page_size(), page_after(call, "members", number)
    leads = marketo.lists.members_after(number, after, size + 1)
    answer = Answer(marketo.people.answer(leads[:size], names))
    if len(leads) > size:
        answer.next_page_token = page_token(leads[size - 1], "members", number)
    return answer


async def add_to_list(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/lists/{id}/leads.json``."""
    number, leads = list_of(marketo, call.path["id"]).id, _leads(call)
    await marketo.work("write", len(leads))
    with marketo.database.transaction():
        there = _existing(marketo, leads)
        marketo.lists.put(number, [lead for lead in leads if lead in there])
    return Answer(_results(leads, there, lambda lead: "added"))


async def remove_from_list(marketo: Marketo, call: Call) -> Answer:
    """``DELETE /rest/v1/lists/{id}/leads.json``."""
    number, leads = list_of(marketo, call.path["id"]).id, _leads(call)
    await marketo.work("write", len(leads))
    with marketo.database.transaction():
        there = _existing(marketo, leads)
        removed = marketo.lists.take(number, sorted(there))
    skips = marketo.switches.on("remove_non_member", "skip")
    other: str | MarketoError = MarketoError(1015) if skips else "notmemberof"
    return Answer(_results(leads, there, lambda lead: "removed" if lead in removed else other))


async def is_member(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/lists/{id}/leads/ismember.json``."""
    number, leads = list_of(marketo, call.path["id"]).id, _leads(call)
    there = _existing(marketo, leads)
    members = marketo.lists.members(number, sorted(there))
    return Answer(_results(leads, there, lambda lead: "memberof" if lead in members else "notmemberof"))


async def lists_of_lead(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/leads/{id}/listMembership.json``."""
    number = whole_number(call.path["id"])
    if number is None or number not in marketo.people.load([number]):
        raise MarketoError(1004)
    size, after = call.page_size(), page_after(call, "lists of", number)
    found = [each for each in marketo.lists.of_lead(number) if each.id > after]
    rows = [{"listId": each.id, "createdAt": each.created_at, "updatedAt": each.updated_at} for each in found[:size]]
    answer = Answer(rows, more_result=len(found) > size)
    if len(found) > size:
        answer.next_page_token = page_token(found[size - 1].id, "lists of", number)
    return answer


def list_of(marketo: Marketo, number: str) -> StaticList:
    """The list of that id; 1013 when there is none."""
    found = marketo.lists.by_id(whole_number(number) or 0)
    if found is None:
        raise MarketoError(1013, f"Static list '{number}' not found")
    return found


def _leads(call: Call) -> list[int]:
    listed: list[Any] = call.listed("id")
    records = call.rows or (call.input(call.json()) if call.body and call.method != "GET" else [])
    if records:
        listed = [record.get("id") if isinstance(record, dict) else None for record in records]
    if not listed:
        raise MarketoError(1002, "id")
    if len(listed) > PAGE:
        raise MarketoError(1003, f"Too many ids: {len(listed)}, at most {PAGE} are allowed")
    return [_lead(value) for value in listed]


def _lead(value: Any) -> int:
    number = whole_number(str(value))
    if number is None:
        raise MarketoError(1001, value, "integer")
    return number


def _existing(marketo: Marketo, leads: list[int]) -> set[int]:
    return set(marketo.people.load(dict.fromkeys(leads)))


def _results(leads: list[int], there: set[int], status: Callable[[int], str | MarketoError]) -> list[dict[str, Any]]:
    results = []
    for lead in leads:
        said = status(lead) if lead in there else MarketoError(1004)
        if isinstance(said, MarketoError):
            results.append({"id": lead, "status": "skipped", "reasons": [said.as_dict()]})
        else:
            results.append({"id": lead, "status": said})
    return results
