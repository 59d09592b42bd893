"""Signs calls to Marketo: a bearer token from the identity service, renewed in time, asked for by one call at a time.

The service wants the secret in the query string, and httpx logs URLs: ``_HideSecret`` keeps it out of that log.

Source: "Authentication". The token of a custom service lives 3,600 s; asking again gives the same one with less time
left, so a new one cannot be forced. Refusals are HTTP 401 with an OAuth body, not Marketo's envelope.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

import crmsync
from crmsync.errors import CredentialsRefused, CrmsyncError, ServiceUnavailable, TenantFileWrong, TransportFailed
from crmsync.marketo.answers import TOKEN, TOKEN_REFUSED
from crmsync.marketo.codes import row_of
from crmsync.shapes import Odd, json_in

USER_AGENT = f"crmsync/{crmsync.__version__}"
IDENTITY_PATH = "/identity/oauth/token"
RENEW_BEFORE = 60.0
"""Seconds before its end at which a token is renewed."""

_TIMEOUT = {"connect": 10.0, "read": 45.0, "write": 30.0, "pool": 30.0}


class IdentityUnavailable(ServiceUnavailable):
    """The identity service cannot answer now, so the call that needed a token was not sent."""


class IdentityUnanswered(TransportFailed):
    """What answered is not the identity service, so the call that needed a token was not sent. ``wrong_url`` is the
    error that it means where Marketo has never answered."""

    def __init__(self, message: str, *, wrong_url: TenantFileWrong, **where: Any) -> None:
        super().__init__(message, **where)
        self.wrong_url = wrong_url


class _HideSecret(logging.Filter):
    """Blanks ``client_secret`` in what httpx logs of a request."""

    _parameter = re.compile(r"(client_secret=)[^&\s\"]+")

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "client_secret=" in text:
            record.msg, record.args = self._parameter.sub(r"\1***", text), None
        return True


_hide_secret = _HideSecret()


class MarketoAuth(httpx.Auth):
    """Puts a token on every request. ``clock`` gives seconds; ``user`` is the API user's e-mail once a token came,
    ``server_time`` the service's own clock then (UTC); ``answered``: the identity service is known to be there."""

    requires_response_body = False

    def __init__(
        self,
        base_url: str,
        client_id: str,
        secret: SecretStr,
        *,
        tenant: str,
        clock: Callable[[], float],
    ) -> None:
        self._url = f"{base_url}{IDENTITY_PATH}"
        self._client_id = client_id
        self._secret = secret
        self._tenant = tenant
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0
        self._lock = asyncio.Lock()
        self.answered = False
        self.user: str | None = None
        self.server_time: datetime | None = None
        logging.getLogger("httpx").addFilter(_hide_secret)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        raise RuntimeError("the Marketo client is asynchronous")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if not self._is_fresh():
            async with self._lock:
                if not self._is_fresh():
                    response = yield self.token_request()
                    await response.aread()
                    self.accept(response)
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request

    def token_request(self) -> httpx.Request:
        parameters = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._secret.get_secret_value(),
        }
        headers = {"User-Agent": USER_AGENT}
        return httpx.Request("GET", self._url, params=parameters, headers=headers, extensions={"timeout": _TIMEOUT})

    def accept(self, response: httpx.Response) -> None:
        """Keep the token of the identity service's answer, or raise what the answer means."""
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response)
        try:
            answer = json_in(response)
            TOKEN(answer)
        except Odd as odd:
            raise self._strange(response, str(odd)) from None
        self.answered = True
        left = float(answer["expires_in"])
        now = self._clock()
        # In its last minute the service gives the same token again: use it up instead of asking before every call.
        self._renew_at = now + (left - RENEW_BEFORE if left > RENEW_BEFORE else left)
        self._token = answer["access_token"]
        self.user = str(answer.get("scope") or "")
        self.server_time = date_of(response)

    def drop(self, request: httpx.Request) -> None:
        """Forget the token that ``request`` carried, unless another call has renewed it meanwhile."""
        if request.headers.get("Authorization") == f"Bearer {self._token}":
            self._token = None

    def _is_fresh(self) -> bool:
        return self._token is not None and self._clock() < self._renew_at

    def _refusal(self, response: httpx.Response) -> CrmsyncError:
        status = response.status_code
        if status >= 500 or status == 429:
            return IdentityUnavailable(
                f"Marketo's identity service answered HTTP {status}", tenant=self._tenant, status=status
            )
        try:
            answer = orjson.loads(response.content)
            TOKEN_REFUSED(answer)
        except (orjson.JSONDecodeError, Odd):
            return self._strange(response, "no refusal of Marketo")
        self.answered = True
        told = str(answer.get("error_description") or answer["error"])
        told = told.replace(self._secret.get_secret_value(), "***")
        return CredentialsRefused(
            f"Marketo's identity service refused the client id {self._client_id} or its secret: {told}",
            remedy=row_of("HTTP 401").remedy,
            tenant=self._tenant,
            status=status,
            code="HTTP 401",
        )

    def _strange(self, response: httpx.Response, what: str) -> IdentityUnanswered:
        status = response.status_code
        wrong_url = TenantFileWrong(
            f"{self._url} answers, but not like Marketo's identity service (HTTP {status})",
            remedy="Set marketo.base_url to the Endpoint that Marketo shows under Admin > Web Services, for example "
            "https://123-ABC-456.mktorest.com.",
            tenant=self._tenant,
            status=status,
        )
        return IdentityUnanswered(
            f"GET {IDENTITY_PATH}: the answer is not that of Marketo's identity service (HTTP {status}): {what}",
            wrong_url=wrong_url,
            remedy="Nothing, if it passes: it is tried again. If it stays, look for a proxy or a firewall between this "
            "machine and Marketo that answers in its place.",
            tenant=self._tenant,
            status=status,
        )


def date_of(response: httpx.Response) -> datetime | None:
    """When the service answered, by its own clock (UTC)."""
    try:
        at = parsedate_to_datetime(response.headers.get("date", ""))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
