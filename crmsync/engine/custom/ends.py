"""Whom the records of a custom entity belong to, as both sides know them.

A record leads by a lookup to a person or a company, or to another record that does. A lookup to a contact where a
company is wanted means the contact's company, as for an opportunity whose customer is a contact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from crmsync.dynamics.rows import lookup
from crmsync.dynamics.schema import Entity
from crmsync.engine.links import Links
from crmsync.engine.session import Session
from crmsync.fields.custom_links import COMPANY, PEOPLE
from crmsync.fields.model import CustomLink

Row = dict[str, Any]
Target = tuple[str, str]
"""Entity and id."""


class End(NamedTuple):
    """Where a record leads: to ``target``, by the record ``middle``. ``value`` is what its link field gets. Where that
    leads is not known when the record in between was ``unseen``: a lookup to a record that is deleted is emptied, so it
    is there, and out of the sync user's reach."""

    value: str | int | None = None
    target: str | None = None
    middle: str | None = None
    unseen: bool = False

    @property
    def is_missing(self) -> bool:
        """Whether it belongs to somebody whom Marketo does not have, or whom nobody can tell."""
        return self.unseen or (self.target is not None and self.value is None)


class Ends:
    """Finds the ends of one custom entity's records."""

    def __init__(self, session: Session, link: CustomLink, links: Links) -> None:
        self._session = session
        self._link = link
        self._links = links

    async def of(self, rows: Mapping[str, Row]) -> dict[str, End]:
        """The end of each of these rows, by record id; parents that Marketo lacks are brought first."""
        first = {one: found for one, row in rows.items() if (found := self._lookup(row, self._link.lookup))}
        middles, unseen = await self._beyond(first)
        targets = await self._wanted(middles if self._link.middle else first)
        values = await self._values(targets.values())
        ends = {}
        for record_id in rows:
            target = targets.get(record_id)
            middle = first[record_id][1] if self._link.middle and record_id in first else None
            value = values.get(target[1]) if target else None
            ends[record_id] = End(value, target[1] if target else None, middle, record_id in unseen)
        return ends

    async def _beyond(self, first: Mapping[str, Target]) -> tuple[dict[str, Target], set[str]]:
        """Where the records in between lead, by the record that led to them; and those whose record in between was not
        seen."""
        middle = self._link.middle
        if middle is None:
            return {}, set()
        ids = sorted({one for entity, one in first.values() if entity == middle.entity})
        table = Entity(
            logical_name=middle.entity,
            schema_name=middle.entity,
            entity_set_name=middle.entity_set_name,
            primary_id=middle.primary_id,
        )
        found = await self._session.dynamics.read_by_ids(table, [f"_{middle.lookup}_value"], ids, lookup_types=True)
        ends = {row[middle.primary_id].lower(): lookup(row, middle.lookup) for row in found}
        unseen = {
            record_id for record_id, (entity, one) in first.items() if entity == middle.entity and one not in ends
        }
        return {record_id: end for record_id, (_, one) in first.items() if (end := ends.get(one)) is not None}, unseen

    async def _wanted(self, found: Mapping[str, Target]) -> dict[str, Target]:
        """Only people, or only companies: whichever the link wants."""
        if self._link.to == "person":
            return await self._heirs({record_id: one for record_id, one in found.items() if one[0] in PEOPLE})
        contacts = {one for entity, one in found.values() if entity == "contact"}
        companies = await self._links.companies_of(sorted(contacts)) if contacts else {}
        targets = {record_id: one for record_id, one in found.items() if one[0] == COMPANY}
        for record_id, (entity, one) in found.items():
            if entity == "contact" and (company := companies.get(one)) is not None:
                targets[record_id] = (COMPANY, company)
        return targets

    async def _heirs(self, found: Mapping[str, Target]) -> dict[str, Target]:
        """People whose record was merged into another, or converted, are known in Marketo by that other one."""
        store, tenant = self._session.store, self._session.name
        heirs = await store.succession.heirs(tenant, {one for _, one in found.values()}) if found else {}
        contacts = await store.records.known(tenant, "contact", sorted(set(heirs.values()))) if heirs else {}
        return {
            record_id: ("contact" if heirs[one] in contacts else entity, heirs[one]) if one in heirs else (entity, one)
            for record_id, (entity, one) in found.items()
        }

    async def _values(self, targets: Iterable[Target]) -> dict[str, str | int]:
        """What Marketo knows these people or companies by; who is not there is absent."""
        wanted: dict[str, set[str]] = {}
        for entity, one in targets:
            wanted.setdefault(entity, set()).add(one)
        found: dict[str, str | int] = {}
        for entity, ids in wanted.items():
            # Where the tenant wants only companies of synced people, what belongs to another one waits.
            bring = entity != COMPANY or self._session.tenant.accounts == "all"
            there = await self._links.there(entity, ids, bring=bring)
            found |= await self._numbers(sorted(there)) if entity == COMPANY else {one: one for one in there}
        return found

    async def _numbers(self, companies: Sequence[str]) -> dict[str, int]:
        """Marketo's ids of companies; the ledger has them, but for one whose answer was lost."""
        store, tenant = self._session.store, self._session.name
        known = await store.records.known(tenant, COMPANY, companies)
        found = {one: row.marketo_id for one, row in known.items() if row.marketo_id is not None}
        missing = [one for one in companies if one not in found]
        if missing:
            rows = await self._session.marketo.companies("externalCompanyId", missing, ["id", "externalCompanyId"])
            learned = {str(row["externalCompanyId"]).lower(): int(row["id"]) for row in rows}
            await store.records.set_marketo_ids(tenant, COMPANY, learned)
            found |= learned
        return found

    def _lookup(self, row: Row, column: str) -> Target | None:
        found = lookup(row, column)
        return found and (found[0] or self._link.target, found[1])
