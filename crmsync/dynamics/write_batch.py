"""Many writes in one request: independent operations in a ``$batch``, each with an outcome of its own.

Up to 100 operations go together, outside of any change set and with ``odata.continue-on-error``: one refused record
never stops the others. A batch may be sent again after its answer was lost, because each of its writes says which
version of the row it is for (``If-Match``), or that the row must not exist (``If-None-Match: *``).

Duplicate detection is chosen in every write: ``MSCRM.SuppressDuplicateDetection`` is ``true`` unless the tenant asks
for it. Marketo's own connector always asks, and users complain that updates of a field that is in no rule are refused
because the record has a twin already ("Marketo Triggering MSCRM's Duplicate Detection").

Facts: "Execute batch operations using the Web API", "Perform conditional operations", "Detect duplicate data"
(Microsoft's documents).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx
import orjson

from crmsync.dynamics.channel import ROOT, Channel
from crmsync.dynamics.errors import error_from, error_from_transport
from crmsync.errors import CrmsyncError

MOST_OPERATIONS = 100
ANY_VERSION = "*"

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
_STATUS = re.compile(rb"^HTTP/\d\.\d (\d{3})")
_BREAK = b"\r\n"


@dataclass(frozen=True, slots=True)
class Write:
    """One operation: ``values`` for the row ``record_id`` of ``entity_set``.

    ``etag`` is the version that the values were decided upon, ``*`` for whichever there is; None creates the row, and
    is refused when it exists.
    """

    entity_set: str
    record_id: str
    values: Mapping[str, Any]
    etag: str | None


async def write_batch(
    channel: Channel, writes: Sequence[Write], *, entity: str, detect_duplicates: bool
) -> list[CrmsyncError | None]:
    """What became of each write, in order: None, or its error. Raises only what concerns the request as a whole."""
    outcomes: list[CrmsyncError | None] = []
    for start in range(0, len(writes), MOST_OPERATIONS):
        outcomes += await _send(channel, writes[start : start + MOST_OPERATIONS], entity, detect_duplicates)
    return outcomes


async def _send(
    channel: Channel, writes: Sequence[Write], entity: str, detect_duplicates: bool
) -> list[CrmsyncError | None]:
    boundary = f"batch_{uuid4()}"
    parts = [_part(write, detect_duplicates) for write in writes]
    opened = f"--{boundary}\r\n".encode()
    body = b"".join(opened + part + _BREAK for part in parts) + f"--{boundary}--\r\n".encode()
    answer = await channel.send(
        "POST",
        "$batch",
        entity=entity,
        headers={"Prefer": "odata.continue-on-error"},
        multipart=(f"multipart/mixed; boundary={boundary}", body),
    )
    outcomes = [
        None if response.is_success else error_from(response, tenant=channel.tenant, entity=entity)
        for response in _responses(answer.response)
    ]
    if len(outcomes) != len(writes):
        short = ValueError(f"{len(outcomes)} outcomes for {len(writes)} operations")
        raise error_from_transport(short, host=answer.response.url.host, tenant=channel.tenant, entity=entity)
    return outcomes


def _part(write: Write, detect_duplicates: bool) -> bytes:
    condition = "If-None-Match: *" if write.etag is None else f"If-Match: {write.etag}"
    lines = [
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        "",
        f"PATCH {ROOT}{write.entity_set}({write.record_id}) HTTP/1.1",
        "Content-Type: application/json; charset=utf-8",
        condition,
        f"MSCRM.SuppressDuplicateDetection: {'false' if detect_duplicates else 'true'}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + orjson.dumps(dict(write.values))


def _responses(outer: httpx.Response) -> Iterator[httpx.Response]:
    """The answers inside a batch's answer, in order."""
    found = _BOUNDARY.search(outer.headers.get("content-type", ""))
    if found is None:
        return
    delimiter = b"--" + found[1].encode()
    for section in outer.content.split(delimiter)[1:]:
        if section.startswith(b"--"):
            return
        _, _, http = section.lstrip(_BREAK).partition(_BREAK * 2)
        head, _, content = http.partition(_BREAK * 2)
        status = _STATUS.match(head)
        lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
        yield httpx.Response(
            int(status[1]) if status else HTTPStatus.BAD_GATEWAY,
            headers=[(name, value.strip()) for name, _, value in lines if name.lower() != "content-length"],
            content=content.removesuffix(_BREAK),
            request=outer.request,
        )
