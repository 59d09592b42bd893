"""Service protection limits (reference: "Service protection API limits")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from crmsync.sandbox.core import Clock, Limits
from crmsync.sandbox.dataverse.errors import ODataError
from crmsync.sandbox.dataverse.protection import MOST_CONCURRENT, MOST_REQUESTS, Protection
from tests.sandbox.dataverse.conftest import Contoso, error, open_contoso, organization


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Contoso]:
    async with AsyncExitStack() as stack:
        yield await open_contoso(stack, organization(tmp_path / "limited.db", Limits(documented=True)))


async def test_every_answer_tells_what_is_left(limited: Contoso) -> None:
    answers = [await limited.sync.get("WhoAmI") for _ in range(2)]
    left = [int(answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"]) for answer in answers]
    assert left == [MOST_REQUESTS - 1, MOST_REQUESTS - 2]
    assert "x-ms-ratelimit-time-remaining-xrm-requests" in answers[0].headers
    assert answers[0].headers["x-ms-dop-hint"] == "10"


async def test_without_limits_nothing_is_told(contoso: Contoso) -> None:
    assert not [name for name in (await contoso.sync.get("WhoAmI")).headers if "ratelimit" in name or "dop" in name]


def use_up(protection: Protection, user: str) -> None:
    for _ in range(MOST_REQUESTS):
        with protection.request(user):
            pass


def refusal(protection: Protection, user: str) -> ODataError:
    with pytest.raises(ODataError) as caught, protection.request(user):
        pass
    return caught.value


def test_too_many_requests_wait_for_the_window() -> None:
    clock = Clock()
    protection = Protection(clock, documented=True)
    use_up(protection, "ann")
    refused = refusal(protection, "ann")
    assert (refused.status, refused.code) == (429, "0x80072322")
    assert refused.message == "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
    assert 295 <= int(refused.headers["Retry-After"]) <= 300
    assert int(refusal(protection, "ann").headers["Retry-After"]) >= int(refused.headers["Retry-After"])
    with protection.request("bob"):
        pass
    clock.advance(301)
    with protection.request("ann"):
        pass


def test_too_many_at_once() -> None:
    protection = Protection(Clock(), documented=True)
    with ExitStack() as running:
        for _ in range(MOST_CONCURRENT):
            running.enter_context(protection.request("ann"))
        refused = refusal(protection, "ann")
    assert (refused.code, refused.message) == ("0x80072326", "Number of concurrent requests exceeded the limit of 52.")
    with protection.request("ann"):
        pass


def test_too_much_execution_time() -> None:
    clock = Clock()
    protection = Protection(clock, documented=True)
    with ExitStack() as running:
        for _ in range(5):
            running.enter_context(protection.request("ann"))
        clock.advance(250)
    assert refusal(protection, "ann").code == "0x80072321"


async def test_a_client_that_sends_too_much_at_once_gets_429_with_retry_after(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        limits = Limits(documented=True, latency="typical")
        contoso = await open_contoso(stack, organization(tmp_path / "slow.db", limits))
        answers = await asyncio.gather(*(contoso.sync.get("WhoAmI") for _ in range(MOST_CONCURRENT + 5)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 5
        assert error(refused[0])[1] == "0x80072326"
        assert int(refused[0].headers["retry-after"]) >= 1
