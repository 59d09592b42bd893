"""What makes a run hard, by the sandbox's admin page: faults, calls that are held back, refusals, habits, clocks.

``Hindered`` is the half of a rig that knows how; the runs themselves and both sides are the other one's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from crmsync.dynamics.client import DynamicsClient
from crmsync.engine.report import SyncReport
from crmsync.errors import CrmsyncError
from tests.engine.properties.conditions import HABITS, Options
from tests.engine.properties.contender import Contender
from tests.world import World

SOURCE = "leadsourcecode"
REFUSED = "1003"
SLOW_WRITE = {"service": "dynamics", "kind": "slow", "method": "POST", "path": "/api/data/v9.2/$batch", "skip": 1,
              "times": 1, "seconds": 0.5}  # fmt: skip
"""The first batch is the look."""


@dataclass(frozen=True)
class Trouble:
    """What happens to a cycle on its way: ``kind`` befalls the requests after the first ``skip``, ``times`` of them.

    ``hang`` stands for a kill: the cycle is cancelled as soon as a request is on its way to nowhere.
    """

    service: str
    kind: str
    path: str = "*"
    method: str = "*"
    skip: int = 0
    times: int = 40
    lost: bool = False
    code: str | None = None

    @property
    def refuses(self) -> bool:
        """Whether records are refused, of which a cycle does not die."""
        return self.code == REFUSED

    def rule(self) -> dict[str, Any]:
        rule: dict[str, Any] = {
            "service": self.service, "kind": self.kind, "path": self.path, "method": self.method, "skip": self.skip,
            "times": self.times, "after_execution": self.lost and self.kind in {"reset", "hang", "truncate"},
            "seconds": 600 if self.kind == "after_disconnect" else 20,
        }  # fmt: skip
        if self.kind == "marketo":
            rule["code"] = self.code or "606"
        return rule


@dataclass
class Held:
    """A write that was received and is not executed until the runs that follow have napped ``naps`` times."""

    fault: int
    trouble: Trouble
    naps: int


async def _unheard() -> None:
    """Nobody wants to know that a call was executed."""


class Hindered:
    """A tenant whose runs are hindered. A subclass makes the runs."""

    world: World
    admin: DynamicsClient
    browser: httpx.AsyncClient
    options: Options
    contender: Contender

    def __init__(self) -> None:
        self.held: Held | None = None
        self.executed: Callable[[], Awaitable[None]] = _unheard
        self.skew = timedelta()

    async def cycle(self) -> SyncReport:
        raise NotImplementedError

    async def restart(self) -> None:
        raise NotImplementedError

    async def troubled(self, trouble: Trouble) -> bool:
        """A cycle that meets trouble, and a new process after it; whether the cycle came to its end, and
        nothing was refused."""
        rule = await self._admin("POST", "faults", trouble.rule())
        running = asyncio.create_task(self.cycle())
        try:
            if trouble.kind == "hang":
                await self._until_hit(rule["id"], running)
                running.cancel()
            await running
        except (CrmsyncError, asyncio.CancelledError):
            return False
        else:
            return not trouble.refuses
        finally:
            await self._lift(rule["id"])
            await self.restart()

    async def interrupted(self, change: Callable[[], Awaitable[None]]) -> bool:
        """A cycle whose write to Dynamics waits until ``change`` was made there; False where it writes nothing."""
        rule = await self._admin("POST", "faults", SLOW_WRITE)
        running = asyncio.create_task(self.cycle())
        try:
            hit = await self._until_hit(rule["id"], running)
            if hit:
                await change()
            await running
            return hit
        finally:
            await self._lift(rule["id"])

    async def killed(self, trouble: Trouble, naps: int) -> bool:
        """A cycle that is killed while a write is on its way, which is executed at the next runs' nap number ``naps``;
        whether it came to its end, because it writes nothing of the kind."""
        await self.execute()
        rule = await self._admin("POST", "faults", trouble.rule())
        running = asyncio.create_task(self.cycle())
        try:
            if await self._until_hit(rule["id"], running):
                running.cancel()
                self.held = Held(rule["id"], trouble, naps)
            await running
        except asyncio.CancelledError:
            return False
        else:
            return True
        finally:
            if self.held is None:
                await self._lift(rule["id"])
            await self.restart()

    async def execute(self) -> None:
        """Let the write that is held back be executed, if one is."""
        if (held := self.held) is None:
            return
        self.held = None
        before = await self._count(held.trouble)
        await self._lift()  # other trouble is over, too: what was executed is looked at
        for _ in range(200):
            if await self._count(held.trouble) > before:
                break
            await asyncio.sleep(0.01)
        await self.executed()

    async def _lift(self, fault: int | None = None) -> None:
        """Lift this fault; all of them, where no write is held back."""
        await self._admin("DELETE", "faults" if self.held is None else f"faults/{fault}")

    async def _napped(self) -> None:
        if self.held is not None:
            self.held.naps -= 1
            if self.held.naps <= 0:
                await self.execute()

    async def _count(self, trouble: Trouble) -> int:
        rows = (await self._admin("GET", "requests"))["requests"]
        mine = (trouble.service, trouble.method, trouble.path)
        return sum(row["count"] for row in rows if (row["service"], row["method"], row["path"]) == mine)

    async def contended(self, trouble: Trouble, minutes: int) -> None:
        """A cycle whose write waits until a process whose clock is ``minutes`` ahead has asked for the tenant."""
        rule = await self._admin("POST", "faults", trouble.rule())
        running = asyncio.create_task(self.cycle())
        try:
            if await self._until_hit(rule["id"], running):
                assert not await self.contender.takes(minutes), "a living lease was taken"
        finally:
            await self._lift(rule["id"])
            await running

    async def _until_hit(self, fault: int, running: asyncio.Task[Any]) -> bool:
        while not running.done():
            listed = (await self._admin("GET", "faults"))["faults"]
            if any(one["id"] == fault and one["hits"] for one in listed):
                return True
            await asyncio.wait([running], timeout=0.02)
        return False

    # Conditions

    async def set_clock(self, minutes: int) -> None:
        """The runs' clock is ``minutes`` ahead, from a new process on."""
        self.skew = timedelta(minutes=minutes)
        await self.restart()

    async def refuse(self, service: str, field: str, value: Any, **how: str) -> None:
        body = {"tenant": "contoso", "service": service, "field": field, "value": value, **how}
        await self._admin("POST", "refusals", body)

    async def relent(self) -> None:
        await self._admin("DELETE", "refusals")

    async def switch(self, **switches: Any) -> None:
        await self._admin("POST", "switches", {"tenant": "contoso", **switches})

    async def option(self, action: str, number: int, label: str) -> None:
        """What an administrator does to an option of leads in the maker portal."""
        text = {"LocalizedLabels": [{"Label": label, "LanguageCode": 1033}]}
        body = {"EntityLogicalName": "lead", "AttributeLogicalName": SOURCE, "Value": number, "Label": text}
        await self.act(action, body | ({"MergeLabels": False} if action == "UpdateOptionValue" else {}))
        self.options.put(number, label)

    async def fair(self) -> None:
        """Nothing is hard any more."""
        self.held, self.executed = None, _unheard
        await self._admin("DELETE", "faults")
        await self.relent()
        await self.switch(**dict.fromkeys(HABITS, "keep"))
        if self.skew:
            await self.set_clock(0)

    async def _admin(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.browser.request(method, f"{self.world.ready.admin_url}/{path}", json=body)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}
