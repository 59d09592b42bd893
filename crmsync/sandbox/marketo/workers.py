"""Two jobs at a time, in the background: what bulk import and bulk extract have in common.

The work starts in whatever event loop the first call runs in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class Workers:
    """At most ``most`` tasks that take jobs until there is none left."""

    def __init__(self, most: int, waiting: Callable[[], int], work: Callable[[], Awaitable[None]]) -> None:
        self._most = most
        self._waiting = waiting
        self._work = work
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Start workers while there are jobs for them."""
        waiting = self._waiting()
        while waiting > 0 and len(self._tasks) < self._most:
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            waiting -= 1

    async def close(self) -> None:
        """Stop the workers."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        await self._work()
