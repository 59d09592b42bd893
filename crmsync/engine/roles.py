"""Opportunity roles: who takes part in which opportunity, written after both are in Marketo.

"Opportunity Roles": a role is identified by opportunity, person (Marketo's own id) and name; only its primary mark and
its date can change, so another name is a new role, and the old one is deleted. A role that has no name in Dynamics is
called ``Contact``. The primary is the opportunity's contact, else its customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from crmsync.engine.absence import Absence
from crmsync.engine.destination import PERSON_KEY, ROLE, destination_of_roles, role_key
from crmsync.engine.fingerprint import fingerprints
from crmsync.engine.links import STANDARD, Links
from crmsync.engine.load import Loader
from crmsync.engine.parents import NOT_FOUND
from crmsync.engine.participants import PEOPLE
from crmsync.engine.plan import Change
from crmsync.engine.removal import Remover
from crmsync.engine.removals import removal_of
from crmsync.engine.report import Counts
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import find_people
from crmsync.state.participants import Participant

NAMES = ("isPrimary", "externalCreatedDate")
"""What of a role can change: the fields of its fingerprints."""

NO_NAME = "Contact"
NAME_LENGTH = 50
OPPORTUNITIES = 300
"""Opportunities whose roles are worked out together."""

LEAD_NOT_FOUND = "1004"


class RolePlanner:
    """Works out which roles opportunities should have in Marketo, from who takes part in them."""

    def __init__(self, session: Session, links: Links) -> None:
        self._session = session
        self._links = links
        self._absence = Absence(session)
        self._names: dict[str, str] = {}
        self.persons: dict[str, str] = {}
        """Whose roles were worked out last, by the keys of the roles."""

    async def alive(self, opportunities: Sequence[str]) -> tuple[set[str], set[str]]:
        """Those of these opportunities whose roles are kept up to date, and those whose roles go."""
        store, tenant = self._session.store, self._session.name
        ledger = await store.records.known(tenant, "opportunity", opportunities)
        leaving = await store.pending.marked(tenant, "opportunity", "delete", opportunities)
        # A filtered opportunity is kept in Marketo as it is, and so are its roles.
        alive = {
            one
            for one, known in ledger.items()
            if known.in_marketo and known.status in {"synced", "failed"} and one not in leaving
        }
        gone = {one for one in opportunities if one in leaving or (one in ledger and ledger[one].status == "deleted")}
        return alive, gone

    async def wanted(self, stated: Sequence[Participant]) -> dict[str, Change]:
        """The roles that follow from these participants, by key; whoever is not in Marketo yet is left out. A lead
        that became a contact takes part as that contact, a merged record as its master."""
        heirs = await self._session.store.succession.heirs(self._session.name, {one.person_id for one in stated})
        participants = [one._replace(person_id=heirs.get(one.person_id, one.person_id)) for one in stated]
        people = await self._people({one.person_id for one in participants})
        names = await self._role_names({one.role_id for one in participants if one.role_id})
        by_person: dict[tuple[str, str], list[Participant]] = defaultdict(list)
        for one in participants:
            if one.person_id in people:
                by_person[one.opportunity_id, one.person_id].append(one)
        primaries = _primaries(participants)
        wanted: dict[str, Change] = {}
        self.persons.clear()
        for (opportunity, person), its in by_person.items():
            roles = _roles(its, names)
            first = min(roles)
            for role, since in roles.items():
                payload = {
                    "externalOpportunityId": opportunity,
                    "leadId": people[person],
                    "role": role,
                    "isPrimary": primaries.get(opportunity) == person and role == first,
                    "externalCreatedDate": since,
                }
                marks = fingerprints([payload[name] for name in NAMES])
                key = role_key(payload)
                self.persons[key] = person
                wanted[key] = Change(key, payload, marks, is_new=True, parent_id=opportunity)
        return wanted

    async def _people(self, ids: set[str]) -> dict[str, int]:
        """Marketo's ids of those who are in Marketo. Who came by bulk import is looked up, and remembered."""
        store, tenant, found = self._session.store, self._session.name, dict[str, int]()
        for entity in PEOPLE:
            known = await store.records.known(tenant, entity, sorted(ids))
            there = {one: row.marketo_id for one, row in known.items() if row.in_marketo}
            found |= {one: number for one, number in there.items() if number is not None}
            unknown = sorted(one for one, number in there.items() if number is None)
            if unknown:
                rows = await self._session.marketo.people(PERSON_KEY, unknown, ["id", PERSON_KEY])
                learned: dict[str, int | None] = {}
                for row in sorted(rows, key=lambda row: row["id"], reverse=True):
                    learned[str(row[PERSON_KEY]).lower()] = int(row["id"])
                await store.records.set_marketo_ids(tenant, entity, learned)
                found |= {one: number for one, number in learned.items() if number is not None}
        return found

    async def _role_names(self, ids: set[str]) -> dict[str, str]:
        missing = sorted(ids - self._names.keys())
        if missing:
            found = await self._links.names("connectionrole", missing)
            # A name is a part of a role's key: without it the role would be deleted, and another one made.
            await self._absence.gone(STANDARD["connectionrole"], [one for one in missing if one not in found])
            self._names |= {one: found.get(one, "").strip()[:NAME_LENGTH].strip() or NO_NAME for one in missing}
        return self._names


class Roles:
    """Brings the roles of the opportunities that are marked up to date; ``counts`` tells what was done."""

    def __init__(self, session: Session, links: Links) -> None:
        self._session = session
        self._links = links
        self._planner = RolePlanner(session, links)
        self._field_set: int | None = None
        self.counts = Counts()

    async def carry(self, *, leaving: bool = True) -> None:
        """Write and delete roles until no opportunity is marked any more; without ``leaving`` those of opportunities
        that are gone from Dynamics stay marked."""
        store, tenant = self._session.store, self._session.name
        due = await store.errors.due(tenant, ROLE)
        known = await store.records.known(tenant, ROLE, due) if due else {}
        parents = {one.parent_id for one in known.values() if one.parent_id}
        await store.pending.add(tenant, "opportunity", "roles", parents)
        after = ""
        while some := await store.pending.first(tenant, "opportunity", "roles", limit=OPPORTUNITIES, after=after):
            after = some[-1]
            if not leaving:
                gone = await store.pending.marked(tenant, "opportunity", "delete", some)
                some = [one for one in some if one not in gone]
            if await self.bring(some, frozenset(due)):
                await store.pending.done(tenant, "opportunity", "roles", some)

    async def bring(self, opportunities: Sequence[str], due: frozenset[str]) -> bool:
        """Bring the roles of these opportunities up to date; those in ``due`` are written even if they seem to be. The
        answer is whether that is done: the brake may hold roles that would be deleted."""
        store, tenant = self._session.store, self._session.name
        if self._field_set is None:
            self._field_set = await store.records.field_set(tenant, ROLE, NAMES)
        where = destination_of_roles(self._session)
        loader = Loader(self._session, ROLE, where, self._field_set)
        try:
            return await self._bring(opportunities, due, loader, Remover(self._session, ROLE, where, loader))
        finally:
            self.counts += loader.counts

    async def _bring(self, opportunities: Sequence[str], due: frozenset[str], loader: Loader, remover: Remover) -> bool:
        store, tenant = self._session.store, self._session.name
        alive, gone = await self._planner.alive(opportunities)
        wanted = await self._planner.wanted(await store.participants.of(tenant, alive))
        there = await store.records.children(tenant, ROLE, alive | gone)
        changes, unchanged = [], 0
        for key, change in wanted.items():
            before = there.get(key)
            if before is not None:
                change.in_marketo = before.in_marketo
                same = before.fingerprints == change.fingerprints and before.status in {"synced", "failed"}
                if same and key not in due:
                    unchanged += 1
                    continue
            changes.append(change)
        await loader.write(changes, 1)
        if await self._make_anew(changes):
            anew = [change for change in wanted.values() if change.parent_id in alive]
            await loader.write(anew, 1)
        await self._forget_lost_people(changes)
        surplus, brake = [key for key in there if key not in wanted], self._session.brake
        if may_go := await brake.passes(removal_of(ROLE), surplus):
            await remover.delete(surplus, there, 1)
            await brake.wrote({removal_of(ROLE): len(surplus)})
        await loader.land([], [], Counts(read=unchanged, unchanged=unchanged))
        return may_go

    async def _make_anew(self, changes: Sequence[Change]) -> bool:
        """Whether an opportunity that somebody has deleted in Marketo is there again, and wants all its roles."""
        store, tenant = self._session.store, self._session.name
        denied = await store.errors.with_code(tenant, ROLE, NOT_FOUND, [change.record_id for change in changes])
        parents = {change.parent_id for change in changes if change.record_id in denied and change.parent_id}
        return bool(parents) and bool(await self._links.made_anew("opportunity", parents))

    async def _forget_lost_people(self, changes: Sequence[Change]) -> None:
        """Marketo does not know a person by the id that we remember: whoever goes on with its key is taken from the
        next attempt on, and nobody where there is none."""
        store, tenant = self._session.store, self._session.name
        lost = await store.errors.with_code(tenant, ROLE, LEAD_NOT_FOUND, [change.record_id for change in changes])
        persons = sorted({self._planner.persons[key] for key in lost})
        for entity in PEOPLE if persons else ():
            known = await store.records.known(tenant, entity, persons)
            people = await find_people(self._session, {one: state.marketo_id for one, state in known.items()})
            numbers = {one: int(people[one][0]["id"]) if one in people else None for one in known}
            await store.records.set_marketo_ids(tenant, entity, numbers)


def _primaries(participants: Iterable[Participant]) -> dict[str, str]:
    """Each opportunity's primary person: its contact, else its customer."""
    found: dict[str, str] = {}
    for kind in ("contact", "customer"):
        for one in participants:
            if one.kind == kind:
                found.setdefault(one.opportunity_id, one.person_id)
    return found


def _roles(stated: Sequence[Participant], names: Mapping[str, str]) -> dict[str, str | None]:
    """The names under which one person takes part, each with the date since when. Named roles replace the nameless."""
    found: dict[str, str | None] = {}
    for one in sorted(stated, key=lambda one: (one.since is None, one.since or 0, one.source_id)):
        name = names[one.role_id] if one.role_id else NO_NAME
        found.setdefault(name, f"{one.since:%Y-%m-%dT%H:%M:%SZ}" if one.since else None)
    if len(found) > 1 and NO_NAME in found and not _is_named_so(stated, names):
        del found[NO_NAME]
    return found


def _is_named_so(stated: Sequence[Participant], names: Mapping[str, str]) -> bool:
    """Whether a connection role itself is called as the nameless are."""
    return any(one.role_id and names[one.role_id] == NO_NAME for one in stated)
