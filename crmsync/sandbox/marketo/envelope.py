"""How an answer looks on the wire: the envelope, compression, plain-text refusals.

"REST API" and "Error Codes" (the envelope), "Performance" (gzip from 1,024 bytes on, never on the bulk API).
"""

from __future__ import annotations

import gzip
import secrets
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from crmsync.sandbox.core import Clock
from crmsync.sandbox.marketo.errors import HttpError, MarketoError

COMPRESSED_FROM = 1024
JSON = "application/json;charset=UTF-8"


@dataclass
class Answer:
    """What a call answers beside ``requestId`` and ``success``; members that are None are left out."""

    result: list[Any] | None = None
    next_page_token: str | None = None
    more_result: bool | None = None

    def members(self) -> dict[str, Any]:
        """The members in the order of Adobe's samples."""
        members = {"result": self.result, "nextPageToken": self.next_page_token, "moreResult": self.more_result}
        return {name: value for name, value in members.items() if value is not None}


def request_id(clock: Clock) -> str:
    """Opaque, two hexadecimal numbers, the second of them the time."""
    return f"{secrets.randbits(17):x}#{int(clock.time() * 1000):x}"


def success(request: Request, clock: Clock, answer: Answer) -> Response:
    """HTTP 200 and ``success: true``."""
    return _json(request, {"requestId": request_id(clock), **answer.members(), "success": True})


def failure(request: Request, clock: Clock, error: MarketoError) -> Response:
    """HTTP 200 and ``success: false``."""
    return _json(request, {"requestId": request_id(clock), "success": False, "errors": [error.as_dict()]})


def plain(error: HttpError) -> Response:
    """A status of its own and text."""
    return PlainTextResponse(error.text, error.status)


def _json(request: Request, members: dict[str, Any]) -> Response:
    body = orjson.dumps(members)
    headers = {}
    asked = "gzip" in request.headers.get("accept-encoding", "").lower()
    if asked and len(body) >= COMPRESSED_FROM and not request.url.path.startswith("/bulk/"):
        body = gzip.compress(body, compresslevel=1)
        headers = {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    return Response(body, media_type=JSON, headers=headers)
