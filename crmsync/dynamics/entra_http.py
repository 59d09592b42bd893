"""The HTTP client that MSAL is given: what reaches MSAL is an answer of Entra ID, whole and of the documented shape.

MSAL believes any JSON and turns any refusal of discovery into "no such tenant". So an answer is looked at before it
gets there: a refusal that is OAuth's becomes its error, everything else that is no success is passing.

Facts: "Use single-tenant server-to-server authentication" (Microsoft's documents) and MSAL for Python's own source,
which asks of its client ``get``, ``post`` and ``close``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import httpx
import orjson
from pydantic import Field, StrictInt, StringConstraints

from crmsync.dynamics.entra import is_entras
from crmsync.dynamics.errors import retry_after
from crmsync.errors import CrmsyncError, ServiceUnavailable, Throttled, TransportFailed
from crmsync.shapes import Members, Odd, Shape, Text, json_in, shaped

_Endpoint = Annotated[str, StringConstraints(pattern=r"^https://")]


class _Discovery(Members):
    authorization_endpoint: _Endpoint
    token_endpoint: _Endpoint
    issuer: str | None = None


class _Token(Members):
    access_token: Text
    expires_in: Annotated[StrictInt, Field(ge=1)]
    ext_expires_in: StrictInt | None = None
    refresh_in: StrictInt | None = None
    token_type: str | None = None
    scope: str | None = None


class _Refusal(Members):
    error: Text
    error_description: str | None = None
    error_codes: list[StrictInt] | None = None
    correlation_id: str | None = None
    trace_id: str | None = None


_DISCOVERY, _TOKEN, _REFUSAL = shaped(_Discovery), shaped(_Token), shaped(_Refusal)


class EntraHttp:
    """``refused`` makes the error of a refusal that is Entra ID's own."""

    def __init__(self, http: httpx.Client, *, tenant: str, refused: Callable[[dict[str, Any]], CrmsyncError]) -> None:
        self._http = http
        self._tenant = tenant
        self._refused = refused
        self.answered = False

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self._looked_at(self._http.get(url, **options), _DISCOVERY)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self._looked_at(self._http.post(url, **options), _TOKEN)

    def close(self) -> None:
        self._http.close()

    def _looked_at(self, response: httpx.Response, shape: Shape) -> httpx.Response:
        if response.status_code != httpx.codes.OK:
            raise self._error(response)
        try:
            shape(json_in(response))
        except Odd as odd:
            raise self._strange(response, str(odd)) from None
        self.answered = True
        return response

    def _error(self, response: httpx.Response) -> CrmsyncError:
        refusal = _refusal_in(response)
        if refusal is not None:
            self.answered = True
            return self._refused(refusal)
        host, status = response.url.host, response.status_code
        if status == httpx.codes.TOO_MANY_REQUESTS:
            seconds = retry_after(response)
            return Throttled(
                f"Entra ID at {host} asks us to wait", retry_after=seconds, tenant=self._tenant, status=status
            )
        if status >= 500:
            return ServiceUnavailable(
                f"Entra ID at {host} cannot answer now (HTTP {status})", tenant=self._tenant, status=status
            )
        return self._strange(response, "no refusal of Entra ID")

    def _strange(self, response: httpx.Response, what: str) -> TransportFailed:
        request = response.request
        return TransportFailed(
            f"{request.method} {request.url.host}{request.url.path}: the answer is not Entra ID's "
            f"(HTTP {response.status_code}): {what}",
            remedy="Nothing, if it passes; crmsync tries again by itself. If it stays, look for a proxy or a firewall "
            "that answers in its place, and check entra_tenant_id, and 'authority' if it is set, in the tenant file.",
            tenant=self._tenant,
            status=response.status_code,
        )


def _refusal_in(response: httpx.Response) -> dict[str, Any] | None:
    """The body of a refusal, where it is OAuth's and Entra ID's."""
    try:
        body = orjson.loads(response.content)
        _REFUSAL(body)
    except (orjson.JSONDecodeError, Odd):
        return None
    return body if is_entras(body) else None
