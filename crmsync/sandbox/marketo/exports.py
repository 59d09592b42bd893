"""Extract jobs: created, queued, run two at a time, and their files, which lie in a folder beside the database.

One queue of ten for people, activities and custom objects. "Bulk Extract" (limits, quota, states, seven days,
checksum): a job is seen by the API user that made it only, a file is complete or not there at all, and 500 MB a day are
written before 1029. Empty is the word null. The status is renewed every 60 seconds where latency is typical.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import logging
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.export_orders import ExportOrder
from crmsync.sandbox.marketo.export_rows import export_rows
from crmsync.sandbox.marketo.import_file import DELIMITERS
from crmsync.sandbox.marketo.values import format_datetime
from crmsync.sandbox.marketo.workers import Workers

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

RUNNING = 2
QUEUED = 10
FILE_SECONDS = 7 * 24 * 3600
STATUS_SECONDS = 30 * 24 * 3600
REFRESH_SECONDS = 60
MEGABYTE = 1024 * 1024
COLUMNS = "number, id, status, format, created, queued, started, finished, records, size, checksum, error"

log = logging.getLogger(__name__)


@dataclass
class Export:
    """A job as the database has it; times are seconds since the epoch."""

    number: int
    id: str
    status: str
    format: str
    created: float
    queued: float | None
    started: float | None
    finished: float | None
    records: int | None
    size: int | None
    checksum: str | None
    error: str | None

    def as_json(self) -> dict[str, Any]:
        """As the calls answer it; what is not known yet is absent."""
        members = {
            "exportId": self.id,
            "format": self.format,
            "status": self.status,
            "createdAt": _moment(self.created),
            "queuedAt": _moment(self.queued),
            "startedAt": _moment(self.started),
            "finishedAt": _moment(self.finished),
            "numberOfRecords": self.records,
            "fileSize": self.size,
            "fileChecksum": self.checksum,
            "errorMsg": self.error,
        }
        return {name: value for name, value in members.items() if value is not None}


class Exports:
    """All jobs, their queue and their files."""

    def __init__(self, marketo: Marketo) -> None:
        self._marketo = marketo
        self._connection = marketo.database.connection
        database = marketo.subscription.database
        self._folder = database.with_name(database.name + ".exports")
        self._workers = Workers(RUNNING, self._waiting, self._work)
        self._seen: dict[str, tuple[float, dict[str, Any]]] = {}
        self._reopen()

    def create(self, kind: str, order: ExportOrder) -> Export:
        """A new job, not queued yet; 1029 when the day's megabytes are used up."""
        self._check_quota()
        row = (str(uuid.uuid4()), self._place(kind, order.object), self._user, orjson.dumps(asdict(order)).decode())
        statement = (
            "INSERT INTO exports (id, kind, user, request, status, format, created) "
            "VALUES (?, ?, ?, ?, 'Created', ?, ?)"
        )
        self._connection.execute(statement, (*row, order.format, self._now))
        found = self.find(kind, order.object, row[0])
        assert found is not None
        return found

    def enqueue(self, export: Export) -> None:
        """Put a created job into the queue; 1029 when it is in already, when ten are, and when the quota is used up."""
        if export.status != "Created":
            raise MarketoError(1029, "Job already queued")
        self._check_quota()
        if self._count("status IN ('Queued', 'Processing')") >= QUEUED:
            raise MarketoError(1029, "Too many jobs in queue")
        statement = "UPDATE exports SET status = 'Queued', queued = ? WHERE number = ?"
        self._connection.execute(statement, (self._now, export.number))
        self.wake()

    def cancel(self, export: Export) -> None:
        """Take a job back that is not done."""
        if export.status not in ("Created", "Queued", "Processing"):
            raise MarketoError(1003, f"An export that is {export.status} cannot be canceled")
        self._connection.execute("UPDATE exports SET status = 'Canceled' WHERE number = ?", (export.number,))
        self._seen.pop(export.id, None)

    def find(self, kind: str, object_name: str | None, number: str) -> Export | None:
        """One of the caller's jobs; their status is kept for 30 days after their end."""
        self.wake()
        statement = (
            f"SELECT {COLUMNS} FROM exports WHERE id = ? AND kind = ? AND user = ? "  # noqa: S608 (own names)
            "AND coalesce(finished, ?) > ?"
        )
        values = (number, self._place(kind, object_name), self._user, self._now, self._now - STATUS_SECONDS)
        row = self._connection.execute(statement, values).fetchone()
        return Export(*row) if row else None

    def recent(self, kind: str, object_name: str | None, after: int, most: int) -> list[Export]:
        """The caller's next jobs of the last seven days."""
        self.wake()
        statement = (
            f"SELECT {COLUMNS} FROM exports WHERE kind = ? AND user = ? AND created > ? AND number > ? "  # noqa: S608
            "ORDER BY number LIMIT ?"
        )
        values = (self._place(kind, object_name), self._user, self._now - FILE_SECONDS, after, most)
        return [Export(*row) for row in self._connection.execute(statement, values)]

    def shown(self, export: Export) -> dict[str, Any]:
        """A job's status as it was last renewed."""
        if self._marketo.subscription.limits.latency == "none":
            return export.as_json()
        at, members = self._seen.get(export.id, (0.0, {}))
        if not 0 <= self._now - at < REFRESH_SECONDS:
            at, members = self._now, export.as_json()
            self._seen[export.id] = (at, members)
        return members

    def file(self, export: Export) -> Path | None:
        """The file of a completed job, for seven days."""
        fresh = export.finished is not None and self._now - export.finished < FILE_SECONDS
        path = self._path(export.id)
        return path if export.status == "Completed" and fresh and path.exists() else None

    def wake(self) -> None:
        """Start workers while there are jobs for them."""
        self._workers.wake()

    async def close(self) -> None:
        """Stop the workers; what they were at begins anew at the next start."""
        await self._workers.close()
        self._reopen()

    @property
    def _now(self) -> float:
        return self._marketo.subscription.clock.time()

    @property
    def _user(self) -> str:
        return self._marketo.subscription.user_email

    @staticmethod
    def _place(kind: str, object_name: str | None) -> str:
        return kind if object_name is None else f"{kind}/{object_name}"

    def _path(self, number: str) -> Path:
        return self._folder / number

    def _reopen(self) -> None:
        self._connection.execute("UPDATE exports SET status = 'Queued' WHERE status = 'Processing'")

    def _waiting(self) -> int:
        return self._count("status = 'Queued'")

    def _count(self, condition: str) -> int:
        statement = f"SELECT count(*) FROM exports WHERE {condition}"  # noqa: S608 (conditions are this module's own)
        return int(self._connection.execute(statement).fetchone()[0])

    def _check_quota(self) -> None:
        zone = ZoneInfo(str(self._marketo.switches["day_zone"]))
        today = datetime.fromtimestamp(self._now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        statement = "SELECT total(size) FROM exports WHERE finished >= ?"
        used = self._connection.execute(statement, (today.timestamp(),)).fetchone()[0]
        if used >= int(self._marketo.switches["export_daily_megabytes"]) * MEGABYTE:
            raise MarketoError(1029, "Export daily quota exceeded")

    async def _work(self) -> None:
        await self._marketo.work("export wait")
        while (row := self._take()) is not None:
            number, kind, request = row
            try:
                await self._marketo.work("export")
                await self._write(number, kind, ExportOrder(**orjson.loads(request)))
            except Exception:
                log.exception("Export %s failed", number)
                self._finish(number, "Failed", error="System error")

    def _take(self) -> tuple[str, str, str] | None:
        statement = "SELECT id, kind, request FROM exports WHERE status = 'Queued' ORDER BY queued, number LIMIT 1"
        row = self._connection.execute(statement).fetchone()
        if row is None:
            return None
        statement = "UPDATE exports SET status = 'Processing', started = ? WHERE id = ?"
        self._connection.execute(statement, (self._now, row[0]))
        return row[0], row[1], row[2]

    async def _write(self, number: str, kind: str, order: ExportOrder) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path, records = self._path(number), 0
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=DELIMITERS[order.format.lower()], lineterminator="\n")
            writer.writerow(order.headers)
            for rows in export_rows(self._marketo, kind.partition("/")[0], order):
                writer.writerows([_cell(value) for value in row] for row in rows)
                records += len(rows)
                await asyncio.sleep(0)
                if self._count(f"id = '{number}' AND status = 'Processing'") == 0:
                    break  # canceled meanwhile
        with path.open("rb") as written:
            checksum = hashlib.file_digest(written, "sha256").hexdigest()
        self._finish(number, "Completed", records, path.stat().st_size, f"sha256:{checksum}")

    def _finish(
        self,
        number: str,
        status: str,
        records: int | None = None,
        size: int | None = None,
        checksum: str | None = None,
        error: str | None = None,
    ) -> None:
        statement = (
            "UPDATE exports SET status = ?, records = ?, size = ?, checksum = ?, error = ?, finished = ? "
            "WHERE id = ? AND status = 'Processing'"
        )
        self._connection.execute(statement, (status, records, size, checksum, error, self._now, number))


def _cell(value: Any) -> Any:
    if value is None:
        return "null"
    return ("false", "true")[value] if isinstance(value, bool) else value


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else format_datetime(datetime.fromtimestamp(seconds, UTC))
