"""Bulk import of people: a CSV file goes in, a job runs in Marketo, files of failures and warnings come back.

An import learns neither ids nor who was created; a row without mention in the failures file was written. A file is
never sent twice on a guess: two jobs with the same keys would race and make duplicates.

Source: "Bulk Import" and "Bulk Lead Import". The failures file may leave columns out, so it is read by header name; the
reason stands last. Status words are those of imports (``Complete``), not of exports.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, Literal, cast

from crmsync.errors import BatchTooLarge, RecordMissing, RequestRefused, TransportFailed
from crmsync.marketo.calls import IMPORT_FAILURES, IMPORT_STATUS, IMPORT_WARNINGS, START_IMPORT, Call
from crmsync.marketo.rest import Rest

MAX_IMPORT_BYTES = 10_000_000
"""A file must be smaller than 10 MB; read as the smaller of the two meanings of MB."""

JobStatus = Literal["Queued", "Importing", "Complete", "Failed"]


@dataclass(frozen=True)
class ImportStatus:
    """How far a job is. ``message`` explains ``Failed``."""

    batch_id: int
    status: JobStatus
    processed: int = 0
    failed: int = 0
    warnings: int = 0
    message: str = ""

    @property
    def is_over(self) -> bool:
        return self.status in ("Complete", "Failed")


@dataclass(frozen=True)
class ImportRow:
    """One row of a failures or warnings file: the values by header name, and why it is there."""

    values: dict[str, str]
    reason: str


async def start_import(rest: Rest, content: bytes, *, lookup_field: str) -> int:
    """Queue a CSV file; the batch id is good for seven days. Raises ``QueueFull`` when ten jobs are queued."""
    if len(content) >= MAX_IMPORT_BYTES:
        raise BatchTooLarge(f"the import file has {len(content):,} bytes; it must be below 10 MB", tenant=rest.tenant)
    answer = await rest.send(
        START_IMPORT,
        params={"format": "csv", "lookupField": lookup_field},
        files={"file": ("people.csv", content, "text/csv")},
    )
    if not answer.result or "batchId" not in answer.result[0]:
        raise TransportFailed(
            "Marketo accepted an import without naming its batch",
            remedy="Nothing for now: the records are looked up in Marketo and sent again where needed.",
            tenant=rest.tenant,
            request_id=answer.request_id,
        )
    return int(answer.result[0]["batchId"])


async def import_status(rest: Rest, batch_id: int) -> ImportStatus:
    """How the job stands; Marketo asks to be polled every 5 to 30 seconds."""
    answer = await rest.send(IMPORT_STATUS.at(batch_id=batch_id))
    if not answer.result:
        raise RecordMissing(f"Marketo does not know import batch {batch_id}", tenant=rest.tenant, record=str(batch_id))
    row: dict[str, Any] = answer.result[0]
    status = str(row.get("status", ""))
    if status not in ("Queued", "Importing", "Complete", "Failed"):
        raise RequestRefused(f"import batch {batch_id} has an unknown status: '{status}'", tenant=rest.tenant)
    return ImportStatus(
        batch_id=batch_id,
        status=cast(JobStatus, status),
        processed=int(row.get("numOfLeadsProcessed") or 0),
        failed=int(row.get("numOfRowsFailed") or 0),
        warnings=int(row.get("numOfRowsWithWarning") or 0),
        message=str(row.get("message") or ""),
    )


async def import_failures(rest: Rest, batch_id: int) -> list[ImportRow]:
    """The rows that were not imported."""
    return await _rows(rest, IMPORT_FAILURES, batch_id)


async def import_warnings(rest: Rest, batch_id: int) -> list[ImportRow]:
    """The rows that were imported with a remark."""
    return await _rows(rest, IMPORT_WARNINGS, batch_id)


async def _rows(rest: Rest, call: Call, batch_id: int) -> list[ImportRow]:
    try:
        return read_rows(await rest.fetch(call.at(batch_id=batch_id)))
    except RecordMissing as error:
        raise RecordMissing(
            f"Marketo has no such file for import batch {batch_id}: it is not over, older than 7 days, or unknown",
            remedy="Wait for the job to end; if it is older than seven days, import the records again.",
            tenant=rest.tenant,
            record=str(batch_id),
            code=error.code,
            status=error.status,
        ) from None


def read_rows(content: bytes) -> list[ImportRow]:
    """The rows of a failures or warnings file: the last column is the reason, whatever it is called."""
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    header = next(reader, [])
    return [ImportRow(dict(zip(header[:-1], row[:-1], strict=False)), row[-1]) for row in reader if row]
