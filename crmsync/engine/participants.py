"""Notes, while entities are carried, who takes part in which opportunity: what opportunity roles follow from.

An opportunity names its contact and its customer, which may be a contact; connections name the others. A connection is
two rows that mirror each other ("Connection tables", Power Apps documents): the one that leads from the opportunity to
the person is taken, because its second role is what the person is to the opportunity.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crmsync.dynamics.rows import lookup
from crmsync.dynamics.schema import Entity
from crmsync.fields.values import instant
from crmsync.state.participants import Participant

if TYPE_CHECKING:
    from crmsync.engine.plan import Plan
    from crmsync.engine.session import Session

PEOPLE = ("lead", "contact")
ACTIVE = 0
LOOKUP_TYPES = frozenset({"opportunity", "connection"})
"""The entities whose rows must tell what their lookups lead to."""

Rows = Sequence[dict[str, Any]]


class Observer:
    """Sees what a lane reads, before it is written. This one has nothing to note."""

    lookup_types = False
    """Whether rows must tell what their lookups lead to."""

    def __init__(self, session: Session, entity: Entity) -> None:
        self._session = session
        self._entity = entity

    async def met(self, rows: Rows, plan: Plan, read_number: int) -> None:
        """These rows were read and planned."""

    async def gone(self, ids: Sequence[str]) -> None:
        """These records are gone from Dynamics."""


class ContactObserver(Observer):
    """A contact that changed may have another company, and so have the opportunities whose customer it is."""

    async def met(self, rows: Rows, plan: Plan, read_number: int) -> None:
        ids = [change.record_id for change in plan.changes] + [one.record_id for one in plan.outcomes]
        if ids:
            await self._session.store.participants.mark_customers_of(self._session.name, ids)


class OpportunityObserver(Observer):
    """Notes an opportunity's contact, and its customer when that is a contact."""

    lookup_types = True

    async def met(self, rows: Rows, plan: Plan, read_number: int) -> None:
        ids = [row[self._entity.primary_id].lower() for row in rows]
        found = [one for row in rows for one in of_opportunity(row, row[self._entity.primary_id].lower())]
        await self._note(ids, found, read_number)

    async def gone(self, ids: Sequence[str]) -> None:
        await self._note(ids, [], 0)
        await self._session.store.pending.add(self._session.name, "opportunity", "roles", ids)

    async def _note(self, ids: Sequence[str], found: list[Participant], read_number: int) -> None:
        participants = self._session.store.participants
        await participants.note(self._session.name, ("contact", "customer"), ids, found, read_number)


def observer(session: Session, entity: Entity) -> Observer:
    """Who looks on while this entity is carried."""
    kinds: dict[str, type[Observer]] = {"contact": ContactObserver, "opportunity": OpportunityObserver}
    return kinds.get(entity.logical_name, Observer)(session, entity)


def of_connection(row: dict[str, Any]) -> Participant | None:
    """Whom a connection's row brings to which opportunity; None for its mirror and for what is none of ours."""
    one, other = lookup(row, "record1id"), lookup(row, "record2id")
    if one is None or other is None or one[0] != "opportunity" or other[0] not in PEOPLE:
        return None
    if row.get("statecode") not in {None, ACTIVE}:
        return None
    role = row.get("_record2roleid_value")
    return Participant(
        row["connectionid"].lower(), "connection", one[1], other[1], role.lower() if role else None, _since(row)
    )


def of_opportunity(row: dict[str, Any], opportunity: str) -> list[Participant]:
    """Whom an opportunity's own row names: its contact, and its customer when that is a contact."""
    contact, customer = lookup(row, "parentcontactid"), lookup(row, "customerid")
    found = []
    if contact is not None:
        found.append(Participant(opportunity, "contact", opportunity, contact[1], None, _since(row)))
    if customer is not None and customer[0] == "contact":
        found.append(Participant(opportunity, "customer", opportunity, customer[1], None, _since(row)))
    return found


def _since(row: dict[str, Any]) -> datetime | None:
    return instant(row["createdon"]).replace(microsecond=0) if row.get("createdon") else None
