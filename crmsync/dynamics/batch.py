"""Several operations in one request: ``$batch``, a multipart message of HTTP requests and then of HTTP answers.

Line ends are CRLF everywhere, each operation carries its own headers, and with ``odata.continue-on-error`` an operation
that fails leaves the others alone. A batch counts as one request against the service's limit of requests.

Facts: "Execute batch operations using the Web API" (Microsoft's documents).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from crmsync.dynamics.answers import Read
from crmsync.dynamics.channel import Answer, Channel
from crmsync.dynamics.errors import is_dataverses
from crmsync.shapes import Odd

MOST_OPERATIONS = 1000
CONTINUE = "odata.continue-on-error"

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})")


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of a batch: a path below the Web API root or a link of the service, and headers of its own; ``body``
    is JSON."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: bytes = b""


async def send_all(
    channel: Channel, operations: Sequence[Operation], reads: Sequence[Read], *, entity: str | None = None
) -> list[Answer]:
    """The answers to these, in their order: each is what its ``read`` made of it, or the part itself where it is an
    error of Dataverse.

    It is sent again when its answer was lost: a write among them must say which version of the row it is for.
    """
    boundary = f"batch_{uuid4()}"

    def read(response: httpx.Response) -> list[Answer]:
        parts = answers(response)
        if len(parts) != len(operations):
            raise Odd(f"{len(parts)} answers to {len(operations)} operations of a batch")
        return [_read(part, one) for part, one in zip(parts, reads, strict=True)]

    answer = await channel.send(
        "POST",
        "$batch",
        entity=entity,
        headers={"Content-Type": f'multipart/mixed; boundary="{boundary}"', "Prefer": CONTINUE},
        content=written(channel, operations, boundary),
        read=read,
    )
    found: list[Answer] = answer.body
    return found


def _read(part: httpx.Response, read: Read) -> Answer:
    if part.is_success:
        return Answer(read(part), part)
    if part.status_code < 400 or (part.status_code < 500 and not is_dataverses(part)):
        raise Odd(f"a part of a batch that is not Dataverse's (HTTP {part.status_code})")
    return Answer(None, part)


def written(channel: Channel, operations: Sequence[Operation], boundary: str) -> bytes:
    """The multipart message of these operations."""
    lines: list[bytes] = []
    for one in operations:
        lines += [
            b"--" + boundary.encode(),
            b"Content-Type: application/http",
            b"Content-Transfer-Encoding: binary",
            b"",
            one.method.encode() + b" " + channel.target(one.path) + b" HTTP/1.1",
            *[f"{name}: {value}".encode() for name, value in {"Accept": "application/json", **one.headers}.items()],
            b"",
            one.body,
        ]
    return b"\r\n".join([*lines, b"--" + boundary.encode() + b"--", b""])


def answers(response: httpx.Response) -> list[httpx.Response]:
    """The answers inside a batch's answer, each as if it had come alone; raises ``Odd`` for a message that is cut or no
    batch's."""
    found = _BOUNDARY.search(response.headers.get("content-type", ""))
    if found is None:
        raise Odd("no answer to a batch")
    delimiter = b"--" + found.group(1).encode()
    message, end, _ = response.content.partition(delimiter + b"--")
    if not end:
        raise Odd("an answer to a batch that is not whole")
    return [_answer(section, response) for section in message.split(delimiter + b"\r\n")[1:]]


def _answer(section: bytes, whole: httpx.Response) -> httpx.Response:
    _, _, message = section.partition(b"\r\n\r\n")
    head, _, body = message.lstrip(b"\r\n").partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    status = _STATUS.match(line)
    if status is None:
        raise Odd("a part of a batch without a status")
    pairs = [one.split(b":", 1) for one in rest.split(b"\r\n") if b":" in one]
    headers = [(name.strip(), value.strip()) for name, value in pairs]
    # The service's clock stands on the whole answer only.
    if (date := whole.headers.get("date")) is not None:
        headers.append((b"Date", date.encode()))
    content = body.removesuffix(b"\r\n")
    try:
        return httpx.Response(int(status.group(1)), headers=headers, content=content, request=whole.request)
    except httpx.DecodingError:
        raise Odd("a part of a batch in another encoding") from None
