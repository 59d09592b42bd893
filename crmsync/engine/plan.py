"""Decides what is to be written of the records that were read: filter, conversion, links, fingerprints.

A record that Marketo has gets only the fields that changed, so that a field which somebody changes in Marketo meanwhile
is not overwritten with what Dynamics held before; a field whose change in Marketo waits to be brought to Dynamics is
held back until that is decided (``crmsync.engine.back``).

The sync filter follows Marketo's "Create a Custom Dynamics Sync Filter": only an explicit No in ``new_synctomkto``
stops a record (``crmsync.fields.sync_filter``). A value that was there and reads as empty now may be hidden by column
security: the right to read it is proved before it is believed (``crmsync.engine.doubts``). A record is linked to its
owner and company only when Marketo has them, since Marketo refuses a record that names a missing one; until then the
record waits for the link, not for its values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from crmsync.dynamics.schema import Entity
from crmsync.engine.back.fields import OPT_OUTS, Ledger, PersonFields
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.destination import TARGETS
from crmsync.engine.doubts import Doubts
from crmsync.engine.fingerprint import NEVER_AGREED, NOTHING, WIDTH, changed, fingerprints
from crmsync.engine.guards import guards_of
from crmsync.engine.links import COMPANY_LINK, OWNER_LINK, Links
from crmsync.engine.losses import Lost, lost
from crmsync.engine.refresh import Refresh, never
from crmsync.engine.session import Session
from crmsync.engine.tombstones import Undone, is_tombstone
from crmsync.errors import RecordRefused
from crmsync.fields.convert import Converter
from crmsync.fields.model import OWNER_TEAM, SYNC_FLAG, Selection
from crmsync.fields.sync_filter import UNCLEAR, says_no
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.records import Known, Outcome, RecordStatus
from crmsync.state.sql import now
from crmsync.state.store import Store
from crmsync.state.syncerrors import FieldKey, RefusedField, SyncError

Mode = Literal["changed", "forced", "whole", "asked"]
"""What is written of records that are read: what ``changed``; ``forced``, also a record that did not change (a link or
a retry is due); ``whole``, every field of it, whatever was agreed on, and the record itself where Marketo lost it;
``asked``, as forced, and also where the person was deleted or merged in Marketo."""

SAME_ID = "same-id"
"""The code of a lead and a contact with one id: Marketo knows people by the id alone."""
SAME_ID_AGAIN = timedelta(hours=1)

Agreed = tuple[int | None, bytes | None]
"""What both sides held last: the number of a field set, and the fingerprints in its order."""

_TRUE = fingerprints([True])


@dataclass(slots=True)
class Change:
    """One record to be written, and what to remember when it has been. ``is_new``: the store never heard of it;
    ``arrives``: what waits for it to be in Marketo, and in step, is due once it is; ``parent_id`` is a role's
    opportunity, or what the ledger says of a person.

    ``marketo_id``: a person is written by it, where it is known. ``creates``: a person that is not there any more is
    made anew.
    ``only``: the fields that are sent of a person that Marketo has; None sends all.
    ``agreed``: what the ledger says of a person as long as Marketo has not taken this.
    ``before``: what was agreed on, field by field in the order of the field set; None where nothing is known.
    ``lost``: what is taken away from Marketo by it, which the brake counts.
    ``withheld``: opt-outs that the person may have made while nothing was known of it; they are to be looked at.
    ``errors``: fields that cannot be sent; ``kept``: fields whose errors stay as they are, because their values do;
    ``refused``: fields that Marketo did not take, with what it said and the fingerprint of the value.
    """

    record_id: str
    payload: dict[str, Any]
    fingerprints: bytes
    is_new: bool
    in_marketo: bool = False
    marketo_id: int | None = None
    creates: bool = True
    waiting_owner: str | None = None
    waiting_company: str | None = None
    arrives: bool = False
    parent_id: str | None = None
    middle_id: str | None = None
    only: frozenset[str] | None = None
    agreed: Agreed | None = None
    before: bytes | None = None
    lost: Lost | None = None
    withheld: frozenset[str] = frozenset()
    errors: tuple[SyncError, ...] = ()
    kept: frozenset[str] = frozenset()
    refused: dict[str, tuple[Answer, str]] = field(default_factory=dict)

    @property
    def sent(self) -> dict[str, Any]:
        """The values that are sent."""
        if self.only is None:
            return self.payload
        return {name: value for name, value in self.payload.items() if name in self.only}


@dataclass
class Plan:
    """What became of the records of one page: to be written, or with an outcome already."""

    changes: list[Change] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[SyncError] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    healed: list[FieldKey] = field(default_factory=list)
    filtered: int = 0
    tombstones: int = 0
    unchanged: int = 0
    failed: int = 0


@dataclass
class Aside:
    """What of a record is not sent: new ``errors`` of fields, the fields whose errors are ``kept``, and those that are
    ``healed``; ``marks`` are the record's without them."""

    marks: bytes
    errors: list[SyncError] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    healed: list[str] = field(default_factory=list)


def planner_of(
    session: Session,
    entity: Entity,
    selection: Selection,
    links: Links,
    refresh: Refresh = never,
    prove: Prove = proves_nothing,
) -> Planner:
    """The planner of an entity, as the tenant file wants it."""
    name, some = entity.logical_name, session.tenant.accounts == "with_synced_people"
    return Planner(
        session.store,
        session.name,
        entity,
        selection,
        links,
        only_needed=some and name == "account",
        brings_companies=not (some and name == "opportunity"),
        recreate=session.tenant.deleted_in_marketo == "recreate",
        refresh=refresh,
        prove=prove,
    )


class Planner:
    """Plans the records of one entity of one tenant."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        entity: Entity,
        selection: Selection,
        links: Links,
        *,
        only_needed: bool = False,
        brings_companies: bool = True,
        recreate: bool = False,
        refresh: Refresh = never,
        prove: Prove = proves_nothing,
    ) -> None:
        self._store = store
        self._refresh = refresh
        self._prove = prove
        self._undone = Undone(store, tenant, entity.logical_name, recreate=recreate)
        self._is_person = TARGETS.get(entity.logical_name) == "person"
        self._one_way = frozenset(PersonFields(entity, selection).one_way)
        self._tenant = tenant
        self._names = selection.field_names(entity.logical_name)
        self._filtering = SYNC_FLAG in entity.attributes
        self._guards = [
            column for one, column in guards_of(entity.logical_name, selection) if one == entity.logical_name
        ]
        self._links = links
        self._links_to_companies = entity.logical_name != "account"
        self._mappings = mappings = selection.mappings[entity.logical_name]
        self.opt_outs = self._consent = frozenset(
            mapping.field for mapping in mappings if mapping.attribute in OPT_OUTS
        )
        self._may_leave_companies = entity.logical_name == "opportunity"
        self._names_teams = OWNER_TEAM in self._names
        self._may_be_unknown = {OWNER_TEAM} if self._names_teams else set[str]()
        self._only_needed = only_needed
        self._brings_companies = brings_companies
        self._field_sets: dict[int, tuple[str, ...]] = {}
        self.field_set = 0
        self._use(entity)

    def _use(self, entity: Entity) -> None:
        self._entity = entity
        self.__dict__.pop("_converter", None)
        self._sources = {
            mapping.field: entity.attributes[mapping.attribute].select_name
            for mapping in self._mappings
            if mapping.attribute in entity.attributes
        }
        self._doubts = Doubts(entity, self._mappings, self._guards)

    @cached_property
    def _converter(self) -> Converter:
        """Made when there is a row: most cycles have none of most entities."""
        return Converter(self._entity, self._mappings)

    async def prepare(self) -> None:
        """Number the field set; before the first ``plan``."""
        name = self._entity.logical_name
        self.field_set = await self._store.records.field_set(self._tenant, name, self._names)
        self._field_sets = await self._store.records.field_sets(self._tenant, name)

    async def plan(
        self,
        rows: Sequence[dict[str, Any]],
        read_number: int,
        *,
        mode: Mode = "changed",
        needed: bool = False,
        edited: bool = False,
    ) -> Plan:
        """Plan these records. ``needed`` says that somebody belongs to these accounts, where the tenant wants no
        others; ``edited`` that they were changed since they were read last."""
        name = self._entity.logical_name
        by_id = {row[self._entity.primary_id].lower(): row for row in rows}
        known = await self._store.records.known(self._tenant, name, list(by_id))
        held = await self._store.inbox.held(self._tenant, name, list(by_id)) if self._is_person else {}
        plan = Plan()
        if self._is_person:
            await self._leave_people(plan, by_id, known, read_number, mode, edited=edited)
        converted: dict[str, dict[str, Any]] = {}
        refused: dict[str, dict[str, RecordRefused]] = {}
        for record_id, row in by_id.items():
            found: dict[str, RecordRefused] = {}
            try:
                if self._filtering and says_no(self._entity, row):
                    plan.filtered += 1
                    plan.outcomes.append(self._kept(record_id, known.get(record_id), "filtered", read_number))
                    continue
                converted[record_id] = self._converter.convert(row, found)
            except RecordRefused as refusal:
                if refusal.code == UNCLEAR:
                    self._converter.unexplained.add(SYNC_FLAG)
                self._refuse(plan, record_id, known.get(record_id), refusal, read_number)
            if found:
                refused[record_id] = found
        if self._converter.unexplained and (entity := await self._refresh(name)) is not None:
            # A value does not fit the metadata, and these have changed: everything is converted by the new ones.
            self._use(entity)
            return await self.plan(rows, read_number, mode=mode, needed=needed, edited=edited)
        if self._only_needed and not needed:
            await self._leave_unneeded(plan, converted, known, read_number)
        await self._resolve(plan, by_id, converted, known, read_number)
        open_errors = await self._store.errors.refused_fields(self._tenant, name, list(converted))
        doubted = set(self._doubts.secured) if converted else set[str]()
        for record_id, payload in converted.items():
            before = known.get(record_id)
            aside = self._set_aside(
                by_id[record_id],
                before,
                payload,
                refused.get(record_id, {}),
                open_errors.get(record_id, ()),
                retry=mode != "changed",
            )
            marks, held_fields = aside.marks, held.get(record_id, frozenset())
            for field_name in self._may_be_unknown - payload.keys():
                marks = self._as_agreed(field_name, before, marks)
            plan.healed += [(record_id, field_name) for field_name in aside.healed]
            if held_fields and before is not None and before.fingerprints is not None:
                marks = self._hold(held_fields, before, payload, marks)
            if before is not None and mode == "changed" and self._is_unchanged(before, marks):
                plan.seen.append(record_id)
                plan.errors += aside.errors
                if before.status == "failed" or aside.errors:
                    plan.failed += 1
                else:
                    plan.unchanged += 1
                continue
            withheld = self._keep_consent(payload, before)
            change = Change(record_id, payload, marks, is_new=before is None, arrives=before is None)
            change.errors, change.kept = tuple(aside.errors), frozenset(aside.kept)
            if before is not None:
                if before.in_marketo:
                    change.withheld = withheld - self._told_before(before)
                change.in_marketo = before.in_marketo
                is_its_own = before.in_marketo or before.status == "gone" or not self._is_person
                change.marketo_id = before.marketo_id if is_its_own else None
                change.creates = mode in ("whole", "asked") or before.status == "deleted" or not before.in_marketo
                change.parent_id, change.middle_id = before.parent_id, before.middle_id
                change.arrives = not before.in_marketo or before.status != "synced"
                change.agreed = _not_trusted(before) if self._is_person and before.in_marketo else None
                change.only = None if mode == "whole" else self._only(before, marks)
                change.before = self._ledger(before).joined() if before.fingerprints is not None else None
                if before.in_marketo:
                    doubted |= self._doubts.of(by_id[record_id], change, self._names, whole=mode == "whole")
                change.lost = self._lost(before, marks)
            plan.changes.append(change)
        if doubted and self._doubts.left(doubted, rows):
            await self._prove(name)
        await self._link(plan.changes)
        return plan

    async def _leave_people(
        self,
        plan: Plan,
        rows: dict[str, dict[str, Any]],
        known: dict[str, Known],
        read_number: int,
        mode: Mode,
        *,
        edited: bool,
    ) -> None:
        """Take out the tombstones that stand, and the records whose id has a person under another entity already."""
        if dead := {one: state for one, state in known.items() if is_tombstone(state)}:
            undone = await self._undone.of(dead, rows, edited=edited, asked=mode == "asked")
            known.update(undone)
            for record_id in dead.keys() - undone.keys():
                del rows[record_id]
                plan.tombstones += 1
                plan.seen.append(record_id)
        name = self._entity.logical_name
        for record_id in sorted(await self._store.people.elsewhere(self._tenant, name, list(rows))):
            before = known.get(record_id)
            if before is not None and before.in_marketo and name == "lead":
                continue  # both were written once: the lead keeps the person
            del rows[record_id]
            plan.failed += 1
            plan.outcomes.append(self._kept(record_id, None, "failed", read_number))
            plan.errors.append(self._same_id(record_id))

    def _same_id(self, record_id: str) -> SyncError:
        name = self._entity.logical_name
        other = "contact" if name == "lead" else "lead"
        return SyncError(
            entity=name,
            record_id=record_id,
            code=SAME_ID,
            reason=f"A {other} has the same id, and its person has it in Marketo, which knows people by the id alone",
            remedy=f"Delete this {name} and create it again without choosing its id; or delete the {other}.",
            next_attempt=now() + SAME_ID_AGAIN,
        )

    async def prove_guards(self, rows: Sequence[dict[str, Any]]) -> None:
        """Prove that what crmsync goes by can be read, where no row says anything: of a secured column always, of the
        sync filter also where that would let in whom it kept out."""
        if not rows:
            return
        name = self._entity.logical_name
        doubtful = self._doubts.left(self._doubts.secured_guards, rows)
        if not doubtful and self._filtering and self._doubts.left({SYNC_FLAG}, rows):
            ids = [str(row[self._entity.primary_id]).lower() for row in rows]
            known = await self._store.records.known(self._tenant, name, ids)
            doubtful = any(one.status == "filtered" for one in known.values())
        if doubtful:
            await self._prove(name)

    def _set_aside(
        self,
        row: Mapping[str, Any],
        before: Known | None,
        payload: dict[str, Any],
        refused: Mapping[str, RecordRefused],
        open_errors: Collection[RefusedField],
        *,
        retry: bool,
    ) -> Aside:
        """Leave out of the payload the fields that cannot be sent, and those whose value Marketo refused not long ago;
        the ledger keeps what was agreed on of them."""
        marks = fingerprints(map(payload.get, self._names))
        aside = Aside(marks)
        if not (refused or open_errors):
            return aside
        known = {error.field: error for error in open_errors}
        current = Ledger(self._names, self._names, marks)
        agreed = None if before is None or before.fingerprints is None else self._ledger(before)
        for field_name, refusal in refused.items():
            value = fingerprints([row.get(self._sources.get(field_name, ""))]).hex()
            current[field_name] = agreed[field_name] if agreed is not None else NOTHING
            if field_name in known and known[field_name].refused == value:
                aside.kept.add(field_name)
            else:
                record_id = str(row[self._entity.primary_id]).lower()
                aside.errors.append(self._conversion_error(record_id, refusal, field_name, value))
        for field_name, error in known.items():
            if field_name in refused or error.refused is None or field_name not in self._names:
                continue
            nothing_new = agreed is not None and agreed[field_name] == current[field_name]
            if current[field_name].hex() == error.refused and not (retry or _is_due(error)):
                aside.kept.add(field_name)
                payload.pop(field_name, None)
                current[field_name] = agreed[field_name] if agreed is not None else NOTHING
            elif nothing_new:
                aside.healed.append(field_name)
        aside.marks = current.joined()
        return aside

    def _conversion_error(self, record_id: str, refusal: RecordRefused, field_name: str, value: str) -> SyncError:
        return SyncError(
            entity=self._entity.logical_name,
            record_id=record_id,
            field=field_name,
            operation="convert",
            code=refusal.code or "conversion",
            reason=refusal.message,
            remedy=refusal.remedy,
            refused=value or None,
        )

    async def _resolve(
        self,
        plan: Plan,
        rows: Mapping[str, dict[str, Any]],
        converted: dict[str, dict[str, Any]],
        known: Mapping[str, Known],
        read_number: int,
    ) -> None:
        """Put into the payloads what is not in the row itself."""
        name = self._entity.logical_name
        await self._links.resolve(name, list(converted.values()), names_teams=self._names_teams)

    async def _leave_unneeded(
        self, plan: Plan, converted: dict[str, dict[str, Any]], known: dict[str, Known], read_number: int
    ) -> None:
        """Take out the accounts that Marketo does not have and no synced person waits for."""
        fresh = {one for one in converted if one not in known or known[one].status in {"filtered", "unneeded"}}
        fresh -= {one for one in fresh if one in known and known[one].in_marketo}
        unneeded = fresh - await self._store.records.awaited_companies(self._tenant, fresh) if fresh else set()
        for record_id in sorted(unneeded):
            del converted[record_id]
            plan.filtered += 1
            plan.outcomes.append(self._kept(record_id, known.get(record_id), "unneeded", read_number))

    def _keep_consent(self, payload: dict[str, Any], before: Known | None) -> frozenset[str]:
        """Leave out "may be contacted" unless it was us who wrote the opt-out that it takes back.

        An opt-out made in Marketo is not known here, and a sync never turns true into false on its own authority
        (Adobe's "Unsubscribed" is remembered beyond deletion); a new person may be contacted without being told so.
        The answer is what was left out.
        """
        withheld = []
        for name in self._consent:
            if name in payload and payload[name] is not True and not self._wrote_true(name, before):
                withheld.append(name)
                del payload[name]
        return frozenset(withheld)

    def _told_before(self, before: Known) -> Set[str]:
        """The fields of which something was agreed on; one that was parked until now is not among them."""
        if before.fingerprints is None or before.field_set is None:
            return frozenset()
        return frozenset(self._field_sets[before.field_set])

    def _wrote_true(self, name: str, before: Known | None) -> bool:
        if before is None or not before.in_marketo or before.fingerprints is None or before.field_set is None:
            return False
        names = self._field_sets[before.field_set]
        if name not in names:
            return False
        at = names.index(name) * WIDTH
        return before.fingerprints[at : at + WIDTH] == _TRUE

    def _ledger(self, before: Known) -> Ledger:
        assert before.fingerprints is not None
        assert before.field_set is not None
        return Ledger(self._names, self._field_sets[before.field_set], before.fingerprints)

    def _hold(self, fields: frozenset[str], before: Known, payload: dict[str, Any], marks: bytes) -> bytes:
        """Leave out what was changed in Marketo; the ledger keeps what was agreed on, until it is decided."""
        agreed, now = self._ledger(before), Ledger(self._names, self._names, marks)
        for name in fields & payload.keys():
            del payload[name]
            now[name] = agreed[name]
        return now.joined()

    def _as_agreed(self, name: str, before: Known | None, marks: bytes) -> bytes:
        """The marks with that of a field whose value is not known as it was."""
        if before is None or before.fingerprints is None:
            return marks
        now = Ledger(self._names, self._names, marks)
        now[name] = self._ledger(before)[name]
        return now.joined()

    def _only(self, before: Known, marks: bytes) -> frozenset[str] | None:
        """What is sent of a person that is in step but for some fields: those, its links, and what goes one way."""
        if not self._is_person or before.status != "synced" or not before.in_marketo or before.fingerprints is None:
            return None
        agreed, now = self._ledger(before), Ledger(self._names, self._names, marks)
        return frozenset(name for name in self._names if agreed[name] != now[name]) | self._one_way

    def _lost(self, before: Known, marks: bytes) -> Lost | None:
        if not before.in_marketo or before.fingerprints is None or before.field_set is None:
            return None
        return lost(self._field_sets[before.field_set], before.fingerprints, self._names, marks, self._consent)

    def _is_unchanged(self, before: Known, marks: bytes) -> bool:
        if before.fingerprints is None or before.field_set is None or before.status not in {"synced", "failed"}:
            return False
        return not changed(self._field_sets[before.field_set], before.fingerprints, self._names, marks)

    def _refuse(
        self, plan: Plan, record_id: str, before: Known | None, refusal: RecordRefused, read_number: int
    ) -> None:
        plan.failed += 1
        plan.outcomes.append(self._not_sent(record_id, before, read_number))
        plan.errors.append(self._conversion_error(record_id, refusal, "", ""))

    def _not_sent(self, record_id: str, before: Known | None, read_number: int) -> Outcome:
        outcome = self._kept(record_id, before, "failed", read_number)
        if before is None:
            return outcome
        field_set, marks = _not_trusted(before)
        return outcome._replace(field_set=field_set, fingerprints=marks)

    def _kept(self, record_id: str, before: Known | None, status: RecordStatus, read_number: int) -> Outcome:
        """An outcome without a write: what Marketo has of the record stays as it is, and is not trusted any more."""
        return Outcome(
            record_id=record_id,
            status=status,
            in_marketo=before is not None and before.in_marketo,
            marketo_id=before.marketo_id if before else None,
            field_set=None,
            fingerprints=None,
            waiting_owner=None,
            waiting_company=None,
            read_number=read_number,
            parent_id=before.parent_id if before else None,
            middle_id=before.middle_id if before and self._is_person else None,
        )

    async def _link(self, changes: Sequence[Change]) -> None:
        if self._entity.logical_name != "systemuser":
            owners = {owner for change in changes if (owner := change.payload.get(OWNER_LINK))}
            there = await self._links.there("systemuser", owners)
            teams = await self._links.teams_among(owners)
            for change in changes:
                owner = change.payload.get(OWNER_LINK)
                if owner and owner not in there:
                    without_owner(change, waits=owner not in teams)
        if not self._links_to_companies:
            return
        companies = {company for change in changes if (company := change.payload.get(COMPANY_LINK))}
        there = await self._links.there("account", companies, bring=self._brings_companies)
        for change in changes:
            if change.payload.get(COMPANY_LINK) not in there:
                without_company(change, may_leave=self._may_leave_companies)


def without_owner(change: Change, *, waits: bool = True) -> None:
    """The record goes on without its owner, whom Marketo does not have."""
    owner = change.payload.get(OWNER_LINK)
    change.waiting_owner = owner if waits else None
    change.payload[OWNER_LINK] = None


def without_company(change: Change, *, may_leave: bool) -> None:
    """The record goes on without its company, which Marketo does not have, or has none. A person can be moved to
    another company but never taken out of one: an empty link is not sent, unless it ``may_leave``."""
    change.waiting_company = change.payload.pop(COMPANY_LINK, None)
    if may_leave:
        change.payload[COMPANY_LINK] = None


def _not_trusted(before: Known) -> Agreed:
    """What was agreed on with a record that could not be written: it stays known, so that edits in Marketo are told
    from it; but for the key, which comes first, so that the record differs and is written once it can be."""
    if before.fingerprints is None:
        return None, None
    return before.field_set, NEVER_AGREED + before.fingerprints[WIDTH:]


def _is_due(error: RefusedField) -> bool:
    return error.next_attempt is not None and error.next_attempt <= now()
