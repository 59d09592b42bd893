"""The calls on people: read one, query, sync, delete.

"Leads". Level and code of an unknown id (1004) and of a page token that is not one (1003) are assumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import PAGE, Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field, FieldTable
from crmsync.sandbox.marketo.paging import page_after, page_token
from crmsync.sandbox.marketo.partitions import partition_id
from crmsync.sandbox.marketo.person_rules import PersonRules, check_links
from crmsync.sandbox.marketo.person_writer import Outcome
from crmsync.sandbox.marketo.removal import remove
from crmsync.sandbox.marketo.values import whole_number

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

ACTIONS = ("createOrUpdate", "createOnly", "updateOnly", "createDuplicate")
DEFAULT_FIELDS = ("id", "email", "updatedAt", "createdAt", "firstName", "lastName")
MOST_MATCHES = 1000
CHUNK = 100


async def lead_by_id(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/lead/{id}.json``."""
    number = whole_number(call.path["id"])
    names = requested_fields(call, marketo.person_fields) or DEFAULT_FIELDS
    found = marketo.people.answer([number], names) if number is not None else []
    if not found:
        raise MarketoError(1004)
    return Answer(found)


async def leads_by_filter(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/leads.json``, also as a form with ``_method=GET``."""
    filter_type = call.text("filterType")
    if filter_type is None:
        raise MarketoError(1002, "filterType")
    field = lookup_field(marketo.person_fields, filter_type)
    values = filter_values(call, whole=field.whole)
    names = requested_fields(call, marketo.person_fields) or DEFAULT_FIELDS
    size, after = call.page_size(), page_after(call, filter_type, values)
    ids = _matching(marketo, field, values)
    if len(ids) > MOST_MATCHES:
        raise MarketoError(1003, "Too many results match the filter")
    rest = [number for number in ids if number > after]
    answer = Answer(marketo.people.answer(rest[:size], names))
    if len(rest) > size:
        answer.next_page_token = page_token(rest[size - 1], filter_type, values)
        answer.more_result = True
    return answer


def _matching(marketo: Marketo, field: Field, values: Sequence[Any]) -> list[int]:
    if field.name == "leadPartitionId":
        return marketo.people.in_partition(values, MOST_MATCHES + 1)
    found = marketo.people.find(field, values)
    return sorted({number for numbers in found.values() for number in numbers})


async def sync_leads(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/leads.json``: keys are looked up on arrival, people written before the answer."""
    members = call.json()
    action = members.get("action") or ACTIONS[0]
    if action not in ACTIONS:
        raise MarketoError(1003, f"Invalid value '{action}' for action")
    lookup = lookup_field(marketo.person_fields, members.get("lookupField") or "email")
    partition = _partition(marketo, members.get("partitionName"), action)
    records = call.input(members)
    rules = PersonRules(marketo.person_fields, marketo.switches, action=action, lookup=lookup)
    prepared = [rules.read(record) for record in records]
    check_links(prepared, marketo.companies, marketo.sales_persons, marketo.switches)
    writer = marketo.person_writer(action, lookup, partition)
    writer.find([each.key for each in prepared if each.key is not None and each.refusal is None])
    await marketo.work("write", len(records))
    outcomes: list[Outcome] = []
    for start in range(0, len(prepared), CHUNK):
        with marketo.database.transaction():
            outcomes += writer.write(prepared[start : start + CHUNK], marketo.moment())
        await asyncio.sleep(0)
    return Answer([_result(outcome) for outcome in outcomes])


def _result(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, MarketoError):
        return {"status": "skipped", "reasons": [outcome.as_dict()]}
    return {"id": outcome[1], "status": outcome[0]}


def _partition(marketo: Marketo, name: object, action: str) -> int | None:
    if name is None or name == "":
        return None
    if action not in ("createOnly", "createOrUpdate"):
        raise MarketoError(1003, f"partitionName is not allowed with action '{action}'")
    return partition_id(marketo.switches, name)


async def delete_leads(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/leads/delete.json`` and the older ``DELETE /rest/v1/leads.json``."""
    listed = call.listed("id")
    records = call.input(call.json()) if call.body else [{"id": value} for value in listed]
    if not records:
        raise MarketoError(1002, "input")
    if len(records) > PAGE:
        raise MarketoError(1003, f"Too many records in input: {len(records)}, at most {PAGE} are allowed")
    await marketo.work("write", len(records))
    ids = [_lead_id(record) for record in records]
    with marketo.database.transaction():
        people = marketo.people.load(dict.fromkeys(number for number in ids if number is not None))
        remove(marketo, list(people.values()))
    there = set(people)
    return Answer([_deleted(number, there) for number in ids])


def _lead_id(record: Any) -> int | None:
    return whole_number(str(record.get("id"))) if isinstance(record, dict) else None


def _deleted(number: int | None, there: set[int]) -> dict[str, Any]:
    if number in there:
        there.discard(number)  # the same id again in this call is gone already
        return {"id": number, "status": "deleted"}
    skipped: dict[str, Any] = {"status": "skipped", "reasons": [MarketoError(1004).as_dict()]}
    return skipped if number is None else {"id": number, **skipped}


def lookup_field(fields: FieldTable, name: object) -> Field:
    """The field to look people up by; 1006 when there is none, 1011 when it is not searchable."""
    field = fields.get(str(name))
    if field is None:
        raise MarketoError(1006, name)
    if not field.searchable:
        raise MarketoError(1011, name)
    return field


def filter_values(call: Call, *, whole: bool) -> list[Any]:
    """``filterValues``: 1 to 300, whole numbers where the field has them."""
    values = call.listed("filterValues")
    if not values:
        raise MarketoError(1002, "filterValues")
    if len(values) > PAGE:
        raise MarketoError(1003, f"Too many filterValues: {len(values)}, at most {PAGE} are allowed")
    if not whole:
        return values
    return [whole_filter_value(value) for value in values]


def whole_filter_value(value: str) -> int:
    """A value for a field of whole numbers."""
    number = whole_number(value)
    if number is None:
        raise MarketoError(1001, value, "integer")
    return number


def requested_fields(call: Call, fields: FieldTable) -> list[str]:
    """``fields``; 1006 for a name that is no field."""
    names = call.listed("fields")
    unknown = next((name for name in names if fields.get(name) is None), None)
    if unknown is not None:
        raise MarketoError(1006, unknown)
    return names
