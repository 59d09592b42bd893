"""The bulk import calls: hand in a file, ask how far it is, fetch the rows that failed or warned.

"Bulk Lead Import", "Bulk Custom Object Import". The format may stand in the query (OpenAPI) or in the form (prose), and
so may the rest. The file calls answer 404 in plain text for a job that is unknown or not complete ("Error Codes").
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response

from crmsync.sandbox.marketo.call import IMPORT_BYTES, Call
from crmsync.sandbox.marketo.custom_object_calls import custom_object
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import HttpError, MarketoError
from crmsync.sandbox.marketo.import_file import DELIMITERS
from crmsync.sandbox.marketo.import_run import Order
from crmsync.sandbox.marketo.imports import Job
from crmsync.sandbox.marketo.leads import lookup_field
from crmsync.sandbox.marketo.list_calls import list_of
from crmsync.sandbox.marketo.partitions import partition_id

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

FORMAT_TYPES = {"csv": "text/csv", "tsv": "text/tab-separated-values", "ssv": "text/csv"}


async def create_import(marketo: Marketo, call: Call) -> Answer:
    """``POST /bulk/v1/leads.json``."""
    file_format, file = await _file_and_format(call)
    lookup = lookup_field(marketo.person_fields, call.text("lookupField") or "email")
    list_id = call.text("listId")
    number = list_of(marketo, list_id).id if list_id else None
    partition = call.text("partitionName")
    place = partition_id(marketo.switches, partition) if partition else None
    batch = marketo.imports.add(Order(file_format, lookup.name, None, number, place, file))
    return Answer([{"batchId": batch, "importId": str(batch), "status": "Queued"}])


async def import_status(marketo: Marketo, call: Call) -> Answer:
    """``GET /bulk/v1/leads/batch/{id}.json``."""
    job = _job(marketo, call)
    members: dict[str, Any] = {
        "batchId": job.id,
        "importId": str(job.id),
        "status": job.status,
        "numOfLeadsProcessed": job.processed,
        "numOfRowsFailed": job.failed,
        "numOfRowsWithWarning": job.warned,
    }
    if job.message:
        members["message"] = job.message
    return Answer([members])


async def create_object_import(marketo: Marketo, call: Call) -> Answer:
    """``POST /bulk/v1/customobjects/{type}/import.json``."""
    name = custom_object(marketo, call).name
    file_format, file = await _file_and_format(call)
    batch = marketo.imports.add(Order(file_format, "", name, None, None, file))
    return Answer([{"batchId": batch, "status": "Queued", "objectApiName": name}])


async def object_import_status(marketo: Marketo, call: Call) -> Answer:
    """``GET /bulk/v1/customobjects/{type}/import/{id}/status.json``."""
    job = _job(marketo, call)
    members: dict[str, Any] = {
        "batchId": job.id,
        "operation": "import",
        "status": job.status,
        "objectApiName": job.object,
        "numOfObjectsProcessed": job.processed,
        "numOfRowsFailed": job.failed,
        "numOfRowsWithWarning": job.warned,
        "importTime": f"{job.seconds} second(s)",
    }
    if job.message:
        members["message"] = job.message
    return Answer([members])


def _object(marketo: Marketo, call: Call) -> str | None:
    return custom_object(marketo, call).name if "type" in call.path else None


def _job(marketo: Marketo, call: Call) -> Job:
    job = marketo.imports.job(call.path["id"], _object(marketo, call))
    if job is None:
        raise MarketoError(1013, f"Import batch '{call.path['id']}' not found")
    return job


def import_file(column: str) -> Callable[[Marketo, Call], Awaitable[Response]]:
    """``…/failures.json`` or ``…/warnings.json`` of a job; custom objects have no file without such rows."""

    async def handler(marketo: Marketo, call: Call) -> Response:
        job = marketo.imports.job(call.path["id"], _object(marketo, call))
        rows = {"failures": job.failed, "warnings": job.warned}[column] if job is not None else 0
        if job is None or job.status != "Complete" or (job.object is not None and not rows):
            raise HttpError(404, f"No {column} file for batch {call.path['id']}")
        media_type = FORMAT_TYPES[marketo.imports.file_format(job.id)]
        return Response(marketo.imports.file(job.id, column), media_type=media_type)

    return handler


async def _file_and_format(call: Call) -> tuple[str, bytes]:
    file = await _read_form(call)
    file_format = (call.text("format") or "").lower()
    if not file_format:
        raise MarketoError(1002, "format")
    if file_format not in DELIMITERS:
        raise MarketoError(1003, f"Invalid value '{file_format}' for format")
    if file is None:
        raise MarketoError(1002, "file")
    if not file:
        raise MarketoError(1003, "Empty file")
    return file_format, file


async def _read_form(call: Call) -> bytes | None:
    """The file in the multipart body; its other parts become parameters."""
    parser = MultiPartParser(call.request.headers, _once(call.body))
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError):
        raise MarketoError(613) from None
    file: bytes | None = None
    try:
        for name, part in form.multi_items():
            if not isinstance(part, UploadFile):
                call.parameters.setdefault(name, [part])
            elif name == "file":
                file = await part.read()
    finally:
        await form.close()
    if file is not None and len(file) >= IMPORT_BYTES:
        raise HttpError(413, "Request Entity Too Large")
    return file


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
