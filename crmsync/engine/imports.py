"""Writes many new people, or custom objects, by bulk import: CSV files below 10 MB, one job at a time ("Bulk Lead
Import", "Bulk Custom Object Import").

A file cannot clear a value (what an empty cell does is not documented), and a cell with the word null may be read as
empty. So only records that Marketo cannot know yet go into a file, and only values that a file can carry; everything
else goes through Sync calls. A file tells what failed, not what was created: records that were not there before were.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Collection, Sequence
from itertools import chain, repeat

from crmsync.engine.back.fields import Ledger
from crmsync.engine.destination import Destination
from crmsync.engine.fingerprint import NOTHING
from crmsync.engine.load import BATCH, NOT_IMPORTED, Loader
from crmsync.engine.parking import type_refused, works_now
from crmsync.engine.plan import Change
from crmsync.engine.session import Session
from crmsync.errors import ColumnMissing, CrmsyncError, QueueFull, ServiceUnavailable, TransportFailed
from crmsync.fields.hidden import REASON, Unfit
from crmsync.marketo.bulk import Imports, ImportStatus
from crmsync.marketo.errors import FIELD_NOT_FOUND
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.tenants import Quota

log = logging.getLogger("crmsync.engine")

FILE_BYTES = 9_500_000
"""Marketo takes files of less than 10 MB; a row may be added before the size is looked at."""

FILE_ROWS = 10_000
"""Two files are in memory at a time, one filling and one on its way; smaller ones cost a few more calls."""

WORTHWHILE = 2_400
"""Records from which a file is cheaper: a job costs about eight calls (start, polls, files), a Sync call takes 300."""

SHARE_OF_A_DAY = 0.05
"""In a cycle all lanes wait for a job, for as long as Marketo lets it queue. There a file is cheaper only when Sync
calls would take more than this share of the day's calls."""

_NO_VALUE = "null"
"""What Marketo's import takes for no value, in any case."""

_TRUTH = {True: "true", False: "false"}

QUEUE_SECONDS = 15
POLLS = (0.5, 1.0, 2.0, 5.0)


def is_worthwhile(records: int, quota: Quota, *, alone: bool) -> bool:
    """Whether files are cheaper for so many records; ``alone`` says that no other lane waits for them."""
    if alone:
        return records >= WORTHWHILE
    return records / BATCH > quota.marketo_calls_per_day * SHARE_OF_A_DAY


def fits_a_file(change: Change) -> bool:
    """Whether a file can carry this change: the record is new and no text in it could be read as "no value"."""
    texts = [value for value in change.payload.values() if type(value) is str]
    may_be_none = _NO_VALUE in "\n".join(texts).lower()
    return change.is_new and not (may_be_none and any(text.strip().lower() == _NO_VALUE for text in texts))


class ImportFile:
    """A CSV file in the making. The values of a change are let go once they stand in the file."""

    def __init__(self, key: str, names: Sequence[str]) -> None:
        self.names = names
        self._names = [name for name in names if name != key]
        self._lines: list[bytes] = []
        self._writer = csv.writer(self)
        self._writer.writerow([key, *self._names])
        self.size = len(self._lines[0])
        self.changes: list[Change] = []

    def write(self, line: str) -> None:
        """What the CSV writer calls for each finished line."""
        self._lines.append(line.encode())

    def add(self, change: Change) -> bool:
        """Put a change in; False when the file is full, and the change stays out."""
        values = map(change.payload.get, self._names)
        cells = [value if type(value) is not bool else _TRUTH[value] for value in values]  # None is written as nothing
        self._writer.writerow([change.record_id, *cells])
        self.size += len(self._lines[-1])
        if self.changes and (self.size > FILE_BYTES or len(self.changes) >= FILE_ROWS):
            self.size -= len(self._lines.pop())
            return False
        change.payload = {}
        self.changes.append(change)
        return True

    @property
    def half_full(self) -> bool:
        """Whether it should leave before another page is read, which might not fit."""
        return self.size > FILE_BYTES * 0.6 or len(self.changes) * 2 > FILE_ROWS

    def content(self) -> bytes:
        return b"".join(self._lines)


class Importer:
    """Runs import jobs for one entity, one at a time, and records their outcomes."""

    def __init__(self, session: Session, loader: Loader, entity: str, where: Destination) -> None:
        self._session = session
        self._loader = loader
        self._entity = entity
        self._where = where
        self.notes: list[str] = []

    async def write(self, file: ImportFile, read_number: int) -> None:
        """Import this file and wait for its end. A lost answer or a failed job is raised: the step is then retried,
        and settles the job before it sends anything again."""
        flights, imports = self._session.store.flights, self._where.imports
        assert imports is not None
        keys = [change.record_id for change in file.changes]
        flight = await flights.take_off(self._session.name, self._entity, "import", keys)
        job = await self._start(imports, file.content(), flight.id)
        await flights.set_job(flight.id, job)
        status = await self._until_ended(imports, job)
        if status.status == "Failed":
            raise ServiceUnavailable(
                f"Marketo gave import job {job} up: {status.message}",
                tenant=self._session.name,
                entity=self._entity,
                remedy="Nothing to do at once: the records go again, by Sync calls.",
            )
        failures = await imports.failures(job) if status.failed else []
        gone = await self._unfit() if status.failed or status.warnings else []
        lost = await self._lost(imports, job, file, gone) if status.warnings else []
        reasons = {row.values.get(self._where.key, "").lower(): row.reason for row in failures}
        if len(reasons.keys() & set(keys)) < status.failed:
            reasons |= await self._not_told(keys, reasons)
        told = [change for change in file.changes if not (gone and change.record_id in reasons)]
        answers = [_answer(reasons.get(change.record_id)) for change in told]
        await self._loader.record(told, answers, read_number, flight.id)
        if lost:
            raise ColumnMissing(
                f"Marketo ignored the field {lost[0]} of import job {job}",
                column=lost[0],
                tenant=self._session.name,
                code=FIELD_NOT_FOUND,
            )
        if gone:
            raise type_refused(self._session.name, self._entity, next(iter(reasons.values()), None))

    async def _unfit(self) -> list[Unfit]:
        """What of this entity's fields does not work any more. Whose row failed is planned anew, without it."""
        found = (await works_now(self._session, entity=self._entity)).gone
        return [one for one in found if one.mapping.entity == self._entity]

    async def _not_told(self, keys: Sequence[str], told: Collection[str]) -> dict[str, str]:
        """More rows failed than the file tells by their keys, because it may leave columns out: who is not there."""
        open_keys = [key for key in keys if key not in told]
        there = await self._where.present(open_keys)
        return {key: "Marketo did not import the row, and did not tell why" for key in open_keys if key not in there}

    async def _start(self, imports: Imports, content: bytes, flight: str) -> int:
        while True:
            try:
                return await imports.start(content)
            except QueueFull:
                log.info("%s: Marketo's import queue is full; waiting", self._session.name)
                await self._session.sleep(QUEUE_SECONDS)
            except TransportFailed:
                raise
            except CrmsyncError:
                await self._session.store.flights.never_left(flight)
                raise

    async def _until_ended(self, imports: Imports, job: int) -> ImportStatus:
        for pause in chain(POLLS, repeat(POLLS[-1])):
            status = await imports.status(job)
            if status.is_over:
                return status
            await self._session.sleep(pause)
        raise AssertionError("unreachable")

    async def _lost(self, imports: Imports, job: int, file: ImportFile, gone: Sequence[Unfit]) -> list[str]:
        """Which of the file's columns Marketo did not take, because it does not show their fields any more; the
        records are to be remembered without them."""
        await self._note_warnings(imports, job)
        hidden = {one.mapping.field for one in gone if one.reason == REASON}
        lost = [name for name in file.names if name in hidden]
        for change in file.changes if lost else ():
            marks = Ledger(file.names, file.names, change.fingerprints)
            for name in lost:
                marks[name] = NOTHING
            change.fingerprints = marks.joined()
        return lost

    async def _note_warnings(self, imports: Imports, job: int) -> None:
        rows = await imports.warnings(job)
        for reason in sorted({row.reason for row in rows}):
            note = f"{self._entity}: Marketo warned of import job {job}: {reason}"
            log.warning("%s: %s", self._session.name, note)
            self.notes.append(note)


def _answer(reason: str | None) -> Answer:
    if reason is None:
        return Answer(status="created", id=None, code=None, reason=None)
    return Answer(status="skipped", id=None, code=NOT_IMPORTED, reason=reason)
