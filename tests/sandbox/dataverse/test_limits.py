"""Service protection limits (reference: "Service protection API limits")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from crmsync.sandbox.core import Limits
from crmsync.sandbox.dataverse.errors import ODataError
from crmsync.sandbox.dataverse.protection import Protection
from tests.sandbox.dataverse.conftest import Contoso, error, open_contoso, organization

MOST_REQUESTS, MOST_CONCURRENT = 6000, 52


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Contoso]:
    async with AsyncExitStack() as stack:
        yield await open_contoso(stack, organization(tmp_path / "limited.db", Limits(documented=True)))


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Contoso]:
    async with AsyncExitStack() as stack:
        limits = Limits(documented=True, latency="typical")
        yield await open_contoso(stack, organization(tmp_path / "slow.db", limits))


@pytest.fixture
def protection(tmp_path: Path) -> Protection:
    return Protection(organization(tmp_path / "unused.db", Limits(documented=True)))


async def test_every_answer_tells_what_is_left(limited: Contoso) -> None:
    answers = [await limited.sync.get("WhoAmI") for _ in range(2)]
    left = [int(answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"]) for answer in answers]
    assert left == [MOST_REQUESTS - 1, MOST_REQUESTS - 2]
    assert float(answers[0].headers["x-ms-ratelimit-time-remaining-xrm-requests"].replace(",", "")) <= 1200
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


def test_too_many_requests_wait_for_the_window(tmp_path: Path) -> None:
    org = organization(tmp_path / "unused.db", Limits(documented=True))
    protection = Protection(org)
    use_up(protection, "ann")
    refused = refusal(protection, "ann")
    assert (refused.status, refused.code) == (429, "0x80072322")
    assert refused.message == "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
    assert 295 <= int(refused.headers["Retry-After"]) <= 300
    assert int(refusal(protection, "ann").headers["Retry-After"]) >= int(refused.headers["Retry-After"])
    with protection.request("bob"):
        pass
    org.clock.advance(301)
    with protection.request("ann"):
        pass


def test_too_many_at_once(protection: Protection) -> None:
    with ExitStack() as running:
        for _ in range(MOST_CONCURRENT):
            running.enter_context(protection.request("ann"))
        refused = refusal(protection, "ann")
    assert (refused.code, refused.message) == ("0x80072326", "Number of concurrent requests exceeded the limit of 52.")
    with protection.request("ann"):
        pass


def test_too_much_execution_time(tmp_path: Path) -> None:
    org = organization(tmp_path / "unused.db", Limits(documented=True))
    protection = Protection(org)
    with ExitStack() as running:
        for _ in range(5):
            running.enter_context(protection.request("ann"))
        org.clock.advance(250)
    refused = refusal(protection, "ann")
    assert refused.code == "0x80072321"
    assert "exceeded limit of 1,200,000 milliseconds over time window of 300 seconds" in refused.message


async def test_a_client_that_sends_too_much_at_once_gets_429_with_retry_after(slow: Contoso) -> None:
    answers = await asyncio.gather(*(slow.sync.get("WhoAmI") for _ in range(MOST_CONCURRENT + 5)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 5
    assert error(refused[0])[1] == "0x80072326"
    assert int(refused[0].headers["retry-after"]) >= 1


async def test_the_limits_are_of_each_user(limited: Contoso) -> None:
    limited.org.switches["requests_in_five_minutes"] = 3
    answers = [await limited.sync.get("WhoAmI") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    status, code, message = error(answers[3])
    assert (status, code) == (429, "0x80072322")
    assert message == "Number of requests exceeded the limit of 3 over time window of 300 seconds."
    assert answers[3].headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "0"
    assert (await limited.admin.get("WhoAmI")).status_code == 200

    limited.org.clock.advance(int(answers[3].headers["retry-after"]) + 1)
    assert (await limited.sync.get("WhoAmI")).status_code == 200


async def test_slow_requests_use_up_execution_time(slow: Contoso) -> None:
    slow.org.switches["seconds_in_five_minutes"] = 1
    answers = await asyncio.gather(*(slow.sync.get("WhoAmI") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200}  # all began while there was time left
    refused = await slow.sync.get("WhoAmI")
    status, code, message = error(refused)
    assert (status, code) == (429, "0x80072321")
    assert "exceeded limit of 1,000 milliseconds" in message
    assert int(refused.headers["retry-after"]) > 290
    assert refused.headers["x-ms-ratelimit-time-remaining-xrm-requests"] == "0.00"
