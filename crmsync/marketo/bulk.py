"""Bulk import of people and custom objects: a CSV file goes in, a job runs in Marketo, and files of failures and
warnings come back.

An import learns neither ids nor who was created; a row without mention in the failures file was written. A file is
never sent twice on a guess: two jobs with the same keys would race and make duplicates.

Source: "Bulk Import", "Bulk Lead Import", "Bulk Custom Object Import". The failures file may leave columns out, so it
is read by header name; the reason stands last. Status words are those of imports (``Complete``), not of exports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from crmsync.errors import BatchTooLarge, RecordMissing, TransportFailed
from crmsync.marketo.calls import (
    IMPORT_FAILURES,
    IMPORT_STATUS,
    IMPORT_WARNINGS,
    OBJECT_IMPORT_FAILURES,
    OBJECT_IMPORT_STATUS,
    OBJECT_IMPORT_WARNINGS,
    START_IMPORT,
    START_OBJECT_IMPORT,
    Call,
)
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


class Imports:
    """Imports of people, found by ``dynamicsId``; or of the custom objects of one type, found by its dedupe field."""

    def __init__(self, rest: Rest, custom_object: str | None = None) -> None:
        self._rest = rest
        self._custom_object = custom_object
        self._query = {"format": "csv"} | ({} if custom_object else {"lookupField": "dynamicsId"})

    async def start(self, content: bytes) -> int:
        """Queue a CSV file; its batch id is good for seven days. Raises ``QueueFull`` when ten jobs are queued.

        ``TransportFailed`` means that the job may have been queued: settle before any of the keys is sent again.
        """
        tenant = self._rest.tenant
        if len(content) >= MAX_IMPORT_BYTES:
            raise BatchTooLarge(f"the import file has {len(content):,} bytes; it must be below 10 MB", tenant=tenant)
        call, file = self._call(START_IMPORT, START_OBJECT_IMPORT), ("records.csv", content, "text/csv")
        answer = await self._rest.send(call, params=self._query, files={"file": file})
        return int(answer.result[0]["batchId"])

    async def status(self, batch_id: int) -> ImportStatus:
        """How the job stands; Marketo asks to be polled every 5 to 30 seconds."""
        answer = await self._rest.send(self._call(IMPORT_STATUS, OBJECT_IMPORT_STATUS, batch_id))
        row: dict[str, Any] = answer.result[0]
        if row["batchId"] != batch_id:
            raise TransportFailed(
                f"Marketo told of import batch {row['batchId']} when asked for {batch_id}", tenant=self._rest.tenant
            )
        return ImportStatus(
            batch_id=batch_id,
            status=row["status"],
            processed=int(row.get("numOfLeadsProcessed") or row.get("numOfObjectsProcessed") or 0),
            failed=int(row.get("numOfRowsFailed") or 0),
            warnings=int(row.get("numOfRowsWithWarning") or 0),
            message=str(row.get("message") or ""),
        )

    async def failures(self, batch_id: int) -> list[ImportRow]:
        """The rows that were not imported; of custom objects there is no such file where none was."""
        return await self._rows(self._call(IMPORT_FAILURES, OBJECT_IMPORT_FAILURES, batch_id), batch_id)

    async def warnings(self, batch_id: int) -> list[ImportRow]:
        """The rows that were imported with a remark; as ``failures``."""
        return await self._rows(self._call(IMPORT_WARNINGS, OBJECT_IMPORT_WARNINGS, batch_id), batch_id)

    def _call(self, of_people: Call, of_objects: Call, batch_id: int | None = None) -> Call:
        return (of_objects if self._custom_object else of_people).at(name=self._custom_object, batch_id=batch_id)

    async def _rows(self, call: Call, batch_id: int) -> list[ImportRow]:
        try:
            header, *rows = await self._rest.fetch(call)
        except RecordMissing as error:
            raise RecordMissing(
                f"Marketo has no such file for import batch {batch_id}: it is not over, older than 7 days, or unknown",
                remedy="Wait for the job to end; if it is older than seven days, import the records again.",
                tenant=self._rest.tenant,
                record=str(batch_id),
                code=error.code,
                status=error.status,
            ) from None
        # The last column is the reason, whatever it is called.
        return [ImportRow(dict(zip(header[:-1], row[:-1], strict=True)), row[-1]) for row in rows]
