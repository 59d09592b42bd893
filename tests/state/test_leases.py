"""One writer a tenant: the lease, and what becomes of it when its holder dies."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import sqlalchemy as sa

from crmsync.state.sql import now
from crmsync.state.store import Store, open_store
from crmsync.state.tables import leases

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
    first = await store.leases.take("contoso", "run 1")
    assert first is not None
    async with store.engine.begin() as connection:
        await connection.execute(sa.update(leases).values(expires_at=now() - timedelta(seconds=1)))

    assert await store.leases.take("contoso", "run 2") is not None
    assert not await store.leases.renew(first), "the first holder must learn that it lost the lease"


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
