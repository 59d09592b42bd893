"""The lease while a run works: it is renewed, nothing is sent when it may have run out, and its loss ends the run."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from crmsync.engine.session import Session
from crmsync.errors import LeaseLost, TenantBusy
from crmsync.state.sql import now
from crmsync.state.tables import leases
from tests.world import World


class Naps:
    """A sleep of the lease's keeper that ends when the test says so."""

    def __init__(self) -> None:
        self._naps: asyncio.Queue[None] = asyncio.Queue()
        self.begun = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.begun.set()
        await self._naps.get()

    async def end(self) -> None:
        """Wait until the keeper sleeps, and wake it."""
        await self.begun.wait()
        self.begun.clear()
        self._naps.put_nowait(None)


async def no_time(seconds: float) -> None:
    """Watch a lease without waiting."""


async def taken_over(session: Session) -> None:
    """Another run takes the tenant, as if its holder lived on another machine and had not been heard of for long."""
    async with session.store.engine.begin() as connection:
        values = {"machine": "another machine", "expires_at": now() - timedelta(seconds=1)}
        await connection.execute(sa.update(leases).values(values))
    assert await session.store.leases.take(session.name, "the next run", sleep=no_time) is not None


def time_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was renewed until now may have run out."""
    monkeypatch.setattr("crmsync.engine.keeper.CERTAIN_SECONDS", -1.0)


async def test_a_run_whose_lease_was_taken_over_ends_at_once(contoso: World) -> None:
    naps = Naps()
    async with contoso.session() as session:
        session.keeper_sleep = naps.sleep

        async def run() -> None:
            async with session.lease():
                await taken_over(session)
                await naps.end()
                await asyncio.Event().wait()

        with pytest.raises(LeaseLost):
            await run()
        with pytest.raises(TenantBusy, match="the next run"):
            async with session.lease():
                pass


async def test_what_the_run_has_in_hand_ends_with_it(contoso: World) -> None:
    naps = Naps()
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(True)
            raise

    async with contoso.session() as session:
        session.keeper_sleep = naps.sleep

        async def run() -> None:
            async with session.lease(), asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(work())
                await taken_over(session)
                await naps.end()

        with pytest.raises(LeaseLost):
            await run()

    assert ended == [True] * 3


async def test_whatever_ends_the_keeper_ends_the_run(contoso: World) -> None:
    naps = Naps()
    async with contoso.session() as session:
        session.keeper_sleep = naps.sleep

        async def run() -> None:
            async with session.lease():
                async with session.store.engine.begin() as connection:
                    await connection.execute(sa.text("ALTER TABLE leases RENAME COLUMN holder TO nobody"))
                await naps.end()
                await asyncio.Event().wait()

        with pytest.raises(OperationalError, match="no such column"):
            await run()


async def test_the_failure_of_a_run_stays_what_it_is(contoso: World) -> None:
    cause = KeyError("the cause")
    async with contoso.session() as session:
        with pytest.raises(ValueError, match="the run's own") as failure:
            async with session.lease():
                raise ValueError("the run's own") from cause
        assert failure.value.__cause__ is cause

        async with session.lease():
            pass


async def test_nothing_is_sent_while_the_lease_may_have_run_out(
    contoso: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the way to Marketo nor to Dynamics; after a renewal all goes on."""
    naps = Naps()
    async with contoso.session() as session:
        session.keeper_sleep = naps.sleep
        async with session.lease():
            await contoso.reset_requests()
            with monkeypatch.context() as late:
                time_has_passed(late)
                calls = [
                    asyncio.create_task(session.marketo.delete_people([1])),
                    asyncio.create_task(session.dynamics.who_am_i()),
                ]
                done, _ = await asyncio.wait(calls, timeout=0.5)
                assert not done
                assert await contoso.requests("marketo") == await contoso.requests("dynamics") == {}
            await naps.end()
            await asyncio.gather(*calls)

        assert await contoso.requests("marketo") != {}
        assert await contoso.requests("dynamics") != {}


async def test_a_call_that_waited_ends_when_the_lease_was_lost(contoso: World, monkeypatch: pytest.MonkeyPatch) -> None:
    naps = Naps()
    time_has_passed(monkeypatch)
    async with contoso.session() as session:
        session.keeper_sleep = naps.sleep
        await contoso.reset_requests()

        async def run() -> None:
            async with session.lease():
                await taken_over(session)
                await naps.end()
                await session.marketo.delete_people([1])

        with pytest.raises(LeaseLost):
            await run()

    assert await contoso.requests("marketo") == {}


async def test_a_locked_file_does_not_cost_the_lease(
    contoso: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite is locked for longer than it waits for by itself: the keeper asks again."""
    monkeypatch.setattr("crmsync.state.database.BUSY_SECONDS", 0.05)
    naps = Naps()
    async with contoso.session() as session:
        session.keeper_sleep = naps.sleep
        async with session.lease():
            before = await session.store.leases.get(session.name)
            with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await naps.end()
                await asyncio.sleep(0.3)
                assert not naps.begun.is_set()
            await naps.begun.wait()
            after = await session.store.leases.get(session.name)

    assert before is not None
    assert after is not None
    assert (after.holder, after.token) == (before.holder, before.token)
    assert after.expires_at > before.expires_at
