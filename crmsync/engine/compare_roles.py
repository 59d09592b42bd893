"""Compares opportunity roles: who takes part in what by Dynamics, and which roles Marketo has for that.

Who takes part is read anew, from opportunities and connections, because what the ledger remembers may be what is wrong.
Roles of an opportunity that is not in Marketo, was filtered or is gone are none to compare. "Opportunity Roles": a role
is opportunity, person and name; a role that Marketo has beside those is one too many, if every opportunity and every
connection can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.absence import Absence
from crmsync.engine.chosen import carried
from crmsync.engine.comparison import Compared, Comparison, Difference, Kind
from crmsync.engine.connections import ConnectionLane
from crmsync.engine.datapath import DataPath
from crmsync.engine.destination import ROLE, ROLE_KEY, role_key
from crmsync.engine.lane import Lane
from crmsync.engine.links import Links, nobody
from crmsync.engine.participants import PEOPLE, of_connection, of_opportunity
from crmsync.engine.plan import Change
from crmsync.engine.report import Progress, ProgressListener
from crmsync.engine.roles import NAMES, OPPORTUNITIES, RolePlanner, Roles
from crmsync.engine.session import Session
from crmsync.engine.standing import Coming, judge
from crmsync.fields.model import Selection
from crmsync.fields.values import instant
from crmsync.state.participants import Participant
from crmsync.state.records import Outcome

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Look:
    """The roles of some opportunities, by the roles' keys: those that should be, what differs from them, and of which
    opportunity that is; the connections that bring somebody; what is ``missing`` because of who is; whether any of it
    follows from what Dynamics did not show."""

    wanted: dict[str, Change]
    found: dict[str, Difference]
    opportunities: dict[str, str]
    connections: list[str]
    missing: dict[str, Difference]
    rests_on_absence: bool = False


class RoleComparison:
    """Compares the roles of all opportunities that Marketo has. With a ``mender`` they are mended, page by page."""

    def __init__(
        self,
        session: Session,
        schema: DynamicsSchema,
        selection: Selection,
        result: Comparison,
        mender: Mender | None,
        progress: ProgressListener | None,
    ) -> None:
        self._session = session
        self._opportunity = schema.entities["opportunity"]
        self._select = selection.select(self._opportunity)
        names = carried(session.tenant, schema, selection)
        self._connection = schema.entities["connection"] if "connection" in names else None
        self._select_connections = selection.select(self._connection) if self._connection else ()
        self._coming = Coming(session, schema, names)
        self._absence = Absence(session)
        self._read = [self._opportunity, *([self._connection] if self._connection else [])]
        self._planner = RolePlanner(session, Links(session, bring=nobody))
        self._result = result
        self._mender = mender
        self._progress = progress
        self.counts = result.entities.setdefault(ROLE, Compared())

    async def compare(self) -> None:
        """The roles of every opportunity that the ledger has in Marketo. Raises ``PermissionMissing`` where not every
        opportunity or connection can be read."""
        await self._absence.prove(*self._read)
        after, in_marketo_after = "", self._session.store.records.in_marketo_after
        while ids := await in_marketo_after(self._session.name, "opportunity", after, OPPORTUNITIES):
            after = ids[-1]
            await self._page(ids)
        await self._absence.prove(*self._read)

    async def _page(self, ids: Sequence[str]) -> None:
        look = await self._look(ids)
        if look.rests_on_absence:
            await self._absence.prove(*self._read)
            look = await self._look(ids)
            await self._absence.prove(*self._read)
        found, missing = look.found, look.missing
        # Somebody may have changed who takes part, or a cycle may have written it, between the readings.
        if (found or missing) and self._mender is None:
            again = await self._look(
                sorted({*look.opportunities.values(), *(key.partition("/")[0] for key in missing)})
            )
            found = {key: again.found[key] for key in found if key in again.found}
            missing = {key: again.missing[key] for key in missing if key in again.missing}
        for one in [*found.values(), *missing.values()]:
            self._result.note(one)
        self.counts.read += len(look.wanted) + len(missing)
        self.counts.equal += len(look.wanted.keys() - found.keys())
        if found and self._mender is not None:
            surplus = {key: look.opportunities[key] for key in found.keys() - look.wanted.keys()}
            touched = sorted(set(look.opportunities.values()))
            await self._mender.mend(touched, look.connections, frozenset(found), surplus)
            left = (await self._look(touched)).found
            self.counts.repaired += len(found.keys() - left.keys())
        if self._progress is not None:
            await self._progress(Progress(tenant=self._session.name, entity=ROLE, done=self.counts.read))

    async def _look(self, ids: Sequence[str]) -> _Look:
        alive, _ = await self._planner.alive(ids)
        read = self._session.dynamics.read_by_ids
        rows = await read(self._opportunity, self._select, sorted(alive), lookup_types=True)
        opportunities = {row[self._opportunity.primary_id].lower(): row for row in rows}
        stated = [one for key, row in opportunities.items() for one in of_opportunity(row, key)]
        connected = await self._by_connections(opportunities)
        wanted = await self._planner.wanted([*stated, *connected])
        there = await self._in_marketo(sorted(opportunities))
        hidden = alive != opportunities.keys() or not there.keys() <= wanted.keys()
        look = _Look(wanted, {}, {}, [one.source_id for one in connected], {}, hidden)
        for key in wanted.keys() | there.keys():
            if (one := _difference(wanted.get(key), there.get(key))) is not None:
                look.found[key] = one
                look.opportunities[key] = one.record_id.partition("/")[0]
        await self._judge(look)
        look.missing.update(await self._not_there([*stated, *connected]))
        return look

    async def _judge(self, look: _Look) -> None:
        """Roles that were refused, or that wait because those of their opportunity are due."""
        store, tenant = self._session.store, self._session.name
        if not look.found:
            return
        errors = await store.errors.of(tenant, ROLE, list(look.found))
        due = await store.waits.of(tenant, "opportunity", sorted(set(look.opportunities.values())))
        sent = await store.waits.of(tenant, ROLE, list(look.found))
        for key, one in look.found.items():
            roles = [wait for wait in due.get(look.opportunities[key], ()) if wait.kind == "roles"]
            look.found[key] = judge(one, [*roles, *sent.get(key, ())], errors.get(key, ()))

    async def _not_there(self, stated: Iterable[Participant]) -> dict[str, Difference]:
        """Who takes part and is not in Marketo yet, though no filter keeps that person out: their roles wait."""
        heirs = await self._session.store.succession.heirs(self._session.name, {one.person_id for one in stated})
        whose = {(one.opportunity_id, heirs.get(one.person_id, one.person_id)) for one in stated}
        people = {person for _, person in whose}
        for entity in PEOPLE:
            people -= await self._session.store.records.in_marketo(self._session.name, entity, people)
        coming = await self._coming.among(PEOPLE, people)
        return {
            f"{opportunity}/{person}": Difference(
                entity=ROLE, record_id=f"{opportunity}/{person}", kind="waiting", waits_for=["parent"]
            )
            for opportunity, person in sorted(whose)
            if person in coming
        }

    async def _by_connections(self, opportunities: Iterable[str]) -> list[Participant]:
        if self._connection is None:
            known = await self._session.store.participants.of(self._session.name, opportunities)
            return [one for one in known if one.kind == "connection"]
        rows = await self._session.dynamics.read_by_ids(
            self._connection, self._select_connections, sorted(opportunities), by="_record1id_value", lookup_types=True
        )
        return [one for row in rows if (one := of_connection(row)) is not None]

    async def _in_marketo(self, opportunities: Sequence[str]) -> dict[str, Row]:
        if not opportunities:
            return {}
        fields = [*ROLE_KEY, *NAMES]
        rows = await self._session.marketo.roles("externalOpportunityId", opportunities, fields)
        return {role_key(row): row for row in rows}


class Mender:
    """Mends the roles of opportunities: who takes part is noted anew, and the roles follow as in every cycle."""

    def __init__(
        self, session: Session, opportunities: Lane | ConnectionLane, connections: Lane | ConnectionLane | None
    ) -> None:
        self._session = session
        self._opportunities = opportunities
        self._connections = connections
        self._roles = Roles(session, Links(session, bring=nobody))

    @classmethod
    async def open(cls, session: Session, path: DataPath) -> Mender:
        """One that reads as the cycles on this path do."""
        connections = await path.open_lane("connection") if "connection" in path.entities else None
        return cls(session, await path.open_lane("opportunity"), connections)

    async def mend(
        self,
        opportunities: Sequence[str],
        connections: Sequence[str],
        keys: frozenset[str],
        surplus: Mapping[str, str],
    ) -> None:
        """Bring the roles of these opportunities in step: those of ``keys`` are written though they seem to be, and
        ``surplus`` ones, told with their opportunities, deleted even if the ledger never knew them."""
        store, tenant = self._session.store, self._session.name
        await self._opportunities.again(opportunities, await self._read_number("opportunity"), mode="changed")
        if self._connections is not None:
            noted = await store.participants.of(tenant, opportunities)
            sources = {one.source_id for one in noted if one.kind == "connection"} | set(connections)
            await self._connections.again(sorted(sources), await self._read_number("connection"), mode="changed")
        known = await store.records.children(tenant, ROLE, opportunities)
        adopted = [_unknown(key, one) for key, one in surplus.items() if key not in known]
        await store.records.land(tenant, ROLE, adopted)
        if not await self._roles.bring(opportunities, keys):
            await store.pending.add(tenant, "opportunity", "roles", opportunities)

    async def _read_number(self, name: str) -> int:
        checkpoint = await self._session.store.checkpoints.get(self._session.name, name)
        return checkpoint.read_number if checkpoint else 1


def _difference(wanted: Change | None, row: Row | None) -> Difference | None:
    """How a role differs from what it should be."""
    told: Row = wanted.payload if wanted is not None else row or {}
    record_id = f"{str(told['externalOpportunityId']).lower()}/{told['leadId']}"
    kind: Kind = "differing"
    fields: list[str] = []
    if row is None:
        kind = "missing in Marketo"
    elif wanted is None:
        kind = "surplus in Marketo"
    else:
        fields = [name for name in NAMES if _meant(name, told[name]) != _meant(name, row.get(name))]
        if not fields:
            return None
    return Difference(entity=ROLE, record_id=record_id, kind=kind, fields=fields)


def _meant(name: str, value: Any) -> Any:
    if name == "isPrimary":
        return value is True
    return instant(value).replace(microsecond=0) if value else None


def _unknown(key: str, opportunity: str) -> Outcome:
    """A row of the ledger for a role that Marketo has, and nothing more is known of."""
    return Outcome(key, "unknown", True, None, None, None, None, None, 0, parent_id=opportunity)
