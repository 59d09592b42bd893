"""Limits and what counts: 100 calls in 20 s, 10 at a time, 50,000 a day until midnight US Central."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from crmsync.sandbox.core import Limits, Subscription

CALL = "/rest/v1/leads/partitions.json"


@pytest.fixture
def limited(subscription: Subscription) -> Subscription:
    subscription.limits = Limits(documented=True)
    return subscription


async def code(marketo: Any, path: str = CALL) -> str:
    answer = await marketo.get(path)
    return "" if answer["success"] else answer["errors"][0]["code"]


async def used_today(marketo: Any) -> int:
    return (await marketo.get("/rest/v1/stats/usage.json"))["result"][0]["total"]


async def test_the_101st_call_in_20_seconds_is_606(limited: Subscription, marketo: Any) -> None:
    assert {await code(marketo) for _ in range(100)} == {""}

    answer = await marketo.get(CALL)
    assert answer["errors"] == [{"code": "606", "message": "Max rate limit '100' exceeded with in '20' secs"}]

    limited.clock.advance(20)
    assert await code(marketo) == ""


async def test_the_11th_call_in_progress_is_615(limited: Subscription, marketo: Any) -> None:
    def write(number: int) -> Any:
        return marketo.post("/rest/v1/leads.json", {"input": [{"email": f"{number}@example.com"}]})

    answers = await asyncio.gather(*(write(number) for number in range(12)))
    refused = [answer["errors"][0]["code"] for answer in answers if not answer["success"]]
    assert refused == ["615", "615"]


async def test_the_day_ends_at_midnight_in_chicago(limited: Subscription, marketo: Any) -> None:
    limited.switches["daily_quota"] = 3
    limited.clock.set(datetime(2026, 7, 1, 4, 59, 30, tzinfo=UTC))  # 23:59:30 with daylight saving
    await marketo.sign_in()
    assert [await code(marketo) for _ in range(4)] == ["", "", "", "607"]

    limited.clock.set(datetime(2026, 7, 1, 5, 0, 30, tzinfo=UTC))
    assert await code(marketo) == ""


async def test_errors_with_an_asterisk_and_limits_do_not_count(limited: Subscription, marketo: Any) -> None:
    await marketo.http.put(CALL)  # 605
    await marketo.http.get(CALL, headers={"authorization": "Bearer never"})  # 601
    await marketo.get("/rest/v1/nothing.json")  # 610 counts
    limited.switches["daily_quota"] = 1
    assert await code(marketo) == "607"
    del limited.switches["daily_quota"]

    assert await used_today(marketo) == 2  # the 610 and this call itself


async def test_limits_can_be_off(marketo: Any) -> None:
    assert {await code(marketo) for _ in range(150)} == {""}


async def test_usage_tells_users_and_seven_days(marketo: Any, subscription: Subscription) -> None:
    await code(marketo)
    subscription.clock.advance(24 * 3600)
    await marketo.sign_in()

    days = (await marketo.get("/rest/v1/stats/usage/last7days.json"))["result"]
    assert len(days) == 7
    assert days[0]["users"] == [{"userId": "api@example.com", "count": 1}]
    assert days[1]["total"] == 1
    assert days[0]["date"] > days[1]["date"]


async def test_errors_are_counted_by_code(marketo: Any) -> None:
    await code(marketo, "/rest/v1/nothing.json")
    await code(marketo, "/rest/v1/leads.json")
    await code(marketo, "/rest/v1/leads.json")

    today = (await marketo.get("/rest/v1/stats/errors.json"))["result"][0]
    assert today["total"] == 3
    assert today["errors"] == [{"errorCode": "1002", "count": 2}, {"errorCode": "610", "count": 1}]
