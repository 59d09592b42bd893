"""Compares both sides of a tenant record by record, and writes what differs when it is asked to.

Everything is read from Dynamics, and from Marketo whatever carries the same key, 300 keys a call. Expected is what the
planner would write now, so that links, filter and conversion are those of every cycle; a repair goes through the same
lane as a cycle. Names of fields and ids of records are told, never values.

Adobe's white paper on CRM synchronization, "Retention": after a gap that is longer than what either side remembers,
compare instead of replaying. "Query Leads" (Marketo): filterType dynamicsId, at most 300 values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from crmsync.dynamics.pacing import together
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.chosen import carried, chosen_fields, left_out
from crmsync.engine.compare_roles import Mender, RoleComparison
from crmsync.engine.comparison import Compared, Comparison, Difference, Kind
from crmsync.engine.connections import ConnectionLane
from crmsync.engine.custom.planner import planner_for
from crmsync.engine.datapath import LEAVE_OUT_CUSTOM, DataPath, may_be_left_out
from crmsync.engine.destination import DELETED_FLAG, ROLE, TARGETS
from crmsync.engine.lane import Lane
from crmsync.engine.links import Links, nobody
from crmsync.engine.names import COMPARABLE, check_names, comparable_names
from crmsync.engine.plan import Change, Plan
from crmsync.engine.report import Progress, ProgressListener
from crmsync.engine.seen import SeenIds
from crmsync.engine.session import Session
from crmsync.engine.setup import ensure_bound
from crmsync.engine.sync import stopping
from crmsync.errors import OperatorMustAct, StateMismatch
from crmsync.fields.model import KEY_FIELDS, Selection
from crmsync.fields.values import equal
from crmsync.marketo.schema import Target
from crmsync.state.lifecycle import TenantState

log = logging.getLogger("crmsync.engine")

PAGE_SIZE = 2000
KEYS_A_CALL = 300
OPT_OUTS = frozenset({"unsubscribed", "doNotCall"})
"""Marketo may know of an opt-out that Dynamics does not: it wins, so it is no difference."""

_REPAIRABLE = frozenset({"missing in Marketo", "differing", "vanished in Dynamics"})


async def compare(
    session: Session,
    *,
    repair: bool = False,
    entities: Sequence[str] = (),
    progress: ProgressListener | None = None,
) -> Comparison:
    """Compare these entities (all without any); with ``repair`` write what differs.

    Without ``repair`` nothing is written on either side and no lease is taken: cycles go on meanwhile. Raises
    ``StateMismatch`` when no fields were selected yet, or a repair would run into a first sync; ``TenantBusy``;
    ``OperatorMustAct`` for an entity that this tenant does not sync.
    """
    check_names(entities, comparable_names(session.tenant), tenant=session.name, which=COMPARABLE)
    await ensure_bound(session)
    async with AsyncExitStack() as stack:
        if repair:
            await _repair_may_run(session)
            await stack.enter_async_context(session.lease())
            await stack.enter_async_context(stopping(session))
        path = await DataPath.open(session, progress) if repair else None
        if path is not None:
            # What was changed in Marketo since the last cycle is a change to bring to Dynamics, not a difference.
            await path.collect()
        result = Comparison(tenant=session.name, started_at=session.clock())
        schema, selection = await chosen_fields(session)
        for name in _comparable(session, schema, selection, entities):
            try:
                await _compare(session, name, schema, selection, result, path, progress)
            except LEAVE_OUT_CUSTOM as error:
                if not may_be_left_out(name, error):
                    raise
                result.left_out[name] = error.message
                log.warning("%s: %s is not compared: %s", session.name, name, error)
        if path is not None:
            await path.finish()
            await path.write_back()
        result.ended_at = session.clock()
    log.info("%s: compared, %s", session.name, "in step" if result.in_step else "out of step")
    return result


def _comparable(session: Session, schema: DynamicsSchema, selection: Selection, wanted: Sequence[str]) -> list[str]:
    """The entities to compare, in order: roles behind all others, as a cycle carries them."""
    names = [name for name in carried(session.tenant, schema, selection) if name != "connection"]
    names += [ROLE] if "opportunity" in names else []
    why = left_out(session.tenant, schema, selection)
    for name in wanted:
        if name not in names:
            raise OperatorMustAct(
                f"This tenant does not sync {name}: {why['opportunity' if name == ROLE else name]}",
                tenant=session.name,
                entity=name,
                remedy=f"See what it syncs: crmsync status {session.name}",
            )
    return [name for name in names if not wanted or name in wanted]


async def _compare(
    session: Session,
    name: str,
    schema: DynamicsSchema,
    selection: Selection,
    result: Comparison,
    path: DataPath | None,
    progress: ProgressListener | None,
) -> None:
    if name == ROLE:
        mender = await Mender.open(session, path) if path else None
        await RoleComparison(session, schema, selection, result, mender, progress).compare()
    else:
        await _Entity(session, schema.entities[name], selection, result, path, progress).compare()


async def _repair_may_run(session: Session) -> None:
    state = (await session.store.tenants.get(session.name)).state
    if state not in {TenantState.SYNCING, TenantState.DISABLED}:
        raise StateMismatch(
            f"A repair needs a tenant whose first sync is done; this one is '{state}'",
            tenant=session.name,
            remedy=f"Run: crmsync connect {session.name}",
        )


class _Entity:
    """Compares one entity. With a ``path`` it repairs, page by page."""

    def __init__(
        self,
        session: Session,
        entity: Entity,
        selection: Selection,
        result: Comparison,
        path: DataPath | None,
        progress: ProgressListener | None,
    ) -> None:
        self._session = session
        self._entity = entity
        self._name = entity.logical_name
        self._custom = selection.custom_objects.get(self._name)
        self._target: Target = "custom_object" if self._custom else TARGETS[self._name]
        self._key = KEY_FIELDS[self._target]
        self._select = selection.select(entity)
        self._mappings = {mapping.field: mapping for mapping in selection.mappings[self._name]}
        self._planner = planner_for(session, entity, selection, Links(session, bring=nobody))
        self._result = result
        self._path = path
        self._lane: Lane | ConnectionLane | None = None
        self._progress = progress
        self._seen = SeenIds()
        self._read_number = 1
        self.counts = result.entities.setdefault(self._name, Compared())

    async def compare(self) -> None:
        """Every record of Dynamics, then every record that only Marketo has."""
        await self._planner.prepare()
        if self._path is not None:
            self._lane = await self._path.open_lane(self._name)
            checkpoint = await self._session.store.checkpoints.get(self._session.name, self._name)
            self._read_number = checkpoint.read_number if checkpoint else 1
        read = self._session.dynamics.read
        async for rows in read(self._entity, self._select, page_size=PAGE_SIZE, lookup_types=self._custom is not None):
            await self._page(rows)
        await self._vanished()

    async def _page(self, rows: list[dict[str, Any]]) -> None:
        plan = await self._planner.plan(rows, self._read_number, mode="whole")
        self._seen.add(row[self._entity.primary_id].lower() for row in rows)
        found = await self._differences(plan)
        # Somebody may have changed a record, or a cycle may have written it, between the two readings.
        if found and self._lane is None:
            found = await self._looked_at_again(found)
        self.counts.read += len(rows)
        self.counts.filtered += plan.filtered
        self.counts.equal += len(rows) - plan.filtered - len(found)
        await self._settle(found)
        if self._progress is not None:
            await self._progress(Progress(tenant=self._session.name, entity=self._name, done=self.counts.read))

    async def _looked_at_again(self, found: Sequence[Difference]) -> list[Difference]:
        rows = await self._read([one.record_id for one in found])
        return await self._differences(await self._planner.plan(rows, self._read_number, mode="whole"))

    async def _read(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        read = self._session.dynamics.read_by_ids
        return await read(self._entity, self._select, ids, lookup_types=self._custom is not None)

    async def _settle(self, found: Sequence[Difference]) -> None:
        """Count and list the differences, and repair those that can be."""
        for one in found:
            self._result.note(one)
        wanted = [one.record_id for one in found if one.kind in _REPAIRABLE]
        if self._path is None or self._lane is None or not wanted:
            return
        await self._lane.again(wanted, self._read_number, mode="whole")
        rows = await self._read(wanted)
        left = await self._differences(await self._planner.plan(rows, self._read_number, mode="whole"))
        there = {row[self._entity.primary_id].lower() for row in rows}
        vanished = [one for one in wanted if one not in there]
        if vanished:
            if self._name == "opportunity":
                await self._path.carry_roles()  # Marketo deletes none that has roles
            await self._lane.remove(vanished, self._read_number)
        gone = await self._unflagged(vanished)
        self.counts.repaired += len(wanted) - len(left) - len(gone)

    async def _differences(self, plan: Plan) -> list[Difference]:
        in_marketo = await self._in_marketo([change.record_id for change in plan.changes], list(self._mappings))
        refused = [self._difference(error.record_id, "refused") for error in plan.errors]
        compared = [self._compared(change, in_marketo.get(change.record_id, [])) for change in plan.changes]
        return [*refused, *[one for one in compared if one is not None]]

    def _compared(self, change: Change, rows: list[dict[str, Any]]) -> Difference | None:
        if not rows:
            return self._difference(change.record_id, "missing in Marketo")
        if len(rows) > 1:
            return self._difference(change.record_id, "twice in Marketo")
        fields = [name for name, value in change.payload.items() if not self._same(name, value, rows[0].get(name))]
        return self._difference(change.record_id, "differing", fields) if fields else None

    def _same(self, field: str, sent: Any, read: Any) -> bool:
        if field in OPT_OUTS and read is True:
            return True
        return equal(self._mappings[field], sent, read)

    async def _vanished(self) -> None:
        """Records that the ledger has in Marketo and this reading of Dynamics did not meet."""
        after = ""
        while ids := await self._session.store.records.in_marketo_after(
            self._session.name, self._name, after, PAGE_SIZE
        ):
            after = ids[-1]
            if unmet := [one for one in ids if one not in self._seen]:
                rows = await self._session.dynamics.read_by_ids(self._entity, [self._entity.primary_id], unmet)
                there = {row[self._entity.primary_id].lower() for row in rows}
                gone = await self._unflagged([one for one in unmet if one not in there])
                await self._settle([self._difference(one, "vanished in Dynamics") for one in gone])

    async def _unflagged(self, ids: Sequence[str]) -> list[str]:
        """Those of these vanished records that Marketo holds as if they existed; a company carries no flag, nor does
        anybody whom the tenant file lets stay, so for these the ledger tells."""
        if self._target != "person" or self._session.tenant.deleted_in_dynamics == "ignore":
            known = await self._session.store.records.known(self._session.name, self._name, ids)
            return [one for one in ids if one in known and known[one].status != "deleted"]
        found = await self._in_marketo(ids, [DELETED_FLAG])
        return [one for one in ids if any(row.get(DELETED_FLAG) is not True for row in found.get(one, []))]

    def _difference(self, record_id: str, kind: Kind, fields: list[str] | None = None) -> Difference:
        return Difference(entity=self._name, record_id=record_id, kind=kind, fields=fields or [])

    async def _in_marketo(self, ids: Sequence[str], fields: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        marketo = self._session.marketo
        read: dict[Target, Callable[[str, Sequence[str], Sequence[str]], Coroutine[Any, Any, list[dict[str, Any]]]]] = {
            "person": marketo.people,
            "company": marketo.companies,
            "sales_person": marketo.sales_persons,
            "opportunity": marketo.opportunities,
        }
        if self._custom is not None:
            read["custom_object"] = partial(marketo.custom_objects, self._custom.name)
        wanted = list(dict.fromkeys([self._key, *fields]))
        chunks = [ids[start : start + KEYS_A_CALL] for start in range(0, len(ids), KEYS_A_CALL)]
        answers = await together(read[self._target](self._key, chunk, wanted) for chunk in chunks)
        found: dict[str, list[dict[str, Any]]] = {}
        for row in (row for answer in answers for row in answer):
            found.setdefault(str(row[self._key]).lower(), []).append(row)
        return found
