"""Service protection limits: requests, execution time and concurrency of a user in a sliding window.

"Service protection API limits" (Power Apps developer documents).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from crmsync.sandbox.core import Clock
from crmsync.sandbox.dataverse.errors import ODataError

WINDOW_SECONDS = 300
MOST_REQUESTS = 6000
MOST_SECONDS = 1200.0
MOST_CONCURRENT = 52
RECOMMENDED_PARALLELISM = 10

_MESSAGES = {
    "0x80072322": (
        f"Number of requests exceeded the limit of {MOST_REQUESTS} over time window of {WINDOW_SECONDS} seconds."
    ),
    "0x80072321": (
        "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time window of "
        f"{WINDOW_SECONDS} seconds. Decrease number of concurrent requests or reduce the duration of requests and try "
        "again later."
    ),
    "0x80072326": f"Number of concurrent requests exceeded the limit of {MOST_CONCURRENT}.",
}


@dataclass
class Usage:
    """One user's requests of the last five minutes: when each began, and how long each took."""

    started: deque[float] = field(default_factory=deque)
    took: deque[tuple[float, float]] = field(default_factory=deque)
    seconds: float = 0.0
    running: int = 0
    refused_in_a_row: int = 0

    def forget(self, before: float) -> None:
        while self.started and self.started[0] <= before:
            self.started.popleft()
        while self.took and self.took[0][0] <= before:
            self.seconds -= self.took.popleft()[1]


class Protection:
    """Counts requests by user and refuses those above a limit; ``documented`` False counts without refusing."""

    def __init__(self, clock: Clock, *, documented: bool) -> None:
        self._clock = clock
        self._documented = documented
        self._users: dict[str, Usage] = {}

    @contextmanager
    def request(self, user_id: str) -> Iterator[dict[str, str]]:
        """Around one request: yields the rate limit headers of its answer."""
        if not self._documented:
            yield {}
            return
        usage = self._users.setdefault(user_id, Usage())
        began = self._clock.time()
        usage.forget(began - WINDOW_SECONDS)
        self._check(usage, began)
        usage.refused_in_a_row = 0
        usage.started.append(began)
        usage.running += 1
        try:
            yield self._headers(usage)
        finally:
            usage.running -= 1
            ended = self._clock.time()
            usage.took.append((ended, ended - began))
            usage.seconds += ended - began

    def _check(self, usage: Usage, now: float) -> None:
        if usage.running >= MOST_CONCURRENT:
            raise self._refusal(usage, "0x80072326", 1.0)
        if len(usage.started) >= MOST_REQUESTS:
            raise self._refusal(usage, "0x80072322", usage.started[0] + WINDOW_SECONDS - now)
        if usage.seconds >= MOST_SECONDS:
            raise self._refusal(usage, "0x80072321", usage.took[0][0] + WINDOW_SECONDS - now)

    @staticmethod
    def _refusal(usage: Usage, code: str, wait: float) -> ODataError:
        """429; the wait grows while a client keeps pushing."""
        usage.refused_in_a_row += 1
        seconds = math.ceil(max(wait, 1.0)) + min(usage.refused_in_a_row - 1, 60)
        return ODataError(429, code, _MESSAGES[code], {"Retry-After": str(seconds)})

    @staticmethod
    def _headers(usage: Usage) -> dict[str, str]:
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(MOST_REQUESTS - len(usage.started)),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{max(MOST_SECONDS - usage.seconds, 0):,.2f}",
        }
