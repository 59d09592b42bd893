"""Failures carried out: error answers in each service's own shape, lost answers, half answers, late answers, and
requests that are executed after their client has gone.

Shapes: "Web service error codes" and "Service protection API limits" (Dataverse), "Error Codes" (Marketo),
"Microsoft Entra authentication and authorization error codes" (AADSTS90055).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crmsync.sandbox.faults import Fault, FaultRule, Service
from crmsync.sandbox.marketo.errors import sample_message

ABORT = "sandbox.transport"
"""The member of the ASGI scope's ``extensions`` under which the server hands the connection's transport over."""

_THROTTLED = (
    "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
    "0x80072322",
)


async def fail(fault: Fault, service: Service, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the request as the fault's rule says; ``app`` is who would have answered it."""
    rule = fault.rule
    if rule.kind == "slow":
        await asyncio.sleep(rule.seconds)
        await app(scope, receive, send)
    elif rule.kind == "after_disconnect":
        await _execute_late(fault, app, scope, receive, send)
    elif rule.kind in ("reset", "hang", "truncate"):
        await _lose(rule, app, scope, receive, send)
    else:
        await error_answer(rule, service)(scope, receive, send)


async def _execute_late(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Execute what was received whole, as a service does that knows nothing of its client; who is there still gets
    the answer."""
    received = await _whole(receive)
    if fault.rule.drop:
        with contextlib.suppress(ConnectionResetError):
            await _reset(scope, receive)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(fault.lifted.wait(), fault.rule.seconds)
    await app(scope, received, _Swallowed().send if fault.rule.drop else send)
    fault.late += 1


async def _whole(receive: Receive) -> Receive:
    """Read a request to its end; the answer is what hands it on, whether its client is there or not."""
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
        messages.append(await receive())
    waiting = iter(messages)

    async def received() -> Message:
        return next(waiting, None) or await receive()

    return received


def error_answer(rule: FaultRule, service: Service) -> Response:
    """The error answer of a rule of kind status, marketo, dataverse or throttle."""
    if rule.kind == "throttle":
        return _throttled(rule, service)
    if rule.kind == "marketo":
        message = rule.message or sample_message(int(str(rule.code)))
        return _marketo_error(str(rule.code), message or "Injected by the sandbox")
    headers = _retry_after(rule.retry_after)
    if rule.kind == "dataverse":
        return _dataverse_error(rule.status, str(rule.code), rule.message or "Injected by the sandbox", headers)
    phrase = HTTPStatus(rule.status).phrase if rule.status in set(HTTPStatus) else "Error"
    title = f"<title>{rule.status} {phrase}</title>"
    page = f"<html><head>{title}</head><body>{rule.message or phrase}</body></html>"
    return HTMLResponse(page, status_code=rule.status, headers=headers)


def _throttled(rule: FaultRule, service: Service) -> Response:
    headers = _retry_after(1 if rule.retry_after is None else rule.retry_after)
    if service == "marketo":
        return _marketo_error("606", rule.message or "Max rate limit '100' exceeded with in '20' secs")
    if service == "dynamics":
        text, code = _THROTTLED
        return _dataverse_error(429, rule.code or code, rule.message or text, headers)
    text = "AADSTS90055: The request has been throttled because of too many requests."
    body = {"error": "temporarily_unavailable", "error_description": text, "error_codes": [90055]}
    return JSONResponse(body, status_code=429, headers=headers)


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}


def _marketo_error(code: str, message: str) -> Response:
    errors = [{"code": code, "message": message}]
    return JSONResponse({"requestId": f"{uuid.uuid4().hex[:5]}#0", "success": False, "errors": errors})


def _dataverse_error(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    headers = {**headers, "OData-Version": "4.0", "x-ms-service-request-id": str(uuid.uuid4())}
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


@dataclass
class _Swallowed:
    """An answer that was made but not sent."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


async def _lose(rule: FaultRule, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Lose the answer: nothing of it arrives, or half of it. ``after_execution`` says whether there is one."""
    answer = _Swallowed(headers=[(b"content-type", b"application/json")], body=bytearray(b'{"value":[{"') * 50)
    if rule.after_execution:
        await app(scope, receive, answer.send)
    if rule.kind == "truncate":
        await _send_half(answer, send)
        return
    if rule.kind == "hang":
        await _wait_or_disconnect(receive, rule.seconds)
    await _reset(scope, receive)


async def _send_half(answer: _Swallowed, send: Send) -> None:
    """The server closes the connection by itself when the body stays shorter than its announced length."""
    headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
    length = max(len(answer.body), 2)
    headers.append((b"content-length", str(length).encode()))
    status = answer.status if answer.status not in (204, 304) else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    half = bytes(answer.body[: length // 2])
    await send({"type": "http.response.body", "body": half, "more_body": True})


async def _wait_or_disconnect(receive: Receive, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


async def _reset(scope: Scope, receive: Receive) -> None:
    transport = (scope.get("extensions") or {}).get(ABORT, {}).get("transport")
    if transport is None:
        raise ConnectionResetError("reset by a fault rule")
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # A lingering time of zero makes the kernel send RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
