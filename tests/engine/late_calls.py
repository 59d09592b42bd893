"""Runs that are killed while a call of theirs is held back, and the call, executed while the next run waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from crmsync.engine.sync import cycle
from tests.world import World

PEOPLE, COMPANIES = "/rest/v1/leads.json", "/rest/v1/companies.json"
BATCH = "/api/data/v9.2/$batch"


class Late:
    """A sleep that costs no time. At its ``nap`` the faults are lifted, and the run goes on when ``arrived`` says that
    what they held back was executed."""

    def __init__(self, world: World, arrived: Callable[[], Awaitable[bool]], *, nap: int = 3) -> None:
        self._world = world
        self._arrived = arrived
        self._nap = nap
        self.slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self._nap -= 1
        if self._nap == 0:
            await self.execute()

    async def execute(self) -> None:
        """Let what was held back be executed, as far as anything is."""
        await self._world.lift_faults()
        for _ in range(100):
            if await self._arrived():
                return
            await asyncio.sleep(0.02)


async def held_back(world: World, path: str, **more: Any) -> dict[str, Any]:
    """The next write to this path is received and not executed until the faults are lifted."""
    service = "dynamics" if path == BATCH else "marketo"
    rule = {"service": service, "method": "POST", "path": path, "times": 1, "kind": "after_disconnect", "seconds": 600}
    return await world.post("faults", rule | more)


async def killed_cycle(world: World, path: str, **more: Any) -> None:
    """A cycle that is killed while this write of its is under way."""
    fault = await held_back(world, path, **more)
    running = asyncio.create_task(world.cycle())
    await world.until_fault_hit(fault["id"])
    running.cancel()
    await asyncio.wait([running])


async def cycle_with(world: World, late: Late) -> None:
    """A cycle of a new process, which waits without waiting; what is late comes at the latest when it is done."""
    async with world.session(sleep=late.sleep) as session:
        await cycle(session, force=True)
    await late.execute()
