"""What describe answers: people in both shapes, companies and sales persons in one.

"Leads" (Describe), "Companies", "Sales Persons". ``crmManaged`` is true for what a native CRM sync owns, while one
is on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.objects import Kind

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo


async def describe_leads(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/leads/describe.json``."""
    return Answer([_first_shape(field) for field in marketo.person_fields if not field.hidden])


async def describe_leads_2(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/leads/describe2.json``."""
    fields = [field for field in marketo.person_fields if not field.hidden]
    native = marketo.subscription.native_sync
    described = [_second_shape(field, native=native) for field in fields]
    searchable = [[field.name] for field in fields if field.searchable]
    return Answer([{"name": "API Lead", "searchableFields": searchable, "fields": described}])


def describe_object(kind: Kind) -> Callable[[Marketo, Call], Awaitable[Answer]]:
    """``GET /rest/v1/{type}/describe.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        fields = list(marketo.fields[kind.target])
        members = {
            "name": kind.name,
            "createdAt": "2015-05-11T17:11:32Z",
            "updatedAt": "2015-05-11T17:11:32Z",
            "idField": "id",
            "dedupeFields": [kind.key],
            "searchableFields": [[field.name] for field in fields if field.standard_key],
            "fields": [_object_shape(field) for field in fields],
        }
        return Answer([members])

    return handler


def _first_shape(field: Field) -> dict[str, Any]:
    members = {"id": field.id, "displayName": field.display_name, "dataType": field.data_type, **_length(field)}
    members["rest"] = {"name": field.name, "readOnly": not field.updateable}
    if field.soap:
        soap = field.name if field.custom else field.name[0].upper() + field.name[1:]
        members["soap"] = {"name": soap, "readOnly": not field.updateable}
    return members


def _second_shape(field: Field, *, native: bool) -> dict[str, Any]:
    return {**_object_shape(field), "crmManaged": native and field.crm}


def _object_shape(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "displayName": field.display_name,
        "dataType": field.data_type,
        **_length(field),
        "updateable": field.updateable,
    }


def _length(field: Field) -> dict[str, Any]:
    return {} if field.length is None else {"length": field.length}
