"""A place for whoever wants to look at what goes over Marketo's wire: tests that hold it against a specification.

Nobody looks unless ``observers`` has somebody in it, and then nothing is copied. An observer is called after the answer
was sent, in the loop that sent it; it must not raise, and cannot change anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OBSERVED = "sandbox.observed"


@dataclass(frozen=True)
class Exchange:
    """A request and its whole answer. ``request_body`` is None where the service did not read it to its end."""

    method: str
    path: str
    query: str
    request_headers: dict[str, str]
    request_body: bytes | None
    status: int
    headers: dict[str, str]
    body: bytes


Observer = Callable[[Exchange], None]

observers: list[Observer] = []
"""Who looks; empty unless a test run puts somebody in."""


class Observed:
    """An application whose exchanges the observers see; of two around each other, only the outer one tells them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not observers or scope["type"] != "http" or scope.get(_OBSERVED):
            await self._app(scope, receive, send)
            return
        scope[_OBSERVED] = True
        method, path, query = scope["method"], scope["path"], scope.get("query_string", b"").decode("latin-1")
        asked, answered = _Ear(), _Ear()

        async def heard_receive() -> Message:
            message = await receive()
            asked.hear(message, "http.request")
            return message

        async def heard_send(message: Message) -> None:
            answered.hear(message, "http.response.body")
            await send(message)

        await self._app(scope, heard_receive, heard_send)
        if not answered.whole:
            return  # a fault kept the answer, or half of it
        body = bytes(asked.body) if asked.whole else None
        exchange = Exchange(
            method,
            path,
            query,
            _headers(scope["headers"]),
            body,
            answered.status,
            _headers(answered.headers),
            bytes(answered.body),
        )
        for observer in observers:
            observer(exchange)


class _Ear:
    """One direction of an exchange, as it goes by."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.whole = False

    def hear(self, message: Message, kind: str) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", []))
        elif message["type"] == kind:
            self.body += message.get("body", b"")
            self.whole = not message.get("more_body", False)


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
