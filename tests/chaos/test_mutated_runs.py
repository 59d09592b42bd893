"""A first sync and cycles whose answers are changed on their way: nothing is lost, nobody is there twice, and no tenant
is stopped by what passes.

Changed is what a service cannot have meant: pages, half answers, other statuses and types, members that are missing. A
record's value that something on the way replaces by another is a value to anybody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import httpx
import pytest

from crmsync.engine.session import Session
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import CrmsyncError, OperatorMustAct
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from crmsync.state.lifecycle import TenantState
from tests.chaos import REPEAT
from tests.chaos.between import Between, PassingTime, clients
from tests.chaos.mutations import TELLING, Heard
from tests.world import World, small_sandbox

CYCLES = 15
SHARE = 0.1
FEW = Counts(leads=12, contacts=20, accounts=5)


class Weather:
    """Changes a share of all answers."""

    def __init__(self, share: float, seed: int) -> None:
        self._random = Random(seed)
        self._share = share
        self.changed = 0

    def __call__(self, request: httpx.Request, heard: Heard) -> Heard:
        if self._random.random() >= self._share:
            return heard
        self.changed += 1
        return TELLING[self._random.choice(sorted(TELLING))](heard, self._random)


@asynccontextmanager
async def session_in(world: World, weather: Weather, at: PassingTime) -> AsyncIterator[Session]:
    """The product's session, with its answers changed on their way."""
    async with clients(world, Between(world, weather), at) as (dynamics, marketo):
        store = await world.store()
        yield Session(world.tenant, store, dynamics, marketo, run="in bad weather", sleep=at.sleep, clock=at.now)


async def endured(world: World, weather: Weather, at: PassingTime, *, first: bool = False) -> bool:
    """One run; whether it came through. What it fails with is ours, and asks nothing of a person."""
    failure: CrmsyncError | None = None
    async with session_in(world, weather, at) as session:
        try:
            await (first_sync(session) if first else cycle(session, force=True))
        except CrmsyncError as error:
            failure = error
    assert not isinstance(failure, OperatorMustAct), failure
    if failure is not None:
        await at.sleep(300)
    return failure is None


async def everybody(world: World) -> list[str]:
    """The leads and contacts of Dynamics that the filter lets through."""
    found = []
    for entity, key in (("lead", "leadid"), ("contact", "contactid")):
        rows = await world.rows(entity, key, filter="new_synctomkto eq true and statecode eq 0")
        found += [row[key] for row in rows]
    return found


@pytest.mark.parametrize("seed", range(REPEAT))
async def test_runs_in_bad_weather_lose_nobody_make_nobody_twice_and_stop_no_tenant(tmp_path: Path, seed: int) -> None:
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=FEW)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        await world.prepare()
        weather, at, random = Weather(SHARE, seed), PassingTime(), Random(seed)
        for _ in range(20):
            if await endured(world, weather, at, first=True):
                break
        records, admin, marketo = sorted(await everybody(world)), await world.admin(), await world.marketo()
        leads = sorted(row["leadid"] for row in await world.rows("lead", "leadid") if row["leadid"] in records)
        titles = dict[str, str]()
        cities = dict[str, str]()
        for number in range(CYCLES):
            changed, other = random.sample(leads, 2)
            titles[changed] = f"Title {number}"
            await admin.update("leads", changed, {"jobtitle": titles[changed]})
            [person] = (await world.people([other])).get(other) or [None]
            if person is not None:
                cities[other] = f"City {number}"
                await marketo.sync_people(
                    [{"id": person["id"], "city": cities[other]}], action="updateOnly", lookup_field="id"
                )
            await endured(world, weather, at)
        fair = Weather(0, seed=0)
        for _ in range(4):
            await endured(world, fair, at)

        row = await (await world.store()).tenants.get("contoso")
        assert (row.state, row.doubt) == (TenantState.SYNCING, None)
        assert weather.changed > CYCLES
        people = await world.people(records, "title")
        assert sorted(people) == records
        assert [found for found in people.values() if len(found) > 1] == []
        assert {record: people[record][0]["title"] for record in titles} == titles
        rows = {row["leadid"]: row["address1_city"] for row in await world.rows("lead", "leadid", "address1_city")}
        assert {record: rows[record] for record in cities} == cities
        await world.close()
