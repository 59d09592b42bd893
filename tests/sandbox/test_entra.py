"""Entra on loopback: who gets a token, and what everybody else is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from crmsync.sandbox.core import Clock, Limits, TokenRefused
from crmsync.sandbox.entra import entra_app
from crmsync.sandbox.entra_errors import REFUSALS
from crmsync.sandbox.world import Ports, SandboxTenant, make_tenant

ORIGIN = "https://localhost:9999"


@pytest.fixture
def contoso(tmp_path: Path) -> SandboxTenant:
    return make_tenant("contoso", 1, Ports(9001, 9002), Clock(), Limits(), tmp_path)


@pytest_asyncio.fixture
async def entra(contoso: SandboxTenant) -> AsyncIterator[httpx.AsyncClient]:
    app = entra_app(ORIGIN, [contoso.directory], contoso.organization.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        yield client


def form(contoso: SandboxTenant, **changes: str | None) -> dict[str, str]:
    """A good token request with some fields changed, or left out where None."""
    app = contoso.organization.sync_app
    good: dict[str, str | None] = {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.secret,
        "scope": f"{contoso.organization.url}/.default",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


async def sign_in(entra: httpx.AsyncClient, contoso: SandboxTenant, tenant: str = "", **changes: str | None) -> Any:
    tenant = tenant or contoso.directory.tenant_id
    return await entra.post(f"/{tenant}/oauth2/v2.0/token", data=form(contoso, **changes))


async def test_a_registered_app_gets_a_token_for_its_organization(
    entra: httpx.AsyncClient, contoso: SandboxTenant
) -> None:
    answer = (await sign_in(entra, contoso)).json()

    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    now = contoso.organization.clock.now()
    claims = contoso.directory.verify(answer["access_token"], contoso.organization.url, now)
    assert claims["appid"] == contoso.organization.sync_app.client_id
    assert claims["tid"] == contoso.directory.tenant_id


async def test_the_tenant_may_be_named_by_its_domain(entra: httpx.AsyncClient, contoso: SandboxTenant) -> None:
    assert (await sign_in(entra, contoso, "contoso.onmicrosoft.com")).status_code == 200


async def test_a_token_ends_by_the_sandbox_clock(entra: httpx.AsyncClient, contoso: SandboxTenant) -> None:
    token = (await sign_in(entra, contoso)).json()["access_token"]
    later = contoso.organization.clock.now() + timedelta(hours=2)

    with pytest.raises(TokenRefused) as refused:
        contoso.directory.verify(token, contoso.organization.url, later)

    assert refused.value.reason == "expired"


async def test_a_token_is_good_for_one_organization_only(entra: httpx.AsyncClient, contoso: SandboxTenant) -> None:
    token = (await sign_in(entra, contoso)).json()["access_token"]
    now = contoso.organization.clock.now()

    for url, text, reason in [
        ("https://localhost:1", token, "audience"),
        (contoso.organization.url, token[:-8] + "AAAAAAAA", "signature"),
        (contoso.organization.url, "no token", "malformed"),
    ]:
        with pytest.raises(TokenRefused) as refused:
            contoso.directory.verify(text, url, now)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (7000215, {"client_secret": "wrong"}),
        (7000218, {"client_secret": None}),
        (700016, {"client_id": "00000000-0000-4000-8000-000000000000"}),
        (500011, {"scope": "https://localhost:1/.default"}),
        (1002012, {"scope": "https://localhost:9001"}),
        (70011, {"scope": "localhost/.default"}),
        (900144, {"scope": None}),
        (900144, {"grant_type": None}),
        (900144, {"client_id": ""}),
        (70003, {"grant_type": "password"}),
        (700027, {"client_assertion": "x.y.z", "client_assertion_type": "urn:ietf:params:oauth:"}),
    ],
)
async def test_a_wrong_request_is_refused_as_entra_does(
    entra: httpx.AsyncClient, contoso: SandboxTenant, code: int, changes: dict[str, str | None]
) -> None:
    if code == 700027:
        changes = changes | {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}

    answer = await sign_in(entra, contoso, **changes)

    body = answer.json()
    assert answer.status_code == REFUSALS[code].status
    assert body["error_codes"] == [code]
    assert body["error"] == REFUSALS[code].error
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= body.keys()
    assert contoso.organization.sync_app.secret not in answer.text


@pytest.mark.parametrize(
    ("tenant", "code"),
    [
        ("11111111-2222-3333-4444-555555555555", 90002),
        ("nobody.onmicrosoft.com", 90002),
        ("not a tenant", 900023),
        ("common", 9001023),
    ],
)
async def test_a_wrong_tenant_is_refused(
    entra: httpx.AsyncClient, contoso: SandboxTenant, tenant: str, code: int
) -> None:
    answer = await sign_in(entra, contoso, tenant)

    assert (answer.status_code, answer.json()["error_codes"]) == (400, [code])


async def test_discovery_names_the_endpoints_and_refuses_an_unknown_tenant(
    entra: httpx.AsyncClient, contoso: SandboxTenant
) -> None:
    tenant = contoso.directory.tenant_id
    found = await entra.get(f"/{tenant}/v2.0/.well-known/openid-configuration")
    unknown = await entra.get("/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration")

    assert found.json()["token_endpoint"] == f"{ORIGIN}/{tenant}/oauth2/v2.0/token"
    assert found.json()["issuer"].startswith(ORIGIN)
    assert (unknown.status_code, unknown.json()["error"]) == (400, "invalid_tenant")
    assert "AADSTS90002" in unknown.json()["error_description"]


async def test_the_published_key_verifies_a_token(entra: httpx.AsyncClient, contoso: SandboxTenant) -> None:
    token = (await sign_in(entra, contoso)).json()["access_token"]
    key = (await entra.get(f"/{contoso.directory.tenant_id}/discovery/v2.0/keys")).json()["keys"][0]

    claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], audience=contoso.organization.url)

    assert claims["ver"] == "1.0"


async def test_an_expired_secret_and_a_disabled_app_are_refused(
    entra: httpx.AsyncClient, contoso: SandboxTenant
) -> None:
    contoso.organization.sync_app.secret_expired = True
    expired = await sign_in(entra, contoso)
    contoso.organization.sync_app.enabled = False
    disabled = await sign_in(entra, contoso)

    assert expired.json()["error_codes"] == [7000222]
    assert disabled.json()["error_codes"] == [7000112]
