"""What a record points to: owners, teams, companies. A missing parent is brought first; else the record waits for it.

Marketo refuses a record that names a sales person or a company which it does not have; an unknown owner of one
opportunity may even fail the whole call (718). So a link is told only when the other end is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence, Set
from typing import TYPE_CHECKING, Any

from crmsync.dynamics.privileges import READ_TEAM, shortfall
from crmsync.dynamics.rows import lookup
from crmsync.dynamics.schema import Entity
from crmsync.engine.destination import destination
from crmsync.errors import EntityMissing, FeatureMissing, PermissionMissing, RequestRefused
from crmsync.fields.model import OWNER_TEAM

if TYPE_CHECKING:
    from crmsync.engine.session import Session

log = logging.getLogger("crmsync.engine")

OWNER_LINK = "externalSalesPersonId"
COMPANY_LINK = "externalCompanyId"

Payload = dict[str, Any]

STANDARD = {
    name: Entity(logical_name=name, schema_name=schema, entity_set_name=f"{name}s", primary_id=f"{name}id")
    for name, schema in (("contact", "Contact"), ("team", "Team"), ("connectionrole", "ConnectionRole"))
}
"""Tables that every organization has ("Web API EntityType Reference"): their metadata need not be asked for."""


class Links:
    """Looks parents up for one run, and brings those that Marketo lacks. What was asked once is not asked again.

    ``bring`` has records of an entity read and written now; it is told only of such as the ledger does not know.
    ``remember`` keeps the names of teams and roles that are about to be sent.
    """

    def __init__(
        self,
        session: Session,
        *,
        bring: Callable[[str, Sequence[str]], Awaitable[None]],
        remember: Callable[[str, dict[str, str]], Awaitable[None]] | None = None,
    ) -> None:
        self._session = session
        self._bring = bring
        self._remember = remember
        self._asked: set[tuple[str, str]] = set()
        self._denied: set[tuple[str, str]] = set()
        self._making: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._teams: dict[str, str | None] = {}
        self.notes: list[str] = []
        self._unnamed: set[str] = set()
        self._sees_teams: bool | None = None
        self.no_teams: str | None = None
        """Why the names of teams cannot be read."""

    async def resolve(self, entity: str, payloads: Sequence[Payload], *, names_teams: bool) -> None:
        """Put into the payloads what is not in the row itself: the team's name, the company of a customer contact. The
        name of a team that cannot be read stays as it is in Marketo: it is left out."""
        if names_teams:
            await self._name_teams(payloads)
        if entity == "opportunity":
            await self._companies_of_customers(payloads)

    async def teams_among(self, owners: Iterable[str]) -> set[str]:
        """Which of these owners are known to be teams."""
        return {one for one in owners if self._teams.get(one) is not None}

    async def there(self, parent: str, ids: set[str], *, bring: bool = True) -> set[str]:
        """Which of these records Marketo has, after those that nobody knew yet were brought."""
        if not ids:
            return set()
        records, tenant = self._session.store.records, self._session.name
        there = await records.in_marketo(tenant, parent, ids)
        missing = {one for one in ids - there if (parent, one) not in self._asked and self._teams.get(one) is None}
        if missing and bring:
            known = await records.known(tenant, parent, sorted(missing))
            unknown = [one for one in sorted(missing) if one not in known or known[one].status == "unneeded"]
            if unknown:
                self._asked |= {(parent, one) for one in unknown}
                async with self._making[parent]:
                    await self._bring(parent, unknown)
                there |= await records.in_marketo(tenant, parent, unknown)
        return there

    async def made_anew(self, parent: str, ids: set[str]) -> set[str]:
        """Which of these records Marketo has, after it has denied them: those that somebody has deleted there are
        written anew, each once a run. What a record names is not believed against the service's own word."""
        records, tenant = self._session.store.records, self._session.name
        async with self._making[parent]:
            asked = sorted(one for one in ids if (parent, one) not in self._denied)
            self._denied |= {(parent, one) for one in asked}
            there = await destination(parent, self._session.marketo).present(asked) if asked else set()
            if gone := [one for one in asked if one not in there]:
                log.warning("%s: %d %s records are gone from Marketo, and made anew", tenant, len(gone), parent)
                await records.lost(tenant, parent, gone)
                try:
                    await self._bring(parent, gone)
                except (EntityMissing, FeatureMissing, PermissionMissing, RequestRefused) as error:
                    # Whoever names it goes on without it; the parent's own lane says what to do.
                    note = f"{parent} records that are gone from Marketo cannot be made anew: {error.message}"
                    self.notes += [note] if note not in self.notes else []
        return await records.in_marketo(tenant, parent, ids)

    async def _name_teams(self, payloads: Sequence[Payload]) -> None:
        owners = {owner for payload in payloads if (owner := payload.get(OWNER_LINK))}
        unknown = owners - self._teams.keys()
        if unknown:
            users = await self._session.store.records.known(self._session.name, "systemuser", sorted(unknown))
            maybe = unknown - users.keys()
            names = await self._names_of_teams(maybe) if maybe else {}
            self._teams |= dict.fromkeys(users) | {one: names.get(one) for one in maybe}
            if maybe - names.keys() and not await self._sees_every_team():
                self._unnamed |= maybe - names.keys()
        for payload in payloads:
            owner = payload.get(OWNER_LINK)
            if owner in self._unnamed:
                payload.pop(OWNER_TEAM, None)
            else:
                payload[OWNER_TEAM] = self._teams.get(owner) if owner else None

    async def _names_of_teams(self, ids: Set[str]) -> dict[str, str]:
        try:
            return await self.names("team", sorted(ids))
        except (PermissionMissing, EntityMissing) as error:
            self._sees_teams, self.no_teams = False, error.message
            return {}

    async def _sees_every_team(self) -> bool:
        """Whether a team that is not listed is none: asked once, and only where an owner is neither user nor team."""
        if self._sees_teams is None:
            dynamics = self._session.dynamics
            depths = await dynamics.privilege_depths((await dynamics.who_am_i()).user_id)
            why = shortfall(depths, READ_TEAM)
            self._sees_teams, self.no_teams = why is None, why
        return self._sees_teams

    async def _companies_of_customers(self, payloads: Sequence[Payload]) -> None:
        """A customer that is no account is a contact: the opportunity belongs to that contact's company."""
        customers = {customer for payload in payloads if (customer := payload.get(COMPANY_LINK))}
        accounts = await self._session.store.records.known(self._session.name, "account", sorted(customers))
        others = sorted(customers - accounts.keys())
        if not others:
            return
        companies = await self.companies_of(others)
        for payload in payloads:
            customer = payload.get(COMPANY_LINK)
            if customer in companies:
                payload[COMPANY_LINK] = companies[customer]

    async def companies_of(self, contacts: Sequence[str]) -> dict[str, str | None]:
        """The company of each of these contacts that exist."""
        rows = await self._read("contact", ["_parentcustomerid_value"], contacts, lookup_types=True)
        parents = {row["contactid"].lower(): lookup(row, "parentcustomerid") for row in rows}
        return {one: parent[1] if parent and parent[0] == "account" else None for one, parent in parents.items()}

    async def names(self, entity: str, ids: Sequence[str]) -> dict[str, str]:
        """The names of teams or connection roles; raises ``PermissionMissing`` or ``EntityMissing`` where they
        cannot be read, for that is another thing than to have none."""
        rows = await self._read(entity, ["name"], ids)
        key = STANDARD[entity].primary_id
        names = {row[key].lower(): row["name"] for row in rows if row.get("name")}
        if self._remember is not None and names:
            await self._remember(entity, names)
        return names

    async def _read(
        self, entity: str, select: Sequence[str], ids: Sequence[str], *, lookup_types: bool = False
    ) -> list[dict[str, Any]]:
        read = self._session.dynamics.read_by_ids
        return await read(STANDARD[entity], select, ids, lookup_types=lookup_types)


async def nobody(_: str, __: Sequence[str]) -> None:
    """Brings no parent: for those who must not write on their own."""
