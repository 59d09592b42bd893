"""Companies, sales persons, opportunities and their roles: objects with the same calls, each known by a key of ours.

Source: "Lead Database", "Companies", "Sales Persons", "Opportunities" and "Opportunity Roles". A key is set once, at
creation; results carry ``seq``; a company must exist before a person or an opportunity names it, and both ends of a
role before the role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crmsync.marketo.batches import Key
from crmsync.marketo.calls import (
    DELETE_CUSTOM_OBJECTS,
    DELETE_OPPORTUNITIES,
    DELETE_ROLES,
    QUERY_COMPANIES,
    QUERY_CUSTOM_OBJECTS,
    QUERY_OPPORTUNITIES,
    QUERY_ROLES,
    QUERY_SALES_PERSONS,
    SYNC_COMPANIES,
    SYNC_CUSTOM_OBJECTS,
    SYNC_OPPORTUNITIES,
    SYNC_ROLES,
    SYNC_SALES_PERSONS,
    Call,
)
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.people import KEYED_ACTIONS
from crmsync.marketo.queries import query, query_keys
from crmsync.marketo.rest import Rest
from crmsync.marketo.writes import write


@dataclass(frozen=True)
class ObjectCalls:
    """The calls of one object, and the fields that are its key; ``delete`` where crmsync deletes such records."""

    key: Key
    sync: Call
    query: Call
    delete: Call | None = None


COMPANIES = ObjectCalls("externalCompanyId", SYNC_COMPANIES, QUERY_COMPANIES)
SALES_PERSONS = ObjectCalls("externalSalesPersonId", SYNC_SALES_PERSONS, QUERY_SALES_PERSONS)
OPPORTUNITIES = ObjectCalls("externalOpportunityId", SYNC_OPPORTUNITIES, QUERY_OPPORTUNITIES, DELETE_OPPORTUNITIES)
ROLES = ObjectCalls(("externalOpportunityId", "leadId", "role"), SYNC_ROLES, QUERY_ROLES, DELETE_ROLES)


def custom_objects(name: str, key: str) -> ObjectCalls:
    """The calls of a custom object type, by its API name, whose dedupe field is ``key``."""
    return ObjectCalls(
        key,
        SYNC_CUSTOM_OBJECTS.at(name=name),
        QUERY_CUSTOM_OBJECTS.at(name=name),
        DELETE_CUSTOM_OBJECTS.at(name=name),
    )


async def sync_objects(
    rest: Rest, calls: ObjectCalls, records: Sequence[Mapping[str, Any]], *, action: str
) -> list[Outcome]:
    """Sync Companies, Sync Sales Persons, Sync Opportunities, Sync Opportunity Roles, Sync Custom Objects: by the
    key."""
    call = calls.sync if action in KEYED_ACTIONS else calls.sync.never_twice()
    return await write(rest, call, {"action": action, "dedupeBy": "dedupeFields"}, records, key=calls.key)


async def find_objects(
    rest: Rest, calls: ObjectCalls, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Get Companies, Get Sales Persons, Get Opportunities, Get Opportunity Roles, by one field."""
    return await query(rest, calls.query, filter_type, values, fields)


async def find_by_key(
    rest: Rest, calls: ObjectCalls, keys: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """The same by a key of several fields."""
    return await query_keys(rest, calls.query, keys, fields)


async def delete_objects(rest: Rest, calls: ObjectCalls, keys: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """Delete Opportunities, Delete Opportunity Roles; what is gone already (1013) counts as deleted."""
    assert calls.delete is not None
    outcomes = await write(rest, calls.delete, {"deleteBy": "dedupeFields"}, keys, key=calls.key)
    return [replace(one, status="deleted", code=None) if one.code == "1013" else one for one in outcomes]
