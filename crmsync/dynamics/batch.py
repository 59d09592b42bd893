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

from crmsync.dynamics.channel import Channel
from crmsync.dynamics.errors import not_dataverse

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
    channel: Channel, operations: Sequence[Operation], *, entity: str | None = None
) -> list[httpx.Response]:
    """The answers to these, in their order, whatever the status of each; the request as a whole succeeded.

    It is sent again when its answer was lost: a write among them must say which version of the row it is for.
    """
    boundary = f"batch_{uuid4()}"
    answer = await channel.send(
        "POST",
        "$batch",
        entity=entity,
        headers={"Content-Type": f'multipart/mixed; boundary="{boundary}"', "Prefer": CONTINUE},
        content=written(channel, operations, boundary),
    )
    found = answers(answer.response)
    if len(found) != len(operations):
        raise not_dataverse(answer.response, tenant=channel.tenant)
    return found


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
    """The answers inside a batch's answer, each as if it had come alone; an unreadable message holds none."""
    found = _BOUNDARY.search(response.headers.get("content-type", ""))
    if found is None:
        return []
    delimiter = b"--" + found.group(1).encode()
    sections = response.content.split(delimiter + b"--")[0].split(delimiter + b"\r\n")[1:]
    return [_answer(section, response) for section in sections]


def _answer(section: bytes, whole: httpx.Response) -> httpx.Response:
    _, _, message = section.partition(b"\r\n\r\n")
    head, _, body = message.lstrip(b"\r\n").partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    status = _STATUS.match(line)
    pairs = [one.split(b":", 1) for one in rest.split(b"\r\n") if b":" in one]
    headers = [(name.strip(), value.strip()) for name, value in pairs]
    # The service's clock stands on the whole answer only.
    if (date := whole.headers.get("date")) is not None:
        headers.append((b"Date", date.encode()))
    code = int(status.group(1)) if status else 0
    return httpx.Response(code, headers=headers, content=body.removesuffix(b"\r\n"), request=whole.request)
