"""The bulk extract calls: create, enqueue, cancel, status, list, file, alike for people, activities, custom objects.

"Bulk Extract". Canceling answers ``Cancelled``, everything else says ``Canceled``. The file call answers 404 in plain
text for a job that is unknown or not complete, and takes a range of bytes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.custom_object_calls import custom_object
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import HttpError, MarketoError
from crmsync.sandbox.marketo.export_orders import ExportOrder, activity_order, lead_order, object_order
from crmsync.sandbox.marketo.exports import Export
from crmsync.sandbox.marketo.paging import page_after, page_token

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

Handler = Callable[["Marketo", Call], Awaitable[Answer | Response]]

MEDIA_TYPES = {"CSV": "text/csv", "TSV": "text/tab-separated-values", "SSV": "text/csv"}
BLOCK = 64 * 1024

_RANGE = re.compile(r"\s*bytes\s*[= ]\s*(\d*)-(\d*)\s*", re.ASCII)


def create(kind: str) -> Handler:
    """``POST …/export/create.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        export = marketo.exports.create(kind, _order(marketo, call, kind))
        return Answer([export.as_json()])

    return handler


def _order(marketo: Marketo, call: Call, kind: str) -> ExportOrder:
    if kind == "leads":
        return lead_order(marketo, call)
    if kind == "activities":
        return activity_order(marketo, call)
    return object_order(marketo, call, custom_object(marketo, call).name)


def enqueue(kind: str) -> Handler:
    """``POST …/export/{id}/enqueue.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        marketo.exports.enqueue(_named(marketo, call, kind))
        return Answer([_named(marketo, call, kind).as_json()])

    return handler


def cancel(kind: str) -> Handler:
    """``POST …/export/{id}/cancel.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        marketo.exports.cancel(_named(marketo, call, kind))
        return Answer([_named(marketo, call, kind).as_json() | {"status": "Cancelled"}])

    return handler


def status(kind: str) -> Handler:
    """``GET …/export/{id}/status.json``."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        return Answer([marketo.exports.shown(_named(marketo, call, kind))])

    return handler


def jobs(kind: str) -> Handler:
    """``GET …/export.json``: the caller's jobs of the last seven days, if wanted by their status."""

    async def handler(marketo: Marketo, call: Call) -> Answer:
        size, after = call.page_size(), page_after(call, "exports", kind)
        wanted = {_loose(each) for each in call.listed("status")}
        found = marketo.exports.recent(kind, _object(marketo, call), after, 10_000)
        found = [export for export in found if not wanted or _loose(export.status) in wanted]
        answer = Answer([marketo.exports.shown(export) for export in found[:size]])
        if len(found) > size:
            answer.next_page_token = page_token(found[size - 1].number, "exports", kind)
        return answer

    return handler


def file(kind: str) -> Handler:
    """``GET …/export/{id}/file.json``."""

    async def handler(marketo: Marketo, call: Call) -> Response:
        number = call.path["id"]
        export = marketo.exports.find(kind, _object(marketo, call), number)
        path = marketo.exports.file(export) if export is not None else None
        if export is None or path is None:
            raise HttpError(404, f"No file for export {number}")
        return _part(path, call.request.headers.get("range"), MEDIA_TYPES[export.format])

    return handler


def _object(marketo: Marketo, call: Call) -> str | None:
    return custom_object(marketo, call).name if "type" in call.path else None


def _named(marketo: Marketo, call: Call, kind: str) -> Export:
    export = marketo.exports.find(kind, _object(marketo, call), call.path["id"])
    if export is None:
        raise MarketoError(1013, f"Export '{call.path['id']}' not found")
    return export


def _loose(word: str) -> str:
    """Canceled and cancelled are one."""
    return word.lower().replace("cancelled", "canceled")


def _part(path: Path, asked: str | None, media_type: str) -> Response:
    size = path.stat().st_size
    headers = {"accept-ranges": "bytes"}
    match = _RANGE.fullmatch(asked) if asked else None
    if match is None or not (match[1] or match[2]):
        headers["content-length"] = str(size)
        return StreamingResponse(_read(path, 0, size), headers=headers, media_type=media_type)
    first = int(match[1]) if match[1] else max(0, size - int(match[2]))
    last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
    if first > last:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers |= {"content-range": f"bytes {first}-{last}/{size}", "content-length": str(last - first + 1)}
    return StreamingResponse(_read(path, first, last - first + 1), 206, headers, media_type)


def _read(path: Path, first: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as content:
        content.seek(first)
        while length > 0 and (block := content.read(min(BLOCK, length))):
            yield block
            length -= len(block)
