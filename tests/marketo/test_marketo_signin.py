"""Signing in: one token for many calls, renewed in time, and refusals that lead to the mistake without its secret."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import traceback
from typing import Any

import httpx
import pytest

from crmsync.errors import CredentialsRefused, ServiceUnavailable, TenantFileWrong, TransportFailed

SECRET = "s3cret-and-nobody-may-see-it"
IDENTITY = "/identity/oauth/token"
DESCRIBE = "/rest/v1/leads.json"


async def look(client: Any) -> None:
    await client.people("email", ["ann@example.com"], ["id"])


@pytest.fixture(autouse=True)
def _people(marketo: Any, reply: Any) -> None:
    marketo.on("GET", DESCRIBE, reply.ok())


async def test_identity_tells_the_api_user(client: Any, marketo: Any) -> None:
    assert await client.identity() == "api@contoso.example"

    (request,) = marketo.requests
    assert dict(request.url.params) == {
        "grant_type": "client_credentials",
        "client_id": "client-1",
        "client_secret": SECRET,
    }
    assert "Authorization" not in request.headers


async def test_calls_share_one_token(client: Any, marketo: Any) -> None:
    await asyncio.gather(*(look(client) for _ in range(5)))

    assert len(marketo.calls(IDENTITY)) == 1
    assert {call.headers["Authorization"] for call in marketo.calls(DESCRIBE)} == {"Bearer token-1"}


@pytest.mark.parametrize(("later", "tokens"), [(3538, 1), (3540, 2)])
async def test_a_token_is_renewed_when_less_than_a_minute_is_left(
    client: Any, marketo: Any, time: Any, later: int, tokens: int
) -> None:
    await look(client)
    time.now += later
    await look(client)

    assert len(marketo.calls(IDENTITY)) == tokens


async def test_a_token_in_its_last_minute_is_used_up(client: Any, marketo: Any, time: Any) -> None:
    marketo.on("GET", IDENTITY, {"access_token": "old", "expires_in": 40, "scope": "api@contoso.example"})
    await look(client)
    await look(client)
    assert len(marketo.calls(IDENTITY)) == 1

    time.now += 41
    await look(client)
    assert len(marketo.calls(IDENTITY)) == 2


@pytest.mark.parametrize("code", ["600", "601", "602"])
async def test_a_refused_token_is_renewed_and_the_call_repeated_at_once(
    client: Any, marketo: Any, time: Any, reply: Any, code: str
) -> None:
    marketo.on("GET", DESCRIBE, reply.fault(code), reply.ok())
    await look(client)

    assert [call.headers["Authorization"] for call in marketo.calls(DESCRIBE)] == ["Bearer token-1", "Bearer token-2"]
    assert time.slept == []


async def test_a_token_refused_twice_in_a_row_is_refused_credentials(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", DESCRIBE, reply.fault("602", "Access token expired"), reply.fault("601", "Access token invalid"))

    with pytest.raises(CredentialsRefused, match="LaunchPoint"):
        await look(client)

    assert len(marketo.calls(DESCRIBE)) == 2


@pytest.mark.parametrize("error", ["unauthorized", "invalid_client"])
async def test_refused_credentials_say_what_to_check_and_are_not_tried_again(
    client: Any, marketo: Any, error: str
) -> None:
    body = {"error": error, "error_description": f"Bad client credentials {SECRET}"}
    marketo.on("GET", IDENTITY, httpx.Response(401, json=body))

    for attempt in (client.identity, lambda: look(client)):
        with pytest.raises(CredentialsRefused) as raised:
            await attempt()
        assert "client-1" in raised.value.message
        assert "marketo.client_id and its secret" in raised.value.remedy
        assert SECRET not in "".join(traceback.format_exception(raised.value))

    assert len(marketo.calls(IDENTITY)) == 2
    assert marketo.calls(DESCRIBE) == []


async def test_the_secret_is_in_no_log(client: Any, marketo: Any, caplog: Any) -> None:
    marketo.on("GET", DESCRIBE, httpx.ReadTimeout("slow"))
    with caplog.at_level(logging.DEBUG), pytest.raises(TransportFailed) as raised:
        await look(client)

    assert "client_secret=***" in caplog.text
    assert SECRET not in caplog.text + repr(client.__dict__) + "".join(traceback.format_exception(raised.value))


async def test_an_identity_service_that_is_down_is_tried_again(client: Any, marketo: Any, time: Any) -> None:
    token = {"access_token": "late", "expires_in": 3599, "scope": "api@contoso.example"}
    marketo.on("GET", IDENTITY, httpx.Response(502), httpx.ConnectTimeout("slow"), token)

    assert await client.identity() == "api@contoso.example"
    assert len(time.slept) == 2


async def test_an_identity_service_that_stays_down_is_an_error(client: Any, marketo: Any) -> None:
    marketo.on("GET", IDENTITY, httpx.Response(503))

    with pytest.raises(ServiceUnavailable, match="HTTP 503"):
        await client.identity()


async def test_a_url_that_is_not_marketos_is_the_tenant_files_fault(client: Any, marketo: Any) -> None:
    marketo.on("GET", IDENTITY, httpx.Response(404, text="<html>no such page</html>"))

    with pytest.raises(TenantFileWrong, match=r"Admin > Web Services"):
        await client.identity()


def failed_connection(cause: Exception) -> httpx.ConnectError:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "said", "remedy"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "there is no host 123-abc",
            "marketo.base_url",
        ),
        (ssl.SSLCertVerificationError("self-signed"), "certificate of 123-abc", "ca_file"),
    ],
)
async def test_a_host_that_cannot_be_right_is_the_tenant_files_fault(
    client: Any, marketo: Any, time: Any, cause: Exception, said: str, remedy: str
) -> None:
    marketo.on("GET", IDENTITY, failed_connection(cause))

    with pytest.raises(TenantFileWrong) as raised:
        await client.identity()

    assert said in raised.value.message
    assert remedy in raised.value.remedy
    assert len(time.slept) == 2


@pytest.mark.parametrize(
    "passing",
    [
        failed_connection(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
        failed_connection(ssl.SSLCertVerificationError("self-signed")),
        httpx.Response(401),
        httpx.Response(401, json={"error": "Unauthorized", "status": 401}),
        httpx.Response(403, html="<html>Forbidden</html>"),
        httpx.Response(404),
        httpx.Response(511, html="<html>Sign in to the network</html>"),
        httpx.Response(200, html="<html>Sign in to the network</html>"),
        httpx.Response(200),
        httpx.Response(204),
        httpx.Response(200, json=["access_token"]),
        httpx.Response(200, json={"access_token": None, "expires_in": 3599}),
        httpx.Response(200, json={"access_token": "t"}),
        httpx.Response(200, json={"access_token": "t", "expires_in": "3599"}),
        httpx.Response(200, json={"access_token": "t", "expires_in": -1}),
        httpx.Response(200, text='{"access_to', headers={"content-type": "application/json"}),
    ],
)
async def test_once_marketo_has_answered_what_another_says_in_its_place_passes(
    client: Any, marketo: Any, passing: Any
) -> None:
    token = {"access_token": "t", "expires_in": 3599, "scope": "api@contoso.example"}
    marketo.on("GET", IDENTITY, token, passing, token)
    await client.identity()

    assert await client.identity() == "api@contoso.example"
    assert len(marketo.calls(IDENTITY)) == 3


async def test_a_bound_tenant_does_not_doubt_its_address(client: Any, marketo: Any) -> None:
    client.address_is_proven()
    marketo.on("GET", IDENTITY, httpx.Response(200, html="<html>Sign in to the network</html>"))

    with pytest.raises(TransportFailed, match="not that of Marketo's identity service"):
        await client.identity()


async def test_a_host_that_refuses_is_tried_again_and_then_named(client: Any, marketo: Any, time: Any) -> None:
    marketo.on("GET", IDENTITY, failed_connection(ConnectionRefusedError(111, "Connection refused")))

    with pytest.raises(TransportFailed) as raised:
        await client.identity()

    assert "no connection to 123-abc-456.mktorest.com: Connection refused" in raised.value.message
    assert "marketo.base_url" in raised.value.remedy
    assert len(time.slept) == 4
