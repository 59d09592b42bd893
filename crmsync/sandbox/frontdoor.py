"""The way in: every request goes by its port to a service, past the fault rules, and is counted.

The services behind know nothing of ports, faults and counters, and the client sees none of this: no header,
no path.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from crmsync.sandbox.core import Clock
from crmsync.sandbox.failing import ABORT, fail
from crmsync.sandbox.faults import FaultList, Service
from crmsync.sandbox.traffic import Counters, traffic_of

_log = logging.getLogger(__name__)


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which also hands the transport on so that a fault can reset the connection."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"transport": self.transport}}


@dataclass
class Desk:
    """What the services share: the clock, the fault rules and the counters."""

    clock: Clock = field(default_factory=Clock)
    faults: FaultList = field(default_factory=FaultList)
    counters: Counters = field(default_factory=Counters)


class Watched:
    """A service behind the fault rules and the counters; ``tenant_of`` tells whose a path is."""

    def __init__(self, app: ASGIApp, service: Service, desk: Desk, tenant_of: Callable[[str], str | None]) -> None:
        self._app = app
        self._service = service
        self._desk = desk
        self._tenant_of = tenant_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        traffic = traffic_of(scope, self._service, self._tenant_of(scope["path"]))
        status: int | None = None

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [(b"date", _date(int(self._desk.clock.time()))), *message.get("headers", ())]
            await send(message)

        fault = self._desk.faults.applying(traffic)
        try:
            if fault is None:
                await self._app(scope, receive, counted_send)
            else:
                await fail(fault, self._service, self._app, scope, receive, counted_send)
        except Exception:
            # The server is told to be quiet about half answers, so a defect of the sandbox is told here.
            if fault is None:
                _log.exception("The sandbox's %s failed at %s %s", traffic.service, traffic.method, traffic.path)
            raise
        finally:
            self._desk.counters.count(traffic, status)


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


class ByPort:
    """Hands each request to the service on whose port it came in."""

    def __init__(self, services: dict[int, ASGIApp]) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._services[scope["server"][1]](scope, receive, send)
