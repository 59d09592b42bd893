"""Brings changed fields from Marketo to Dynamics, and settles what was changed on both sides.

For each record that waits: the person as it is now, the row as it is now, and what both agreed on last. Every field is
decided alone (``crmsync.engine.back.decide``) and refused alone (``crmsync.engine.back.sending``). The ledger learns
the new values with the outcome, so the change that comes back through change tracking is none.

A value that does not fit the metadata, a label that no option has, may fit them as they are now: they are read once
more, and the record is decided anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from crmsync.dynamics.write_batch import ANY_VERSION
from crmsync.engine.absence import Absence
from crmsync.engine.back.decide import Decision, decide
from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.back.sending import Sender
from crmsync.engine.back.work import Work
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.destination import BY_ID, PERSON_KEY
from crmsync.engine.fingerprint import NEVER_AGREED, NOTHING, fingerprints
from crmsync.engine.load import NOBODY, Loader
from crmsync.engine.losses import decided, loss_of
from crmsync.engine.plan import Change
from crmsync.engine.refresh import Refresh, never
from crmsync.engine.report import BackCounts
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import put_keys_back
from crmsync.errors import CrmsyncError, RecordRefused, RequestRefused
from crmsync.fields.model import SYNC_FLAG, Selection
from crmsync.fields.sync_filter import keeps_out
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.brakes import Loss
from crmsync.state.collisions import Collision
from crmsync.state.inbox import Landing, Waiting
from crmsync.state.records import DEAD, Known, Outcome
from crmsync.state.sql import now
from crmsync.state.syncerrors import TO_DYNAMICS, RefusedField, SyncError

BATCH = 300
CORRECT_IT = "Correct the value in Marketo, or run resync: the column may have changed since the schema was read."


class WriteBack:
    """Works on one entity's waiting changes; ``counts`` and ``notes`` tell what happened."""

    def __init__(
        self,
        session: Session,
        fields: PersonFields,
        selection: Selection,
        loader: Loader,
        field_set: int,
        refresh: Refresh = never,
        prove: Prove = proves_nothing,
    ) -> None:
        self._session = session
        self._prove = prove
        self._selection = selection
        self._name = fields.entity.logical_name
        self._select = selection.select(fields.entity)
        self._loader = loader
        self._field_set = field_set
        self._refresh = refresh
        self._fields = fields
        self._absence = Absence(session)
        self._sender = Sender(session, fields, self._select)
        self.counts = BackCounts()

    @property
    def notes(self) -> list[str]:
        return self._sender.notes

    async def run(self, *, after: str = "", most: int | None = None) -> str | None:
        """Work on what is due, each record once, by id from ``after`` on. Where ``most`` records were looked at and
        more may be due, the answer is the id to go on from. Raises ``ColumnMissing``, when all is written that can be,
        where a column does not exist any more."""
        self._sets = await self._session.store.records.field_sets(self._session.name, self._name)
        looked_at = 0
        if not after:
            await self._foresee()
        while waiting := await self._session.store.inbox.due(self._session.name, self._name, after=after, limit=BATCH):
            refused = await self._batch(waiting)
            if refused and await self._refreshed():
                await self._batch(refused)
            after = waiting[-1].record_id
            looked_at += len(waiting)
            if most is not None and looked_at >= most and len(waiting) == BATCH:
                return after
        if self._sender.vanished is not None:
            raise self._sender.vanished
        return None

    async def _refreshed(self) -> bool:
        """Whether the metadata have changed since they were read; they are used from now on."""
        entity = await self._refresh(self._name)
        if entity is not None:
            self._fields = PersonFields(entity, self._selection)
            self._sender.use(self._fields)
        return entity is not None

    async def _batch(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Work on these; the answer is those of which Dynamics, or the conversion, refused a field."""
        works, done, without_key = await self._works(waiting)
        await put_keys_back(self._session, without_key)
        landing = Landing(done=done)
        landing.count(read=len(waiting))
        await self._session.store.inbox.land(self._session.name, self._name, landing)
        self.counts += BackCounts(read=len(waiting))
        losses = await self._without_held(works)
        flight = await self._to_dynamics([work for work in works if work.values])
        await self._land_dynamics(works, flight)
        await self._to_marketo([work for work in works if work.moves("to marketo")])
        await self._session.brake.wrote(losses)
        return [work.waiting for work in works if work.refused]

    async def _works(self, waiting: Sequence[Waiting]) -> tuple[list[Work], list[str], dict[str, int]]:
        """What is decided of these, the records that wait for nothing any more, and the people without their keys."""
        people = await self._people(waiting)
        rows = await self._rows(waiting)
        ids = [one.record_id for one in waiting]
        known = await self._session.store.records.known(self._session.name, self._name, ids)
        alive = [one for one in ids if one in known and known[one].status not in DEAD]
        await self._absence.gone(self._fields.entity, [one for one in alive if one not in rows])
        errors = await self._session.store.errors.refused_fields(
            self._session.name, self._name, ids, direction=TO_DYNAMICS
        )
        self._forms = await self._session.store.forms.of(self._session.name, self._name, known)
        works, done, without_key = list[Work](), list[str](), dict[str, int]()
        for one in waiting:
            person, row, before = people.get(one.marketo_id), rows.get(one.record_id), known.get(one.record_id)
            if person is None or row is None or before is None or not self._concerns(one, person, row, before):
                done.append(one.record_id)
                continue
            if str(person.get(PERSON_KEY) or "").lower() != one.record_id:
                without_key[one.record_id] = one.marketo_id
            if before.fingerprints is not None and before.field_set is not None:
                works.append(self._decided(one, person, row, before, errors.get(one.record_id, ())))
        if self._doubtful(works, rows.values()):
            await self._prove(self._name)
        return works, done, without_key

    async def _foresee(self) -> None:
        """Count what all that waits takes away before the first of it is written, where that may be too much."""
        inbox, tenant, brake, coming = (
            self._session.store.inbox,
            self._session.name,
            self._session.brake,
            Counter[Loss](),
        )
        number = (await inbox.sizes(tenant)).get(self._name, 0)
        after = ""
        while await brake.may_be_too_much(self._name, number) and (
            waiting := await inbox.due(tenant, self._name, after=after, limit=BATCH)
        ):
            after = waiting[-1].record_id
            works, *_ = await self._works(waiting)
            coming.update({loss: len(ids) for loss, ids in decided(works, self._fields).items()})
        brake.foresee(self._name, coming)

    async def _without_held(self, works: Sequence[Work]) -> Counter[Loss]:
        """Let the fields wait that the brake holds, the others of a record go on. What is lost by these."""
        losses, brake = decided(works, self._fields), self._session.brake
        held = {loss for loss, ids in losses.items() if not await brake.passes(loss, ids)}
        for work in works if held else ():
            stay = [each for each in work.decisions if loss_of(work, each, self._fields) in held]
            for decision in stay:
                work.decisions.remove(decision)
                work.values.pop(decision.field, None)
        return Counter({loss: len(ids) for loss, ids in losses.items() if loss not in held})

    def _doubtful(self, works: Sequence[Work], rows: Collection[dict[str, Any]]) -> bool:
        """Whether a value that was agreed on reads as empty, or a secured sync filter, and no row has one: it may be
        hidden, not cleared."""
        flag = self._fields.entity.attributes.get(SYNC_FLAG)
        empty = {SYNC_FLAG} if works and flag is not None and flag.is_secured else set[str]()
        empty |= {
            source
            for work in works
            for name in work.waiting.fields & self._fields.mappings.keys()
            if work.row.get(source := self._fields.attribute(name).select_name) is None and work.ledger[name] != NOTHING
        }
        return any(all(row.get(source) is None for row in rows) for source in empty)

    def _concerns(self, one: Waiting, person: dict[str, Any], row: dict[str, Any], before: Known) -> bool:
        """Whether person and record still belong together and are synced."""
        if before.status in (*DEAD, "filtered") or keeps_out(self._fields.entity, row):
            return False
        # Who is remembered is the record's person, also without its key.
        return before.marketo_id == one.marketo_id or str(person.get(PERSON_KEY) or "").lower() == one.record_id

    async def _people(self, waiting: Sequence[Waiting]) -> dict[int, dict[str, Any]]:
        wanted = sorted({name for one in waiting for name in one.fields if name in self._fields.mappings})
        ids = [str(one.marketo_id) for one in waiting]
        rows = await self._session.marketo.people("id", ids, ["id", PERSON_KEY, *wanted])
        return {int(row["id"]): row for row in rows}

    async def _rows(self, waiting: Sequence[Waiting]) -> dict[str, dict[str, Any]]:
        entity, ids = self._fields.entity, [one.record_id for one in waiting]
        rows = await self._session.dynamics.read_by_ids(entity, self._select, ids)
        return {str(row[entity.primary_id]).lower(): row for row in rows}

    def _decided(
        self,
        one: Waiting,
        person: dict[str, Any],
        row: dict[str, Any],
        before: Known,
        errors: Sequence[RefusedField],
    ) -> Work:
        assert before.fingerprints is not None
        assert before.field_set is not None
        ledger = Ledger(self._fields.names, self._sets[before.field_set], before.fingerprints)
        work = Work(one, before, ledger, row, row.get("@odata.etag") or ANY_VERSION)
        conflicts, refused = self._session.tenant.conflicts, {error.field: error for error in errors}
        for name in sorted(one.fields):
            if name not in self._fields.mappings:
                work.settled.add(name)  # not synced any more
                continue
            form = self._forms.get(one.record_id, {}).get(name)
            decision = decide(self._fields, conflicts, name, ledger[name], row, person.get(name), form)
            work.decisions.append(decision)
            if decision.move in ("nothing", "agreed"):
                work.settled.add(name)
            if decision.move == "agreed":
                ledger[name] = fingerprints([decision.dynamics])
            if decision.move == "to dynamics":
                self._put(work, decision, refused.get(name))
        return work

    def _put(self, work: Work, decision: Decision, refused: RefusedField | None) -> None:
        name = decision.field
        if refused is not None and refused.refused == self._mark(decision):
            at = refused.next_attempt
            if at is None or at > now():
                work.kept[name] = at
                return
        try:
            work.values[name] = self._fields.back(name, decision.marketo)
        except RecordRefused as refusal:
            work.refused[name] = refusal

    def _mark(self, decision: Decision) -> str:
        """The fingerprint of Marketo's value, by which a refused one is known again."""
        return fingerprints([decision.marketo]).hex()

    # Dynamics

    async def _to_dynamics(self, works: Sequence[Work]) -> str | None:
        """Write these; the answer is the request's number in the store, to be landed with the outcomes."""
        if not works:
            return None
        ids, marks = [one.record_id for one in works], b"".join(map(self._once_written, works))
        flight = await self._session.store.flights.take_off(
            self._session.name, self._name, "back", ids, field_set=self._field_set, marks=marks
        )
        await self._sender.send(works)
        return flight.id

    def _once_written(self, work: Work) -> bytes:
        """What is agreed on once Dynamics has this record's values."""
        ledger = work.ledger.copy()
        for name, value in work.values.items():
            ledger[name] = self._fields.mark_of(name, value)
        return ledger.joined()

    async def _land_dynamics(self, works: Sequence[Work], flight: str | None) -> None:
        landing = Landing()
        attempts = await self._attempts([work.record_id for work in works if work.refused or work.whole])
        for work in works:
            if work.ledger.joined() != self._before(work):
                landing.outcomes.append(self._outcome(work))
            work.retry = self._session.clock() + timedelta(hours=min(24, 2 ** attempts.get(work.record_id, 0)))
            errors = self._errors(work)
            landing.errors += errors
            landing.kept |= {(work.record_id, name) for name in work.kept}
            if work.whole is None and not errors:
                landing.healthy.append(work.record_id)
            self._keep(work, landing)
            decided = [each for each in work.moves("to dynamics") if each.rule and each.field in work.settled]
            landing.collisions += [self._collision(work, each) for each in decided if work.written]
        landing.count(
            updated=sum(work.written for work in works),
            failed=sum(bool(work.refused or work.whole) for work in works),
            collisions=len(landing.collisions),
        )
        await self._land(landing, flight)

    def _errors(self, work: Work) -> list[SyncError]:
        found = [self._error(work, work.whole)] if work.whole is not None else []
        marketo = {decision.field: decision for decision in work.decisions}
        for name, error in work.refused.items():
            mark = self._mark(marketo[name])
            found.append(self._error(work, error).model_copy(update={"field": name, "refused": mark or None}))
        return found

    def _keep(self, work: Work, landing: Landing) -> None:
        """Done, or what still waits: what Dynamics did not take now, and what Marketo is to get."""
        if not work.left:
            landing.done.append(work.record_id)
            return
        landing.waiting.append(Waiting(work.record_id, work.waiting.marketo_id, work.left, work.again_at))

    # Marketo

    async def _to_marketo(self, works: Sequence[Work]) -> None:
        """Where Dynamics' value goes to Marketo: it won, or somebody changed Marketo's back meanwhile."""
        if not works:
            return
        changes = [self._change(work) for work in works]
        rows = [{"id": change.marketo_id, PERSON_KEY: change.record_id, **change.payload} for change in changes]
        ids, marks = [change.record_id for change in changes], [change.fingerprints for change in changes]
        flight, answers = await self._loader.call(ids, rows, BY_ID, marks=marks)
        await self._loader.note_forms(ids, rows, answers)
        answers = await self._loader.save(changes, answers)
        landing = Landing()
        refused = [
            change.record_id
            for change, answer in zip(changes, answers, strict=True)
            if _is_refused(answer) or change.refused
        ]
        attempts = await self._session.store.errors.attempts(self._session.name, self._name, refused)
        for work, change, answer in zip(works, changes, answers, strict=True):
            if answer.code == NOBODY:
                # Deleted in Marketo since its deletions were read: as if they had told of it.
                landing.outcomes.append(self._outcome(work)._replace(status="gone", in_marketo=False))
                landing.done.append(work.record_id)
                continue
            for decision in work.moves("to marketo"):
                work.settled.add(decision.field)
                if answer.status == "updated" and decision.field not in change.refused:
                    work.ledger[decision.field] = fingerprints([decision.dynamics])
                elif decision.rule:
                    # Marketo's value has lost, and stays there: whatever Dynamics has by then goes there, be it that.
                    work.ledger[decision.field] = NEVER_AGREED
                if decision.rule:
                    landing.collisions.append(self._collision(work, decision))
            tried = attempts.get(work.record_id, 0)
            landing.errors += [self._loader.field_error(change, name, tried) for name in change.refused]
            if _is_refused(answer):
                # It is decided; the lane writes it once more when the next attempt is due.
                work.ledger[PERSON_KEY] = NEVER_AGREED
                landing.outcomes.append(self._outcome(work)._replace(status="failed"))
                landing.errors.append(self._loader.error(work.record_id, answer, tried))
            else:
                landing.outcomes.append(self._outcome(work))
            self._keep(work, landing)
        landing.count(collisions=len(landing.collisions))
        await self._land(landing, flight)

    def _change(self, work: Work) -> Change:
        payload = {decision.field: decision.dynamics for decision in work.moves("to marketo")}
        return Change(
            work.record_id,
            payload,
            self._once_sent(work),
            is_new=False,
            marketo_id=work.waiting.marketo_id,
            only=frozenset(payload),
            before=work.ledger.joined(),
        )

    def _once_sent(self, work: Work) -> bytes:
        ledger = work.ledger.copy()
        for decision in work.moves("to marketo"):
            ledger[decision.field] = fingerprints([decision.dynamics])
        return ledger.joined()

    # Outcomes

    async def _land(self, landing: Landing, flight: str | None = None) -> None:
        await self._session.store.inbox.land(self._session.name, self._name, landing, flight=flight)
        self.counts += BackCounts(**landing.counts)

    async def _attempts(self, ids: Sequence[str]) -> Mapping[str, int]:
        return await self._session.store.errors.attempts(self._session.name, self._name, ids, direction=TO_DYNAMICS)

    def _before(self, work: Work) -> bytes:
        assert work.known.fingerprints is not None
        assert work.known.field_set is not None
        return Ledger(self._fields.names, self._sets[work.known.field_set], work.known.fingerprints).joined()

    def _outcome(self, work: Work) -> Outcome:
        return Outcome(
            work.record_id,
            **{
                **work.known._asdict(),
                "marketo_id": work.waiting.marketo_id,
                "field_set": self._field_set,
                "fingerprints": work.ledger.joined(),
            },
        )

    def _collision(self, work: Work, decision: Decision) -> Collision:
        return Collision(
            entity=self._name,
            record_id=work.record_id,
            attribute=self._fields.attribute(decision.field).logical_name,
            marketo_field=decision.field,
            dynamics_fingerprint=fingerprints([decision.dynamics]).hex(),
            marketo_fingerprint=self._fields.mark(decision.field, decision.marketo).hex(),
            winner=decision.winner,
            rule=decision.rule or "",
            run=self._session.run,
        )

    def _error(self, work: Work, error: CrmsyncError) -> SyncError:
        is_ours = isinstance(error, RequestRefused)
        return SyncError(
            entity=self._name,
            record_id=work.record_id,
            direction=TO_DYNAMICS,
            operation="update",
            code=(error.code or "conversion")[:40],
            reason=error.message,
            remedy=CORRECT_IT if is_ours else error.remedy,
            next_attempt=work.retry,
        )


def _is_refused(answer: Answer) -> bool:
    return answer.status != "updated" and answer.code != NOBODY
