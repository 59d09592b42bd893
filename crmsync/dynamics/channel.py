"""Sends requests to one organization: signed in, paced, repeated when that is safe, checked, errors named.

Everything that the Web API client does goes through ``Channel.send``, which is where an answer is looked at: one that
does not have its shape is as good as none. Only while nothing was ever Dataverse's does it mean a wrong address.

Links of the service are opaque: the part after the host goes out byte for byte, and always to the organization that the
tenant file names, so that a token never goes anywhere else. Cookies are ignored, because they would pin all requests to
one of the organization's servers.

Facts: "Compose HTTP requests and handle errors", "Service protection API limits", "Page results" (Microsoft's
documents).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msal
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

import crmsync
from crmsync.dynamics.answers import OddValues, Read, anything, as_json
from crmsync.dynamics.auth import Credential, EntraAuth
from crmsync.dynamics.errors import (
    another_website,
    error_from,
    error_from_transport,
    is_dataverses,
    not_dataverse,
    retry_after,
    wrong_address,
)
from crmsync.dynamics.pacing import Gate, Lanes, Sleep
from crmsync.errors import (
    AnotherType,
    CrmsyncError,
    OrganizationUrlWrong,
    RequestRefused,
    Throttled,
    TransportFailed,
    TryAgainLater,
)
from crmsync.shapes import Odd, Shape
from crmsync.tenants import DynamicsConnection
from crmsync.trust import trusted

ROOT = "/api/data/v9.2/"
ATTEMPTS = 6
ATTEMPTS_WHEN_THROTTLED = 12
ATTEMPTS_AT_WRONG_ADDRESS = 3
ATTEMPTS_AT_ANOTHER_TYPE = 2
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 900.0
"""A Retry-After above this is not waited out here: the error goes up, and a later cycle tries again."""

_TIMEOUT = httpx.Timeout(120.0, connect=15.0, pool=None)
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
_UNQUOTED = "$,()'/:@=*;"
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BACK_OFF = wait_random_exponential(multiplier=1, min=0.5, max=LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: what was read of it, and the response itself."""

    body: Any
    response: httpx.Response


class Channel:
    """The one way to an organization. ``tenant`` is named in every error."""

    def __init__(
        self,
        connection: DynamicsConnection,
        credential: Credential,
        *,
        tenant: str,
        ca_path: Path | None,
        concurrent: int,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Sleep,
        token_cache: msal.TokenCache | None,
        clearance: Callable[[httpx.Request], Awaitable[None]] | None = None,
    ) -> None:
        self.origin = connection.organization_url
        self.tenant = tenant
        self._host = httpx.URL(self.origin).netloc.decode()
        self._sleep = sleep
        self._gate = Gate(sleep)
        self._lanes = Lanes(concurrent)
        self._answered = False
        verify = trusted(ca_path, tenant) if transport is None else True
        # A transport that serves both worlds (httpx.MockTransport does) stands for Entra ID too.
        to_entra = transport if isinstance(transport, httpx.BaseTransport) else None
        self._auth = EntraAuth(
            connection, credential, tenant=tenant, verify=verify, transport=to_entra, cache=token_cache
        )
        self._http = httpx.AsyncClient(
            auth=self._auth,
            verify=verify,
            transport=transport,
            timeout=_TIMEOUT,
            event_hooks={"request": [clearance] if clearance else []},
            limits=httpx.Limits(max_connections=concurrent, max_keepalive_connections=concurrent),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={
                "Accept": "application/json",
                "OData-Version": "4.0",
                "OData-MaxVersion": "4.0",
                "User-Agent": f"crmsync/{crmsync.__version__}",
            },
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        await self._auth.aclose()

    def address_is_proven(self) -> None:
        """The organization has answered here before: what another answers now will pass."""
        self._answered = True
        self._auth.address_is_proven()

    async def sign_in(self) -> None:
        """Get a token and nothing else: proves Entra tenant, client id, secret and the organization's URL."""
        await self._retrying(repeatable=True)(self._auth.token)

    async def get(
        self,
        path: str,
        shape: Shape | None = None,
        *,
        entity: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded JSON of ``path`` (below the Web API root), or of a link."""
        read = as_json(shape) if shape is not None else anything
        return (await self.send("GET", path, entity=entity, headers=headers, read=read)).body

    async def send(
        self,
        method: str,
        path: str,
        *,
        entity: str | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        repeatable: bool = True,
        read: Read = anything,
    ) -> Answer:
        """Send until there is an answer that ``read`` takes; raises the error that the last attempt ended with.

        ``content`` is a body that is no JSON, with its type among ``headers``.

        ``repeatable=False`` is for requests that must not be executed twice: they are repeated only when the service
        has surely not executed them.
        """
        if not repeatable:
            await self.sign_in()  # nothing has been sent yet: this may be repeated
        own = {"If-None-Match": "null"} if method == "GET" else {}
        if json is not None:
            content = orjson.dumps(json)
            own["Content-Type"] = "application/json; charset=utf-8"
        request = _Request(method, self.target(path), {**own, **(headers or {})}, content, entity, read)
        try:
            answer: Answer = await self._retrying(repeatable=repeatable)(self._once, request)
        except _NobodyThere as error:
            raise error.wrong_url from error.__cause__
        return answer

    def _retrying(self, *, repeatable: bool) -> AsyncRetrying:
        return AsyncRetrying(
            sleep=self._sleep,
            wait=_wait,
            stop=_exhausted,
            retry=retry_if_exception(lambda error: _may_repeat(error, repeatable=repeatable)),
            reraise=True,
        )

    async def _once(self, request: _Request) -> Answer:
        await self._auth.token()
        async with self._lanes.lane():
            await self._gate.passed()
            response = await self._exchange(request)
        if response.is_success:
            answer = Answer(self._read(response, request), response)
            self._answered = True
            self._lanes.widen()
            return answer
        error = self._refusal(response, request)
        seconds = retry_after(response)
        if isinstance(error, TryAgainLater) and seconds is not None and seconds <= LONGEST_RETRY_AFTER:
            self._lanes.narrow()
            await self._gate.close_for(seconds)
        raise error

    async def _exchange(self, request: _Request) -> httpx.Response:
        try:
            return await self._http.request(
                request.method,
                self.origin + request.target.decode("ascii"),
                content=request.content,
                headers=request.headers,
                extensions={"target": request.target},
            )
        except httpx.InvalidURL as error:
            raise RequestRefused(f"This cannot be a URL: {error}", tenant=self.tenant, entity=request.entity) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            # Once the organization has answered, its address is right, and whatever happens now will pass.
            wrong = None if self._answered else wrong_address(error, host=self._host, tenant=self.tenant)
            if wrong is not None:
                raise _NobodyThere(wrong) from error
            named = error_from_transport(error, host=self._host, tenant=self.tenant, entity=request.entity)
            raise named from error

    def _read(self, response: httpx.Response, request: _Request) -> Any:
        try:
            return request.read(response)
        except Odd as odd:
            kind = AnotherType if isinstance(odd, OddValues) else TransportFailed
            error = not_dataverse(response, str(odd), tenant=self.tenant, entity=request.entity, kind=kind)
        raise self._unless_first_contact(error, response)

    def _refusal(self, response: httpx.Response, request: _Request) -> CrmsyncError:
        error = error_from(response, tenant=self.tenant, entity=request.entity)
        self._answered = self._answered or is_dataverses(response)
        return self._unless_first_contact(error, response) if isinstance(error, TransportFailed) else error

    def _unless_first_contact(self, error: TransportFailed, response: httpx.Response) -> TransportFailed:
        return error if self._answered else _NobodyThere(another_website(response, tenant=self.tenant))

    def target(self, path: str) -> bytes:
        """What stands in the request line: a link's own bytes, else the path below the Web API root."""
        if path.startswith("https://"):
            path = "/" + path.removeprefix("https://").partition("/")[2]
        elif not path.startswith("/"):
            path = ROOT + path
        # A request line may hold visible ASCII only; everything else in a link stays as it is.
        return quote(path, safe=_VISIBLE).encode("ascii")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: bytes
    headers: dict[str, str]
    content: bytes | None
    entity: str | None
    read: Read


class _NobodyThere(TransportFailed):
    """Never leaves this module: a first contact that failed in a way that tells of a wrong URL."""

    def __init__(self, wrong_url: OrganizationUrlWrong) -> None:
        super().__init__(wrong_url.message)
        self.wrong_url = wrong_url


def url(path: str, **options: str | None) -> str:
    """``path`` with OData query options: ``url("leads", select="fullname", filter=None)``."""
    given = "&".join(f"${name}={quote(value, safe=_UNQUOTED)}" for name, value in options.items() if value is not None)
    return f"{path}?{given}" if given else path


def _may_repeat(error: BaseException, *, repeatable: bool) -> bool:
    if not isinstance(error, TryAgainLater):
        return False
    if isinstance(error, Throttled) and error.retry_after is not None:
        return error.retry_after <= LONGEST_RETRY_AFTER
    never_executed = error.status == httpx.codes.TOO_MANY_REQUESTS or isinstance(error.__cause__, _NEVER_SENT)
    return repeatable or never_executed


def _exhausted(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _NobodyThere):
        return state.attempt_number >= ATTEMPTS_AT_WRONG_ADDRESS
    if isinstance(error, AnotherType):
        return state.attempt_number >= ATTEMPTS_AT_ANOTHER_TYPE
    return state.attempt_number >= (ATTEMPTS_WHEN_THROTTLED if isinstance(error, Throttled) else ATTEMPTS)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Throttled) and error.retry_after is not None:
        return 0.0  # the gate has waited already
    return _BACK_OFF(state)
