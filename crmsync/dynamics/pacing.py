"""How fast a client may go: a gate that all its requests pass, and lanes that narrow when the service is throttling.

Retry-After concerns the application user, not one request: while one request waits it out, every other waits too, and
afterwards half as many go out at a time until the service has answered well for a while. Facts: "Service protection API
limits" and "Send parallel requests" (Microsoft's documents).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Sleep = Callable[[float], Awaitable[None]]

WIDEN_AFTER = 100
"""So many answers without throttling open one lane again."""


T = TypeVar("T")


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run calls at the same time; the first error cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]


class Gate:
    """Closed while anybody waits out a Retry-After; everybody passes it before a request."""

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._waiting = 0
        self._open = asyncio.Event()
        self._open.set()

    async def passed(self) -> None:
        """Return when the gate is open."""
        await self._open.wait()

    async def close_for(self, seconds: float) -> None:
        """Close the gate for so long; it opens when the last of those who closed it has waited."""
        self._waiting += 1
        self._open.clear()
        try:
            await self._sleep(seconds)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._open.set()


class Lanes:
    """At most ``limit`` requests at a time; ``narrow`` halves what is allowed, answers widen it again, lane by lane."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.allowed = limit
        self._used = 0
        self._answers = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[None]:
        """A lane to drive in, as soon as there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._used < self.allowed)
            self._used += 1
        try:
            yield
        finally:
            self._used -= 1
            async with self._changed:
                self._changed.notify()

    def narrow(self) -> None:
        """The service complained."""
        self.allowed = max(1, self.allowed // 2)
        self._answers = 0

    def widen(self) -> None:
        """The service answered."""
        if self.allowed == self.limit:
            return
        self._answers += 1
        if self._answers >= WIDEN_AFTER:
            self.allowed, self._answers = self.allowed + 1, 0
