"""Between the product and the sandbox: a transport that notes answers, changes some, or gives again what was noted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.marketo.client import MarketoClient
from crmsync.tenants import Quota
from crmsync.trust import trusted
from tests.chaos.mutations import Heard
from tests.world import World

QUOTA = Quota(marketo_calls_per_20_seconds=100_000, marketo_concurrent_calls=10, marketo_calls_per_day=10**9)

Change = Callable[[httpx.Request, Heard], Heard]


class Between(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Hands requests to the sandbox and its answers, changed, back; it stands before Entra ID too."""

    def __init__(self, world: World, change: Change) -> None:
        context = trusted(world.ready.ca_file, world.name)
        self._far = httpx.AsyncHTTPTransport(verify=context)
        self._near = httpx.HTTPTransport(verify=context)
        self.change = change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._far.handle_async_request(request)
        answer = httpx.Response(response.status_code, headers=response.headers, stream=response.stream, request=request)
        await answer.aread()
        return self.change(request, Heard.of(answer)).response(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._near.handle_request(request)
        answer = httpx.Response(response.status_code, headers=response.headers, stream=response.stream, request=request)
        answer.read()
        return self.change(request, Heard.of(answer)).response(request)

    async def aclose(self) -> None:
        await self._far.aclose()

    def close(self) -> None:
        self._near.close()


class Noted(httpx.MockTransport):
    """Gives the answers that were noted, in their order for each request; ``change`` as before."""

    def __init__(self, answers: list[tuple[str, Heard]], change: Callable[[str, Heard], Heard]) -> None:
        self._left: dict[str, list[Heard]] = {}
        for key, heard in answers:
            self._left.setdefault(key, []).append(heard)
        self._change = change
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        key = key_of(request)
        left = self._left.get(key, [Heard(404, {"content-type": "text/html"}, b"<html>never asked for</html>")])
        heard = left.pop(0) if len(left) > 1 else left[0]
        return self._change(key, heard).response(request)


def key_of(request: httpx.Request) -> str:
    """What tells requests apart; secrets stand in the query of a sign-in."""
    target = request.url.path if "oauth" in request.url.path else request.url.raw_path.decode()
    return f"{request.method} {request.url.host}{target}"


class PassingTime:
    """Time that passes only when somebody sleeps, beside the time that passes anyway."""

    def __init__(self) -> None:
        self._ahead = 0.0

    async def sleep(self, seconds: float) -> None:
        self._ahead += max(0.0, seconds)
        await asyncio.sleep(0)

    def seconds(self) -> float:
        return time.time() + self._ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)


@asynccontextmanager
async def clients(
    world: World, transport: httpx.AsyncBaseTransport, at: PassingTime, *, administrator: bool = False
) -> AsyncIterator[tuple[DynamicsClient, MarketoClient]]:
    """Both clients over this transport; as the administrator of Dynamics, or as the sync user."""
    facts, tenant = world.facts, world.tenant
    app = facts["dynamics"]["administrator"] if administrator else facts["dynamics"]
    connection = tenant.dynamics.model_copy(update={"client_id": app["client_id"]})
    secret = ClientSecret(value=SecretStr(app["client_secret"]))
    async with (
        DynamicsClient(connection, secret, tenant=world.name, transport=transport, sleep=at.sleep) as dynamics,
        MarketoClient(
            tenant.marketo,
            SecretStr(facts["marketo"]["client_secret"]),
            tenant=world.name,
            quota=QUOTA,
            transport=transport,
            sleep=at.sleep,
            clock=at.seconds,
        ) as marketo,
    ):
        yield dynamics, marketo
