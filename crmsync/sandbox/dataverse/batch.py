"""``$batch``: several operations in one multipart request, change sets as one transaction.

"Execute batch operations using the Web API" (Power Apps developer documents).
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from crmsync.sandbox.dataverse.errors import ODataError, bad_request, unreadable_stream
from crmsync.sandbox.dataverse.messages import ROOT, Answer, Request
from crmsync.sandbox.dataverse.service import LONGEST_URL_IN_BATCH, Service, answer_or_error

MOST_OPERATIONS = 1000
_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
_REQUEST_LINE = re.compile(r"^([A-Z]+) (\S.*) HTTP/\d\.\d$")
"""A space in the URL is forgiven, as the service does: Microsoft's own client leaves filters as they are."""
_ORIGIN = re.compile(r"^https?://[^/]+", re.IGNORECASE)
_ENTITY_ID = re.compile(r"[^/]+\([^)]*\)$")


@dataclass
class Part:
    """One operation of a batch, or a change set of several."""

    request: Request | None = None
    content_id: str | None = None
    operations: list[Part] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.operations) if self.request is None else 1


async def answer_batch(service: Service, request: Request) -> Answer:
    """Run a batch; a malformed or too long one is one plain error."""
    parts = _parts(request, request.headers.get("content-type", ""), request.body, nested=False)
    if sum(part.size for part in parts) > MOST_OPERATIONS:
        raise bad_request(f"The batch request has more than {MOST_OPERATIONS} operations.")
    answers: list[bytes] = []
    status = 200
    for part in parts:
        failed, text = await _run(service, part)
        answers.append(text)
        if failed and not request.prefer.continue_on_error:
            status = failed
            break
    boundary = f"batchresponse_{uuid.uuid4()}"
    headers = {"Content-Type": f"multipart/mixed; boundary={boundary}"}
    if request.prefer.continue_on_error:
        headers["Preference-Applied"] = "odata.continue-on-error"
    return Answer(status, headers, _multipart(boundary, answers))


async def _run(service: Service, part: Part) -> tuple[int, bytes]:
    """The status of a failure (0: none) and the part of the answer."""
    if part.request is not None:
        answer = await answer_or_error(service, part.request)
        return (answer.status if answer.status >= HTTPStatus.BAD_REQUEST else 0), _http_part(answer)
    return await _run_change_set(service, part.operations)


async def _run_change_set(service: Service, operations: list[Part]) -> tuple[int, bytes]:
    answers: list[bytes] = []
    created: dict[str, str] = {}
    async with service.writing:
        try:
            with service.store.transaction():
                for one in operations:
                    answer = service.write(_resolved(one, created))
                    found = _ENTITY_ID.search(answer.headers.get("OData-EntityId", ""))
                    if one.content_id and found:
                        created[one.content_id] = found[0]
                    answers.append(_http_part(answer, one.content_id))
        except ODataError as error:
            return error.status, _http_part(Answer.error(error))
    boundary = f"changesetresponse_{uuid.uuid4()}"
    head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    return 0, head + _multipart(boundary, answers)


def _resolved(part: Part, created: dict[str, str]) -> Request:
    """The operation with ``$1`` in its URL and body replaced by the row that operation 1 made."""
    request = part.request
    if request is None:
        raise bad_request("A change set cannot hold another one.")

    def known(match: re.Match[str]) -> str:
        if match[2] not in created:
            raise bad_request(f"Content-ID Reference: '${match[2]}' does not exist in the batch context.")
        return match[1] + created[match[2]]

    url = re.sub(r"^(/?)\$(\d+)", known, request.url)
    body = re.sub(r'(":\s*"/?)\$(\d+)(?=["/])', known, request.body.decode())
    return replace(request, url=url.lstrip("/"), body=body.encode())


def _http_part(answer: Answer, content_id: str | None = None) -> bytes:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {content_id}"] if content_id else []
    lines += ["", f"HTTP/1.1 {int(answer.status)} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in {**answer.headers, "OData-Version": "4.0"}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


def _multipart(boundary: str, parts: list[bytes]) -> bytes:
    opened = f"--{boundary}\r\n".encode()
    return b"".join(opened + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()


def _parts(outer: Request, content_type: str, body: bytes, *, nested: bool) -> list[Part]:
    found = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/mixed") or found is None:
        raise unreadable_stream("The batch request must have the content type multipart/mixed with a boundary.")
    delimiter = f"--{found[1]}".encode()
    if b"\r\n" not in body or delimiter + b"--" not in body:
        raise unreadable_stream()
    sections = body.split(delimiter + b"--")[0].split(delimiter + b"\r\n")[1:]
    return [_part(outer, section.removesuffix(b"\r\n"), nested=nested) for section in sections]


def _part(outer: Request, section: bytes, *, nested: bool) -> Part:
    headers, content = _headers(section)
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/mixed"):
        if nested:
            raise bad_request("A change set cannot hold another one.")
        operations = _parts(outer, content_type, content, nested=True)
        if any(one.request is not None and one.request.method == "GET" for one in operations):
            raise bad_request("A change set cannot hold a GET request.")
        return Part(operations=operations)
    if not content_type.startswith("application/http"):
        raise unreadable_stream("Each part of a batch must have the content type application/http.")
    line, _, rest = content.lstrip(b"\r\n").partition(b"\r\n")
    words = _REQUEST_LINE.match(line.decode())
    if words is None:
        raise unreadable_stream("Stream was not readable: a part has no request line.")
    inner_headers, inner_body = _headers(rest)
    url = _relative(words[2])
    if len(url) > LONGEST_URL_IN_BATCH:
        raise ODataError(414, "0x80060888", "The request URI is too long.")
    request = Request(words[1], url, outer.root, outer.caller, inner_headers, inner_body)
    content_id = headers.get("content-id") or inner_headers.get("content-id")
    if nested and not content_id:
        raise unreadable_stream("Each operation of a change set must have a Content-ID.")
    return Part(request, content_id)


def _relative(url: str) -> str:
    path = _ORIGIN.sub("", url)
    relative = ROOT.sub("", path)
    if relative.lstrip("/").startswith("$batch"):
        raise bad_request("A batch cannot hold another batch.")
    return relative.lstrip("/")


def _headers(section: bytes) -> tuple[dict[str, str], bytes]:
    """Headers up to the blank line, and what follows it."""
    if section.startswith(b"\r\n"):
        return {}, section[2:]
    head, _, content = section.partition(b"\r\n\r\n")
    lines = (line.partition(":") for line in head.decode().split("\r\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}, content
