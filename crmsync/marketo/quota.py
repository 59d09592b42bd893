"""Spends our share of a subscription's calls knowingly: a sliding window, calls at once, and the day.

Whoever has many calls to make makes them patiently: spread over the window, so that everybody else finds room in it.

Limits are a budget, not errors run into. What Marketo says all the same (606, 615, 607: other integrations share the
subscription) is told to the budget, and every later call of it waits. It counts each attempt, also those that Marketo
does not count, so it errs on the safe side. ``clock`` gives seconds since the epoch: the day needs a calendar.

Source: "Marketo Integration Best Practices" (50 calls per 20 s and 5 at once are one integration's share) and "Error
Codes"; the day ends at midnight US Central, taken as America/Chicago with daylight saving.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from crmsync.errors import QuotaExhausted
from crmsync.marketo.errors import RATE_WINDOW

CENTRAL = ZoneInfo("America/Chicago")
LONGEST_SLOT_PAUSE = 10.0
PARTS = 4
"""A patient call finds no more than its share in a quarter of the window."""

_patient: ContextVar[bool] = ContextVar("patient", default=False)


@contextmanager
def patiently() -> Iterator[None]:
    """Calls made in here, also by tasks that are started in here, are patient ones."""
    before = _patient.set(True)
    try:
        yield
    finally:
        _patient.reset(before)


def next_midnight(now: datetime) -> datetime:
    """The moment (UTC) when the quota of the day that ``now`` lies in starts anew."""
    tomorrow = now.astimezone(CENTRAL).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=CENTRAL).astimezone(UTC)


class Budget:
    """Our share. ``async with budget.call():`` around every request that Marketo counts.

    Waits while the window or the slots are full; raises ``QuotaExhausted`` when the day is.
    """

    def __init__(
        self,
        calls_per_20_seconds: int,
        concurrent: int,
        calls_per_day: int,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tenant: str | None = None,
    ) -> None:
        self._tenant = tenant
        self._per_window = calls_per_20_seconds
        self._per_day = calls_per_day
        self._clock = clock
        self._sleep = sleep
        self._slots = asyncio.Semaphore(concurrent)
        self._recent: deque[float] = deque()
        self._not_before = 0.0
        self._slot_refusals = 0
        self._used = 0
        self._refused_today = False
        self._day_ends = self._midnight()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """One call's turn: a slot, room in the window, room in the day."""
        async with self._slots:
            while True:
                self._check_day()
                pause = self._pause()
                if pause <= 0:
                    break
                await self._sleep(pause)
            self._recent.append(self._clock())
            self._used += 1
            yield

    @property
    def used_today(self) -> int:
        self._turn_the_page()
        return self._used

    @property
    def left_today(self) -> int:
        return 0 if self._refused_today else max(0, self._per_day - self.used_today)

    @property
    def day_ends(self) -> datetime:
        """When the quota starts anew (UTC)."""
        self._turn_the_page()
        return datetime.fromtimestamp(self._day_ends, UTC)

    def used_before(self, calls: int) -> None:
        """Start from what Marketo's statistics count for today, unless more was counted here."""
        self._turn_the_page()
        self._used = max(self._used, calls)

    def hold(self, seconds: float) -> None:
        """Marketo asked to wait (606: until its window has passed): nothing is sent for so long."""
        self._not_before = max(self._not_before, self._clock() + seconds)

    def no_slot(self) -> None:
        """Marketo answered 615: others hold the slots. Each refusal in a row waits longer, up to ten seconds."""
        self._slot_refusals += 1
        pause = min(LONGEST_SLOT_PAUSE, 0.5 * 2 ** min(self._slot_refusals - 1, 8))
        self.hold(pause)

    def day_is_over(self) -> datetime:
        """Marketo answered 607: nothing is sent until midnight US Central, which is returned (UTC)."""
        self._turn_the_page()
        self._refused_today = True
        return self.day_ends

    def answered(self) -> None:
        """A call got through: the next refusal of a slot starts with a short pause again."""
        self._slot_refusals = 0

    def _pause(self) -> float:
        """Seconds until the next call may start; 0 or less is now."""
        now = self._clock()
        while self._recent and self._recent[0] <= now - RATE_WINDOW:
            self._recent.popleft()
        until = self._not_before
        if len(self._recent) >= self._per_window:
            until = max(until, self._recent[-self._per_window] + RATE_WINDOW)
        part = max(1, self._per_window // PARTS)
        if _patient.get() and len(self._recent) >= part:
            until = max(until, self._recent[-part] + RATE_WINDOW / PARTS)
        return until - now

    def _check_day(self) -> None:
        self._turn_the_page()
        if self._refused_today or self._used >= self._per_day:
            share = f"crmsync's share of the day ({self._per_day} calls)"
            why = "Marketo's daily quota" if self._refused_today else share
            raise QuotaExhausted(
                f"{why} is used up",
                until=self.day_ends,
                tenant=self._tenant,
                remedy=f"Nothing: it goes on after {self.day_ends:%Y-%m-%d %H:%M} UTC. If that is too slow, raise "
                "quota.marketo_calls_per_day in the tenant file, or buy more calls a day from Adobe.",
            )

    def _turn_the_page(self) -> None:
        if self._clock() >= self._day_ends:
            self._used, self._refused_today, self._day_ends = 0, False, self._midnight()

    def _midnight(self) -> float:
        return next_midnight(datetime.fromtimestamp(self._clock(), UTC)).timestamp()
