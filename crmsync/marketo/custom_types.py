"""Custom object types: which there are and what they may link to, and making them: draft, fields, approval.

An approved type never loses or gains a link or a dedupe field, and takes at most 20 more fields. Each step can be taken
up where a run was killed: what is there is not made again, and a draft that was left is filled up and approved.

Source: "Custom Objects" (Custom Object Types, Custom Object Fields), Marketo REST API.
"""

from __future__ import annotations

from typing import Any

import orjson

from crmsync.errors import CrmsyncError
from crmsync.marketo.calls import ADD_TYPE_FIELDS, APPROVE_TYPE, CREATE_TYPE, LINKABLE_OBJECTS, QUERY_TYPES
from crmsync.marketo.rest import Rest
from crmsync.marketo.schema import CustomObjects, CustomObjectType, Field, NewCustomObject, NewObjectField

EXISTS_ALREADY = "1017"


async def read_types(rest: Rest) -> CustomObjects:
    """All types, and what may be linked to."""
    linkable: dict[str, dict[str, str]] = {}
    for parent in (await rest.send(LINKABLE_OBJECTS)).result:
        names = linkable.setdefault(str(parent["name"]).lower(), {})
        for field in parent.get("fields") or []:
            told = str(field["name"])
            names |= {str(name).lower(): told for name in (field.get("displayName"), told) if name}
    return CustomObjects(types=await _types(rest), linkable=linkable)


async def make_type(rest: Rest, new: NewCustomObject) -> None:
    """Make the type or the fields of it that lack, and approve what is a draft."""
    found = (await _types(rest, new.name)).get(new.name.lower())
    if found is None:
        await _create(rest, new)
    missing = [field for field in new.fields if found is None or field.name not in found.fields]
    if missing:
        body = {"input": [_field_body(field) for field in missing]}
        await rest.send(ADD_TYPE_FIELDS.at(name=new.name), body=orjson.dumps(body))
    if missing or found is None or found.has_draft:
        await rest.send(APPROVE_TYPE.at(name=new.name))


async def _create(rest: Rest, new: NewCustomObject) -> None:
    body = {
        "action": "createOnly",
        "displayName": new.display_name,
        "pluralName": new.plural_name,
        "apiName": new.name,
        "description": "Written by crmsync",
        "showInLeadDetail": True,
    }
    try:
        await rest.send(CREATE_TYPE, body=orjson.dumps(body))
    except CrmsyncError as error:
        if error.code != EXISTS_ALREADY:
            raise


def _field_body(field: NewObjectField) -> dict[str, Any]:
    body: dict[str, Any] = {"name": field.name, "displayName": field.display_name, "dataType": field.data_type}
    if field.is_dedupe:
        body["isDedupeField"] = True
    if field.related is not None:
        body["relatedTo"] = {"name": field.related[0], "field": field.related[1]}
    return body


async def _types(rest: Rest, name: str | None = None) -> dict[str, CustomObjectType]:
    """Types by API name in lower case; of one with a draft, the draft."""
    asked = {"names": name} if name else {}
    rows = {str(row["apiName"]).lower(): row for row in (await rest.send(QUERY_TYPES, params=asked)).result}
    if any(row.get("state") == "approvedWithDraft" for row in rows.values()):
        drafts = (await rest.send(QUERY_TYPES, params=asked | {"state": "draft"})).result
        rows |= {str(row["apiName"]).lower(): row for row in drafts}
    return {key: _type(row) for key, row in rows.items()}


def _type(row: dict[str, Any]) -> CustomObjectType:
    state = str(row.get("state") or "approved")
    return CustomObjectType(
        name=str(row["apiName"]),
        display_name=str(row.get("displayName") or row["apiName"]),
        is_approved=state != "draft",
        has_draft=state != "approved",
        dedupe_fields=tuple(row.get("dedupeFields") or ()),
        fields={str(field["name"]): _field(field) for field in row.get("fields") or []},
        links={str(one["field"]): _related(one) for one in row.get("relationships") or []},
    )


def _related(row: dict[str, Any]) -> tuple[str, str]:
    """Adobe's samples name the parent ``relatedTo`` or ``object``."""
    parent = row.get("relatedTo") or row.get("object") or {}
    return str(parent.get("name") or "").lower(), str(parent.get("field") or "").lower()


def _field(row: dict[str, Any]) -> Field:
    return Field(
        name=row["name"],
        display_name=row.get("displayName") or row["name"],
        data_type=row["dataType"],
        length=row.get("length"),
        updateable=row.get("updateable", True),
        crm_managed=bool(row.get("crmManaged", False)),
    )
