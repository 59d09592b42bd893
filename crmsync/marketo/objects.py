"""Companies and sales persons: two objects with the same calls, each known by an external id of ours.

Source: "Lead Database", "Companies" and "Sales Persons". The external id is set once, at creation; results carry
``seq``; a company must exist before a person names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.marketo.calls import QUERY_COMPANIES, QUERY_SALES_PERSONS, SYNC_COMPANIES, SYNC_SALES_PERSONS, Call
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.people import KEYED_ACTIONS
from crmsync.marketo.queries import query
from crmsync.marketo.rest import Rest
from crmsync.marketo.writes import write


@dataclass(frozen=True)
class ObjectCalls:
    """The calls of one object, and the field that is its key."""

    key: str
    sync: Call
    query: Call


COMPANIES = ObjectCalls("externalCompanyId", SYNC_COMPANIES, QUERY_COMPANIES)
SALES_PERSONS = ObjectCalls("externalSalesPersonId", SYNC_SALES_PERSONS, QUERY_SALES_PERSONS)


async def sync_objects(
    rest: Rest, calls: ObjectCalls, records: Sequence[Mapping[str, Any]], *, action: str
) -> list[Outcome]:
    """Sync Companies, Sync Sales Persons: by the external id."""
    call = calls.sync if action in KEYED_ACTIONS else calls.sync.never_twice()
    return await write(rest, call, {"action": action, "dedupeBy": "dedupeFields"}, records, key=calls.key)


async def find_objects(
    rest: Rest, calls: ObjectCalls, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Get Companies, Get Sales Persons."""
    return await query(rest, calls.query, filter_type, values, fields)
