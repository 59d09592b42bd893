"""Where an entity's records go in Marketo: people, companies or sales persons, behind one shape.

Keys and calls are those of the "Leads", "Companies" and "Sales Persons" pages: people are upserted by the custom field
``dynamicsId``, companies and sales persons by their external ids, never by position (invariant 1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.marketo.client import MarketoClient
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.schema import Target

PERSON_KEY = "dynamicsId"
DELETED_FLAG = "msIsDeleted"

TARGETS: dict[str, Target] = {"systemuser": "sales_person", "account": "company", "lead": "person", "contact": "person"}


@dataclass(frozen=True)
class Destination:
    """One kind of Marketo object. ``write`` answers in input order; ``find`` reads the rows that carry these keys."""

    target: Target
    key: str
    write: Callable[[Sequence[dict[str, Any]], str], Awaitable[list[Outcome]]]
    find: Callable[[Sequence[str]], Awaitable[list[dict[str, Any]]]]

    async def present(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys Marketo holds."""
        return {str(row[self.key]).lower() for row in await self.find(keys) if row.get(self.key)}


def destination(entity: str, marketo: MarketoClient) -> Destination:
    """Where this entity's records go."""
    target = TARGETS[entity]
    if target == "person":
        return Destination(
            target,
            PERSON_KEY,
            lambda rows, action: marketo.sync_people(rows, action=action, lookup_field=PERSON_KEY),
            lambda keys: marketo.people(PERSON_KEY, keys, ["id", PERSON_KEY]),
        )
    if target == "company":
        return Destination(
            target,
            "externalCompanyId",
            lambda rows, action: marketo.sync_companies(rows, action=action),
            lambda keys: marketo.companies("externalCompanyId", keys, ["id", "externalCompanyId"]),
        )
    return Destination(
        target,
        "externalSalesPersonId",
        lambda rows, action: marketo.sync_sales_persons(rows, action=action),
        lambda keys: marketo.sales_persons("externalSalesPersonId", keys, ["id", "externalSalesPersonId"]),
    )
