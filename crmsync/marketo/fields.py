"""The schema of a subscription: what its objects can hold; and new custom fields for people.

A field that was created can never be deleted, only hidden, and only people's fields can be created over the API.

Source: "Leads" (describe2), "Lead Database" (describe), "Lead fields".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from crmsync.errors import FeatureMissing, PermissionMissing
from crmsync.marketo.calls import (
    CREATE_FIELDS,
    DESCRIBE_COMPANIES,
    DESCRIBE_OPPORTUNITIES,
    DESCRIBE_PEOPLE,
    DESCRIBE_ROLES,
    DESCRIBE_SALES_PERSONS,
    QUERY_FIELDS,
    Call,
)
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.queries import pages
from crmsync.marketo.rest import Rest
from crmsync.marketo.schema import Field, MarketoSchema, NewPersonField, ObjectSchema
from crmsync.marketo.writes import write


async def read_schema(rest: Rest, *, now: float) -> MarketoSchema:
    """A snapshot of the objects, and how many person fields were made over the API.

    A subscription may be without opportunities, or its API user without the right to them: the rest goes on.
    """
    left_out: dict[str, str] = {}
    optional: dict[str, ObjectSchema | None] = {"opportunity": None, "opportunity_role": None}
    try:
        optional["opportunity"] = await _describe(rest, DESCRIBE_OPPORTUNITIES)
        optional["opportunity_role"] = await _describe(rest, DESCRIBE_ROLES)
    except (FeatureMissing, PermissionMissing) as error:
        left_out = {name: error.message for name, found in optional.items() if found is None}
    return MarketoSchema(
        taken_at=datetime.fromtimestamp(now, UTC),
        person=await _describe(rest, DESCRIBE_PEOPLE),
        company=await _describe(rest, DESCRIBE_COMPANIES),
        sales_person=await _describe(rest, DESCRIBE_SALES_PERSONS),
        **optional,
        left_out=left_out,
        api_created_fields=await _count_api_created(rest),
    )


async def create_person_fields(rest: Rest, fields: Sequence[NewPersonField]) -> dict[str, Outcome]:
    """Create custom fields; the outcome of each by its name. A lost answer is not repeated: read the schema again."""
    records = [_creation(field) for field in fields]
    outcomes = await write(rest, CREATE_FIELDS, {}, records, key="name")
    return {field.name: outcome for field, outcome in zip(fields, outcomes, strict=True)}


def _creation(field: NewPersonField) -> dict[str, str]:
    members = {"displayName": field.display_name, "name": field.name, "dataType": field.data_type}
    return members | ({"description": field.description} if field.description else {})


async def _describe(rest: Rest, call: Call) -> ObjectSchema:
    answer = await rest.send(call)
    described: dict[str, Any] = answer.result[0] if answer.result else {}
    searchable = described.get("searchableFields") or []
    return ObjectSchema(
        name=str(described.get("name", "")),
        id_field=str(described.get("idField") or "id"),
        dedupe_fields=tuple(described.get("dedupeFields") or ()),
        searchable_fields=tuple(tuple(names) if isinstance(names, list) else (names,) for names in searchable),
        fields={str(field["name"]): _field(field) for field in described.get("fields") or []},
    )


def _field(described: dict[str, Any]) -> Field:
    return Field(
        name=described["name"],
        display_name=described.get("displayName") or described["name"],
        data_type=described["dataType"],
        length=described.get("length"),
        updateable=described.get("updateable", True),
        crm_managed=bool(described.get("crmManaged", False)),
    )


async def _count_api_created(rest: Rest) -> int:
    created = 0
    async for answer in pages(rest, QUERY_FIELDS, {"batchSize": "300"}):
        created += sum(field.get("isApiCreated") is True for field in answer.result)
    return created
