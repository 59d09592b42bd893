"""What describe answers: people in both shapes, companies and sales persons in one, custom objects in two.

"Leads" (Describe), "Companies", "Sales Persons", "Custom Objects". The schema calls name a custom object ``apiName``,
the record calls ``name``; a draft that was never approved has no id field and no times. ``crmManaged`` is true for what
a native CRM sync owns, while one is on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.custom_types import CustomType, Version, VersionFields, searchable
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.objects import Kind
from crmsync.sandbox.marketo.record_kinds import GUID

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
            "displayName": kind.display_name,
            "createdAt": "2015-05-11T17:11:32Z",
            "updatedAt": "2015-05-11T17:11:32Z",
            "idField": "id",
            "dedupeFields": [kind.key],
            "searchableFields": [[field.name] for field in fields if field.standard_key],
            "fields": [object_shape(field) for field in fields],
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
    return {**object_shape(field), "crmManaged": native and field.crm}


def object_shape(field: Field) -> dict[str, Any]:
    """A field as describe shows it for everything but people."""
    return {
        "name": field.name,
        "displayName": field.display_name,
        "dataType": field.data_type,
        **_length(field),
        "updateable": field.updateable,
    }


def _length(field: Field) -> dict[str, Any]:
    return {} if field.length is None else {"length": field.length}


def type_shape(found: CustomType, version: Version) -> dict[str, Any]:
    """A version of a custom object type, as the schema calls show it."""
    unapproved = found.approved is None
    return {
        "state": found.state,
        "version": "approved" if version is found.approved else "draft",
        "displayName": version.display_name,
        "pluralName": version.plural_name or version.display_name,
        "description": version.description,
        "apiName": found.name,
        "idField": None if unapproved else GUID,
        "createdAt": None if unapproved else found.created_at,
        "updatedAt": None if unapproved else found.updated_at,
        **_links_and_keys(version),
        "fields": _custom_fields(version),
    }


def custom_object_shape(found: CustomType, *, fields: bool) -> dict[str, Any]:
    """The approved version, as the record calls show it."""
    assert found.approved is not None
    members = {
        "name": found.name,
        "displayName": found.approved.display_name,
        "description": found.approved.description,
        "createdAt": found.created_at,
        "updatedAt": found.updated_at,
        "idField": GUID,
        **_links_and_keys(found.approved),
    }
    return members | ({"fields": _custom_fields(found.approved)} if fields else {})


def _links_and_keys(version: Version) -> dict[str, Any]:
    standard = {"lead": "Lead", "company": "Company"}
    relationships = [
        {
            "field": link.name,
            "type": "child",
            "relatedTo": {"name": standard.get(str(link.parent), link.parent), "field": link.parent_field},
        }
        for link in version.links
    ]
    return {
        "dedupeFields": list(version.key),
        "searchableFields": [list(names) for names in searchable(version)] if version.fields else [[]],
        "relationships": relationships,
    }


def _custom_fields(version: Version) -> list[dict[str, Any]]:
    return [object_shape(each) | {"crmManaged": False} for each in VersionFields(version, None)]
