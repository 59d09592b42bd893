"""Import jobs: a first-in-first-out queue of at most ten, of which two run at a time, in the background.

People and custom objects share the queue. Jobs that a stopped sandbox left open begin anew.

"Bulk Import" and "Bulk Lead Import" (limits, statuses, seven days, 1016, 1019).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.import_file import ImportFailedError
from crmsync.sandbox.marketo.import_lead_run import LeadRun
from crmsync.sandbox.marketo.import_object_run import ObjectRun
from crmsync.sandbox.marketo.import_run import ImportRun, Order
from crmsync.sandbox.marketo.values import whole_number
from crmsync.sandbox.marketo.workers import Workers

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

RUNNING = 2
QUEUED = 10
KEPT_SECONDS = 7 * 24 * 3600
OPEN = "status IN ('Queued', 'Importing')"

log = logging.getLogger(__name__)


@dataclass
class Job:
    """What the status call tells of a job; ``object`` is a custom object's API name, or None for people."""

    id: int
    object: str | None
    status: str
    processed: int
    failed: int
    warned: int
    message: str
    seconds: int


class Imports:
    """The queue."""

    def __init__(self, marketo: Marketo) -> None:
        self._marketo = marketo
        self._connection = marketo.database.connection
        self._workers = Workers(RUNNING, self._waiting, self._work)
        self._reopen()

    def add(self, order: Order) -> int:
        """A new job's number; 1016 when ten are open, 1019 when one of them is for the same list."""
        self.wake()
        if self._count(OPEN) >= QUEUED:
            raise MarketoError(1016)
        if order.list_id is not None and self._count(f"{OPEN} AND list = {int(order.list_id)}"):
            raise MarketoError(1019)
        now = self._marketo.subscription.clock.time()
        with self._marketo.database.transaction():
            number = self._marketo.database.take_numbers("imports", 1, first=1001)[0]
            self._connection.execute(
                "INSERT INTO imports (id, created, status, format, lookup_field, object, list, partition, file) "
                "VALUES (?, ?, 'Queued', ?, ?, ?, ?, ?, ?)",
                (number, now, *order.columns()),
            )
        self.wake()
        return number

    def job(self, number: str, object_name: str | None = None) -> Job | None:
        """A job of the last seven days; people's jobs and each custom object's are asked for by their own paths."""
        self.wake()
        now = self._marketo.subscription.clock.time()
        statement = (
            "SELECT id, object, status, processed, failed, warned, message, "
            "CAST(coalesce(finished, ?) - coalesce(started, ?) AS INTEGER) FROM imports "
            "WHERE id = ? AND created > ? AND object IS ?"
        )
        values = (now, now, whole_number(number), now - KEPT_SECONDS, object_name)
        row = self._connection.execute(statement, values).fetchone()
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
        self._workers.wake()

    async def close(self) -> None:
        """Stop the workers; what they were at begins anew at the next start."""
        await self._workers.close()
        self._reopen()

    def _reopen(self) -> None:
        self._connection.execute("UPDATE imports SET status = 'Queued', processed = 0 WHERE status = 'Importing'")

    def _waiting(self) -> int:
        return self._count("status = 'Queued'")

    def _count(self, condition: str) -> int:
        statement = f"SELECT count(*) FROM imports WHERE {condition}"  # noqa: S608 (conditions are this module's own)
        return int(self._connection.execute(statement).fetchone()[0])

    async def _work(self) -> None:
        await self._marketo.work("import wait")
        while (number := self._take()) is not None:
            try:
                await self._marketo.work("import")
                await self._run(number).run()
            except ImportFailedError as error:
                self._fail(number, str(error))
            except Exception:
                log.exception("Import %d failed", number)
                self._fail(number, "Import failed: system error")

    def _take(self) -> int | None:
        statement = "SELECT id FROM imports WHERE status = 'Queued' ORDER BY id LIMIT 1"
        row = self._connection.execute(statement).fetchone()
        if row is None:
            return None
        now = self._marketo.subscription.clock.time()
        self._connection.execute("UPDATE imports SET status = 'Importing', started = ? WHERE id = ?", (now, row[0]))
        return int(row[0])

    def _run(self, number: int) -> ImportRun:
        statement = "SELECT format, lookup_field, object, list, partition, file FROM imports WHERE id = ?"
        order = Order(*self._connection.execute(statement, (number,)).fetchone())
        return (
            LeadRun(self._marketo, number, order)
            if order.object_name is None
            else ObjectRun(self._marketo, number, order)
        )

    def _fail(self, number: int, message: str) -> None:
        now = self._marketo.subscription.clock.time()
        statement = "UPDATE imports SET status = 'Failed', message = ?, finished = ?, file = NULL WHERE id = ?"
        self._connection.execute(statement, (message, now, number))
