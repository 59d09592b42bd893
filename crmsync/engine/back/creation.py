"""Creates people in Dynamics who are members of the tenant's static list, as leads or as contacts.

Never twice: the record's id is chosen here and noted before the request is sent, and the request says that no such row
may exist. Sent again, it finds the row and goes on: the person gets the id as its key in Marketo, and only then may the
entity's changes be read, in which the new row comes back as a record that Marketo has.

What it replaces is the flow action "Sync Person to Microsoft" (Marketo's documents): a person that Dynamics has already
is left alone, one whose record was deleted there is created anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from crmsync.dynamics.write_batch import Write
from crmsync.engine.absence import Absence
from crmsync.engine.back.fields import OPT_OUTS, PersonFields
from crmsync.engine.destination import DELETED_FLAG, PERSON_KEY
from crmsync.engine.fingerprint import NEVER_AGREED, fingerprints
from crmsync.engine.landed import MODIFIED_BY
from crmsync.engine.links import COMPANY_LINK, OWNER_LINK
from crmsync.engine.load import NOBODY
from crmsync.engine.refresh import Refresh, never
from crmsync.engine.report import BackCounts
from crmsync.engine.session import Session
from crmsync.engine.settle import by_id
from crmsync.engine.whereabouts import owners, put_keys_back
from crmsync.errors import ColumnMissing, CrmsyncError, RecordRefused, RequestRefused, TryAgainLater
from crmsync.fields.model import SYNC_FLAG, Selection
from crmsync.fields.sync_filter import yes_of
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.inbox import Creation, Waiting
from crmsync.state.records import Outcome
from crmsync.state.syncerrors import TO_DYNAMICS, SyncError

BATCH = 300
ALREADY_THERE = frozenset({"0x80040237", "0x80060882"})
"""How the service says that a row of that id exists; the first also, that another row has the same alternate key."""

_TWIN = ALREADY_THERE | {"0x80040333"}
"""Refusals for another record's sake: without the field that tells of it a twin would be made (invariant 11)."""

TYPES = {"lead": "Lead", "contact": "Contact"}


class Body(NamedTuple):
    """A row to be created, and the Marketo fields whose values Dynamics cannot take."""

    values: dict[str, Any]
    left_out: frozenset[str]


class Creator:
    """Creates one entity's records of people; ``counts`` tells how many."""

    def __init__(
        self,
        session: Session,
        fields: PersonFields,
        field_set: int,
        selection: Selection,
        refresh: Refresh = never,
    ) -> None:
        self._session = session
        self._fields = fields
        self._selection = selection
        self._refresh = refresh
        self._name = fields.entity.logical_name
        self._field_set = field_set
        self.counts = BackCounts()

    async def run(self, *, most: int | None = None) -> bool:
        """Work on everybody who is due, once; of those who were never begun with, on about ``most``. Whether there are
        more of them."""
        after, begun, left = 0, 0, False
        while waiting := await self._session.store.inbox.creations(self._session.name, after=after, limit=BATCH):
            after = waiting[-1].marketo_id
            mine = [one for one in waiting if one.entity == self._name]
            if most is not None and begun >= most:
                left = left or any(one.record_id is None for one in mine)
                mine = [one for one in mine if one.record_id is not None]
            if mine:
                begun += await self._batch(mine)
        return left

    async def _batch(self, waiting: Sequence[Creation]) -> int:
        """Work on these; how many of them had to be created."""
        names = [PERSON_KEY, OWNER_LINK, COMPANY_LINK, *self._fields.two_way]
        rows = await self._session.marketo.people("id", [str(one.marketo_id) for one in waiting], ["id", *names])
        people = {int(row["id"]): row for row in rows}
        wanted = await self._wanted(waiting, people)
        await self._land(done=[one.marketo_id for one in waiting if one.marketo_id not in wanted])
        bodies = await self._bodies([people[one] for one in sorted(wanted)])
        ids = {one.marketo_id: one.record_id or str(uuid4()) for one in waiting if one.marketo_id in bodies}
        await self._session.store.inbox.name_creations(self._session.name, ids)
        created, refused, there = await self._create(bodies, ids)
        tried_before = {one.marketo_id for one in waiting if one.record_id is not None}
        if created:
            async with by_id(self._session, self._name, "link", [ids[one] for one in created]):
                await self._link({one: ids[one] for one in created}, people, bodies, refused, tried_before, there)
        await self._refuse(refused)
        return len(wanted)

    async def _wanted(self, waiting: Sequence[Creation], people: Mapping[int, dict[str, Any]]) -> set[int]:
        """Who is to be created: without a record, or with one that is deleted; and who was created, but not linked, or
        linked by a call whose answer was lost, which leaves a tombstone if the next one is refused."""
        keys = {one: str(row.get(PERSON_KEY) or "").lower() for one, row in people.items()}
        known: dict[str, str] = {}
        for entity in TYPES:
            found = await self._session.store.records.known(
                self._session.name, entity, [key for key in keys.values() if key]
            )
            known |= {one: state.status for one, state in found.items()}
        half_done = {one.marketo_id for one in waiting if one.record_id is not None}
        # Whose key somebody cleared has a record all the same.
        theirs = await owners(self._session, [one for one, key in keys.items() if not key and one not in half_done])
        await put_keys_back(self._session, {record: one for one, record in theirs.items()})
        return {
            one
            for one, key in keys.items()
            if (not key and one not in theirs)
            or known.get(key) == "deleted"
            or (one in half_done and known.get(key, "gone") == "gone")
        }

    async def _bodies(self, people: Sequence[dict[str, Any]]) -> dict[int, Body]:
        links = await self._links(people)
        bodies = {int(person["id"]): self._body(person, links) for person in people}
        if self._fields.converter.unexplained and (entity := await self._refresh(self._name)) is not None:
            self._fields = PersonFields(entity, self._selection)
            return await self._bodies(people)
        return bodies

    def _body(self, person: dict[str, Any], links: Mapping[str, set[str]]) -> Body:
        """The row: every value that the person has, its owner, its company; and the filter says that it is synced."""
        values: dict[str, Any] = {}
        left_out: set[str] = set()
        for name in self._fields.two_way:
            value = person.get(name)
            if value in (None, "") or not self._fields.attribute(name).valid_for_create:
                continue
            try:
                values[self._fields.attribute(name).logical_name] = self._fields.back(name, value)
            except RecordRefused:
                left_out.add(name)
        if (yes := yes_of(self._fields.entity)) is not None:
            values[SYNC_FLAG] = yes
        choice = self._session.tenant.create_in_dynamics
        owner = choice.owner if choice is not None else None
        if owner is None and person.get(OWNER_LINK) in links["systemuser"]:
            owner = person[OWNER_LINK]
        if owner is not None:
            values["ownerid@odata.bind"] = f"/systemusers({owner.lower()})"
        if self._name == "contact" and person.get(COMPANY_LINK) in links["account"]:
            values["parentcustomerid_account@odata.bind"] = f"/accounts({person[COMPANY_LINK]})"
        return Body(values, frozenset(left_out))

    async def _links(self, people: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {"systemuser": set(), "account": set()}
        for field, entity in ((OWNER_LINK, "systemuser"), (COMPANY_LINK, "account")):
            keys = {person[field] for person in people if person.get(field)}
            if keys:
                found[entity] = await self._session.store.records.in_marketo(self._session.name, entity, keys)
        return found

    async def _create(
        self, bodies: dict[int, Body], ids: Mapping[int, str]
    ) -> tuple[list[int], dict[int, CrmsyncError], dict[str, dict[str, Any]]]:
        """Who has a record now, and who was refused one. Who was not answered for is left to the next cycle. The rows
        of records that were there already come with them.

        Who was refused is created with what a record has to have and the opt-outs; the other fields wait as changes in
        Marketo, of which each can be refused alone.
        """
        created, refused, there = await self._send(bodies, ids)
        least = {
            one: body
            for one, error in refused.items()
            if isinstance(error, RecordRefused | RequestRefused | ColumnMissing)
            and error.code not in _TWIN
            and (body := self._least(bodies[one])) != bodies[one]
        }
        if not least:
            return created, refused, there
        more, still, also = await self._send(least, ids)
        bodies |= {one: least[one] for one in more}
        kept = {one: error for one, error in refused.items() if one not in least}
        return [*created, *more], kept | still, there | also

    def _least(self, body: Body) -> Body:
        """What is left of a body when each field that can do without goes."""
        attributes = self._fields.entity.attributes
        kept = {
            column: value
            for column, value in body.values.items()
            if column not in attributes
            or column in (*OPT_OUTS, SYNC_FLAG)
            or attributes[column].required_level in ("ApplicationRequired", "SystemRequired")
        }
        gone = {name for name in self._fields.two_way if self._fields.attribute(name).logical_name not in kept}
        gone &= {name for name in gone if self._fields.attribute(name).logical_name in body.values}
        return Body(kept, body.left_out | gone)

    async def _send(
        self, bodies: Mapping[int, Body], ids: Mapping[int, str]
    ) -> tuple[list[int], dict[int, CrmsyncError], dict[str, dict[str, Any]]]:
        entity, order = self._fields.entity, list(bodies)
        outcomes = await self._session.dynamics.write_many(
            [Write(entity.entity_set_name, ids[one], bodies[one].values, None) for one in order],
            entity=self._name,
            detect_duplicates=self._session.tenant.duplicate_detection == "detect",
        )
        answers = dict(zip(order, outcomes, strict=True))
        taken = [one for one, error in answers.items() if error is not None and error.code in ALREADY_THERE]
        there = await self._there([ids[one] for one in taken])
        created = [one for one, error in answers.items() if error is None or ids[one] in there]
        refused = {
            one: error
            for one, error in answers.items()
            if error is not None and ids[one] not in there and not isinstance(error, TryAgainLater)
        }
        return created, refused, there

    async def _there(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of these records that exist: created by a run that was killed before it heard of it."""
        entity = self._fields.entity
        select = sorted({self._fields.attribute(name).select_name for name in self._fields.two_way} | {MODIFIED_BY})
        rows = await self._session.dynamics.read_by_ids(entity, select, ids) if ids else []
        found = {str(row[entity.primary_id]).lower(): row for row in rows}
        await Absence(self._session).gone(entity, [one for one in ids if one not in found])
        return found

    async def _moved_on(self, row: dict[str, Any], person: Mapping[str, Any]) -> dict[str, bytes]:
        """The fields of a record that a dead run created whose values differ by now, with what was agreed on: what we
        wrote there; where somebody has edited the record since, nobody knows who changed what, and the rules decide."""
        binding = (await self._session.store.tenants.get(self._session.name)).binding
        ours = binding is not None and str(row.get(MODIFIED_BY)).lower() == binding.sync_user_id.lower()
        found: dict[str, bytes] = {}
        for name in self._fields.two_way:
            try:
                sent = self._fields.sent(name, row)
            except RecordRefused:
                continue
            if not self._fields.same(name, sent, person.get(name)):
                found[name] = fingerprints([sent]) if ours else NEVER_AGREED
        return found

    async def _link(
        self,
        ids: Mapping[int, str],
        people: Mapping[int, dict[str, Any]],
        bodies: Mapping[int, Body],
        refused: dict[int, CrmsyncError],
        tried_before: Set[int],
        there: Mapping[str, dict[str, Any]],
    ) -> None:
        """Give the people their key. By Marketo's id: nobody can be created by that, however often it is sent.

        A value that Dynamics cannot take waits as a change of its own, and becomes a sync error of that field. A record
        that was made before may have been met while its person was not linked: it is read once more.
        """
        rows = [
            {"id": one, PERSON_KEY: record_id, "msType": TYPES[self._name], DELETED_FLAG: False}
            for one, record_id in ids.items()
        ]
        answers = await self._session.marketo.sync_people(rows, action="updateOnly", lookup_field="id")
        outcomes, done, waiting, again = [], [], [], []
        for (one, record_id), answer in zip(ids.items(), answers, strict=True):
            linked = answer.status == "updated"
            changed = await self._moved_on(there[record_id], people[one]) if record_id in there else {}
            outcomes.append(self._outcome(record_id, people[one], bodies[one], changed, linked=linked))
            if linked and (open_fields := bodies[one].left_out | changed.keys()):
                waiting.append(Waiting(record_id, one, open_fields))
            if linked and one in tried_before:
                again.append(record_id)
            if linked or answer.code == NOBODY:
                done.append(one)
            else:
                refused[one] = _not_linked(record_id, answer)
        await self._session.store.inbox.wait(self._session.name, self._name, waiting)
        well, counts = [_name(one) for one in done], {"created": len(done)}
        await self._land(outcomes=outcomes, done=done, well=well, again=again, counts=counts)

    def _outcome(
        self, record_id: str, person: dict[str, Any], body: Body, changed: Mapping[str, bytes], *, linked: bool
    ) -> Outcome:
        """What Marketo holds of the new record: the rest comes with its first change from Dynamics. A person who could
        not be linked has a tombstone, so that the record does not make another one."""
        marks = {name: self._fields.mark(name, person.get(name)) for name in self._fields.two_way}
        marks |= {**dict.fromkeys(body.left_out, fingerprints([None])), **changed}
        marks |= {PERSON_KEY: fingerprints([record_id]), "msType": fingerprints([TYPES[self._name]])}
        empty = fingerprints([None])
        return Outcome(
            record_id=record_id,
            status="synced" if linked else "gone",
            in_marketo=linked,
            marketo_id=int(person["id"]),
            field_set=self._field_set,
            fingerprints=b"".join(marks.get(name, empty) for name in self._fields.names),
            waiting_owner=None,
            waiting_company=None,
            read_number=1,
        )

    async def _refuse(self, refused: Mapping[int, CrmsyncError]) -> None:
        if not refused:
            return
        names = [_name(one) for one in refused]
        attempts = await self._session.store.errors.attempts(
            self._session.name, self._name, names, direction=TO_DYNAMICS
        )
        later: dict[int, datetime] = {}
        errors: list[SyncError] = []
        for one, error in refused.items():
            later[one] = self._session.clock() + timedelta(hours=min(24, 2 ** attempts.get(_name(one), 0)))
            errors.append(
                SyncError(
                    entity=self._name,
                    record_id=_name(one),
                    direction=TO_DYNAMICS,
                    operation="create",
                    code=(error.code or "conversion")[:40],
                    reason=error.message,
                    remedy=error.remedy,
                    next_attempt=later[one],
                )
            )
        await self._land(later=later, errors=errors, counts={"failed": len(errors)})

    async def _land(self, **what: Any) -> None:
        await self._session.store.inbox.land_creations(self._session.name, self._name, **what)
        self.counts += BackCounts(**what.get("counts", {}))


def _name(marketo_id: int) -> str:
    """Under which a person without a record stands among the sync errors."""
    return f"Marketo person {marketo_id}"


def _not_linked(record_id: str, answer: Answer) -> CrmsyncError:
    return RecordRefused(
        f"The record {record_id} was created in Dynamics, but Marketo did not take its id: {answer.reason}",
        remedy="Nothing for now: it is tried again; until then the record and the person are not in step.",
        code=answer.code,
    )
