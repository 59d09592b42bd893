"""Compares both sides of a tenant record by record, and writes what differs when it is asked to.

Everything is read from Dynamics, and from Marketo whatever carries the same key, 300 keys a call. Expected is what the
planner would write now, so that links, filter and conversion are those of every cycle, and beside that what it would
hold back; what is not equal is then judged (``crmsync.engine.standing``): it differs, waits or was refused. A repair
goes through the same lane as a cycle. Names of fields and ids of records are told, never values.

Adobe's white paper on CRM synchronization, "Retention": after a gap that is longer than what either side remembers,
compare instead of replaying. "Query Leads" (Marketo): filterType dynamicsId, at most 300 values.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

from crmsync.dynamics.pacing import together
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.absence import Absence
from crmsync.engine.back.fields import OPT_OUTS, PersonFields
from crmsync.engine.back.optouts import OptedOut, let_opt_outs_win
from crmsync.engine.back.streams import PERSON_ENTITIES
from crmsync.engine.chosen import carried, is_stopped, left_out
from crmsync.engine.column_rights import ensure_seen
from crmsync.engine.compare_notes import as_far_as_seen, say
from crmsync.engine.compare_roles import Mender, RoleComparison
from crmsync.engine.comparison import Compared, Comparison, Difference, Kind
from crmsync.engine.connections import ConnectionLane
from crmsync.engine.custom.planner import planner_for
from crmsync.engine.datapath import LEAVE_OUT_CUSTOM, DataPath, may_be_left_out
from crmsync.engine.destination import DELETED_FLAG, ROLE, TARGETS
from crmsync.engine.fingerprint import fingerprints
from crmsync.engine.lane import Lane
from crmsync.engine.links import Links, nobody
from crmsync.engine.names import COMPARABLE, check_names, comparable_names
from crmsync.engine.overdue import forget_what_is_done
from crmsync.engine.plan import Change, Plan
from crmsync.engine.refresh import never
from crmsync.engine.report import Progress, ProgressListener
from crmsync.engine.seen import SeenIds
from crmsync.engine.session import Session
from crmsync.engine.setup import ensure_bound
from crmsync.engine.standing import LINKS, Coming, judge, judged
from crmsync.engine.sync import stopping
from crmsync.engine.whereabouts import find_people, take_keys
from crmsync.errors import AllowanceNeeded, ColumnMissing, OperatorMustAct, RecordRefused, StateMismatch
from crmsync.fields.model import KEY_FIELDS, Selection
from crmsync.fields.values import equal
from crmsync.marketo.schema import Target
from crmsync.state.forms import Forms
from crmsync.state.lifecycle import TenantState
from crmsync.state.waits import PERSON, Wait
from crmsync.state.waits import Kind as WaitKind

log = logging.getLogger("crmsync.engine")

PAGE_SIZE = 2000
KEYS_A_CALL = 300
_REPAIRABLE = frozenset({"missing in Marketo", "differing", "vanished in Dynamics", "waiting", "refused"})


async def compare(
    session: Session,
    *,
    repair: bool = False,
    entities: Sequence[str] = (),
    progress: ProgressListener | None = None,
    allow: bool = False,
) -> Comparison:
    """Compare these entities (all without any); with ``repair`` write what differs.

    Without ``repair`` nothing is written on either side and no lease is taken: cycles go on meanwhile. Raises
    ``AllowanceNeeded`` when a repair takes too much away, unless ``allow`` says that it may;
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
        path = None
        if repair:
            command = " ".join([f"compare {session.name}", *(f"--entity {one}" for one in entities), "--repair"])
            path = await DataPath.open(session, progress, allow=allow, command=command)
            await path.see_rights()
            # What was changed in Marketo since the last cycle is a change to bring to Dynamics, not a difference.
            await path.collect()
            await path.write_back()
        result = Comparison(tenant=session.name, started_at=session.clock())
        schema, selection = path.shape if path else await as_far_as_seen(session, result)
        names = _comparable(session, schema, selection, entities, result)
        for name in names:
            try:
                with suppress(AllowanceNeeded):  # told at the end of the run
                    await _compare(session, name, schema, selection, result, path, progress)
            except (ColumnMissing, *LEAVE_OUT_CUSTOM) as error:
                if not isinstance(error, ColumnMissing) and not may_be_left_out(name, error):
                    raise
                result.leave_out(name, f"{error.message}. {error.remedy}" if error.remedy else error.message)
                log.warning("%s: %s is not compared: %s", session.name, name, error)
        if path is not None:
            await path.finish()
            await path.write_back()
            await session.brake.close({*names}.__contains__)
            await forget_what_is_done(session)
        await say(session, schema, selection, names, result)
        result.ended_at = session.clock()
    log.info("%s: compared, %s", session.name, "in step" if result.in_step else "out of step")
    return result


def _comparable(
    session: Session, schema: DynamicsSchema, selection: Selection, wanted: Sequence[str], result: Comparison
) -> list[str]:
    """The entities to compare, in order: roles behind all others, as a cycle carries them. What is stopped is told."""
    names = [name for name in carried(session.tenant, schema, selection) if name != "connection"]
    names += [ROLE] if "opportunity" in names else []
    why = left_out(session.tenant, schema, selection)
    for name in [one for one in why if is_stopped(session.tenant, one, schema, selection)]:
        for one in {"opportunity": ("opportunity", ROLE), "connection": (ROLE,)}.get(name, (name,)):
            if not wanted or one in wanted:
                result.left_out[one] = why[name]
    names = [name for name in names if name not in result.left_out]
    for name in [one for one in wanted if one not in result.left_out]:
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
        await _Entity(session, schema, schema.entities[name], selection, result, path, progress).compare()


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
        schema: DynamicsSchema,
        entity: Entity,
        selection: Selection,
        result: Comparison,
        path: DataPath | None,
        progress: ProgressListener | None,
    ) -> None:
        self._session = session
        self._schema, self._selection = schema, selection
        self._entity = entity
        self._name = entity.logical_name
        self._custom = selection.custom_objects.get(self._name)
        self._target: Target = "custom_object" if self._custom else TARGETS[self._name]
        self._key = KEY_FIELDS[self._target]
        self._select = selection.select(entity)
        self._mappings = {mapping.field: mapping for mapping in selection.mappings[self._name]}
        self._fields = PersonFields(entity, selection)
        self._coming = Coming(session, schema, carried(session.tenant, schema, selection))
        self._planner = planner_for(
            session, entity, selection, Links(session, bring=nobody), path.refreshed if path else never
        )
        self._result = result
        self._path = path
        self._lane: Lane | ConnectionLane | None = None
        self._progress = progress
        self._absence = Absence(session)
        self._seen = SeenIds()
        self._opted_out: dict[str, OptedOut] = {}
        self._copies: dict[str, list[int]] = {}
        self._person = self._fields if self._target == "person" else None
        self._forms: Mapping[str, Forms] = {}
        self._read_number = 1
        self._gone: list[str] = []
        self._emptied: dict[str, set[str]] = {}
        self.counts = result.entities.setdefault(self._name, Compared())

    async def compare(self) -> None:
        """Every record of Dynamics, then every record that only Marketo has, then everybody who is to be created.

        Raises ``PermissionMissing`` where not every record can be read: then nothing is known to be in step.
        """
        await self._absence.prove(self._entity)
        await self._planner.prepare()
        if self._path is not None:
            self._lane = await self._path.open_lane(self._name)
            checkpoint = await self._session.store.checkpoints.get(self._session.name, self._name)
            self._read_number = checkpoint.read_number if checkpoint else 1
        read = self._session.dynamics.read
        async for rows in read(self._entity, self._select, page_size=PAGE_SIZE, lookup_types=self._custom is not None):
            await self._page(rows)
        await self._vanished()
        await self._remove_gone()
        await self._uncreated()
        await self._absence.prove(self._entity)

    async def _page(self, rows: list[dict[str, Any]]) -> None:
        self._seen.add(row[self._entity.primary_id].lower() for row in rows)
        plan, found = await self._planned(rows)
        # Somebody may have changed a record, or a cycle may have written it, between the two readings.
        if found and self._lane is None:
            _, found = await self._planned(await self._read([one.record_id for one in found]))
        hanging = {outcome.record_id for outcome in plan.outcomes} & {one.record_id for one in found}
        filtered = plan.filtered - len(hanging - {error.record_id for error in plan.errors})
        self.counts.read += len(rows)
        self.counts.filtered += filtered
        self.counts.tombstones += plan.tombstones
        self.counts.equal += len(rows) - filtered - plan.tombstones - len(found)
        if found:
            await ensure_seen(self._session.dynamics, self._schema, self._selection, self._name)
        await self._settle(found)
        if self._progress is not None:
            await self._progress(Progress(tenant=self._session.name, entity=self._name, done=self.counts.read))

    async def _planned(self, rows: list[dict[str, Any]]) -> tuple[Plan, list[Difference]]:
        """What a cycle would do with these rows, and what of them is not equal."""
        plan = await self._planner.plan(rows, self._read_number, mode="whole")
        return plan, await self._differences(plan, {row[self._entity.primary_id].lower(): row for row in rows})

    async def _read(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        read = self._session.dynamics.read_by_ids
        return await read(self._entity, self._select, ids, lookup_types=self._custom is not None)

    async def _settle(self, found: Sequence[Difference]) -> None:
        """Count and list the differences, and repair those that can be."""
        for one in found:
            self._result.note(one)
        wanted = [
            one.record_id
            for one in found
            if (one.kind in _REPAIRABLE and not _waits_for_others(one)) or one.record_id in self._copies
        ]
        if self._path is None or self._lane is None or not wanted:
            return
        await take_keys(self._session, [number for some in self._copies.values() for number in some])
        opted_out = dict(self._opted_out)
        await let_opt_outs_win(self._session, self._fields, opted_out)
        with suppress(AllowanceNeeded):
            await self._lane.again(wanted, self._read_number, mode="whole", emptied=self._emptied)
        rows = await self._read(wanted)
        there = {row[self._entity.primary_id].lower() for row in rows}
        self._gone += await self._absence.gone(self._entity, [one for one in wanted if one not in there])
        if opted_out or any(one.kind == "waiting" for one in found):
            await self._path.write_back()
            rows = await self._read(sorted(there))
        _, left = await self._planned(rows)
        self.counts.repaired += len(there) - len(left)

    async def _remove_gone(self) -> None:
        """Carry the deletions that were found: at the end, when it is known how many there are."""
        if self._path is None or not self._gone:
            return
        if self._name == "opportunity":
            await self._path.carry_roles()  # Marketo deletes none that has roles
        await self._path.remove(self._name)
        self.counts.repaired += len(self._gone) - len(await self._unflagged(self._gone))

    async def _differences(self, plan: Plan, rows: Mapping[str, dict[str, Any]]) -> list[Difference]:
        self._opted_out.clear()
        self._copies.clear()
        self._emptied.clear()
        ids = [change.record_id for change in plan.changes]
        self._forms = await self._session.store.forms.of(self._session.name, self._name, ids) if self._person else {}
        in_marketo = await self._in_marketo(ids, list(self._mappings))
        if self._target == "person":
            in_marketo |= await self._astray({one.record_id: one.marketo_id for one in plan.changes}, in_marketo)
        waits = await self._session.store.waits.of(self._session.name, self._name, ids)
        links = await self._links_to_come(plan)
        seen = {error.record_id: self._difference(error.record_id, "refused", code=error.code) for error in plan.errors}
        seen |= {one: self._difference(one, "missing in Marketo") for one, kinds in links.items() if "parent" in kinds}
        for change in plan.changes:
            held = frozenset[str]().union(*(wait.fields for wait in waits.get(change.record_id, ())))
            there, waiting = in_marketo.get(change.record_id, []), links.get(change.record_id, ())
            one = self._compared(change, rows[change.record_id], there, held, waiting)
            if one is not None and (refused := seen.get(change.record_id)) is not None:
                one = refused.model_copy(update={"fields": one.fields})
            if one is not None:
                seen[change.record_id] = one
        return await judged(self._session, self._name, list(seen.values()), links)

    async def _links_to_come(self, plan: Plan) -> dict[str, set[WaitKind]]:
        """The records whose owner, company or parent is not in Marketo yet, and which of these it is."""
        found: dict[str, set[WaitKind]] = {}
        changes, parents = plan.changes, ("lead", "contact", "account")
        wanted: list[tuple[WaitKind, Sequence[str], dict[str, str]]] = [
            ("owner", ["systemuser"], {one.record_id: one.waiting_owner for one in changes if one.waiting_owner}),
            ("company", ["account"], {one.record_id: one.waiting_company for one in changes if one.waiting_company}),
            ("parent", parents, {one.record_id: one.parent_id for one in plan.outcomes
                                 if one.status == "waiting" and one.parent_id}),
        ]  # fmt: skip
        for kind, entities, whom in wanted:
            coming = await self._coming.among(entities, whom.values())
            for record_id, parent in whom.items():
                if parent in coming:
                    found.setdefault(record_id, set()).add(kind)
        return found

    def _compared(
        self,
        change: Change,
        row: dict[str, Any],
        there: list[dict[str, Any]],
        held: frozenset[str],
        waiting: Collection[WaitKind],
    ) -> Difference | None:
        """By every value: those that would be written, and those ``held`` back or withheld for consent's sake."""
        if not there:
            return self._difference(change.record_id, "missing in Marketo")
        if len(there) > 1:
            numbers = [int(person["id"]) for person in there]
            if self._target == "person" and change.marketo_id in numbers:
                self._copies[change.record_id] = [one for one in numbers if one != change.marketo_id]
            return self._difference(change.record_id, "twice in Marketo")
        [person], record_id = there, change.record_id
        fields = [
            name for name, value in change.payload.items() if not self._same(record_id, name, value, person.get(name))
        ]
        opt_outs = {name for name, mapping in self._mappings.items() if mapping.attribute in OPT_OUTS}
        for name in sorted((held | opt_outs) & self._mappings.keys() - change.payload.keys()):
            if not self._same(record_id, name, self._in_dynamics(name, row), person.get(name)):
                fields.append(name)
        fields += [name for name, kind in LINKS.items() if kind in waiting and name not in fields]
        codes = {error.field: error.code for error in change.errors}
        cannot_be_sent = codes.keys() | change.kept
        fields += sorted(cannot_be_sent - set(fields))
        only_there = {name for name in opt_outs & set(fields) if person.get(name) is True}
        if only_there and self._name in PERSON_ENTITIES:
            self._opted_out[change.record_id] = OptedOut(int(person["id"]), frozenset(only_there), row)
        if not fields:
            return None
        nothing, sent = (None, ""), change.payload
        self._emptied[change.record_id] = {
            name
            for name in fields
            if name in sent and name not in LINKS and sent[name] in nothing and person.get(name) not in nothing
        }
        if cannot_be_sent >= set(fields):
            return self._difference(change.record_id, "refused", fields, code=codes.get(fields[0]))
        return self._difference(change.record_id, "differing", fields)

    def _in_dynamics(self, field: str, row: dict[str, Any]) -> Any:
        """The value that a cycle would send; none where it cannot be sent at all."""
        try:
            return self._fields.sent(field, row)
        except RecordRefused:
            return None

    def _same(self, record_id: str, field: str, sent: Any, read: Any) -> bool:
        if self._person is None or field not in self._person.mappings:
            return equal(self._mappings[field], sent, read)
        form = self._forms.get(record_id, {}).get(field)
        return self._person.same(field, sent, read) or self._person.unchanged(field, fingerprints([sent]), read, form)

    async def _vanished(self) -> None:
        """Records that the ledger has in Marketo and this reading of Dynamics did not meet."""
        after = ""
        while ids := await self._session.store.records.in_marketo_after(
            self._session.name, self._name, after, PAGE_SIZE
        ):
            after = ids[-1]
            if unmet := [one for one in ids if one not in self._seen]:
                gone = await self._unflagged(await self._absence.gone(self._entity, unmet))
                seen = [self._difference(one, "vanished in Dynamics") for one in gone]
                await self._settle(await judged(self._session, self._name, seen, {}))

    async def _uncreated(self) -> None:
        """People in Marketo who are to become records of this entity."""
        store, tenant = self._session.store, self._session.name
        waiting = await store.waits.creations(tenant, self._name)
        errors = await store.errors.of(tenant, self._name, [f"{PERSON}{one}" for one in waiting])
        for person, since in waiting.items():
            seen = self._difference(f"{PERSON}{person}", "surplus in Marketo")
            held = Wait("creation", since)
            self._result.note(judge(seen, [held], errors.get(seen.record_id, ())))

    async def _unflagged(self, ids: Sequence[str]) -> list[str]:
        """Those of these vanished records that Marketo holds as if they existed; a company carries no flag, nor does
        anybody whom the tenant file lets stay, so for these the ledger tells."""
        if self._target != "person" or self._session.tenant.deleted_in_dynamics == "ignore":
            known = await self._session.store.records.known(self._session.name, self._name, ids)
            return [one for one in ids if one in known and known[one].status != "deleted"]
        known = await self._session.store.records.known(self._session.name, self._name, ids)
        found = await find_people(self._session, {one: known[one].marketo_id for one in known}, [DELETED_FLAG])
        return [one for one in ids if any(row.get(DELETED_FLAG) is not True for row in found.get(one, []))]

    async def _astray(
        self, wanted: Mapping[str, int | None], by_key: Mapping[str, list[dict[str, Any]]]
    ) -> dict[str, list[dict[str, Any]]]:
        """The people of those records whose key leads to nobody, or to another person than the one that is theirs."""
        astray: dict[str, int | None] = {
            one: number
            for one, number in wanted.items()
            if number is not None and len(by_key.get(one, ())) < 2
            and all(int(row["id"]) != number for row in by_key.get(one, ()))
        }  # fmt: skip
        return await find_people(self._session, astray, list(self._mappings)) if astray else {}

    def _difference(
        self, record_id: str, kind: Kind, fields: Sequence[str] = (), code: str | None = None
    ) -> Difference:
        return Difference(entity=self._name, record_id=record_id, kind=kind, fields=list(fields), code=code)

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
        wanted = list(dict.fromkeys([self._key, *(["id"] if self._target == "person" else []), *fields]))
        chunks = [ids[start : start + KEYS_A_CALL] for start in range(0, len(ids), KEYS_A_CALL)]
        answers = await together(read[self._target](self._key, chunk, wanted) for chunk in chunks)
        found: dict[str, list[dict[str, Any]]] = {}
        for row in (row for answer in answers for row in answer):
            found.setdefault(str(row[self._key]).lower(), []).append(row)
        return found


def _waits_for_others(one: Difference) -> bool:
    """Whether nothing can be done about this record, but about its owner, its company or its parent."""
    return one.kind == "waiting" and set(one.waits_for) <= {"owner", "company", "parent"}
