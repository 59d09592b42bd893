"""The organization's ASGI app: tokens, users, limits and headers around the Web API.

"Use OAuth authentication with Microsoft Dataverse", "Compose HTTP requests and handle errors", "Service protection API
limits" (Power Apps developer documents).
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from crmsync.sandbox.core import Organization, TokenRefused
from crmsync.sandbox.dataverse.batch import answer_batch
from crmsync.sandbox.dataverse.errors import ODataError, no_http_resource, not_allowed
from crmsync.sandbox.dataverse.messages import ROOT, Answer, Request
from crmsync.sandbox.dataverse.privileges import Caller
from crmsync.sandbox.dataverse.protection import RECOMMENDED_PARALLELISM, Protection
from crmsync.sandbox.dataverse.service import LONGEST_URL, Service, answer_or_error
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.users import find_caller

METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
ENTRA = "https://login.microsoftonline.com"
_TYPICAL_LATENCY = (0.03, 0.12)


class DataverseApp:
    """HTTP in front of one organization's service."""

    def __init__(self, org: Organization, store: DataverseStore, authority: str) -> None:
        self._org = org
        self._store = store
        self._authority = authority
        self._service = Service(store)
        self._protection = Protection(org)
        self._affinity = uuid.uuid4().hex

    async def endpoint(self, http: HttpRequest) -> Response:
        answer = await self._answer(http)
        answer.headers |= {
            "OData-Version": "4.0",
            "x-ms-service-request-id": str(uuid.uuid4()),
            "REQ_ID": str(uuid.uuid4()),
            "Set-Cookie": f"ARRAffinity={self._affinity};Path=/;HttpOnly;Secure",
        }
        if self._org.limits.documented:
            answer.headers["x-ms-dop-hint"] = str(RECOMMENDED_PARALLELISM)
        return Response(answer.body, int(answer.status), answer.headers)

    async def _answer(self, http: HttpRequest) -> Answer:
        application = self._application(http)
        if application is None:
            return self._challenge()
        try:
            caller = find_caller(self._store, application)
            await http.body()  # what was received is executed, also when its client goes away meanwhile
            with self._protection.request(caller.user_id) as headers:
                if self._org.limits.latency == "typical":
                    await asyncio.sleep(random.uniform(*_TYPICAL_LATENCY))  # noqa: S311
                answer = await self._operation(http, caller)
        except ODataError as error:
            return Answer.error(error)
        answer.headers |= headers
        return answer

    def _application(self, http: HttpRequest) -> str | None:
        """The app id in a good bearer token."""
        scheme, _, token = http.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        try:
            claims = self._org.directory.verify(token.strip(), self._org.url, self._org.clock.now())
        except TokenRefused:
            return None
        return str(claims["appid"])

    def _challenge(self) -> Answer:
        """401 from which a client can find the tenant."""
        where = f"{self._authority}/{self._org.directory.tenant_id}/oauth2/authorize"
        challenge = f"Bearer authorization_uri={where}, resource_id={self._org.url}/"
        return Answer(401, {"WWW-Authenticate": challenge})

    async def _operation(self, http: HttpRequest, caller: Caller) -> Answer:
        raw = http.scope.get("raw_path") or http.scope["path"].encode()
        path = raw.decode("ascii").partition("?")[0]
        query = http.scope["query_string"].decode("ascii")
        match = ROOT.match(path)
        if match is None:
            raise no_http_resource(str(http.url))
        if http.method == "GET" and len(str(http.url)) > LONGEST_URL:
            raise ODataError(414, "0x80060888", "The request URI is too long.")
        request = Request(
            method=http.method,
            url=path[match.end() :] + (f"?{query}" if query else ""),
            root=f"{self._org.url.rstrip('/')}{match[0].rstrip('/')}/",
            caller=caller,
            headers={name: ",".join(http.headers.getlist(name)) for name in http.headers},
            body=await http.body(),
        )
        if request.segments and request.segments[0].name == "$batch":
            if request.method != "POST":
                raise not_allowed("The requested resource does not support http method 'GET'.", "0x0")
            return await answer_batch(self._service, request)
        return await answer_or_error(self._service, request)


def dataverse_app(org: Organization, store: DataverseStore | None = None, *, authority: str = ENTRA) -> Starlette:
    """The ASGI app of an organization. Give the ``store`` that data was loaded with, or none to open the file.

    ``authority`` is where Entra answers, as told to a client that comes without a token.
    """
    rows = store or DataverseStore(org)
    app = DataverseApp(org, rows, authority)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        rows.close()

    route = Route("/{path:path}", app.endpoint, methods=METHODS)
    return Starlette(routes=[route], lifespan=lifespan)
