"""The budget paces calls: a sliding window, calls at once, the day in Chicago."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from crmsync.errors import QuotaExhausted
from crmsync.marketo.quota import Budget, next_midnight, patiently


def budget(time: Any, *, window: int = 100, concurrent: int = 10, day: int = 50_000) -> Budget:
    return Budget(window, concurrent, day, clock=time.clock, sleep=time.sleep)


async def spend(some: Budget, calls: int = 1) -> None:
    for _ in range(calls):
        async with some.call():
            pass


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2026-01-31T12:00", "2026-02-01T06:00"),
        ("2026-02-01T05:59", "2026-02-01T06:00"),
        ("2026-02-01T06:00", "2026-02-02T06:00"),
        ("2026-07-01T12:00", "2026-07-02T05:00"),
        ("2026-03-08T12:00", "2026-03-09T05:00"),  # the day on which daylight saving begins
    ],
)
def test_a_day_ends_at_midnight_in_chicago(now: str, midnight: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert next_midnight(at) == datetime.fromisoformat(midnight).replace(tzinfo=UTC)


async def test_calls_within_the_share_do_not_wait(time: Any) -> None:
    await spend(budget(time, window=50), 50)

    assert time.slept == []


async def test_the_call_after_a_full_window_waits_until_the_oldest_leaves_it(time: Any) -> None:
    some = budget(time, window=2)
    await spend(some)
    time.now += 5
    await spend(some)

    await spend(some)

    assert time.slept == [15]


async def test_no_window_of_20_seconds_ever_holds_more_than_the_share(time: Any) -> None:
    some, starts = budget(time, window=7), []
    for step in range(100):
        time.now += step % 4
        async with some.call():
            starts.append(time.now)

    assert all(sum(start <= other < start + 20 for other in starts) <= 7 for start in starts)


async def test_patient_calls_spread_over_the_window_so_that_others_find_room(time: Any) -> None:
    some, starts = budget(time, window=8), []
    with patiently():
        for _ in range(12):
            async with some.call():
                starts.append(time.now)
    time.now += 5
    slept = list(time.slept)

    await spend(some, 2)

    assert [start - starts[0] for start in starts] == [0, 0, 5, 5, 10, 10, 15, 15, 20, 20, 25, 25]
    assert time.slept == slept, "whoever comes with a call or two does not wait"


async def test_patience_is_that_of_the_caller_and_of_its_tasks_alone(time: Any) -> None:
    some = budget(time, window=4)
    with patiently():
        await asyncio.create_task(spend(some))
        await asyncio.create_task(spend(some))

    await spend(some, 2)

    assert time.slept == [5]


async def test_no_more_calls_at_once_than_the_share(time: Any) -> None:
    some, running, most = budget(time, concurrent=3), 0, 0

    async def call() -> None:
        nonlocal running, most
        async with some.call():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(call() for _ in range(20)))

    assert most == 3


async def test_after_606_every_call_waits_for_the_window(time: Any) -> None:
    some = budget(time)
    some.hold(20)

    await spend(some, 2)

    assert time.slept == [20]


async def test_after_615_calls_wait_longer_each_time_until_one_gets_through(time: Any) -> None:
    some = budget(time)
    for _ in range(3):
        some.no_slot()
        await spend(some)
    some.answered()
    some.no_slot()
    await spend(some)

    assert time.slept == [0.5, 1, 2, 0.5]


async def test_the_day_starts_from_what_was_used_before(time: Any) -> None:
    some = budget(time, day=100)
    some.used_before(98)
    await spend(some, 2)

    with pytest.raises(QuotaExhausted) as raised:
        await spend(some)

    assert some.left_today == 0
    assert raised.value.until == datetime(2026, 2, 1, 6, tzinfo=UTC)
    assert "share of the day (100 calls)" in raised.value.message


async def test_the_statistics_never_lower_what_was_counted(time: Any) -> None:
    some = budget(time)
    await spend(some, 3)
    some.used_before(1)

    assert some.used_today == 3


async def test_after_607_nothing_is_sent_until_midnight(time: Any) -> None:
    some = budget(time)
    until = some.day_is_over()

    with pytest.raises(QuotaExhausted, match="daily quota"):
        await spend(some)

    time.now = until.timestamp()
    await spend(some)
    assert (some.used_today, some.left_today) == (1, 49_999)
