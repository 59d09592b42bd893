"""PostgreSQL goes away under runs: stopped, crashed, its connections ended. Nothing is lost or twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from crmsync.engine.report import SyncReport
from crmsync.engine.sync import cycle, first_sync
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from tests.chaos import SECONDS_AWAY
from tests.chaos.outcome import in_step, movers
from tests.databases import OwnPostgres
from tests.world import World, small_sandbox

SOME = Counts(leads=200, contacts=150, accounts=20)

Outage = Callable[[OwnPostgres], Awaitable[None]]


async def restart(server: OwnPostgres) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(SECONDS_AWAY)
    await asyncio.to_thread(server.start)


async def crash(server: OwnPostgres) -> None:
    await asyncio.to_thread(server.stop, "immediate")
    await asyncio.to_thread(server.start)


async def end_connections(server: OwnPostgres) -> None:
    for _ in range(3):
        await asyncio.to_thread(server.end_connections)


EACH_IN_BOTH = [(restart, end_connections), (end_connections, crash), (crash, restart)]
"""What the first sync meets, and what the cycle after it."""


@pytest.fixture
async def contoso(tmp_path: Path, own_postgresql: OwnPostgres) -> AsyncIterator[World]:
    """A tenant whose state is in PostgreSQL, and whose Marketo answers slowly enough to be met in the middle."""
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=SOME)) as ready:
        world = World(ready, own_postgresql.new_database())
        await world.prepare()
        yield world
        await world.close()


async def meanwhile(world: World, run: asyncio.Task[SyncReport], outage: Outage, server: OwnPostgres) -> None:
    """Let the outage happen while Marketo answers a write of people."""
    rule = {"service": "marketo", "method": "POST", "path": "/rest/v1/leads.json", "times": 1, "kind": "slow",
            "seconds": 1}  # fmt: skip
    fault = await world.post("faults", rule)
    hit = asyncio.create_task(world.until_fault_hit(fault["id"]))
    await asyncio.wait({hit, run}, return_when=asyncio.FIRST_COMPLETED)
    assert not run.done(), "the outage has to come in the middle"
    await outage(server)


async def sync(world: World, work: Callable[..., Awaitable[SyncReport]], **choices: bool) -> SyncReport:
    async with world.session(run="the holder") as session:
        return await work(session, **choices)


@pytest.mark.parametrize(("first", "second"), EACH_IN_BOTH, ids=lambda outage: outage.__name__)
async def test_a_first_sync_and_a_cycle_outlive_it(
    contoso: World, own_postgresql: OwnPostgres, first: Outage, second: Outage, repetition: int
) -> None:
    run = asyncio.create_task(sync(contoso, first_sync))
    await meanwhile(contoso, run, first, own_postgresql)
    await run
    assert await in_step(contoso)

    admin = await contoso.admin()
    changed = (await contoso.rows("contact", "contactid", filter="new_synctomkto ne false"))[:20]
    for row in changed:
        await admin.update("contacts", row["contactid"], {"jobtitle": "Chief of the outage"})
    run = asyncio.create_task(sync(contoso, cycle, force=True))
    await meanwhile(contoso, run, second, own_postgresql)
    report = await run
    assert report.total.updated + report.total.failed == len(changed)
    assert await in_step(contoso)

    assert await movers(contoso) == ["the holder"]
