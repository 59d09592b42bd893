"""What a run wrote before it lost its lease counts; what it would write afterwards is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from crmsync.errors import LeaseLost
from crmsync.state.checkpoints import Checkpoint
from crmsync.state.fence import held
from crmsync.state.inbox import Creation, Landing, Watermark
from crmsync.state.leases import Lease
from crmsync.state.lifecycle import TenantState
from crmsync.state.records import Outcome
from crmsync.state.sql import now
from crmsync.state.store import Store
from crmsync.state.succession import Tombstone
from crmsync.state.tables import leases

SYNCED = Outcome("1", "synced", True, 1, None, None, None, None, 1)
MARK = Watermark(stream="changes", token="next", moved_at=now())

WRITES: dict[str, Callable[[Store], Awaitable[object]]] = {
    "a request to Marketo": lambda store: store.flights.take_off("contoso", "lead", "sync", ["1"]),
    "a request to Dynamics": lambda store: store.flights.take_off("contoso", "lead", "back", ["1"]),
    "ids of people to be created": lambda store: store.inbox.name_creations("contoso", {1: "1"}),
    "outcomes": lambda store: store.records.land("contoso", "lead", [SYNCED]),
    "outcomes of the way back": lambda store: store.inbox.land("contoso", "lead", Landing(outcomes=[SYNCED])),
    "a checkpoint": lambda store: store.checkpoints.put("contoso", Checkpoint(entity="lead", selection_digest="x")),
    "a watermark": lambda store: store.inbox.move("contoso", MARK, listed=[Creation(1, "lead", None)]),
    "a mark": lambda store: store.pending.add("contoso", "lead", "delete", ["1"]),
    "a merge": lambda store: store.succession.land("contoso", [Tombstone("lead", "1", "merged", "2")]),
    "numbers of people": lambda store: store.records.set_marketo_ids("contoso", "lead", {"1": 1}),
    "a state": lambda store: store.tenants.move("contoso", TenantState.SYNCING, run="run 1", why="done"),
}


async def no_time(seconds: float) -> None:
    """Watch a lease without waiting."""


async def taken(store: Store, run: str) -> Lease:
    lease = await store.leases.take("contoso", run, sleep=no_time)
    assert lease is not None
    return lease


async def take_over(store: Store) -> Lease:
    """Another run takes the tenant, because its holder on another machine has not been heard of for long."""
    async with store.engine.begin() as connection:
        values = {"machine": "another machine", "expires_at": now() - timedelta(seconds=1)}
        await connection.execute(sa.update(leases).values(values))
    return await taken(store, "run 2")


async def contents(store: Store) -> dict[str, list[sa.Row[tuple[object, ...]]]]:
    """All that the database holds."""
    found = {}
    async with store.engine.connect() as connection:
        for name, table in leases.metadata.tables.items():
            found[name] = list(await connection.execute(sa.select(table)))
    return found


@pytest.mark.parametrize("what", WRITES)
async def test_a_run_that_lost_its_lease_writes_nothing_more(store: Store, what: str) -> None:
    lease = await taken(store, "run 1")
    await take_over(store)
    before = await contents(store)

    with held("contoso", lease.holder, lease.token), pytest.raises(LeaseLost) as lost:
        await WRITES[what](store)

    assert lost.value.tenant == "contoso"
    assert await contents(store) == before


async def test_the_holder_writes_on_although_its_lease_has_expired_while_nobody_took_it(store: Store) -> None:
    """The database was away; that costs nobody a lease."""
    lease = await taken(store, "run 1")
    async with store.engine.begin() as connection:
        await connection.execute(sa.update(leases).values(expires_at=now() - timedelta(minutes=2)))

    with held("contoso", lease.holder, lease.token):
        await store.flights.take_off("contoso", "lead", "sync", ["1"])

    assert len(await store.flights.all("contoso")) == 1


async def test_a_lease_that_was_given_back_covers_no_write(store: Store) -> None:
    lease = await taken(store, "run 1")
    await store.leases.give_back(lease)

    with held("contoso", lease.holder, lease.token), pytest.raises(LeaseLost):
        await store.flights.take_off("contoso", "lead", "sync", ["1"])
