"""Service protection limits: requests, execution time and concurrency of a user in a sliding window.

"Service protection API limits" (Power Apps developer documents).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from crmsync.sandbox.core import Organization
from crmsync.sandbox.dataverse.errors import ODataError
from crmsync.sandbox.dataverse.switches import number

WINDOW_SECONDS = 300
RECOMMENDED_PARALLELISM = 10
REQUESTS, SECONDS, CONCURRENT = "0x80072322", "0x80072321", "0x80072326"


@dataclass(frozen=True)
class Ceilings:
    """The three limits of a user."""

    requests: int
    seconds: int
    concurrent: int

    @classmethod
    def of(cls, org: Organization) -> Ceilings:
        """The documented ones, or what an administrator of the sandbox set."""
        names = ("requests_in_five_minutes", "seconds_in_five_minutes", "concurrent_requests")
        return cls(*(number(org, name) for name in names))

    def message(self, code: str) -> str:
        """The text of a refusal."""
        if code == CONCURRENT:
            return f"Number of concurrent requests exceeded the limit of {self.concurrent}."
        window = f"over time window of {WINDOW_SECONDS} seconds."
        if code == REQUESTS:
            return f"Number of requests exceeded the limit of {self.requests} {window}"
        return (
            f"Combined execution time of incoming requests exceeded limit of {self.seconds * 1000:,} milliseconds "
            f"{window} Decrease number of concurrent requests or reduce the duration of requests and try again later."
        )


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

    def exceeded(self, ceilings: Ceilings, now: float) -> tuple[str, float] | None:
        """The code of the limit that is reached, and the seconds until there is room again."""
        if self.running >= ceilings.concurrent:
            return CONCURRENT, 1.0
        if len(self.started) >= ceilings.requests:
            return REQUESTS, self.started[0] + WINDOW_SECONDS - now
        if self.seconds >= ceilings.seconds and self.took:
            return SECONDS, self.took[0][0] + WINDOW_SECONDS - now
        return None


class Protection:
    """Counts requests by user and refuses those above a limit; without documented limits nothing is counted."""

    def __init__(self, org: Organization) -> None:
        self._org = org
        self._clock = org.clock
        self._users: dict[str, Usage] = {}

    @contextmanager
    def request(self, user_id: str) -> Iterator[dict[str, str]]:
        """Around one request: yields the rate limit headers of its answer."""
        if not self._org.limits.documented:
            yield {}
            return
        usage, ceilings = self._users.setdefault(user_id, Usage()), Ceilings.of(self._org)
        began = self._clock.time()
        usage.forget(began - WINDOW_SECONDS)
        self._check(usage, ceilings, began)
        usage.refused_in_a_row = 0
        usage.started.append(began)
        usage.running += 1
        try:
            yield self._headers(usage, ceilings)
        finally:
            usage.running -= 1
            ended = self._clock.time()
            usage.took.append((ended, ended - began))
            usage.seconds += ended - began

    def _check(self, usage: Usage, ceilings: Ceilings, now: float) -> None:
        """429 above a limit; the wait grows while a client keeps pushing."""
        exceeded = usage.exceeded(ceilings, now)
        if exceeded is None:
            return
        code, wait = exceeded
        usage.refused_in_a_row += 1
        seconds = math.ceil(max(wait, 1.0)) + min(usage.refused_in_a_row - 1, 60)
        headers = {"Retry-After": str(seconds), **self._headers(usage, ceilings)}
        raise ODataError(429, code, ceilings.message(code), headers)

    @staticmethod
    def _headers(usage: Usage, ceilings: Ceilings) -> dict[str, str]:
        left = max(ceilings.requests - len(usage.started), 0)
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(left),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{max(ceilings.seconds - usage.seconds, 0):,.2f}",
        }
