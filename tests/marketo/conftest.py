"""A scripted Marketo behind a mock transport, and a time that passes only when somebody sleeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr

from crmsync.marketo.client import MarketoClient
from crmsync.secrets import SecretSource
from crmsync.tenants import MarketoConnection, Quota

SECRET = "s3cret-and-nobody-may-see-it"
BASE_URL = "https://123-ABC-456.mktorest.com"
IDENTITY = "/identity/oauth/token"
USAGE = "/rest/v1/stats/usage.json"

Reply = dict[str, Any] | httpx.Response | Exception | Callable[[httpx.Request], Any]


class FakeTime:
    """Seconds since the epoch: 2026-01-31 12:00 UTC, which is 06:00 in Chicago."""

    def __init__(self) -> None:
        self.now = 1_769_860_800.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.slept.append(seconds)
            self.now += seconds


class ScriptedMarketo:
    """Answers each path from its script; the last reply of a script stays. Identity and usage answer by themselves."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._scripts: dict[tuple[str, str], list[Reply]] = {}
        self._tokens = 0
        self.on("GET", IDENTITY, self._token)
        self.on("GET", USAGE, ok())

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self._scripts[method, path] = list(replies)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        script = self._scripts[request.method, request.url.path]
        reply = script.pop(0) if len(script) > 1 else script[0]
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, dict):
            return httpx.Response(200, json=reply)
        assert isinstance(reply, httpx.Response)
        return reply

    def _token(self, _: httpx.Request) -> dict[str, Any]:
        self._tokens += 1
        return {"access_token": f"token-{self._tokens}", "expires_in": 3599, "scope": "api@contoso.example"}

    def calls(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]

    def bodies(self, path: str) -> list[Any]:
        return [orjson.loads(request.content) for request in self.calls(path)]


def ok(*result: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"requestId": "a1#2", "success": True, "result": list(result), **members}


def fault(code: str, message: str = "as scripted") -> dict[str, Any]:
    return {"requestId": "a1#2", "success": False, "errors": [{"code": code, "message": message}]}


def skipped(code: str, message: str = "as scripted", **members: Any) -> dict[str, Any]:
    return {"status": "skipped", "reasons": [{"code": code, "message": message}], **members}


def echo_created(request: httpx.Request) -> dict[str, Any]:
    """Every record of the request was created."""
    records = orjson.loads(request.content)["input"]
    return ok(*({"id": 100 + place, "status": "created"} for place in range(len(records))))


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def marketo() -> ScriptedMarketo:
    return ScriptedMarketo()


@pytest.fixture
def connection() -> MarketoConnection:
    return MarketoConnection(base_url=BASE_URL, client_id="client-1", client_secret=SecretSource(env="SECRET"))


@pytest.fixture
async def client(
    marketo: ScriptedMarketo, time: FakeTime, connection: MarketoConnection
) -> AsyncIterator[MarketoClient]:
    async with MarketoClient(
        connection,
        SecretStr(SECRET),
        tenant="contoso",
        quota=Quota(),
        transport=httpx.MockTransport(marketo),
        sleep=time.sleep,
        clock=time.clock,
    ) as made:
        yield made


@pytest.fixture
def reply() -> SimpleNamespace:
    """The makers of scripted answers: ``reply.ok``, ``reply.fault``, ``reply.skipped``, ``reply.created``."""
    return SimpleNamespace(ok=ok, fault=fault, skipped=skipped, created=echo_created)
