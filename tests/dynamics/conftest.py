"""A Contoso whose services are small callables: ``contoso(answer)`` is a client whose organization answers with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientSecret, Credential
from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.schema import Entity
from crmsync.tenants import DynamicsConnection

ENTRA = "https://login.contoso.test"
ORGANIZATION = "https://contoso.crm.test"
ENTRA_TENANT = "11111111-2222-3333-4444-555555555555"
SECRET = "s3cret~value"  # made up

Answer = Callable[[httpx.Request], httpx.Response]

CONNECTION = DynamicsConnection.model_validate(
    {
        "organization_url": ORGANIZATION,
        "entra_tenant_id": ENTRA_TENANT,
        "client_id": "aaaaaaaa-0000-0000-0000-000000000001",
        "client_secret": {"env": "CONTOSO_SECRET"},
        "authority": ENTRA,
    }
)

LEAD = Entity(logical_name="lead", schema_name="Lead", entity_set_name="leads", primary_id="leadid")


def discovery(request: httpx.Request) -> httpx.Response:
    """What MSAL asks for first."""
    base = f"{ENTRA}/{ENTRA_TENANT}/oauth2/v2.0"
    return httpx.Response(200, json={"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"})


class Entra:
    """Gives out tokens 'token-1', 'token-2', ...; ``refusal`` is what the token endpoint answers instead."""

    def __init__(self) -> None:
        self.issued = 0
        self.forms: list[str] = []
        self.refusal: httpx.Response | None = None
        self.discovery: Answer = discovery

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/.well-known/openid-configuration"):
            return self.discovery(request)
        self.forms.append(request.content.decode())
        if self.refusal is not None:
            return self.refusal
        self.issued += 1
        return httpx.Response(
            200, json={"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{self.issued}"}
        )

    def refuse(self, number: int, error: str, text: str, status: int = 400) -> None:
        """Answer with an AADSTS error."""
        description = f"AADSTS{number}: {text} Trace ID: t Correlation ID: c Timestamp: 2024-05-01 10:00:00Z"
        body = {"error": error, "error_description": description, "error_codes": [number], "correlation_id": "c"}
        self.refusal = httpx.Response(status, json=body)


class Waits(list[float]):
    """A sleep that only notes for how long."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def entra() -> Entra:
    return Entra()


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
async def contoso(entra: Entra, waits: Waits) -> AsyncIterator[Callable[..., DynamicsClient]]:
    """``contoso(answer)``: a client whose organization answers each request with ``answer(request)``."""
    async with AsyncExitStack() as stack:

        def client(answer: Answer, credential: Credential | None = None, **options: Any) -> DynamicsClient:
            def service(request: httpx.Request) -> httpx.Response:
                return entra(request) if str(request.url).startswith(ENTRA) else answer(request)

            made = DynamicsClient(
                CONNECTION,
                credential or ClientSecret(SecretStr(SECRET)),
                tenant="contoso",
                **{"transport": httpx.MockTransport(service), "sleep": waits, **options},
            )
            stack.push_async_exit(made)
            return made

        yield client


def who_am_i(request: httpx.Request) -> httpx.Response:
    """A healthy organization's answer to WhoAmI."""
    ids = {"UserId": "U-1", "BusinessUnitId": "B-1", "OrganizationId": "O-1"}
    return httpx.Response(200, json=ids)


def done() -> httpx.Response:
    """The answer to a write that was executed."""
    return httpx.Response(204, headers={"OData-Version": "4.0"})


def challenged() -> httpx.Response:
    """How an organization refuses a token: no body, and where to sign in."""
    where = f"{ENTRA}/{ENTRA_TENANT}/oauth2/authorize"
    challenge = f"Bearer authorization_uri={where}, resource_id={ORGANIZATION}/"
    return httpx.Response(401, headers={"WWW-Authenticate": challenge})


def refused(status: int, code: str, message: str, **headers: str) -> httpx.Response:
    """An OData error."""
    return httpx.Response(status, json={"error": {"code": code, "message": message}}, headers=headers)


@pytest.fixture(scope="session")
def private_key() -> str:
    """A PEM private key of nobody."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
