"""Signing in: which mistakes get which error, and what becomes of a refused token."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from urllib.parse import parse_qs

import httpx
import jwt
import msal
import pytest
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientCertificate, ClientSecret
from crmsync.dynamics.entra import REFUSALS, error_from_answer
from crmsync.errors import (
    CredentialsRefused,
    EntraTenantUnknown,
    OrganizationUrlWrong,
    ServiceUnavailable,
    TenantFileWrong,
    Throttled,
    TransportFailed,
)
from tests.dynamics.conftest import SECRET, challenged, discovery, who_am_i


async def test_the_token_is_asked_for_once_and_sent_with_every_request(contoso, entra):
    sent = []

    def answer(request):
        sent.append(request.headers["authorization"])
        return who_am_i(request)

    client = contoso(answer)
    await asyncio.gather(*(client.who_am_i() for _ in range(5)))

    assert sent == ["Bearer token-1"] * 5
    assert entra.issued == 1
    assert "scope=https%3A%2F%2Fcontoso.crm.test%2F.default" in entra.forms[0]
    assert "grant_type=client_credentials" in entra.forms[0]


async def test_a_refused_token_is_dropped_and_the_request_sent_once_again(contoso, entra):
    def answer(request):
        return challenged() if request.headers["authorization"] == "Bearer token-1" else who_am_i(request)

    assert (await contoso(answer).who_am_i()).user_id == "u-1"
    assert entra.issued == 2


async def test_a_second_401_is_final(contoso, entra):
    with pytest.raises(CredentialsRefused) as refused:
        await contoso(lambda request: challenged()).who_am_i()

    assert entra.issued == 2
    assert refused.value.status == 401
    assert "sign-in logs" in refused.value.remedy


@pytest.mark.parametrize(
    ("number", "error", "status", "expected", "advice"),
    [
        (7000215, "invalid_client", 401, CredentialsRefused, "the secret's value (not its id)"),
        (7000222, "invalid_client", 401, CredentialsRefused, "Make a new client secret"),
        (700016, "unauthorized_client", 400, CredentialsRefused, "Check client_id"),
        (500011, "invalid_resource", 400, OrganizationUrlWrong, "Check organization_url"),
        (90055, "temporarily_unavailable", 429, Throttled, "Wait"),
    ],
)
async def test_a_refused_sign_in_says_what_to_do(contoso, entra, number, error, status, expected, advice):
    entra.refuse(number, error, "Something is wrong.", status)

    with pytest.raises(expected) as refused:
        await contoso(who_am_i).sign_in()

    assert advice in refused.value.remedy
    assert refused.value.code == f"AADSTS{number}"
    assert refused.value.request_id == "c"
    assert refused.value.tenant == "contoso"


async def test_a_wrong_secret_is_not_tried_again(contoso, entra, waits):
    entra.refuse(7000215, "invalid_client", "Invalid client secret provided.", 401)

    with pytest.raises(CredentialsRefused):
        await contoso(who_am_i).who_am_i()

    assert len(entra.forms) == 1
    assert waits == []


async def test_the_id_of_a_secret_in_the_place_of_its_value_is_recognized(contoso, entra):
    entra.refuse(7000215, "invalid_client", "Invalid client secret provided.", 401)
    pasted = ClientSecret(SecretStr("0c0ffee0-1111-2222-3333-444455556666"))

    with pytest.raises(CredentialsRefused, match="looks like the secret's id"):
        await contoso(who_am_i, pasted).sign_in()


async def test_a_corrected_secret_works_at_once_though_msal_replays_a_400_for_a_minute(contoso, entra):
    client = contoso(who_am_i)
    entra.refuse(700016, "unauthorized_client", "Application was not found.")
    with pytest.raises(CredentialsRefused):
        await client.sign_in()

    entra.refusal = None
    await client.sign_in()


async def test_an_unknown_entra_tenant_is_found_behind_msals_value_error(contoso, entra):
    body = {"error": "invalid_tenant", "error_description": "AADSTS90002: Tenant 'nowhere' not found.\r\nTrace ID: t"}
    entra.discovery = lambda request: httpx.Response(400, json=body)

    with pytest.raises(EntraTenantUnknown, match="Tenant 'nowhere' not found") as unknown:
        await contoso(who_am_i).sign_in()

    assert "entra_tenant_id" in unknown.value.remedy


PASSING = {
    "a page of a proxy": httpx.Response(403, html="<h1>Forbidden</h1>"),
    "nothing": httpx.Response(404),
    "a captive portal": httpx.Response(200, html="<h1>Sign in to the network</h1>"),
    "half of it": httpx.Response(200, text='{"token_end', headers={"content-type": "application/json"}),
    "a list": httpx.Response(200, json=[]),
    "null": httpx.Response(200, json=None),
    "other members": httpx.Response(200, json={"token_endpoint": 7, "access_token": None, "expires_in": "3599"}),
    "no time": httpx.Response(200, json={"token_type": "Bearer", "access_token": "x"}),
    "time that is over": httpx.Response(200, json={"token_type": "Bearer", "access_token": "x", "expires_in": -1}),
    "somebody else's refusal": httpx.Response(401, json={"error": "Unauthorized", "status": 401}),
    "a refusal of another shape": httpx.Response(400, json={"error": {"code": "invalid_client"}}),
}


@pytest.mark.parametrize("where", ["discovery", "token"])
@pytest.mark.parametrize("name", PASSING)
async def test_an_answer_that_is_not_entras_passes(contoso, entra, name, where, waits):
    client = contoso(who_am_i)
    if where == "discovery":
        entra.discovery = lambda request: PASSING[name]
    else:
        entra.refusal = PASSING[name]
    with pytest.raises(TransportFailed, match="the answer is not Entra ID's"):
        await client.sign_in()
    assert len(waits) == 5

    entra.discovery, entra.refusal = discovery, None
    await client.sign_in()


async def test_entra_that_throttles_discovery_does_not_mean_an_unknown_tenant(contoso, entra):
    entra.discovery = lambda request: httpx.Response(429)

    with pytest.raises(Throttled):
        await contoso(who_am_i).sign_in()


async def test_an_untrusted_certificate_of_entra_points_to_ca_file(contoso, entra):
    def untrusted(request):
        raise httpx.ConnectError("certificate verify failed") from ssl.SSLCertVerificationError(1, "self-signed")

    entra.discovery = untrusted
    with pytest.raises(TenantFileWrong, match="ca_file"):
        await contoso(who_am_i).sign_in()


async def test_entra_that_is_down_is_tried_again(contoso, entra, waits):
    entra.refusal = httpx.Response(503, text="down")
    with pytest.raises(ServiceUnavailable):
        await contoso(who_am_i).sign_in()

    assert len(entra.forms) == 6
    assert len(waits) == 5


async def test_entra_out_of_reach_blames_the_network_not_the_organization_url(contoso, entra):
    def unreachable(request):
        raise httpx.ConnectError("refused") from ConnectionRefusedError()

    entra.discovery = unreachable
    with pytest.raises(TransportFailed, match="Entra ID at https://login"):
        await contoso(who_am_i).who_am_i()


async def test_a_token_cache_saves_the_next_client_the_sign_in(contoso, entra):
    cache = msal.TokenCache()
    await contoso(who_am_i, token_cache=cache).who_am_i()
    await contoso(who_am_i, token_cache=cache).who_am_i()

    assert entra.issued == 1


@pytest.mark.parametrize("digits", [64, 40])
async def test_a_certificate_signs_an_assertion_and_no_secret_is_sent(contoso, entra, private_key, digits):
    await contoso(who_am_i, ClientCertificate(SecretStr(private_key), "ab" * (digits // 2))).who_am_i()

    (assertion,) = parse_qs(entra.forms[0])["client_assertion"]
    assert jwt.get_unverified_header(assertion)["x5t#S256" if digits == 64 else "x5t"]
    assert "client_secret" not in entra.forms[0]


async def test_an_unreadable_private_key_is_told(contoso):
    with pytest.raises(CredentialsRefused, match="private key or the thumbprint"):
        await contoso(who_am_i, ClientCertificate(SecretStr("no PEM"), "ab" * 32)).sign_in()


async def test_secrets_stay_out_of_errors_and_representations(contoso, entra, private_key):
    entra.refuse(7000215, "invalid_client", "Invalid client secret provided.", 401)
    client = contoso(who_am_i)
    with pytest.raises(CredentialsRefused) as refused:
        await client.sign_in()

    told = "".join(traceback.format_exception(refused.value)) + str(refused.value.details())
    assert SECRET not in told
    assert SECRET not in repr(ClientSecret(SecretStr(SECRET)))
    assert "PRIVATE KEY" not in repr(ClientCertificate(SecretStr(private_key), "ab" * 32))


DOCUMENTED = {
    7000215, 7000222, 7000218, 7000216, 700027, 700016, 70001, 7000112, 90002, 900023, 500011, 70011, 1002012, 900144,
    9001023, 90055, 50034, 50126, 50056, 50076, 50079,
}  # fmt: skip


def test_every_documented_number_has_exactly_one_error_with_a_remedy():
    assert sorted(row.number for row in REFUSALS) == sorted(DOCUMENTED)
    assert all(row.remedy and row.meaning for row in REFUSALS)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("invalid_client", CredentialsRefused),
        ("invalid_tenant", EntraTenantUnknown),
        ("invalid_resource", OrganizationUrlWrong),
        ("temporarily_unavailable", ServiceUnavailable),
        ("something_new", CredentialsRefused),
    ],
)
def test_an_unknown_number_falls_back_to_the_kind_of_error(kind, expected):
    answer = {"error": kind, "error_description": "AADSTS4711: New.", "error_codes": [4711]}
    assert type(error_from_answer(answer, tenant="contoso")) is expected
