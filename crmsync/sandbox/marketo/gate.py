"""The way of every call: size, token, limits, path, method, permission, body, handler, envelope.

"Authentication" (the token only in the header), "Error Codes" (codes, and which of them count), "REST API" (double
slashes are being withdrawn; which error they get, 610, is assumed). Identity takes its own, shorter way.
"""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from crmsync.sandbox.marketo import identity, routes
from crmsync.sandbox.marketo.call import (
    FORM,
    Call,
    check_uri,
    content_type,
    form_parameters,
    query_parameters,
    read_body,
)
from crmsync.sandbox.marketo.envelope import Answer, failure, plain, success
from crmsync.sandbox.marketo.errors import HttpError, MarketoError
from crmsync.sandbox.marketo.routes import Endpoint
from crmsync.sandbox.marketo.service import Marketo

log = logging.getLogger(__name__)


class Gate:
    """The ASGI application behind all paths."""

    def __init__(self, marketo: Marketo) -> None:
        self._marketo = marketo
        self._clock = marketo.subscription.clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except HttpError as error:
            response = plain(error)
        except MarketoError as error:
            response = failure(request, self._clock, error)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        check_uri(request)
        if request.scope["path"] == identity.PATH:
            return await identity.answer(request, self._marketo.subscription, self._marketo.tokens)
        admitted = False
        try:
            endpoints, path = routes.find(request.scope["path"])
            self._marketo.tokens.check(request.headers.get("authorization"))
            method = _method(request, endpoints)
            with self._marketo.quota.call():
                admitted = True
                return await self._call(request, endpoints.get(method), method, path)
        except MarketoError as error:
            self._marketo.quota.failed(error.code, admitted=admitted)
            raise

    async def _call(self, request: Request, endpoint: Endpoint | None, method: str, path: dict[str, str]) -> Response:
        if endpoint is None:
            raise MarketoError(610)
        held = self._marketo.subscription.permissions
        if endpoint.permissions and held.isdisjoint(endpoint.permissions):
            raise MarketoError(603)
        call = await _read(request, endpoint, path, method)
        try:
            answer = await endpoint.handler(self._marketo, call)
        except (MarketoError, HttpError, ClientDisconnect):
            raise
        except Exception:
            log.exception("%s %s failed", method, request.scope["path"])
            raise MarketoError(611) from None
        if method == "GET":
            await self._marketo.work("read")
        return success(request, self._clock, answer) if isinstance(answer, Answer) else answer


def _method(request: Request, endpoints: dict[str, Endpoint]) -> str:
    """The method meant: a POST that says ``_method=GET`` is a GET. 605 when the path has no such method."""
    method = request.method
    if method == "POST" and "GET" in endpoints:
        overridden = query_parameters(request).get("_method", [""])[0].upper() == "GET"
        if overridden or content_type(request) == FORM:
            method = "GET"
    if endpoints and method not in endpoints:
        raise MarketoError(605, request.method)
    return method


async def _read(request: Request, endpoint: Endpoint, path: dict[str, str], method: str) -> Call:
    body = await read_body(request, endpoint.most_bytes)
    call = Call(request, path, body, query_parameters(request), method)
    kind = content_type(request)
    if endpoint.body == "json":
        if kind != "application/json" and (call.body or not call.parameters):
            raise MarketoError(612)
    elif endpoint.body == "multipart":
        if kind != "multipart/form-data":
            raise MarketoError(612)
    elif method == "GET" and request.method == "POST" and call.body:
        _add_query(call, endpoint, kind)
    return call


def _add_query(call: Call, endpoint: Endpoint, kind: str) -> None:
    """The query that stands in the body of a POST: as JSON where there are compound keys, else as a form."""
    if endpoint.body == "none" or kind != "application/json":
        _add_form(call, kind)
    elif endpoint.body == "query":
        call.read_query()


def _add_form(call: Call, kind: str) -> None:
    """The query string that stands in the body; without ``_method=GET`` anywhere it is no query but a bad body."""
    if kind != FORM:
        raise MarketoError(612)
    for name, values in form_parameters(call.body).items():
        call.parameters.setdefault(name, []).extend(values)
    if (call.text("_method") or "").upper() != "GET":
        raise MarketoError(612)
