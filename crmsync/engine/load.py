"""Writes changes to Marketo by Sync calls of at most 300 records, and records every outcome as it comes.

Every call stands in the store's ``in_flight`` from before it is sent until its outcomes are written, and a call whose
answer was lost is settled (``crmsync.engine.settle``) before its records are sent again. What Marketo answers for each
record is read as its "Error Codes" page says: one refused record never stops a batch, one refused field never a record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from crmsync.engine.back.fields import PersonFields
from crmsync.engine.destination import BY_ID, PERSON_KEY, Destination
from crmsync.engine.field_refusals import FieldRefusals, may_be_saved
from crmsync.engine.forms import Written, note_forms
from crmsync.engine.lost import NOBODY as NOBODY
from crmsync.engine.lost import TAKEN, fates_of
from crmsync.engine.parents import Parents
from crmsync.engine.parking import type_refused, works_now
from crmsync.engine.plan import Change
from crmsync.engine.report import Counts
from crmsync.engine.session import Session
from crmsync.engine.settle import settle
from crmsync.errors import ColumnMissing, CrmsyncError, ServiceUnavailable, TransportFailed
from crmsync.marketo.batches import MAX_RECORDS
from crmsync.marketo.codes import row_of
from crmsync.marketo.errors import FIELD_NOT_FOUND, error_from_code
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.flights import FlightKind
from crmsync.state.inbox import Waiting
from crmsync.state.records import Outcome
from crmsync.state.syncerrors import FieldKey, SyncError

log = logging.getLogger("crmsync.engine")

BATCH = MAX_RECORDS
MAY_BE_THE_TYPE = frozenset({"1001", "1003"})
"""Codes of a record whose value may be of another type than a field has now; they do not name the field."""
SENDINGS = 4
"""How often the same records are sent when answers get lost, before the step gives up and is retried as a whole."""

NOT_IMPORTED = "import"
"""The code of a row that a bulk import refused: the file does not tell Marketo's own."""


class Loader:
    """Writes one entity's changes; ``counts`` and ``notes`` grow as outcomes are recorded. ``columns`` are the Dynamics
    columns of the field set's fields, in its order; without them records are refused as a whole. ``fields``: a
    person's. ``parents`` makes those anew that Marketo denies."""

    def __init__(
        self,
        session: Session,
        entity: str,
        where: Destination,
        field_set: int,
        columns: Mapping[str, str] | None = None,
        fields: PersonFields | None = None,
        parents: Parents | None = None,
    ) -> None:
        self._session = session
        self._parents_of = parents
        self._entity = entity
        self._where = where
        self._field_set = field_set
        self._gate = asyncio.Semaphore(session.tenant.quota.marketo_concurrent_calls)
        self._hidden: ColumnMissing | None = None
        self._columns = columns or {}
        self._refusals = FieldRefusals(self, self._columns)
        self._looking = asyncio.Lock()
        self._types_looked_at = False
        self._fields = fields
        self.counts = Counts()
        self.notes: list[str] = []

    async def write(self, changes: Sequence[Change], read_number: int) -> None:
        """Write these changes, several calls at a time; no record stands in two of them. Raises ``ColumnMissing``, when
        all of them are over, where Marketo does not take a selected field any more."""
        self._hidden = None
        groups: dict[str, list[Change]] = {"createOrUpdate": [], "updateOnly": [], BY_ID: []}
        for change in changes:
            groups[self._action(change)].append(change)
        await all_of(
            self._write_batch(several[start : start + BATCH], read_number, action)
            for action, several in groups.items()
            for start in range(0, len(several), BATCH)
        )
        if self._hidden is not None:
            raise self._hidden

    def _action(self, change: Change) -> str:
        """A person whose Marketo id is known is written by that: its key may have been cleared or copied there."""
        if self._where.target == "person" and change.marketo_id is not None:
            return BY_ID
        return "createOrUpdate" if change.only is None else "updateOnly"

    async def land(
        self,
        outcomes: Sequence[Outcome],
        errors: Sequence[SyncError],
        counts: Counts,
        flight: str | None = None,
        arrived: Sequence[str] = (),
        refused: Collection[FieldKey] = (),
        healed: Collection[FieldKey] = (),
        again: Sequence[str] = (),
    ) -> None:
        """Record outcomes with their errors and counters, in one transaction."""
        if not (outcomes or errors or counts.read or flight or healed):
            return
        await self._session.store.records.land(
            self._session.name,
            self._entity,
            outcomes,
            flight=flight,
            errors=errors,
            counts=counts.model_dump(),
            arrived=arrived,
            refused=refused,
            healed=healed,
            again=again,
        )
        self.counts += counts

    async def record(
        self, changes: Sequence[Change], answers: Sequence[Answer], read_number: int, flight: str | None = None
    ) -> None:
        """Record what Marketo answered, record by record. A row that an import refused goes again by a Sync call, which
        tells more."""
        refused = [
            change.record_id for change, answer in zip(changes, answers, strict=True) if answer.code or change.refused
        ]
        attempts = await self._session.store.errors.attempts(self._session.name, self._entity, refused)
        outcomes, arrived, again, counts = [], [], [], Counts(read=len(changes))
        errors = [error for change in changes for error in change.errors]
        kept = [(change.record_id, name) for change in changes for name in change.kept]
        asked: list[Waiting] = []
        for change, answer in zip(changes, answers, strict=True):
            done = answer.status in {"created", "updated"}
            if self._is_gone(answer):
                # Deleted in Marketo since its deletions were read: as if they had told of it.
                outcomes.append(
                    self._outcome(change, answer, done, read_number)._replace(status="gone", in_marketo=False)
                )
                counts.tombstones += 1
                continue
            if done and (change.arrives or answer.status == "created"):
                arrived.append(change.record_id)
            outcomes.append(self._outcome(change, answer, done, read_number))
            if done and change.withheld and (person := outcomes[-1].marketo_id) is not None:
                asked.append(Waiting(change.record_id, person, change.withheld))
            tried = attempts.get(change.record_id, 0)
            errors += [self.field_error(change, name, tried) for name in change.refused]
            if not done:
                errors.append(self.error(change.record_id, answer, tried))
            if answer.code == NOT_IMPORTED:
                again.append(change.record_id)
                counts.read -= 1
                outcomes[-1] = outcomes[-1]._replace(field_set=None, fingerprints=None)
            elif not done or (change.refused and change.fingerprints == change.before):
                counts.failed += 1
            else:
                counts.created += answer.status == "created"
                counts.updated += answer.status == "updated"
        if self._session.tenant.to_dynamics:
            await self._session.store.inbox.wait(self._session.name, self._entity, asked)
        if self._where.target == "opportunity":
            pairs = zip(changes, answers, strict=True)
            made = [change.record_id for change, answer in pairs if answer.status == "created" and change.in_marketo]
            await self._session.store.records.lost_roles(self._session.name, made)
        await self.land(outcomes, errors, counts, flight, arrived, kept, again=again)

    def _outcome(self, change: Change, answer: Answer, done: bool, read_number: int) -> Outcome:
        field_set, marks = self._field_set, change.fingerprints
        agreed = (field_set, marks) if done or change.agreed is None else change.agreed
        return Outcome(
            record_id=change.record_id,
            status="synced" if done else "failed",
            in_marketo=done or change.in_marketo,
            marketo_id=_number(answer.id) or change.marketo_id,
            field_set=agreed[0],
            fingerprints=agreed[1],
            waiting_owner=change.waiting_owner,
            waiting_company=change.waiting_company,
            read_number=read_number,
            parent_id=change.parent_id,
            middle_id=change.middle_id,
        )

    def error(self, record_id: str, answer: Answer, attempts: int) -> SyncError:
        """What is told of a record that Marketo refused, so many times before."""
        wait = timedelta(hours=min(24, 2**attempts))
        return SyncError(
            entity=self._entity,
            record_id=record_id,
            code=answer.code or "unknown",
            reason=answer.reason or "Marketo gave no reason",
            remedy=_remedy(answer.code),
            next_attempt=self._session.clock() + wait,
        )

    def field_error(self, change: Change, name: str, attempts: int) -> SyncError:
        """What is told of a field that Marketo refused, after so many attempts."""
        answer, mark = change.refused[name]
        column = self._columns.get(name)
        where = f"Marketo did not take the field '{name}'" + (f" (column {column})" if column else "")
        error = self.error(change.record_id, answer, attempts)
        return error.model_copy(update={"field": name, "refused": mark, "reason": f"{where}: {error.reason}"})

    async def _write_batch(self, batch: Sequence[Change], read_number: int, action: str) -> None:
        rows = [self._row(change, change.sent, action) for change in batch]
        keys = [change.record_id for change in batch]
        try:
            async with self._gate:
                marks = [change.fingerprints for change in batch]
                flight, answers = await self.call(keys, rows, action, self._parents(batch), marks)
                await self.note_forms(keys, rows, answers)
        except ColumnMissing as hidden:
            self._hidden = hidden
            return
        if await self._meets_unfit_field(answers):
            # Who was refused is planned anew, without the field.
            told = [(change, one) for change, one in zip(batch, answers, strict=True) if not _for_a_field(one)]
            batch, answers = [change for change, _ in told], [answer for _, answer in told]
        answers = await self._with_parents(batch, answers, action)
        batch, answers = await self._saved(batch, answers, action)
        lost = [change for change, answer in zip(batch, answers, strict=True) if self._is_gone(answer)]
        told = [(change, one) for change, one in zip(batch, answers, strict=True) if not self._is_gone(one)]
        await self.record([change for change, _ in told], [answer for _, answer in told], read_number, flight)
        if lost:
            await self._look_for(lost, read_number)

    async def _look_for(self, lost: Sequence[Change], read_number: int) -> None:
        """These people were not found: by their ids, or by their keys where no id is known. Whoever goes on with the
        key of one is written, whoever may be created is, and only then is anybody gone."""
        fates = await fates_of(self._session, lost)
        await self.record([change for change, _ in fates.refused], [answer for _, answer in fates.refused], read_number)
        await self.record(fates.gone, [Answer("skipped", code=NOBODY)] * len(fates.gone), read_number)
        merged = [change.record_id for change in fates.merged]
        if merged:
            await self._session.store.people.bury(self._session.name, self._entity, merged, "merged")
        for some, action in ((fates.go_on, BY_ID), (fates.create, "createOrUpdate")):
            if some:
                await self._write_batch(some, read_number, action)

    def _row(self, change: Change, values: Mapping[str, Any], action: str) -> dict[str, Any]:
        row = self._where.row(change.record_id, values)
        return {"id": change.marketo_id, **row} if action == BY_ID else row

    def _is_gone(self, answer: Answer) -> bool:
        """Whether nobody was found. Of custom objects and roles the code means whom they belong to."""
        return self._where.target == "person" and answer.code == NOBODY

    async def _with_parents(self, batch: Sequence[Change], answers: Sequence[Answer], action: str) -> list[Answer]:
        """The answers that there are once records were sent again whose owner, company or person Marketo denied."""
        found = list(answers)
        if self._parents_of is None:
            return found
        denied = [at for at, answer in enumerate(answers) if self._parents_of.may_be_denied(batch[at], answer)]
        changes = [batch[at] for at in denied]
        if changes:
            await self._parents_of.make_anew(changes)
            marks = [change.fingerprints for change in changes]
            again = await self.send_part(changes, [change.sent for change in changes], action, marks)
            for at, answer in zip(denied, again, strict=True):
                found[at] = answer
        return found

    async def _saved(
        self, batch: Sequence[Change], answers: Sequence[Answer], action: str
    ) -> tuple[Sequence[Change], list[Answer]]:
        """The batch with the answers that there are once refused records were sent without the fields at fault."""
        if not self._columns:
            return batch, list(answers)
        try:
            return batch, await self.save(batch, answers, action)
        except ColumnMissing as hidden:
            self._hidden = hidden
            told = [at for at, answer in enumerate(answers) if not may_be_saved(batch[at], answer)]
            return [batch[at] for at in told], [answers[at] for at in told]

    def _parents(self, batch: Sequence[Change]) -> dict[str, str]:
        hangs = self._where.target != "custom_object"
        return {change.record_id: change.parent_id for change in batch if change.parent_id and hangs}

    async def send_part(
        self, batch: Sequence[Change], parts: Sequence[dict[str, Any]], action: str, marks: Sequence[bytes]
    ) -> list[Answer]:
        """Write these values of these records, whose outcomes come later; ``marks`` as for ``call``."""
        rows = [self._row(change, part, action) for change, part in zip(batch, parts, strict=True)]
        async with self._gate:
            keys = [change.record_id for change in batch]
            flight, answers = await self.call(keys, rows, action, self._parents(batch), marks)
            await self.note_forms(keys, rows, answers)
        await self.land([], [], Counts(), flight)
        return answers

    async def opt_out(self, changes: Sequence[Change], opt_outs: Collection[str]) -> None:
        """Write the opt-outs of changes that are held, and nothing else of them: consent first. The ledger does not
        learn of it, so that they are planned as before."""
        some = [(one, {name: True for name in opt_outs if one.sent.get(name) is True}) for one in changes]
        some = [(one, part) for one, part in some if part]
        for start in range(0, len(some), BATCH):
            batch = some[start : start + BATCH]
            marks = [one.before or b"" for one, _ in batch]  # what is held was known before
            await self.send_part([one for one, _ in batch], [part for _, part in batch], "updateOnly", marks)

    async def save(self, changes: Sequence[Change], answers: Sequence[Answer], action: str = BY_ID) -> list[Answer]:
        """Send refused records again without the fields at fault, which ``Change.refused`` holds then. Raises
        ``ColumnMissing`` as ``call`` does."""
        found = list(answers)
        if at_fault := [at for at, answer in enumerate(answers) if may_be_saved(changes[at], answer)]:
            saved = await self._refusals.save([changes[at] for at in at_fault], [found[at] for at in at_fault], action)
            for at, answer in zip(at_fault, saved, strict=True):
                found[at] = answer
        return found

    async def _meets_unfit_field(self, answers: Sequence[Answer]) -> bool:
        """Whether records were refused for a selected field that Marketo does not know any more, or whose type has
        changed. For types, which a value of the record's own may be wrong for as well, both sides are looked at once.
        """
        refusal = self._refusal_for_a_field(answers)
        if refusal is None:
            return False
        async with self._looking:
            if self._hidden is None and (refusal.column or not self._types_looked_at):
                self._types_looked_at |= refusal.column is None
                if (await works_now(self._session, refusal.column, refusal.entity)).gone:
                    self._hidden = refusal
        return self._hidden is not None

    def _refusal_for_a_field(self, answers: Sequence[Answer]) -> ColumnMissing | None:
        for one in answers:
            if one.code == FIELD_NOT_FOUND:
                unknown = error_from_code(FIELD_NOT_FOUND, one.reason or "", tenant=self._session.name)
                assert isinstance(unknown, ColumnMissing)
                return unknown
        refused = next((one for one in answers if _for_a_field(one)), None)
        return None if refused is None else type_refused(self._session.name, self._entity, refused.reason)

    async def note_forms(
        self, keys: Sequence[str], rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer]
    ) -> None:
        """See what Marketo made of what it was just given, before that counts as agreed on."""
        if self._fields is None or not self._session.tenant.to_dynamics:
            return
        written = {
            key: Written(person, row)
            for key, row, answer in zip(keys, rows, answers, strict=True)
            if answer.status in {"created", "updated"} and (person := _number(answer.id)) is not None
        }
        notes = await note_forms(self._session, self._fields, written) if written else []
        self.notes += [note for note in notes if note not in self.notes]

    async def call(
        self,
        keys: Sequence[str],
        rows: Sequence[dict[str, Any]],
        action: str,
        parents: Mapping[str, str] | None = None,
        marks: Sequence[bytes] | None = None,
    ) -> tuple[str, list[Answer]]:
        """Write these rows in one call; ``flight`` is its number in the store, to be landed with the outcomes.
        ``marks`` is what is agreed on with each of these people then."""
        sent = b"".join(marks) if marks and self._where.target == "person" else None
        return await self.send("sync", keys, lambda: self._where.write(rows, action), parents, sent)

    async def send(
        self,
        kind: FlightKind,
        keys: Sequence[str],
        send: Callable[[], Awaitable[list[Answer]]],
        parents: Mapping[str, str] | None = None,
        marks: bytes | None = None,
    ) -> tuple[str, list[Answer]]:
        """Send one call and get its answers; ``flight`` is its number in the store, to be landed with the outcomes."""
        flights, name = self._session.store.flights, self._session.name
        for sending in range(1, SENDINGS + 1):
            number = self._field_set if marks else None
            flight = await flights.take_off(name, self._entity, kind, keys, parents, field_set=number, marks=marks)
            try:
                return flight.id, await send()
            except (TransportFailed, ServiceUnavailable) as lost:
                log.warning(
                    "%s: the answer to a call of %d %s records was lost: %s",
                    name,
                    len(keys),
                    self._entity,
                    lost.message,
                )
                if sending == SENDINGS:
                    raise
                await settle(self._session, self._where, flight)
            except CrmsyncError:
                await flights.never_left(flight.id)
                raise
        raise AssertionError("unreachable")


def _for_a_field(answer: Answer) -> bool:
    """Whether a record may have been refused for a field that is not as it was."""
    return answer.code == FIELD_NOT_FOUND or answer.code in MAY_BE_THE_TYPE


def _remedy(code: str | None) -> str:
    if code == TAKEN:
        return f"Clear the field '{PERSON_KEY}' of that person in Marketo; the next attempt goes on then."
    if code is None or not code.isdigit():
        return "Correct the value in Dynamics, or leave the field out of the selection."
    return row_of(code).remedy


def _number(marketo_id: int | str | None) -> int | None:
    """Marketo's number of a record; opportunities and roles have a GUID instead, which nothing needs."""
    text = str(marketo_id)
    return int(text) if text.isdigit() else None


async def all_of(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run these side by side. The first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
