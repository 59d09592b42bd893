"""Import jobs: a first-in-first-out queue of at most ten, of which two run at a time, in the background.

A job finds out at its start who has its keys, and writes afterwards, as Sync Leads does. The work starts in whatever
event loop the first call runs in; jobs that a stopped sandbox left open begin anew.

"Bulk Lead Import" (Processing Limits, statuses, messages, seven days).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.import_file import (
    FAILURE_COLUMN,
    WARNING_COLUMN,
    ImportFailedError,
    ImportFile,
    Row,
    RowReader,
    keys,
)
from crmsync.sandbox.marketo.person_rules import PersonRules, Prepared, check_links
from crmsync.sandbox.marketo.person_writer import PersonWriter
from crmsync.sandbox.marketo.values import whole_number

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

RUNNING = 2
QUEUED = 10
KEPT_SECONDS = 7 * 24 * 3600
CHUNK = 200
FIND_CHUNK = 600

log = logging.getLogger(__name__)


@dataclass
class Job:
    """What the status call tells of a job."""

    id: int
    status: str
    processed: int
    failed: int
    warned: int
    message: str


class Imports:
    """The queue and its workers."""

    def __init__(self, marketo: Marketo) -> None:
        self._marketo = marketo
        self._connection = marketo.database.connection
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection.execute("UPDATE imports SET status = 'Queued', processed = 0 WHERE status = 'Importing'")

    def add(self, file_format: str, lookup_field: str, file: bytes) -> int:
        """A new job's number; 1016 when ten are open."""
        self.wake()
        statement = "SELECT count(*) FROM imports WHERE status IN ('Queued', 'Importing')"
        if self._connection.execute(statement).fetchone()[0] >= QUEUED:
            raise MarketoError(1016)
        now = self._marketo.subscription.clock.time()
        with self._marketo.database.transaction():
            number = self._marketo.database.take_numbers("imports", 1, first=1001)[0]
            self._connection.execute(
                "INSERT INTO imports (id, created, status, format, lookup_field, file) VALUES (?, ?, ?, ?, ?, ?)",
                (number, now, "Queued", file_format, lookup_field, file),
            )
        self.wake()
        return number

    def job(self, number: str) -> Job | None:
        """A job of the last seven days."""
        self.wake()
        oldest = self._marketo.subscription.clock.time() - KEPT_SECONDS
        statement = "SELECT id, status, processed, failed, warned, message FROM imports WHERE id = ? AND created > ?"
        row = self._connection.execute(statement, (whole_number(number), oldest)).fetchone()
        return Job(*row) if row else None

    def file(self, number: int, column: str) -> str:
        """The file of failed rows (``failures``) or of warned rows (``warnings``)."""
        row = self._connection.execute("SELECT failures, warnings FROM imports WHERE id = ?", (number,)).fetchone()
        return str(row[("failures", "warnings").index(column)])

    def file_format(self, number: int) -> str:
        """csv, tsv or ssv."""
        return str(self._connection.execute("SELECT format FROM imports WHERE id = ?", (number,)).fetchone()[0])

    def wake(self) -> None:
        """Start workers while there are jobs for them."""
        waiting = self._connection.execute("SELECT count(*) FROM imports WHERE status = 'Queued'").fetchone()[0]
        while waiting > 0 and len(self._tasks) < RUNNING:
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            waiting -= 1

    async def close(self) -> None:
        """Stop the workers; what they were at begins anew at the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._connection.execute("UPDATE imports SET status = 'Queued', processed = 0 WHERE status = 'Importing'")

    async def _work(self) -> None:
        await self._marketo.work("import wait")
        while (number := self._take()) is not None:
            try:
                await self._marketo.work("import")
                await _Run(self._marketo, number).run()
            except ImportFailedError as error:
                self._finish(number, "Failed", str(error))
            except Exception:
                log.exception("Import %d failed", number)
                self._finish(number, "Failed", "Import failed: system error")

    def _take(self) -> int | None:
        statement = "SELECT id FROM imports WHERE status = 'Queued' ORDER BY id LIMIT 1"
        row = self._connection.execute(statement).fetchone()
        if row is None:
            return None
        self._connection.execute("UPDATE imports SET status = 'Importing' WHERE id = ?", row)
        return int(row[0])

    def _finish(self, number: int, status: str, message: str) -> None:
        statement = "UPDATE imports SET status = ?, message = ?, file = NULL WHERE id = ?"
        self._connection.execute(statement, (status, message, number))


class _Run:
    """One job, from its file to its outcome."""

    def __init__(self, marketo: Marketo, number: int) -> None:
        statement = "SELECT file, format, lookup_field FROM imports WHERE id = ?"
        content, file_format, lookup = marketo.database.connection.execute(statement, (number,)).fetchone()
        self._marketo = marketo
        self._number = number
        self._file = ImportFile(content, file_format)
        field = marketo.person_fields.get(lookup)
        if field is None:
            raise ImportFailedError(f"Import failed: field '{lookup}' not found")
        self._lookup = field
        action = "updateOnly" if lookup == "id" else "createOrUpdate"
        rules = PersonRules(marketo.person_fields, marketo.switches, action=action, lookup=field)
        self._reader = RowReader(self._file, marketo.person_fields, rules, field, marketo.switches)
        self._writer = PersonWriter(marketo.people, marketo.switches, action=action, lookup=field)
        self._processed = 0
        self._failures: list[tuple[Row, str]] = []
        self._warnings: list[tuple[Row, str]] = []

    async def run(self) -> None:
        """Import every row; each fails alone."""
        ignored = self._reader.ignored
        if ignored and self._marketo.switches.on("unknown_csv_column", "fail"):
            raise ImportFailedError(f"Import failed: field '{ignored[0]}' not found")
        await self._find()
        rows = self._file.rows()
        while chunk := list(islice(rows, CHUNK)):
            if ignored and not self._warnings:
                reason = "; ".join(f"Field '{name}' not found or read-only, column ignored" for name in ignored)
                self._warnings.append((chunk[0], reason))
            self._write(chunk)
            await asyncio.sleep(0)
        self._finish()

    async def _find(self) -> None:
        if self._lookup.name == "id":
            return
        found = keys(self._file, self._lookup)
        while chunk := list(islice(found, FIND_CHUNK)):
            self._writer.find(chunk)
            await asyncio.sleep(0)

    def _write(self, chunk: list[Row]) -> None:
        marketo = self._marketo
        prepared: list[Prepared] = [self._reader.read(row) for row in chunk]
        check_links(prepared, marketo.companies, marketo.sales_persons, marketo.switches)
        with marketo.database.transaction() as connection:
            outcomes = self._writer.write(prepared, marketo.moment())
            for row, outcome in zip(chunk, outcomes, strict=True):
                if isinstance(outcome, MarketoError):
                    self._failures.append((row, outcome.message))
                else:
                    self._processed += 1
            self._progress(connection)

    def _progress(self, connection: Any) -> None:
        statement = "UPDATE imports SET processed = ?, failed = ?, warned = ? WHERE id = ?"
        counts = (self._processed, len(self._failures), len(self._warnings))
        connection.execute(statement, (*counts, self._number))

    def _finish(self) -> None:
        done, failed = self._processed, len(self._failures)
        message = f"Import succeeded, {done} records imported ({done} members)"
        if failed:
            message = f"Import completed with errors, {done} records imported ({done} members), {failed} failed"
        failures = self._file.listing(self._failures, FAILURE_COLUMN)
        warnings = self._file.listing(self._warnings, WARNING_COLUMN)
        statement = "UPDATE imports SET status = ?, message = ?, failures = ?, warnings = ?, file = NULL WHERE id = ?"
        with self._marketo.database.transaction() as connection:
            self._progress(connection)
            connection.execute(statement, ("Complete", message, failures, warnings, self._number))
