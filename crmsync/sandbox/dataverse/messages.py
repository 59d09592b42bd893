"""A request and its answer, whether it came over HTTP or inside a ``$batch``; the path and ``Prefer`` of a request.

"Compose HTTP requests and handle errors" (Power Apps developer documents).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from crmsync.sandbox.dataverse.errors import ODataError, bad_request, unreadable_stream
from crmsync.sandbox.dataverse.privileges import Caller

ROOT = re.compile(r"^/api/data/v9\.\d(?:/|$)", re.IGNORECASE)
JSON = "application/json; odata.metadata=minimal"
GUID = re.compile(r"^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$", re.IGNORECASE)
_SEGMENT = re.compile(r"^([^()]+)(?:\((.*)\))?$", re.DOTALL)
MAX_PAGE = 5000


@dataclass(frozen=True)
class Segment:
    """One part of a path: ``leads(<guid>)`` is name ``leads`` and key ``<guid>``."""

    name: str
    key: str | None = None


@dataclass(frozen=True)
class Preferences:
    """What the ``Prefer`` header asks for."""

    page_size: int | None = None
    track_changes: bool = False
    representation: bool = False
    continue_on_error: bool = False
    annotations: str | None = None

    @classmethod
    def parse(cls, header: str) -> Preferences:
        """Read all preferences of one header value (several headers are joined by commas)."""
        found: dict[str, str] = {}
        for name, quoted, plain in re.findall(r'([\w.\-]+)\s*(?:=\s*(?:"([^"]*)"|([^,;\s]*)))?\s*(?:,|;|$)', header):
            found.setdefault(name.lower(), quoted or plain)
        size = found.get("odata.maxpagesize", "")
        return cls(
            page_size=min(int(size), MAX_PAGE) if size.isdigit() and int(size) > 0 else None,
            track_changes="odata.track-changes" in found,
            representation=found.get("return") == "representation",
            continue_on_error="odata.continue-on-error" in found,
            annotations=found.get("odata.include-annotations"),
        )

    def applied(self, *, paged: bool = False, tracked: bool = False) -> dict[str, str]:
        """The ``Preference-Applied`` header of an answer that honoured them."""
        parts = [
            "odata.track-changes" if tracked else "",
            f"odata.maxpagesize={self.page_size}" if paged and self.page_size else "",
            f'odata.include-annotations="{self.annotations}"' if self.annotations else "",
            "return=representation" if self.representation else "",
        ]
        applied = ",".join(part for part in parts if part)
        return {"Preference-Applied": applied} if applied else {}


@dataclass(frozen=True)
class Request:
    """One operation. ``url`` is relative to the Web API root, as sent."""

    method: str
    url: str
    root: str
    caller: Caller
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def path(self) -> str:
        return self.url.partition("?")[0]

    @cached_property
    def segments(self) -> list[Segment]:
        return [parse_segment(part) for part in split_path(unquote(self.path)) if part]

    @cached_property
    def query(self) -> dict[str, str]:
        """Query options and parameter aliases."""
        return dict(parse_qsl(self.url.partition("?")[2], keep_blank_values=True))

    @cached_property
    def prefer(self) -> Preferences:
        return Preferences.parse(self.headers.get("prefer", ""))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        try:
            data = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise unreadable_stream(f"Error reading JSON from the payload: {error}") from None
        if not isinstance(data, dict):
            raise unreadable_stream("The payload is not a JSON object.")
        return data


@dataclass
class Answer:
    """A status, headers and a body; errors are answers too."""

    status: int = HTTPStatus.NO_CONTENT
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, data: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(status, {"Content-Type": JSON, **(headers or {})}, orjson.dumps(data))

    @classmethod
    def error(cls, error: ODataError) -> Answer:
        body = {"error": {"code": error.code, "message": error.message}}
        return cls.json(body, error.status, error.headers)


def split_path(path: str) -> list[str]:
    """Parts of a path; a slash inside quotes or parentheses does not part it."""
    parts, depth, quote, start = [], 0, False, 0
    for index, character in enumerate(path):
        if character == "'":
            quote = not quote
        elif not quote and character in "()":
            depth += 1 if character == "(" else -1
        elif character == "/" and not quote and depth == 0:
            parts.append(path[start:index])
            start = index + 1
    return [*parts, path[start:]]


def parse_segment(part: str) -> Segment:
    match = _SEGMENT.match(part)
    if not match:
        raise bad_request(f"Bad Request - Error in query syntax at '{part}'.")
    return Segment(match[1], match[2])


def parse_guid(literal: str) -> str:
    """A GUID in lower case, or the error that the Web API gives for a bad one."""
    match = GUID.match(literal.strip())
    if not match:
        raise bad_request(f"Unrecognized 'Edm.Guid' literal '{literal}' at '0' in '{literal}'.")
    return match[1].lower()


def parse_parameters(request: Request, text: str | None) -> dict[str, str]:
    """A function's parameters by name, aliases (``@p1``) replaced by their values in the query string."""
    found: dict[str, str] = {}
    for part in split_arguments(text or ""):
        name, equals, value = part.partition("=")
        value = value.strip()
        if not equals or not re.fullmatch(r"\s*\w+\s*", name):
            raise bad_request(f"Bad Request - Error in query syntax at '{part}'.")
        if value.startswith("@"):
            if value not in request.query:
                raise bad_request(f"The parameter alias '{value}' is not defined in the request URI.")
            value = request.query[value]
        found[name.strip()] = value
    return found


def split_arguments(text: str) -> list[str]:
    """Arguments of a call; a comma inside quotes, brackets or braces parts nothing."""
    parts, depth, quote, start = [], 0, "", 0
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [part for part in [*parts, text[start:]] if part.strip()]
