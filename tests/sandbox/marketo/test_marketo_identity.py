"""Tokens: one until it expires, 602 once, 601 after that, and only in the header."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from crmsync.sandbox.core import Subscription

TOKEN = "/identity/oauth/token"
CALL = "/rest/v1/leads/partitions.json"
GOOD = {"grant_type": "client_credentials", "client_id": "service-1", "client_secret": "secret-1"}


async def token(raw: httpx.AsyncClient) -> dict[str, Any]:
    return (await raw.get(TOKEN, params=GOOD)).json()


async def code(raw: httpx.AsyncClient, authorization: str | None) -> str:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = (await raw.get(CALL, headers=headers)).json()
    return "" if answer["success"] else answer["errors"][0]["code"]


async def test_a_token_lives_an_hour_and_names_the_api_user(raw: httpx.AsyncClient) -> None:
    answer = await token(raw)

    assert answer["token_type"] == "bearer"
    assert answer["scope"] == "api@example.com"
    assert answer["expires_in"] in (3599, 3600)
    assert await code(raw, f"Bearer {answer['access_token']}") == ""


async def test_asking_again_gives_the_same_token_with_less_time_left(
    raw: httpx.AsyncClient, subscription: Subscription
) -> None:
    first = await token(raw)
    subscription.clock.advance(600)
    second = await token(raw)

    assert second["access_token"] == first["access_token"]
    assert second["expires_in"] in (2999, 3000)


async def test_after_expiry_the_first_use_is_602_and_later_ones_601(
    raw: httpx.AsyncClient, subscription: Subscription
) -> None:
    old = f"Bearer {(await token(raw))['access_token']}"
    subscription.clock.advance(3601)

    assert [await code(raw, old) for _ in range(3)] == ["602", "601", "601"]
    assert await code(raw, f"Bearer {(await token(raw))['access_token']}") == ""


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [(None, "603"), ("", "603"), ("Bearer ", "603"), ("Basic abc", "603"), ("Bearer never-one", "601")],
)
async def test_no_token_is_603_and_a_wrong_one_601(
    raw: httpx.AsyncClient, authorization: str | None, expected: str
) -> None:
    assert await code(raw, authorization) == expected


async def test_a_token_in_the_query_is_no_token(raw: httpx.AsyncClient) -> None:
    secret = (await token(raw))["access_token"]
    answer = (await raw.get(CALL, params={"access_token": secret})).json()
    assert answer["errors"][0]["code"] == "603"


@pytest.mark.parametrize(
    ("wrong", "error", "status"),
    [
        ({"client_id": "nobody"}, "unauthorized", 401),
        ({"client_secret": "wrong"}, "invalid_client", 401),
        ({"grant_type": "password"}, "unsupported_grant_type", 401),
    ],
)
async def test_bad_credentials_get_an_oauth_body(
    raw: httpx.AsyncClient, wrong: dict[str, str], error: str, status: int
) -> None:
    answer = await raw.get(TOKEN, params=GOOD | wrong)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "error_description"}
    assert answer.json()["error"] == error


async def test_post_takes_the_query_and_a_form(raw: httpx.AsyncClient) -> None:
    by_query = await raw.post(TOKEN, params=GOOD)
    by_form = await raw.post(TOKEN, data=GOOD)
    assert by_query.json()["access_token"] == by_form.json()["access_token"]
