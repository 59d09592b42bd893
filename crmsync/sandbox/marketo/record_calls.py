"""The calls on opportunities, roles and custom objects: describe, query, create and update, delete.

"Lead Database", "Opportunities", "Opportunity Roles", "Custom Objects". A query by a compound key is a POST with
``_method=GET`` and JSON; a known client asks that way for simple keys too, so both are served. With a native CRM sync
on, opportunities can be read only, and roles not even that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from crmsync.sandbox.marketo.activities import Entry
from crmsync.sandbox.marketo.activity_types import ADD_TO_OPPORTUNITY
from crmsync.sandbox.marketo.call import PAGE, Call
from crmsync.sandbox.marketo.describe import object_shape
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.object_calls import ACTIONS, KEYS, choice
from crmsync.sandbox.marketo.paging import page_after, page_token
from crmsync.sandbox.marketo.record_kinds import GUID, OPPORTUNITY, ROLE, RecordKind
from crmsync.sandbox.marketo.record_writer import RecordWriter, checked
from crmsync.sandbox.marketo.records import Record

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer]]
Finder = Callable[["Marketo", Call], RecordKind]
"""The kind that a call is about, once it is clear that it may be about it."""


def opportunities(marketo: Marketo, call: Call) -> RecordKind:
    """Opportunities; with a native CRM sync on they can be read only: 1018."""
    if marketo.subscription.native_sync and call.method != "GET":
        raise MarketoError(1018)
    return marketo.opportunity_kind()


def roles(marketo: Marketo, call: Call) -> RecordKind:
    """Opportunity roles; with a native CRM sync on they are out of reach: 1018."""
    if marketo.subscription.native_sync:
        raise MarketoError(1018)
    return marketo.role_kind()


def describe(find: Finder, display_name: str) -> Handler:
    """``GET …/describe.json`` of opportunities and roles."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        kind = find(marketo, call)
        members = {
            "name": kind.name,
            "displayName": display_name,
            "createdAt": "2015-02-03T22:36:23Z",
            "updatedAt": "2015-02-03T22:36:24Z",
            "idField": GUID,
            "dedupeFields": list(kind.key),
            "searchableFields": [list(names) for names in kind.searchable],
            "fields": [object_shape(field) for field in kind.fields],
        }
        return Answer([members])

    return handler


def query(find: Finder) -> Handler:
    """``GET`` of records, as a URL, as a form, or as JSON."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        kind = find(marketo, call)
        name, found = _matching(marketo, kind, call)
        asked = [kind.field(each) for each in call.listed("fields")]
        if None in asked:
            raise MarketoError(1006, call.listed("fields")[asked.index(None)])
        names = [field.name for field in asked if field] or _default_fields(kind, name)
        return _page(call, kind, found, names)

    return handler


def sync(find: Finder) -> Handler:
    """``POST`` of records."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        kind = find(marketo, call)
        members = call.json()
        action = choice(members, "action", ACTIONS)
        by_id = choice(members, "dedupeBy", KEYS) == "idField"
        if by_id and action != "updateOnly":
            raise MarketoError(1003, f"dedupeBy 'idField' is not allowed with action '{action}'")
        records = call.input(members)
        writer = RecordWriter(marketo, kind, action=action, by_id=by_id)
        await marketo.work("write", len(records))
        with marketo.database.transaction():
            outcomes = writer.write([writer.read(record) for record in records])
            if kind.store == ROLE:
                marketo.activities.add(_added(marketo, writer.created))
        return Answer([_result(seq, outcome) for seq, outcome in enumerate(outcomes)])

    return handler


def delete(find: Finder) -> Handler:
    """``POST …/delete.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        kind = find(marketo, call)
        members = call.json()
        by_id = choice(members, "deleteBy", KEYS) == "idField"
        records = call.input(members)
        await marketo.work("write", len(records))
        with marketo.database.transaction():
            outcomes = [_delete(marketo, kind, record, by_id=by_id) for record in records]
        return Answer([_result(seq, outcome) for seq, outcome in enumerate(outcomes)])

    return handler


def _matching(marketo: Marketo, kind: RecordKind, call: Call) -> tuple[str, list[Record]]:
    filter_type = call.text("filterType") or ("dedupeFields" if call.rows else None)
    if filter_type is None:
        raise MarketoError(1002, "filterType")
    names = _filter_fields(kind, filter_type)
    if call.rows:
        rows = [_row_values(kind, row, names) for row in call.rows]
    elif len(names) > 1:
        raise MarketoError(1003, f"filterType '{filter_type}' is a compound key: give 'input' as JSON")
    else:
        rows = [{names[0]: _value(kind, names[0], value)} for value in _filter_values(call)]
    if len(rows) > PAGE:
        raise MarketoError(1003, f"Too many records in input: {len(rows)}, at most {PAGE} are allowed")
    if names == kind.key:
        by_key = marketo.records.by_keys(kind.store, [kind.key_of(row) for row in rows])
        return filter_type, sorted(by_key.values(), key=lambda record: record.id)
    return names[0], marketo.records.by_member(kind.store, names[0], [row[names[0]] for row in rows])


def _filter_fields(kind: RecordKind, filter_type: str) -> tuple[str, ...]:
    aliases = {"dedupefields": kind.key, "idfield": (GUID,), "idfields": (GUID,), GUID.lower(): (GUID,)}
    names = aliases.get(filter_type.lower(), (filter_type,))
    if names not in kind.searchable and names != kind.key:
        raise MarketoError(1011, filter_type)
    return names


def _filter_values(call: Call) -> list[str]:
    values = call.listed("filterValues")
    if not values:
        raise MarketoError(1002, "filterValues")
    return values


def _row_values(kind: RecordKind, row: Any, names: Sequence[str]) -> dict[str, Any]:
    given = row if isinstance(row, dict) else {}
    for name in names:
        if given.get(name) in (None, ""):
            raise MarketoError(1002, name)
    return {name: _value(kind, name, given[name]) for name in names}


def _value(kind: RecordKind, name: str, value: Any) -> Any:
    field = kind.field(name)
    return checked(field, value) if field is not None else value


def _default_fields(kind: RecordKind, filter_type: str) -> Sequence[str] | None:
    if kind.default_fields is None:
        return None
    return list(dict.fromkeys((*kind.default_fields, *_filter_fields(kind, filter_type))))


def _page(call: Call, kind: RecordKind, found: list[Record], names: Sequence[str] | None) -> Answer:
    parameters = (kind.store, call.text("filterType"), call.listed("filterValues"), call.rows)
    size, after = call.page_size(), page_after(call, *parameters)
    rest = [record for record in found if record.id > after]
    answer = Answer([_answered(seq, record, names) for seq, record in enumerate(rest[:size])])
    if len(rest) > size:
        answer.next_page_token, answer.more_result = page_token(rest[size - 1].id, *parameters), True
    return answer


def _answered(seq: int, record: Record, names: Sequence[str] | None) -> dict[str, Any]:
    """A field without a value is absent, which says null."""
    members = record.members()
    if names is not None:
        members = {name: members[name] for name in (GUID, *names) if name in members}
    return {"seq": seq, **members}


def _result(seq: int, outcome: tuple[str, Record] | MarketoError) -> dict[str, Any]:
    if isinstance(outcome, MarketoError):
        return {"seq": seq, "status": "skipped", "reasons": [outcome.as_dict()]}
    return {"seq": seq, "status": outcome[0], GUID: outcome[1].guid}


def _delete(marketo: Marketo, kind: RecordKind, record: Any, *, by_id: bool) -> tuple[str, Record] | MarketoError:
    try:
        names = (GUID,) if by_id else kind.key
        values = _row_values(kind, record, names)
        records = marketo.records
        at = records.by_guids if by_id else records.by_keys
        found = at(kind.store, [values[GUID] if by_id else kind.key_of(values)])
        if not found:
            raise MarketoError(1013, "Object not found")
        (stored,) = found.values()
        _check_unused(marketo, kind, stored)
        records.delete(stored)
    except MarketoError as error:
        return error
    return "deleted", stored


def _check_unused(marketo: Marketo, kind: RecordKind, stored: Record) -> None:
    """An opportunity with roles, and a custom object that another names, stay: 1022."""
    if kind.store == OPPORTUNITY and marketo.records.any_with(ROLE, kind.key[0], stored.key):
        raise MarketoError(1022)
    for other, link in marketo.custom_types.links_to(kind.store):
        value = stored.members().get(link.to_field)
        if value is not None and marketo.records.any_with(other, link.field, value):
            raise MarketoError(1022)


def _added(marketo: Marketo, made: Sequence[Record]) -> list[Entry]:
    """What people's logs say of new roles."""
    keys = list({role.body["externalOpportunityId"] for role in made})
    found = marketo.records.by_keys(OPPORTUNITY, keys)
    entries = []
    for role in made:
        opportunity = found[role.body["externalOpportunityId"].lower()]
        body = {
            "id": opportunity.id,
            "name": opportunity.body.get("name"),
            "role": role.body["role"],
            "primary": role.body.get("isPrimary"),
        }
        entries.append((ADD_TO_OPPORTUNITY, role.body["leadId"], orjson.dumps(body).decode()))
    return entries
