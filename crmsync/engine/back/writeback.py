"""Brings changed fields from Marketo to Dynamics, and settles what was changed on both sides.

For each record that waits: the person as it is now, the row as it is now, and what both agreed on last. Every field is
decided alone (``crmsync.engine.back.decide``). Dynamics gets only the fields that changed, on condition that the row is
still the one that was read (``If-Match``); where it is not, the next cycle decides anew. The ledger learns the new
values with the outcome, so the change that comes back through change tracking is none.

Sources: "Update and delete table rows", "Perform conditional operations" (Microsoft's documents); the white paper's
"changed fields only".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crmsync.dynamics.schema import Attribute
from crmsync.dynamics.write_batch import ANY_VERSION, Write
from crmsync.engine.back.decide import Decision, decide
from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.destination import PERSON_KEY
from crmsync.engine.fingerprint import NEVER_AGREED, fingerprints
from crmsync.engine.load import NOBODY, Loader
from crmsync.engine.plan import SYNC_FILTER
from crmsync.engine.report import BackCounts
from crmsync.engine.session import Session
from crmsync.errors import (
    ColumnMissing,
    CrmsyncError,
    FeatureMissing,
    RecordMissing,
    RecordRefused,
    TryAgainLater,
    VersionConflict,
)
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.collisions import Collision
from crmsync.state.inbox import Landing, Waiting
from crmsync.state.records import DEAD, Known, Outcome
from crmsync.state.syncerrors import TO_DYNAMICS, SyncError

BATCH = 300
SECURED = "0x8004F507"
DUPLICATE = "0x80040333"
NO_ETAGS = "0x8006088D"


@dataclass
class Work:
    """One record on its way: what was decided, what was refused, and what is done of what waited."""

    waiting: Waiting
    known: Known
    ledger: Ledger
    etag: str
    decisions: list[Decision] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    refused: CrmsyncError | None = None
    written: bool = False
    again_at: datetime | None = None

    @property
    def record_id(self) -> str:
        return self.waiting.record_id

    def moves(self, move: str) -> list[Decision]:
        return [one for one in self.decisions if one.move == move]


class WriteBack:
    """Works on one entity's waiting changes; ``counts`` and ``notes`` tell what happened."""

    def __init__(self, session: Session, fields: PersonFields, select: Sequence[str], loader: Loader, field_set: int):
        self._session = session
        self._fields = fields
        self._name = fields.entity.logical_name
        self._select = select
        self._loader = loader
        self._field_set = field_set
        self.counts = BackCounts()
        self.notes: list[str] = []

    async def run(self, *, after: str = "", most: int | None = None) -> str | None:
        """Work on what is due, each record once, by id from ``after`` on. Where ``most`` records were looked at and
        more may be due, the answer is the id to go on from."""
        self._sets = await self._session.store.records.field_sets(self._session.name, self._name)
        looked_at = 0
        while waiting := await self._session.store.inbox.due(self._session.name, self._name, after=after, limit=BATCH):
            await self._batch(waiting)
            after = waiting[-1].record_id
            looked_at += len(waiting)
            if most is not None and looked_at >= most and len(waiting) == BATCH:
                return after
        return None

    async def _batch(self, waiting: Sequence[Waiting]) -> None:
        people = await self._people(waiting)
        rows = await self._rows(waiting)
        known = await self._session.store.records.known(
            self._session.name, self._name, [one.record_id for one in waiting]
        )
        works, landing = [], Landing()
        landing.count(read=len(waiting))
        for one in waiting:
            person, row, before = people.get(one.marketo_id), rows.get(one.record_id), known.get(one.record_id)
            if person is None or row is None or before is None or not self._concerns(one, person, row, before):
                landing.done.append(one.record_id)
            elif before.fingerprints is not None and before.field_set is not None:
                works.append(self._decided(one, person, row, before))
        await self._session.store.inbox.land(self._session.name, self._name, landing)
        self.counts += BackCounts(read=len(waiting))
        flight = await self._to_dynamics([one for one in works if one.body])
        await self._land_dynamics(works, flight)
        await self._to_marketo([one for one in works if one.moves("to marketo")])

    def _concerns(self, one: Waiting, person: dict[str, Any], row: dict[str, Any], before: Known) -> bool:
        """Whether person and record still belong together and are synced."""
        if before.status in (*DEAD, "filtered") or row.get(SYNC_FILTER) is False:
            return False
        return str(person.get(PERSON_KEY) or "").lower() == one.record_id

    async def _people(self, waiting: Sequence[Waiting]) -> dict[int, dict[str, Any]]:
        wanted = sorted({name for one in waiting for name in one.fields if name in self._fields.mappings})
        ids = [str(one.marketo_id) for one in waiting]
        rows = await self._session.marketo.people("id", ids, ["id", PERSON_KEY, *wanted])
        return {int(row["id"]): row for row in rows}

    async def _rows(self, waiting: Sequence[Waiting]) -> dict[str, dict[str, Any]]:
        entity, ids = self._fields.entity, [one.record_id for one in waiting]
        rows = await self._session.dynamics.read_by_ids(entity, self._select, ids)
        return {str(row[entity.primary_id]).lower(): row for row in rows}

    def _decided(self, one: Waiting, person: dict[str, Any], row: dict[str, Any], before: Known) -> Work:
        assert before.fingerprints is not None
        assert before.field_set is not None
        ledger = Ledger(self._fields.names, self._sets[before.field_set], before.fingerprints)
        work = Work(one, before, ledger, row.get("@odata.etag") or ANY_VERSION)
        conflicts = self._session.tenant.conflicts
        for name in sorted(one.fields):
            if name not in self._fields.mappings:
                work.settled.add(name)  # not synced any more
                continue
            decision = decide(self._fields, conflicts, name, ledger[name], row, person.get(name))
            work.decisions.append(decision)
            if decision.move in ("nothing", "agreed"):
                work.settled.add(name)
            if decision.move == "agreed":
                ledger[name] = fingerprints([decision.dynamics])
            if decision.move == "to dynamics":
                self._put(work, decision)
        return work

    def _put(self, work: Work, decision: Decision) -> None:
        try:
            work.body[self._fields.attribute(decision.field).logical_name] = self._fields.back(
                decision.field, decision.marketo
            )
            work.sent.append(decision.field)
        except RecordRefused as refusal:
            work.refused = refusal

    # Dynamics

    async def _to_dynamics(self, works: Sequence[Work]) -> str | None:
        """Write these; the answer is the request's number in the store, to be landed with the outcomes."""
        if not works:
            return None
        ids, marks = [one.record_id for one in works], b"".join(map(self._once_written, works))
        flight = await self._session.store.flights.take_off(
            self._session.name, self._name, "back", ids, field_set=self._field_set, marks=marks
        )
        again = [work for work in await self._send(works) if work.body]
        if again:
            await self._send(again)
        return flight.id

    def _once_written(self, work: Work) -> bytes:
        """What is agreed on once Dynamics has this record's body."""
        ledger = work.ledger.copy()
        for name in work.sent:
            ledger[name] = self._fields.mark_of(name, work.body[self._fields.attribute(name).logical_name])
        return ledger.joined()

    async def _send(self, works: Sequence[Work]) -> list[Work]:
        """Write these; the answer is those to be sent once more, without a column that may not be written."""
        entity, again = self._fields.entity, []
        writes = [Write(entity.entity_set_name, one.record_id, one.body, one.etag) for one in works]
        outcomes = await self._session.dynamics.write_many(
            writes, entity=self._name, detect_duplicates=self._session.tenant.duplicate_detection == "detect"
        )
        for work, error in zip(works, outcomes, strict=True):
            if error is None:
                self._written(work)
            elif error.code == SECURED and self._without_secured(work, error.message):
                again.append(work)
            elif isinstance(error, FeatureMissing) and error.code == NO_ETAGS and work.etag != ANY_VERSION:
                work.etag = ANY_VERSION
                again.append(work)
            elif isinstance(error, VersionConflict) and error.code != DUPLICATE:
                work.sent.clear()
            elif not isinstance(error, RecordMissing | TryAgainLater | ColumnMissing):
                work.refused = error
        return again

    def _written(self, work: Work) -> None:
        work.written = True
        for decision in work.moves("to dynamics"):
            if decision.field in work.sent:
                back = work.body[self._fields.attribute(decision.field).logical_name]
                work.ledger[decision.field] = self._fields.mark_of(decision.field, back)
                work.settled.add(decision.field)

    def _without_secured(self, work: Work, message: str) -> bool:
        """Leave out secured columns, and tell it; False when none can be told from the others.

        One that was secured after the schema was read is known by its name in the refusal.
        """
        secured = [name for name in work.sent if self._fields.attribute(name).is_secured]
        if not secured:
            secured = [name for name in work.sent if _is_named(self._fields.attribute(name), message)]
        for name in secured:
            column = self._fields.attribute(name).logical_name
            del work.body[column]
            work.sent.remove(name)
            work.settled.add(name)
            note = f"{self._name}.{column} is secured: what is changed in Marketo's '{name}' stays there"
            if note not in self.notes:
                self.notes.append(note)
        return bool(secured)

    async def _land_dynamics(self, works: Sequence[Work], flight: str | None) -> None:
        landing = Landing()
        attempts = await self._attempts([one.record_id for one in works if one.refused])
        for work in works:
            if work.ledger.joined() != self._before(work):
                landing.outcomes.append(self._outcome(work))
            if work.refused is not None:
                error = self._error(work, attempts.get(work.record_id, 0))
                work.again_at = error.next_attempt
                landing.errors.append(error)
            self._keep(work, landing)
            decided = [one for one in work.moves("to dynamics") if one.rule and one.field in work.sent and work.written]
            landing.collisions += [self._collision(work, one) for one in decided]
        landing.count(
            updated=sum(one.written for one in works),
            failed=len(landing.errors),
            collisions=len(landing.collisions),
        )
        await self._land(landing, flight)

    def _keep(self, work: Work, landing: Landing) -> None:
        """Done, or what still waits: what Dynamics did not take now, and what Marketo is to get."""
        left = work.waiting.fields - work.settled
        if not left:
            landing.done.append(work.record_id)
            return
        landing.waiting.append(Waiting(work.record_id, work.waiting.marketo_id, frozenset(left), work.again_at))

    # Marketo

    async def _to_marketo(self, works: Sequence[Work]) -> None:
        """Where Dynamics' value goes to Marketo: it won, or somebody changed Marketo's back meanwhile."""
        if not works:
            return
        rows = [
            {PERSON_KEY: one.record_id, **{each.field: each.dynamics for each in one.moves("to marketo")}}
            for one in works
        ]
        ids, marks = [one.record_id for one in works], [self._once_sent(one) for one in works]
        flight, answers = await self._loader.call(ids, rows, "updateOnly", marks=marks)
        landing = Landing()
        refused = [one.record_id for one, answer in zip(works, answers, strict=True) if _is_refused(answer)]
        attempts = await self._session.store.errors.attempts(self._session.name, self._name, refused)
        for work, answer in zip(works, answers, strict=True):
            if answer.code == NOBODY:
                continue  # who is gone is found by the deletions
            for decision in work.moves("to marketo"):
                work.settled.add(decision.field)
                if answer.status == "updated":
                    work.ledger[decision.field] = fingerprints([decision.dynamics])
                elif decision.rule:
                    # Marketo's value has lost: what differs from it, and goes there, is Dynamics' value.
                    work.ledger[decision.field] = self._fields.mark(decision.field, decision.marketo)
                if decision.rule:
                    landing.collisions.append(self._collision(work, decision))
            if _is_refused(answer):
                # It is decided; the lane writes it once more when the next attempt is due.
                work.ledger[PERSON_KEY] = NEVER_AGREED
                landing.outcomes.append(self._outcome(work)._replace(status="failed"))
                landing.errors.append(self._loader.error(work.record_id, answer, attempts.get(work.record_id, 0)))
            else:
                landing.outcomes.append(self._outcome(work))
            self._keep(work, landing)
        landing.count(collisions=len(landing.collisions))
        await self._land(landing, flight)

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
        if not ids:
            return defaultdict(int)
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

    def _error(self, work: Work, attempts: int) -> SyncError:
        assert work.refused is not None
        error = work.refused
        return SyncError(
            entity=self._name,
            record_id=work.record_id,
            direction=TO_DYNAMICS,
            operation="update",
            code=(error.code or "conversion")[:40],
            reason=error.message,
            remedy=error.remedy,
            next_attempt=self._session.clock() + timedelta(hours=min(24, 2**attempts)),
        )


def _is_named(attribute: Attribute, message: str) -> bool:
    """Whether a refusal names this column, by its name or its label: "... to a Mobile Phone secured field ..."."""
    names = (attribute.logical_name, attribute.schema_name, attribute.display_name)
    return any(said in message for name in names if name for said in (f"a {name} secured", f"'{name}'", f'"{name}"'))


def _is_refused(answer: Answer) -> bool:
    return answer.status != "updated" and answer.code != NOBODY
