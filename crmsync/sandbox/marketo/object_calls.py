"""The calls on companies and sales persons: query, create and update, delete.

"Lead Database" (Query, Create and Update, Delete), "Companies", "Sales Persons". With a native CRM sync on, writing
answers 1018 and reading works. Codes for a missing key (1002), for a key that may not be changed (1003) and for "in
use" (1022) are assumed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.leads import filter_values, requested_fields
from crmsync.sandbox.marketo.object_writer import ObjectWriter, delete_one, log_company_changes
from crmsync.sandbox.marketo.objects import Kind, ObjectStore, Stored
from crmsync.sandbox.marketo.paging import page_after, page_token
from crmsync.sandbox.marketo.people import COMPANY_KEY

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer]]

ACTIONS = ("createOrUpdate", "createOnly", "updateOnly")
KEYS = ("dedupeFields", "idField")


def query(kind: Kind) -> Handler:
    """``GET /rest/v1/{type}.json``, also as a form with ``_method=GET``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        fields = marketo.fields[kind.target]
        filter_type = call.text("filterType")
        if filter_type is None:
            raise MarketoError(1002, "filterType")
        name = {"idField": "id", "dedupeFields": kind.key}.get(filter_type, filter_type)
        field = fields.get(name)
        if field is None or not field.standard_key:
            raise MarketoError(1011, filter_type)
        values = filter_values(call, whole=field.whole)
        names = requested_fields(call, fields) or kind.default_fields
        size, after = call.page_size(), page_after(call, name, values)
        found = [stored for stored in marketo.objects[kind.target].by_member(name, values) if stored.id > after]
        answer = Answer([_record(seq, stored, names) for seq, stored in enumerate(found[:size])])
        if len(found) > size:
            answer.next_page_token = page_token(found[size - 1].id, name, values)
            answer.more_result = True
        return answer

    return handler


def _record(seq: int, stored: Stored, names: Any) -> dict[str, Any]:
    members = stored.members()
    wanted = members if names is None else names
    return {"seq": seq, "id": stored.id, **{name: members[name] for name in wanted if name in members}}


def sync(kind: Kind) -> Handler:
    """``POST /rest/v1/{type}.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        check_native_sync(marketo)
        members = call.json()
        action = choice(members, "action", ACTIONS)
        by_id = choice(members, "dedupeBy", KEYS) == "idField"
        if by_id and action == "createOnly":
            raise MarketoError(1003, "dedupeBy 'idField' is not allowed with action 'createOnly'")
        records = call.input(members)
        writer = ObjectWriter(marketo, kind, action=action, by_id=by_id)
        with marketo.database.transaction():
            result = [writer.write(seq, record) for seq, record in enumerate(records)]
            if kind.key == COMPANY_KEY:
                log_company_changes(marketo, writer)
        await marketo.work("write", len(records))
        return Answer(result)

    return handler


def delete(kind: Kind) -> Handler:
    """``POST /rest/v1/{type}/delete.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        check_native_sync(marketo)
        members = call.json()
        by_id = choice(members, "deleteBy", KEYS) == "idField"
        records = call.input(members)
        with marketo.database.transaction():
            result = [_deleted(marketo, kind, seq, record, by_id=by_id) for seq, record in enumerate(records)]
        await marketo.work("write", len(records))
        return Answer(result)

    return handler


def check_native_sync(marketo: Marketo) -> None:
    """1018 while a native CRM sync owns these objects."""
    if marketo.subscription.native_sync:
        raise MarketoError(1018)


def _deleted(marketo: Marketo, kind: Kind, seq: int, record: Any, *, by_id: bool) -> dict[str, Any]:
    try:
        stored = find_one(marketo.objects[kind.target], record, by_id=by_id)
        if stored is None:
            raise MarketoError(1013, "Record not found")
        delete_one(marketo, kind, stored)
    except MarketoError as error:
        return {"seq": seq, "status": "skipped", "reasons": [error.as_dict()]}
    return {"seq": seq, "id": stored.id, "status": "deleted"}


def find_one(store: ObjectStore, record: Any, *, by_id: bool) -> Stored | None:
    """The record that ``record`` names by its id or by its key; 1002 when it names none."""
    name = "id" if by_id else store.kind.key
    value = record.get(name) if isinstance(record, dict) else None
    if value is None or value == "":
        raise MarketoError(1002, name)
    found = store.by_member(name, [str(value)])
    return found[0] if found else None


def choice(members: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    """One of the words that a member may be; the first one when it is absent."""
    value = members.get(name) or choices[0]
    if value not in choices:
        raise MarketoError(1003, f"Invalid value '{value}' for {name}")
    return str(value)
