"""One writer a tenant: the lease, and what becomes of it when its holder dies."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa

from crmsync.state.leases import Lease
from crmsync.state.sql import now
from crmsync.state.store import Store, open_store
from crmsync.state.tables import leases
from tests.clockahead import with_clock_ahead

TAKE_AND_STAY = """
import asyncio, sys
from crmsync.state.store import open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        assert await store.leases.take("contoso", "the other run")
        print("taken", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


TAKE = """
import asyncio, sys
from crmsync.state.store import open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        print(await store.leases.take("contoso", "ahead"))

asyncio.run(main())
"""


async def no_time(seconds: float) -> None:
    """Watch a lease without waiting."""


async def expire(store: Store) -> None:
    async with store.engine.begin() as connection:
        await connection.execute(sa.update(leases).values(expires_at=now() - timedelta(seconds=1)))


async def held_elsewhere(store: Store) -> Lease:
    """A lease of a run on another machine, of which only its row tells; it has expired."""
    lease = await store.leases.take("contoso", "run 1")
    assert lease is not None
    async with store.engine.begin() as connection:
        await connection.execute(sa.update(leases).values(machine="another machine"))
    await expire(store)
    return lease


async def test_only_one_run_holds_a_tenant(store: Store) -> None:
    first = await store.leases.take("contoso", "run 1")
    second = await store.leases.take("contoso", "run 2")
    other = await store.leases.take("fabrikam", "run 2")

    assert first is not None
    assert second is None
    assert other is not None


async def test_of_many_contenders_one_wins(store: Store) -> None:
    taken = await asyncio.gather(*(store.leases.take("contoso", f"run {number}") for number in range(8)))

    assert len([one for one in taken if one is not None]) == 1


async def test_a_lease_that_is_given_back_can_be_taken(store: Store) -> None:
    first = await store.leases.take("contoso", "run 1")
    assert first is not None
    await store.leases.give_back(first)

    assert await store.leases.take("contoso", "run 2") is not None


async def test_a_lease_that_nobody_renewed_ends_by_itself(store: Store) -> None:
    first = await held_elsewhere(store)

    assert await store.leases.take("contoso", "run 2", sleep=no_time) is not None
    assert not await store.leases.renew(first), "the first holder must learn that it lost the lease"


async def test_a_lease_that_is_renewed_while_it_is_watched_is_not_taken(store: Store) -> None:
    """The database was away, or its clock was set: the lease has expired, and its holder lives."""
    first = await held_elsewhere(store)

    async def renewing(seconds: float) -> None:
        assert await store.leases.renew(first)

    assert await store.leases.take("contoso", "run 2", sleep=renewing) is None
    assert await store.leases.renew(first), "the holder keeps it"


async def test_an_old_look_takes_nothing_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the taking there may have been an outage, in which nobody could renew."""
    await held_elsewhere(store)
    monkeypatch.setattr("crmsync.state.leases.STALE_SECONDS", -1.0)

    assert await store.leases.take("contoso", "run 2", sleep=no_time) is None


async def test_the_token_grows_with_every_holder(store: Store) -> None:
    tokens = []
    for number in range(3):
        lease = await store.leases.take("contoso", f"run {number}")
        assert lease is not None
        tokens.append(lease.token)
        await store.leases.give_back(lease)

    assert tokens == [1, 2, 3]
    assert await store.leases.get("contoso") is None


async def test_who_gave_the_lease_back_late_does_not_take_it_from_the_next(store: Store) -> None:
    first = await held_elsewhere(store)
    second = await store.leases.take("contoso", "run 2", sleep=no_time)
    assert second is not None
    await store.leases.give_back(first)

    assert await store.leases.renew(second)


async def test_a_contender_whose_clock_is_ahead_does_not_take_a_living_lease(state_url: str) -> None:
    async with open_store(state_url) as store:
        lease = await store.leases.take("contoso", "the run that lives")
        contender = await asyncio.create_subprocess_exec(
            sys.executable, "-c", with_clock_ahead(TAKE, 10), state_url, stdout=asyncio.subprocess.PIPE
        )
        assert (await contender.communicate())[0].strip() == b"None"
        assert lease is not None
        assert await store.leases.renew(lease)


async def test_a_stopped_run_loses_its_lease_once_it_has_expired(state_url: str) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKE_AND_STAY, state_url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert (await holder.stdout.readline()).strip() == b"taken"
        async with open_store(state_url) as store:
            holder.send_signal(signal.SIGSTOP)
            assert await store.leases.take("contoso", "mine", sleep=no_time) is None
            await expire(store)
            assert await store.leases.take("contoso", "mine", sleep=no_time) is not None
    finally:
        holder.kill()
        await holder.communicate()


async def test_a_killed_run_on_this_machine_loses_its_lease_at_once(state_url: str) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKE_AND_STAY, state_url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert (await holder.stdout.readline()).strip() == b"taken"
        async with open_store(state_url) as store:
            assert await store.leases.take("contoso", "mine") is None
            holder.kill()
            await holder.wait()
            assert await store.leases.take("contoso", "mine") is not None
    finally:
        if holder.returncode is None:
            holder.kill()
        await holder.communicate()
