"""One import job, from its file to its outcome; what becomes of a row is said by people's and custom objects' own runs.

"Bulk Lead Import" and "Bulk Custom Object Import" (messages, failure and warning files): each row fails alone.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.import_file import FAILURE_COLUMN, WARNING_COLUMN, ImportFailedError, ImportFile, Row

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

CHUNK = 200


@dataclass(frozen=True)
class Order:
    """What a job is to do; ``object_name`` is None for people."""

    format: str
    lookup_field: str
    object_name: str | None
    list_id: int | None
    partition: int | None
    file: bytes

    def columns(self) -> tuple[object, ...]:
        """The values in the order of the fields."""
        return self.format, self.lookup_field, self.object_name, self.list_id, self.partition, self.file


class ImportRun(ABC):
    """The work on one job."""

    def __init__(self, marketo: Marketo, number: int, order: Order) -> None:
        self._marketo = marketo
        self._number = number
        self._order = order
        self._file = ImportFile(order.file, order.format)
        self._processed = 0
        self._failures: list[tuple[Row, str]] = []
        self._warnings: list[tuple[Row, str]] = []
        self._ignored: list[str] = []

    async def run(self) -> None:
        """Import every row."""
        if self._ignored and self._marketo.switches.on("unknown_csv_column", "fail"):
            raise ImportFailedError(f"Import failed: field '{self._ignored[0]}' not found")
        await self._prepare()
        rows = self._file.rows()
        while chunk := list(islice(rows, CHUNK)):
            with self._marketo.database.transaction() as connection:
                reasons = self._write(chunk)
                self._count(chunk, reasons)
                self._progress(connection)
            await asyncio.sleep(0)
        self._finish()

    async def _prepare(self) -> None:
        """What is found out before the first row is written."""
        return

    @abstractmethod
    def _write(self, rows: Sequence[Row]) -> list[str | None]:
        """Write rows; for each of them why it failed, or None."""

    def _count(self, rows: Sequence[Row], reasons: Sequence[str | None]) -> None:
        for row, reason in zip(rows, reasons, strict=True):
            if reason is not None:
                self._failures.append((row, reason))
                continue
            self._processed += 1
            if self._ignored and not self._warnings:
                columns = (f"Field '{name}' not found or read-only, column ignored" for name in self._ignored)
                self._warnings.append((row, "; ".join(columns)))

    def _progress(self, connection: Any) -> None:
        statement = "UPDATE imports SET processed = ?, failed = ?, warned = ? WHERE id = ?"
        counts = (self._processed, len(self._failures), len(self._warnings))
        connection.execute(statement, (*counts, self._number))

    def _finish(self) -> None:
        done, failed = self._processed, len(self._failures)
        message = f"Import succeeded, {done} records imported ({done} members)"
        if failed:
            message = f"Import completed with errors, {done} records imported ({done} members), {failed} failed"
        failures = (
            self._file.listing(self._failures, FAILURE_COLUMN) if failed or self._order.object_name is None else ""
        )
        warnings = self._file.listing(self._warnings, WARNING_COLUMN)
        statement = (
            "UPDATE imports SET status = 'Complete', message = ?, failures = ?, warnings = ?, finished = ?, "
            "file = NULL WHERE id = ?"
        )
        now = self._marketo.subscription.clock.time()
        with self._marketo.database.transaction() as connection:
            self._progress(connection)
            connection.execute(statement, (message, failures, warnings, now, self._number))
