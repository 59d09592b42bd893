"""Where an entity's records go in Marketo: people, companies, sales persons, opportunities, roles or custom objects,
behind one shape.

Keys and calls are those of the "Leads", "Companies", "Sales Persons", "Opportunities", "Opportunity Roles" and "Custom
Objects" pages: people and custom objects are upserted by the field ``dynamicsId``, the others by their external ids,
never by position (invariant 1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID, uuid5

from crmsync.engine.names import ROLE as ROLE
from crmsync.engine.session import Session
from crmsync.fields.model import Selection
from crmsync.marketo.bulk import Imports
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.schema import Target

PERSON_KEY = "dynamicsId"
CUSTOM_KEY = "dynamicsId"
DELETED_FLAG = "msIsDeleted"
BY_ID = "by id"
"""How people are written whose Marketo id is known: updated by that, whatever key they carry by now."""
ROLE_KEY = ("externalOpportunityId", "leadId", "role")
_ROLES = UUID("0f7c2a52-7a43-4f0e-8d35-0d9c1f1c9b7e")

TARGETS: dict[str, Target] = {
    "systemuser": "sales_person",
    "account": "company",
    "lead": "person",
    "contact": "person",
    "opportunity": "opportunity",
}

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Destination:
    """One kind of Marketo object. ``write`` answers in input order; ``find`` reads the rows that carry these keys;
    ``delete`` is there where a record that is gone from Dynamics is deleted in Marketo, too; ``imports`` where many
    may go by bulk import."""

    target: Target | Literal["role"]
    key: str
    write: Callable[[Rows, str], Awaitable[list[Outcome]]]
    find: Callable[[Sequence[str]], Awaitable[list[dict[str, Any]]]]
    delete: Callable[[Sequence[str]], Awaitable[list[Outcome]]] | None = None
    imports: Imports | None = None
    call_seconds: int = 120
    """When Marketo has surely ended a call: its own time-out of 90 seconds ("Server time-outs"), and the way."""

    async def present(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys Marketo holds."""
        found = {str(row[self.key]).lower() for row in await self.find(keys) if row.get(self.key)}
        return found & set(keys)  # a role is found by its opportunity, beside the others of it

    def row(self, record_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The record as it is sent; a role's key is in its payload already."""
        return dict(payload) if self.target == "role" else {self.key: record_id, **payload}


def destination(entity: str, marketo: MarketoClient) -> Destination:
    """Where this entity's records go."""
    target = TARGETS[entity]
    if target == "person":
        return Destination(
            target,
            PERSON_KEY,
            lambda rows, action: (
                marketo.sync_people(rows, action="updateOnly", lookup_field="id")
                if action == BY_ID
                else marketo.sync_people(rows, action=action, lookup_field=PERSON_KEY)
            ),
            lambda keys: marketo.people(PERSON_KEY, keys, ["id", PERSON_KEY]),
            imports=marketo.imports(),
        )
    if target == "company":
        return Destination(
            target,
            "externalCompanyId",
            lambda rows, action: marketo.sync_companies(rows, action=action),
            lambda keys: marketo.companies("externalCompanyId", keys, ["id", "externalCompanyId"]),
        )
    if target == "opportunity":
        return Destination(
            target,
            "externalOpportunityId",
            lambda rows, action: marketo.sync_opportunities(rows, action=action),
            lambda keys: marketo.opportunities("externalOpportunityId", keys, ["externalOpportunityId"]),
            marketo.delete_opportunities,
        )
    return Destination(
        target,
        "externalSalesPersonId",
        lambda rows, action: marketo.sync_sales_persons(rows, action=action),
        lambda keys: marketo.sales_persons("externalSalesPersonId", keys, ["id", "externalSalesPersonId"]),
    )


def custom_destination(name: str, marketo: MarketoClient) -> Destination:
    """Custom objects of the type with this API name."""
    return Destination(
        "custom_object",
        CUSTOM_KEY,
        lambda rows, action: marketo.sync_custom_objects(name, CUSTOM_KEY, rows, action=action),
        lambda keys: marketo.custom_objects(name, CUSTOM_KEY, keys, [CUSTOM_KEY]),
        lambda keys: marketo.delete_custom_objects(name, CUSTOM_KEY, keys),
        imports=marketo.imports(name),
        call_seconds=150,
    )


def destination_in(selection: Selection, entity: str, marketo: MarketoClient) -> Destination:
    """Where the records of this entity go, a custom one or another."""
    custom = selection.custom_objects.get(entity)
    return destination(entity, marketo) if custom is None else custom_destination(custom.name, marketo)


def role_key(row: Mapping[str, Any]) -> str:
    """One id for the three fields that identify a role."""
    return str(uuid5(_ROLES, "/".join(str(row[name]).lower() for name in ROLE_KEY)))


def destination_of_roles(session: Session) -> Destination:
    """Roles are found by their opportunities, which the ledger knows from before they are sent."""
    store, marketo = session.store, session.marketo

    async def find(keys: Sequence[str]) -> list[dict[str, Any]]:
        known = await store.records.known(session.name, ROLE, keys)
        opportunities = sorted({one.parent_id for one in known.values() if one.parent_id})
        rows = await marketo.roles("externalOpportunityId", opportunities, list(ROLE_KEY)) if opportunities else []
        return [{**row, ROLE: role_key(row)} for row in rows]

    async def delete(keys: Sequence[str]) -> list[Outcome]:
        rows = {row[ROLE]: {name: row[name] for name in ROLE_KEY} for row in await find(keys)}
        there = [key for key in keys if key in rows]
        answers = dict(zip(there, await marketo.delete_roles([rows[key] for key in there]), strict=True))
        return [answers.get(key, Outcome("deleted")) for key in keys]

    return Destination("role", ROLE, lambda rows, action: marketo.sync_roles(rows, action=action), find, delete)
