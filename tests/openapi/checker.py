"""Checks what went over the wire against the specification: crmsync's own requests, and every answer.

Requests of others are not checked: tests send wrong ones on purpose, and outside clients are what they are.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from crmsync.sandbox.observing import Exchange
from tests.openapi.corrections import METHOD_OVERRIDE, STATUSES
from tests.openapi.schema import faults
from tests.openapi.specification import Operation, Parameter, Specification

OWN_CLIENT = "crmsync/"
IDENTITY = "/identity/"
FORM = "application/x-www-form-urlencoded"

_FAILURE: Mapping[str, Any] = {
    "type": "object",
    "required": ["requestId", "success", "errors"],
    "properties": {
        "requestId": {"type": "string"},
        "success": {"type": "boolean"},
        "errors": {"type": "array", "items": {"$ref": "#/definitions/Error"}},
        "warnings": {"type": "array", "items": {}},
    },
}
_REFUSAL: Mapping[str, Any] = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
_PART = re.compile(rb'content-disposition:\s*form-data;[^\r\n]*?\bname="([^"]*)"', re.IGNORECASE)


def client_of(exchange: Exchange) -> str:
    """The first word of the User-Agent, without its version."""
    return exchange.request_headers.get("user-agent", "?").partition("/")[0]


def is_own(exchange: Exchange) -> bool:
    """Whether crmsync's own client sent this."""
    return exchange.request_headers.get("user-agent", "").startswith(OWN_CLIENT)


class Checker:
    """Tells what is wrong with an exchange."""

    def __init__(self, specification: Specification) -> None:
        self._specification = specification
        self._definitions = specification.definitions
        self._closed = specification.closed

    def check(self, exchange: Exchange) -> list[str]:
        """Everything wrong, each with the request and the rule."""
        method = _meant_method(exchange)
        operation, path = self._specification.find(method, exchange.path)
        name = f"{method} {exchange.path}"
        wrong = [f"{name}: answer: {fault}" for fault in self._answer(exchange, operation)]
        if is_own(exchange):
            wrong += [f"{name}: request: {fault}" for fault in self._request(exchange, operation, path)]
        return wrong

    # Requests

    def _request(self, exchange: Exchange, operation: Operation | None, path: dict[str, str]) -> Iterator[str]:
        if operation is None:
            yield "no such path and method in the specification"
            return
        parameters, body = _parameters(exchange)
        override = exchange.method == "POST" and operation.method == "get"
        if override:
            parameters = [(name, value) for name, value in parameters if name != METHOD_OVERRIDE]
        yield from self._named(operation.named("path"), list(path.items()))
        in_body = override and body is not None
        yield from self._named(operation.named("query"), parameters, complete=not in_body)
        if exchange.request_body is not None:
            yield from self._body(exchange, operation, body)

    def _named(
        self, known: dict[str, Parameter], given: list[tuple[str, str]], *, complete: bool = True
    ) -> Iterator[str]:
        for name in sorted({name for name, _ in given} - set(known)):
            yield f"unknown parameter '{name}'"
        names = {name for name, _ in given}
        for parameter in known.values():
            if complete and parameter.required and parameter.name not in names:
                yield f"parameter '{parameter.name}' is missing"
        for name, text in given:
            if name in known:
                yield from faults(_typed(text, known[name].schema), known[name].schema, self._definitions, name)

    def _body(self, exchange: Exchange, operation: Operation, body: bytes | None) -> Iterator[str]:
        if files := operation.named("formData"):
            parts = [part.decode() for part in _PART.findall(exchange.request_body or b"")]
            yield from (f"unknown part '{part}'" for part in parts if part not in files)
            yield from (f"part '{name}' is missing" for name in files if name not in parts)
        elif body is None:
            if operation.body is not None and operation.body.required:
                yield "has no body"
        elif operation.body is None:
            yield "has a body, which the specification does not know"
        else:
            yield from faults(_json(body), operation.body.schema, self._definitions)

    # Answers

    def _answer(self, exchange: Exchange, operation: Operation | None) -> Iterator[str]:
        kind = exchange.headers.get("content-type", "").partition(";")[0]
        if exchange.status != 200:
            yield from self._other_status(exchange, operation, kind)
        elif kind != "application/json":
            if operation is None or not operation.answers_a_file:
                yield f"is {kind or 'of no type'}, not JSON"
        else:
            yield from self._envelope(_json(_content(exchange)), operation)

    def _other_status(self, exchange: Exchange, operation: Operation | None, kind: str) -> Iterator[str]:
        expected = STATUSES.get(exchange.status)
        if kind == "text/html":
            return  # a gateway's, before Marketo
        if expected == "oauth" and exchange.path.startswith(IDENTITY):
            yield from faults(_json(_content(exchange)), _REFUSAL, self._definitions)
        elif expected == "file" and operation is not None and operation.answers_a_file:
            return
        elif expected != "text" or kind == "application/json":
            yield f"status {exchange.status} with {kind or 'no type'} is none of Marketo's"

    def _envelope(self, answer: Any, operation: Operation | None) -> Iterator[str]:
        if isinstance(answer, dict) and answer.get("success") is False:
            yield from faults(answer, _FAILURE, self._definitions)
        elif operation is None:
            yield "is a success, but the specification has no such path and method"
        else:
            definitions = self._definitions if operation.method == "get" else self._closed
            yield from faults(answer, operation.answer, definitions)


def _meant_method(exchange: Exchange) -> str:
    """A POST that says so is a GET."""
    if exchange.method != "POST":
        return exchange.method
    parameters, _ = _parameters(exchange)
    return "GET" if (METHOD_OVERRIDE, "GET") in parameters else "POST"


def _parameters(exchange: Exchange) -> tuple[list[tuple[str, str]], bytes | None]:
    """The parameters of the URL and of a form, and the body unless it was a form or empty."""
    parameters = parse_qsl(exchange.query, keep_blank_values=True)
    body = exchange.request_body or None
    if body is not None and exchange.request_headers.get("content-type", "").startswith(FORM):
        return parameters + parse_qsl(body.decode(errors="replace"), keep_blank_values=True), None
    return parameters, body


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A parameter's text as the type it should be, where it is; lists come repeated or comma-joined (26.10)."""
    kind = schema.get("type")
    if kind == "array":
        return [_typed(part, schema.get("items", {})) for part in text.split(",")]
    if kind in ("integer", "number") and re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


def _content(exchange: Exchange) -> bytes:
    packed = exchange.headers.get("content-encoding") == "gzip"
    return gzip.decompress(exchange.body) if packed else exchange.body


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
