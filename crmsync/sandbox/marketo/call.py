"""One call as a handler sees it: path, parameters, body, and the rules that all bodies and parameters share.

Sizes and content types: "Error Codes" (413, 414, 609, 612). Values may be joined by commas or repeated, because the
OpenAPI file says both; ``_method=GET`` may stand in the URL or in the form, because pages and clients differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request

from crmsync.sandbox.marketo.errors import HttpError, MarketoError
from crmsync.sandbox.marketo.values import whole_number

URI_BYTES = 8 * 1024
BODY_BYTES = 1024 * 1024
IMPORT_BYTES = 10 * 1024 * 1024
PAGE = 300
FORM = "application/x-www-form-urlencoded"


@dataclass
class Call:
    """A call that has passed the gate. ``path`` holds what the path's placeholders matched, ``rows`` the ``input`` of a
    query that came as JSON."""

    request: Request
    path: dict[str, str]
    body: bytes = b""
    parameters: dict[str, list[str]] = field(default_factory=dict)
    method: str = "GET"
    rows: list[Any] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        """A parameter's first value; None when it is absent or empty."""
        return next((value for value in self.parameters.get(name, []) if value), None)

    def listed(self, name: str) -> list[str]:
        """All values of a parameter, comma-joined or repeated."""
        joined = ",".join(self.parameters.get(name, []))
        return [value for value in joined.split(",") if value]

    def page_size(self) -> int:
        """``batchSize``: 300 unless told, never more."""
        size = whole_number(self.text("batchSize") or str(PAGE))
        if size is None or not 1 <= size <= PAGE:
            raise MarketoError(1003, f"batchSize must be between 1 and {PAGE}")
        return size

    def json(self) -> dict[str, Any]:
        """The JSON object in the body."""
        try:
            members = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise MarketoError(609) from None
        if not isinstance(members, dict):
            raise MarketoError(609)
        return members

    def read_query(self) -> None:
        """Take a query's parameters and rows from the JSON body."""
        members = self.json()
        for name, value in members.items():
            if name == "input":
                self.rows = self.input(members)
            elif value is not None:
                listed = value if isinstance(value, list) else [value]
                self.parameters.setdefault(name, [str(each) for each in listed])

    def input(self, members: dict[str, Any], *, most: int = PAGE) -> list[Any]:
        """``input``: a list of 1 to ``most`` records."""
        records = members.get("input")
        if records is None or records == []:
            raise MarketoError(1002, "input")
        if not isinstance(records, list):
            raise MarketoError(1001, "input", "array")
        if len(records) > most:
            raise MarketoError(1003, f"Too many records in input: {len(records)}, at most {most} are allowed")
        return records


def check_uri(request: Request) -> None:
    """HTTP 414 when path and query are longer than 8 KB."""
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    if len(path) + len(request.scope["query_string"]) > URI_BYTES:
        raise HttpError(414, "URI Too Long")


async def read_body(request: Request, most: int) -> bytes:
    """The body; HTTP 413 as soon as it is known to be too long."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        raise HttpError(413, "Request Entity Too Large")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HttpError(413, "Request Entity Too Large")
    return bytes(body)


def content_type(request: Request) -> str:
    """The media type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def query_parameters(request: Request) -> dict[str, list[str]]:
    """The parameters in the URL."""
    return _grouped(request.scope["query_string"].decode("latin-1"))


def form_parameters(body: bytes) -> dict[str, list[str]]:
    """The parameters in a form body."""
    return _grouped(body.decode(errors="replace"))


def _grouped(encoded: str) -> dict[str, list[str]]:
    parameters: dict[str, list[str]] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        parameters.setdefault(name, []).append(value)
    return parameters
