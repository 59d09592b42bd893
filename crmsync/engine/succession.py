"""Sees, in what was read, who continues whom; such records are put aside until leads and contacts were carried.

A contact continues the lead that it originates from, whatever converted it; a qualified lead goes on as the contact
that it names; a merged record goes on as its master. Putting them aside keeps a person's key from being changed while
a write under the old one may be on its way; what is done then is ``crmsync.engine.handover``.

"Microsoft Dynamics Sync Filter: Qualify" and "... Merge" (Marketo's documents); "Lead conversion" (Adobe's white paper
on CRM synchronization); "Merge table rows using the Web API" (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from crmsync.dynamics.schema import Entity
from crmsync.engine.session import Session
from crmsync.engine.tombstones import QUALIFIED
from crmsync.engine.tombstones import master_of as master_of
from crmsync.fields.sync_filter import keeps_out
from crmsync.state.records import Known
from crmsync.state.succession import Tombstone

PEOPLE = ("lead", "contact")

Row = dict[str, Any]
Person = Literal["settled", "nobody", "stale", "open"]


class Predecessor(NamedTuple):
    """A record that goes on as another; ``known`` is None where the ledger never heard of it."""

    entity: str
    record_id: str
    known: Known | None


def contact_of(entity: str, row: Row) -> str | None:
    """The contact that a qualified lead names as what became of it."""
    contact = row.get("_parentcontactid_value")
    return str(contact).lower() if entity == "lead" and row.get("statecode") == QUALIFIED and contact else None


def lead_of(entity: str, row: Row) -> str | None:
    """The lead that a contact originates from."""
    lead = row.get("_originatingleadid_value")
    return str(lead).lower() if entity == "contact" and lead else None


def person_of(known: Known | None) -> Person:
    """What there is to hand over: ``settled`` long ago, ``nobody`` in Marketo, a ``stale`` person whose record the
    sync filter keeps out, or ``open``."""
    if known is None:
        return "nobody"
    if known.status == "merged":
        return "open" if known.in_marketo and known.parent_id else "settled"
    if known.status in ("converted", "deleted", "gone"):
        return "settled"
    if known.status == "unknown":
        return "open"
    if not known.in_marketo:
        return "nobody"
    return "stale" if known.status == "filtered" else "open"


class Succession:
    """Looks through the leads and contacts of one run. ``carried`` are the entities that are synced at all."""

    def __init__(self, session: Session, carried: Collection[str]) -> None:
        self._session = session
        self._carried = carried

    async def put_aside(self, entity: Entity, rows: Sequence[Row], read_number: int) -> set[str]:
        """Mark and tell those of these rows that are not to be written before it is settled who continues whom.

        Where the predecessor has nobody in Marketo there is nothing to wait for: it becomes a tombstone at once.
        """
        name, key = entity.logical_name, entity.primary_id
        if name not in PEOPLE:
            return set()
        by_id = {str(row[key]).lower(): row for row in rows}
        aside = await self._losers(name, by_id, read_number) | await self._qualified(entity, by_id)
        heirs = {one: row for one, row in by_id.items() if one not in aside and _may_inherit(entity, row)}
        found = await self.predecessors(name, heirs)
        tombstones: list[Tombstone] = []
        for heir, some in found.items():
            for one in some:
                if person_of(one.known) == "open":
                    aside.add(heir)
                elif person_of(one.known) != "settled":
                    tombstones.append(tombstone(one, name, heir))
        if tombstones:
            await self._session.store.succession.land(self._session.name, tombstones)
        if aside:
            await self._session.store.pending.add(self._session.name, name, "heir", aside)
            await self._session.store.records.mark_seen(self._session.name, name, sorted(aside), read_number)
        return aside

    async def predecessors(self, name: str, heirs: Mapping[str, Row]) -> dict[str, list[Predecessor]]:
        """Whom each of these continues: the lead that it originates from, and whoever named it as heir."""
        store, tenant = self._session.store, self._session.name
        found: dict[str, list[Predecessor]] = {}
        for heir, some in (await store.succession.of(tenant, heirs)).items() if heirs else ():
            found[heir] = [Predecessor(*one) for one in some if name == "contact" or one[0] == "lead"]
        leads = {one: lead for one, row in heirs.items() if (lead := lead_of(name, row))}
        if not leads or "lead" not in self._carried:
            return found
        known = await store.records.known(tenant, "lead", sorted(set(leads.values())))
        for heir, lead in leads.items():
            mine = found.setdefault(heir, [])
            if _went_on(known.get(lead), heir):
                continue
            if all(one.record_id != lead for one in mine):
                mine.append(Predecessor("lead", lead, known.get(lead)))
        return found

    async def _losers(self, name: str, by_id: Mapping[str, Row], read_number: int) -> set[str]:
        """Records that were merged into another, unless they have nobody to hand over."""
        masters = {one: master for one, row in by_id.items() if (master := master_of(row))}
        if not masters:
            return set()
        store, tenant = self._session.store, self._session.name
        known = await store.records.known(tenant, name, sorted(masters))
        aside: set[str] = set()
        tombstones: list[Tombstone] = []
        for one, master in masters.items():
            state = known.get(one)
            if person_of(state) == "open" and state is not None and state.status != "merged":
                aside.add(one)
            elif person_of(state) in ("nobody", "stale"):
                heir = Predecessor(name, one, state)
                tombstones.append(tombstone(heir, name, master)._replace(read_number=read_number))
        await store.succession.expect(tenant, name, {one: masters[one] for one in aside})
        if tombstones:
            await store.succession.land(tenant, tombstones)
        return aside

    async def _qualified(self, entity: Entity, by_id: Mapping[str, Row]) -> set[str]:
        """Qualified leads that name their contact, and pass the filter themselves."""
        name = entity.logical_name
        if "contact" not in self._carried:
            return set()
        contacts = {
            one: contact
            for one, row in by_id.items()
            if (contact := contact_of(name, row)) is not None and _may_inherit(entity, row)
        }
        if not contacts:
            return set()
        known = await self._session.store.records.known(self._session.name, name, sorted(contacts))
        aside = {one for one in contacts if person_of(known.get(one)) != "settled"}
        await self._session.store.succession.named(
            self._session.name, {one: contacts[one] for one, state in known.items() if state.middle_id != contacts[one]}
        )
        await self._session.store.succession.expect(self._session.name, name, {one: contacts[one] for one in aside})
        return aside


def tombstone(one: Predecessor, heir_entity: str, heir: str) -> Tombstone:
    """A predecessor that has nothing (any more) to hand over. A stale person is left behind for good."""
    status: Literal["merged", "converted"] = "merged" if one.entity == heir_entity else "converted"
    stale = person_of(one.known) == "stale"
    return Tombstone(
        one.entity,
        one.record_id,
        status,
        None if stale else heir,
        in_marketo=stale,
        marketo_id=one.known.marketo_id if one.known else None,
        read_number=one.known.read_number if one.known else 1,
    )


def _went_on(lead: Known | None, heir: str) -> bool:
    """Whether a lead was qualified to this contact and is open again, or has become another contact since."""
    if lead is None or lead.middle_id is None:
        return False
    return heir == lead.middle_id if lead.parent_id is None else heir != lead.parent_id == lead.middle_id


def _may_inherit(entity: Entity, row: Row) -> bool:
    return master_of(row) is None and not keeps_out(entity, row)
