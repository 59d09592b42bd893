"""The field schema calls: read for people and companies, create and update for people only.

"Leads" (Fields, Query Fields, Create Fields, Update Field) and the enumeration in the OpenAPI file. The limit of 100
fields counts those of the subscription, which is an assumption and a switch; so is that one bad field refuses the call.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field, FieldTable, new_field
from crmsync.sandbox.marketo.paging import page_after, page_token

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer]]

CREATABLE = frozenset(
    {
        "boolean", "currency", "date", "datetime", "email", "float",
        "integer", "percent", "phone", "score", "string", "url",
    }
)  # fmt: skip
MOST_CREATED = 100
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
DISPLAY_NAME = re.compile(r"[^\W_][\w \-]*")
STANDARD_PERMISSION = "Read-Write Schema Standard Field"
CUSTOM_PERMISSION = "Read-Write Schema Custom Field"

FLAGS = {"isHidden": "hidden", "isHtmlEncodingInEmail": "html_encoding", "isSensitive": "sensitive"}
CHANGEABLE = {"description", "isHtmlEncodingInEmail", "isSensitive"}


def field_by_name(target: str) -> Handler:
    """``GET …/schema/fields/{name}.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        return Answer([_metadata(_named(marketo.fields[target], call))])

    return handler


def field_list(target: str) -> Handler:
    """``GET …/schema/fields.json``, in pages; here ``moreResult`` is always present."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        size, after = call.page_size(), page_after(call, "fields", target)
        rest = [field for field in marketo.fields[target] if field.id > after]
        answer = Answer([_metadata(field) for field in rest[:size]], more_result=len(rest) > size)
        if len(rest) > size:
            answer.next_page_token = page_token(rest[size - 1].id, "fields", target)
        return answer

    return handler


async def create_fields(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/leads/schema/fields.json``: all of them, or none and why."""
    fields = marketo.person_fields
    definitions = call.input(call.json())
    _check_number(marketo, len(definitions))
    names, display_names = fields.names(), fields.display_names()
    made = [_new_field(definition, names, display_names) for definition in definitions]
    await marketo.work("write", len(made))
    return Answer([{"name": fields.add(field).name, "status": "created"} for field in made])


async def update_field(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/leads/schema/fields/{name}.json``."""
    field = _named(marketo.person_fields, call)
    changes = call.input(call.json(), most=1)[0]
    if not isinstance(changes, dict):
        raise MarketoError(1003, "Invalid data")
    needed = CUSTOM_PERMISSION if field.custom else STANDARD_PERMISSION
    if needed not in marketo.subscription.permissions:
        raise MarketoError(603)
    _check_changes(marketo.person_fields, field, changes)
    _apply(field, changes)
    marketo.person_fields.save(field)
    return Answer([{"name": field.name, "status": "updated"}])


def _named(fields: FieldTable, call: Call) -> Field:
    field = fields.defined(call.path["name"])
    if field is None:
        raise MarketoError(1006, call.path["name"])
    return field


def _metadata(field: Field) -> dict[str, Any]:
    return {
        "displayName": field.display_name,
        "name": field.name,
        "description": field.description,
        "dataType": field.data_type,
        **({} if field.length is None else {"length": field.length}),
        "isHidden": field.hidden,
        "isHtmlEncodingInEmail": field.html_encoding,
        "isSensitive": field.sensitive,
        "isCustom": field.custom,
        "isApiCreated": field.api_created,
    }


def _check_number(marketo: Marketo, new: int) -> None:
    here = sum(field.api_created for field in marketo.person_fields)
    counted = new + (here if marketo.switches.on("field_limit_scope", "subscription") else 0)
    if counted > MOST_CREATED:
        raise MarketoError(1003, f"At most {MOST_CREATED} custom fields can be created by API")


def _new_field(definition: Any, names: set[str], display_names: set[str]) -> Field:
    """A field by its definition; what the call itself has named already counts as taken."""
    if not isinstance(definition, dict):
        raise MarketoError(1003, "Invalid data")
    name, display_name, data_type = (_required(definition, m) for m in ("name", "displayName", "dataType"))
    if not NAME.fullmatch(name):
        raise MarketoError(1003, f"Invalid field name '{name}'")
    if data_type not in CREATABLE:
        raise MarketoError(1003, f"Invalid dataType '{data_type}'")
    _check_display_name(display_name, display_names)
    if name.lower() in names:
        raise MarketoError(1017)
    names.add(name.lower())
    display_names.add(display_name.lower())
    field = new_field(name, display_name, data_type, api_created=True, html_encoding=True)
    _apply(field, definition)
    return field


def _required(definition: dict[str, Any], member: str) -> str:
    value = definition.get(member)
    if value is None or value == "":
        raise MarketoError(1002, member)
    if not isinstance(value, str):
        raise MarketoError(1001, value, "string")
    return value


def _check_display_name(display_name: str, taken: set[str]) -> None:
    if not DISPLAY_NAME.fullmatch(display_name) or len(display_name) > 255:
        raise MarketoError(1003, f"Invalid displayName '{display_name}'")
    if display_name.lower() in taken:
        raise MarketoError(1003, f"displayName '{display_name}' already exists")


def _check_changes(fields: FieldTable, field: Field, changes: dict[str, Any]) -> None:
    allowed = set(CHANGEABLE)
    if field.custom:
        allowed.add("displayName")
    if field.api_created:
        allowed.add("isHidden")
    for member in changes:
        if member not in allowed:
            raise MarketoError(1003, f"Attribute '{member}' of field '{field.name}' cannot be updated")
    if "displayName" in changes:
        taken = fields.display_names() - {field.display_name.lower()}
        _check_display_name(_required(changes, "displayName"), taken)


def _apply(field: Field, members: dict[str, Any]) -> None:
    flags = {attribute: members[member] for member, attribute in FLAGS.items() if member in members}
    for value in flags.values():
        if not isinstance(value, bool):
            raise MarketoError(1001, value, "boolean")
    description = members.get("description", field.description)
    if description is not None and not isinstance(description, str):
        raise MarketoError(1001, description, "string")
    field.description = description
    field.display_name = members.get("displayName", field.display_name)
    for attribute, value in flags.items():
        setattr(field, attribute, value)
