"""Asks an address, without signing in, whether a Dataverse organization is there.

An organization refuses with a challenge that names the Entra tenant to sign in to; another website does something else.
That is how Microsoft's own client finds the tenant of an organization. "Use OAuth authentication with Microsoft
Dataverse" (Microsoft's documents).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

import crmsync
from crmsync.dynamics.channel import ROOT
from crmsync.dynamics.errors import another_website, error_from, error_from_transport, server_time, wrong_address
from crmsync.dynamics.pacing import Sleep
from crmsync.errors import CrmsyncError, TransportFailed, TryAgainLater
from crmsync.trust import trusted

ATTEMPTS = 3
PAUSE = 2.0
_AUTHORIZATION_URI = re.compile(r"authorization_uri=\"?([^\s,\"]+)")


@dataclass(frozen=True)
class Sign:
    """What the organization said: the Entra tenant that it belongs to, and when it said so by its own clock (UTC)."""

    entra_tenant: str | None
    server_time: datetime | None
    seconds: float


async def probe(
    origin: str, *, tenant: str, ca_path: Path | None, transport: httpx.AsyncBaseTransport | None, sleep: Sleep
) -> Sign:
    """Raises ``OrganizationUrlWrong`` where no organization answers, ``TryAgainLater`` where it cannot now."""
    verify = trusted(ca_path, tenant) if transport is None else True
    async with httpx.AsyncClient(verify=verify, transport=transport, timeout=30.0) as client:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await _once(client, origin, tenant)
            except _AnotherWebsite as error:
                if attempt == ATTEMPTS:
                    raise error.wrong_url from None
            except TryAgainLater:
                if attempt == ATTEMPTS:
                    raise
            await sleep(PAUSE * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


class _AnotherWebsite(TryAgainLater):
    """Never leaves this module: what answered is no organization."""

    def __init__(self, response: httpx.Response, tenant: str) -> None:
        self.wrong_url = another_website(response, tenant=tenant)
        super().__init__(self.wrong_url.message)


async def _once(client: httpx.AsyncClient, origin: str, tenant: str) -> Sign:
    began = time.monotonic()
    try:
        headers = {"Accept": "application/json", "User-Agent": f"crmsync/{crmsync.__version__}"}
        response = await client.get(f"{origin}{ROOT}", headers=headers)
    except httpx.RequestError as error:
        raise _unanswered(error, origin, tenant) from error
    seconds = time.monotonic() - began
    found = _AUTHORIZATION_URI.search(response.headers.get("www-authenticate", ""))
    if response.status_code != httpx.codes.UNAUTHORIZED or found is None:
        refusal = None if response.is_success else error_from(response, tenant=tenant)
        raise refusal if refusal and not isinstance(refusal, TransportFailed) else _AnotherWebsite(response, tenant)
    return Sign(urlsplit(found[1]).path.strip("/").partition("/")[0] or None, server_time(response), seconds)


def _unanswered(error: httpx.RequestError, origin: str, tenant: str) -> CrmsyncError:
    host = httpx.URL(origin).netloc.decode()
    return wrong_address(error, host=host, tenant=tenant) or error_from_transport(error, host=host, tenant=tenant)
