"""A lease that others want: with a clock that is ahead, while the database is locked, after the holder was stopped."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from crmsync.engine.report import Progress
from crmsync.engine.sync import first_sync
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from crmsync.state.sql import now
from crmsync.state.store import Store
from crmsync.state.tables import leases
from tests.chaos.outcome import in_step, movers
from tests.clockahead import with_clock_ahead
from tests.world import World, small_sandbox

SOME = Counts(leads=200, contacts=150, accounts=20)

RUN = """
import asyncio, sys
from pathlib import Path

from crmsync.engine import keeper
from crmsync.engine.session import open_session
from crmsync.engine.sync import first_sync
from crmsync.errors import CrmsyncError
from crmsync.secrets import SecretStore
from crmsync.tenants import Quota, load_tenant

# To be stopped for a moment is here what it is elsewhere to be stopped for a minute.
keeper.RENEWAL_SECONDS, keeper.CERTAIN_SECONDS = 0.4, 0.5

async def main(folder, state_url, run):
    print("ready", flush=True)
    sys.stdin.readline()
    tenant, secrets = load_tenant("contoso", folder), SecretStore(folder)
    tenant = tenant.model_copy(update={"quota": Quota(marketo_concurrent_calls=1)})
    try:
        async with open_session(tenant, secrets, run=run, state_url=state_url) as session:
            await first_sync(session)
    except CrmsyncError as error:
        print(type(error).__name__)
    else:
        print("done")

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


@pytest.fixture
async def contoso(tmp_path: Path, state_url: str) -> AsyncIterator[World]:
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=SOME)) as ready:
        world = World(ready, state_url)
        await world.prepare()
        yield world
        await world.close()


async def another_run(world: World, name: str, *, minutes_ahead: int = 0) -> asyncio.subprocess.Process:
    """A process that will run a first sync when it is told to, and whose clock is ahead."""
    program = with_clock_ahead(RUN, minutes_ahead)
    values = (str(world.ready.tenants_folder), world.state_url, name)
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *values, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert run.stdout is not None
    assert (await run.stdout.readline()).strip() == b"ready"
    return run


def begin(run: asyncio.subprocess.Process) -> None:
    assert run.stdin is not None
    run.stdin.write(b"\n")


async def ended(run: asyncio.subprocess.Process) -> str:
    """How it ended: ``done``, or with which error."""
    return (await run.communicate())[0].decode().strip()


class Middle:
    """The middle of a first sync: it stays there, holding the lease, until the test has done its worst."""

    def __init__(self) -> None:
        self.reached, self.over = asyncio.Event(), asyncio.Event()

    async def stay(self, progress: Progress) -> None:
        self.reached.set()
        await self.over.wait()


async def until_people_are_written(world: World) -> None:
    """A write of people is on its way, and answered late."""
    rule = {"service": "marketo", "method": "POST", "path": "/rest/v1/leads.json", "times": 1, "kind": "slow",
            "seconds": 3}  # fmt: skip
    await world.until_fault_hit((await world.post("faults", rule))["id"])


async def no_time(seconds: float) -> None:
    """Watch a lease without waiting."""


async def stop(run: asyncio.subprocess.Process, store: Store) -> None:
    """Stop the run, whose lease has then run out; not while it has the SQLite file locked, which nobody could take
    over."""
    while True:
        run.send_signal(signal.SIGSTOP)
        try:
            async with store.engine.begin() as connection:
                await connection.execute(sa.update(leases).values(expires_at=now() - timedelta(seconds=1)))
        except sa.exc.OperationalError:
            run.send_signal(signal.SIGCONT)
        else:
            return


async def test_a_contender_whose_clock_is_ahead_does_not_write_beside_the_holder(
    contoso: World, repetition: int
) -> None:
    contender = await another_run(contoso, "the contender", minutes_ahead=10)
    middle = Middle()
    async with contoso.session(run="the holder") as session:
        run = asyncio.create_task(first_sync(session, middle.stay))
        await middle.reached.wait()
        begin(contender)
        assert await ended(contender) == "TenantBusy"
        middle.over.set()
        await run

    assert await movers(contoso) == ["the holder"]
    assert await in_step(contoso)


async def test_a_locked_file_costs_the_holder_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repetition: int
) -> None:
    """Renewals fail for longer than the lease lasts, and a contender whose clock is ahead waits for the lock too."""
    for name, seconds in (("RENEWAL_SECONDS", 0.2), ("CERTAIN_SECONDS", 0.5)):
        monkeypatch.setattr(f"crmsync.engine.keeper.{name}", seconds)
    monkeypatch.setattr("crmsync.state.database.BUSY_SECONDS", 0.1)
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=SOME)) as ready:
        contoso = World(ready, f"sqlite:///{tmp_path}/state.db")
        await contoso.prepare()
        contender = await another_run(contoso, "the contender", minutes_ahead=10)
        middle = Middle()
        async with contoso.session(run="the holder") as session:
            run = asyncio.create_task(first_sync(session, middle.stay))
            await middle.reached.wait()
            with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                begin(contender)
                middle.over.set()
                await contoso.reset_requests()
                await asyncio.sleep(1.5)
                assert await contoso.written() == {}, "nothing is sent while the lease may have run out"
            assert await ended(contender) == "TenantBusy"
            await run

        assert await movers(contoso) == ["the holder"]
        assert await in_step(contoso)
        await contoso.close()


async def test_a_run_that_was_stopped_and_taken_over_from_sends_nothing_more(contoso: World, repetition: int) -> None:
    stopped = await another_run(contoso, "the stopped")
    try:
        begin(stopped)
        await until_people_are_written(contoso)
        await stop(stopped, await contoso.store())
        async with contoso.session(run="the next", sleep=no_time) as session:
            await first_sync(session)
        await contoso.reset_requests()
        stopped.send_signal(signal.SIGCONT)

        assert await ended(stopped) == "LeaseLost"
        assert await contoso.written() == {}
    finally:
        if stopped.returncode is None:
            stopped.kill()
            await stopped.communicate()

    assert await movers(contoso) == ["the next"]
    assert await in_step(contoso)
