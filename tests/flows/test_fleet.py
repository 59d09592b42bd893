"""``sync-fleet`` on a real Prefect server: many tenants in one process, a task only for those with something to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow

from crmsync.engine.fleet import shard_of
from crmsync.engine.session import utc_now
from crmsync.engine.sync import cycle
from crmsync.sandbox.options import Counts
from crmsync.state.store import open_store
from flows.fleet import one_cycle, sync_fleet
from flows.options import FleetOptions
from tasks.fleet import Fleet, FleetReport, open_fleet
from tests.world import World, connected_worlds

pytestmark = pytest.mark.xdist_group("prefect")

NAMES = ("contoso", "fabrikam", "litware")
ONCE = FleetOptions(minutes=0)
BATCH = "POST /api/data/v9.2/$batch"


class Worlds(dict[str, World]):
    """Three connected tenants of one sandbox, one store."""

    async def due(self) -> None:
        """Let every tenant's interval have passed."""
        async with open_store() as store, store.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE runs SET ended_at = '2026-01-01 00:00:00'")


@pytest.fixture
async def worlds(tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worlds]:
    async with connected_worlds(tmp_path, NAMES, Counts(leads=5, contacts=5, accounts=2)) as found:
        monkeypatch.setenv("CRMSYNC_TENANTS", str(found["contoso"].ready.tenants_folder))
        monkeypatch.setenv("CRMSYNC_STATE_URL", found["contoso"].state_url)
        yield Worlds(found)


async def new_lead(world: World) -> str:
    return await (await world.admin()).create("leads", {"lastname": "New"})


async def tasks_of(prefect_server: str, state: Any) -> list[str]:
    """The names of a flow run's task runs; the recorder writes them a little later."""
    query = {"task_runs": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}}
    found: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        for _ in range(100):
            if found := (await prefect.post("/task_runs/filter", json=query)).json():
                break
            await asyncio.sleep(0.2)
    return [str(one["name"]) for one in found]


@flow(name="sync-fleet")
async def hurried() -> FleetReport:
    """A fleet that gives no tenant more than two seconds."""
    async with open_fleet(0, 1, parallel=20, limit=timedelta(seconds=2)) as fleet:
        async for tenant in fleet.due(timedelta(0)):
            fleet.start(tenant, one_cycle(fleet, tenant))
    return fleet.report


async def test_only_a_tenant_with_changes_becomes_a_task(worlds: Worlds, prefect_server: str) -> None:
    lead = await new_lead(worlds["fabrikam"])
    await worlds["contoso"].reset_requests()

    state = await sync_fleet(options=ONCE, return_state=True)

    assert lead in await worlds["fabrikam"].people([lead])
    assert await tasks_of(prefect_server, state) == ["sync_tenant fabrikam"]
    assert await worlds["contoso"].requests("dynamics") == {BATCH: 1}
    report: FleetReport = await state.aresult()
    assert {name: (line.cycles, line.idle, line.written) for name, line in report.tenants.items()} == {
        "contoso": (1, 1, 0),
        "fabrikam": (1, 0, 1),
        "litware": (1, 1, 0),
    }
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        artifact = (await prefect.get("/artifacts/sync-fleet-0-of-1/latest")).json()
    assert "fabrikam" in artifact["data"]
    assert "litware" not in artifact["data"]


async def test_a_first_sync_that_was_cut_short_is_taken_up(worlds: Worlds) -> None:
    async with open_store() as store, store.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE tenants SET state = 'first_sync' WHERE tenant = 'litware'")
    await worlds.due()

    await sync_fleet(options=ONCE)

    async with open_store() as store:
        assert (await store.tenants.get("litware")).state == "syncing"


async def test_a_tenant_that_is_not_due_is_not_even_looked_at(worlds: Worlds) -> None:
    await sync_fleet(options=ONCE)
    await worlds["contoso"].reset_requests()

    report = await sync_fleet(options=ONCE)

    assert report.tenants == {}
    assert [await world.requests("dynamics") for world in worlds.values()] == [{}, {}, {}]


async def test_a_broken_tenant_fails_alone_is_told_of_and_does_not_delay_the_others(worlds: Worlds) -> None:
    contoso = worlds["contoso"]
    app = {"tenant": "contoso", "client_id": contoso.facts["dynamics"]["client_id"], "secret_expired": True}
    await contoso.post("apps", app)
    lead = await new_lead(worlds["litware"])

    report = await sync_fleet(options=ONCE)

    assert report.broken == ["contoso"]
    assert lead in await worlds["litware"].people([lead])
    mails = list((worlds["contoso"].ready.tenants_folder.parent / "mailbox").glob("*.eml"))
    assert len(mails) == 1
    async with open_store() as store:
        row = await store.tenants.get("contoso")
        assert (row.state, row.doubt) == ("syncing", "CredentialsRefused")
        await store.tenants.doubt("contoso", "CredentialsRefused", "earlier", utc_now() - timedelta(minutes=5))
    await worlds.due()

    await sync_fleet(options=ONCE)

    async with open_store() as store:
        assert (await store.tenants.get("contoso")).state == "stopped"


@pytest.mark.parametrize(
    "slow",
    [
        {"service": "dynamics", "path": "/api/data/v9.2/$batch"},
        {"service": "marketo", "path": "/rest/v1/leads.json"},
    ],
    ids=["the look", "the work"],
)
async def test_a_slow_tenant_is_cut_short_and_the_others_are_done(worlds: Worlds, slow: dict[str, str]) -> None:
    late, lead = await new_lead(worlds["contoso"]), await new_lead(worlds["litware"])
    await worlds["contoso"].post("faults", {**slow, "tenant": "contoso", "kind": "slow", "seconds": 5, "rate": 1})

    report = await hurried()

    assert report.broken == ["contoso"]
    assert lead in await worlds["litware"].people([lead])
    async with worlds["contoso"].browser() as admin:
        await admin.delete(f"{worlds['contoso'].ready.admin_url}/faults")
    async with worlds["contoso"].session() as session:
        # By then Marketo has surely given up the call whose answer nobody waited for.
        session.clock = lambda: utc_now() + timedelta(minutes=3)
        await cycle(session, force=True)
    assert len((await worlds["contoso"].people([late]))[late]) == 1, "it goes on where it was, and nothing comes twice"


async def test_the_shards_share_the_tenants_and_none_is_left_out(worlds: Worlds) -> None:
    reports = [await sync_fleet(shard, 2, ONCE) for shard in range(2)]

    assert sorted(name for report in reports for name in report.tenants) == sorted(NAMES)
    for shard, report in enumerate(reports):
        assert {shard_of(name, 2) for name in report.tenants} <= {shard}


async def test_a_fleet_that_stays_signs_in_once_for_many_cycles(worlds: Worlds) -> None:
    cycles: list[str] = []

    async def counted(fleet: Fleet, tenant: str) -> None:
        await one_cycle(fleet, tenant)
        cycles.append(tenant)
        await worlds.due()

    @flow(name="sync-fleet")
    async def staying() -> FleetReport:
        async with open_fleet(0, 1, parallel=20, limit=timedelta(minutes=1)) as fleet:
            async for tenant in fleet.due(timedelta(seconds=8)):
                fleet.start(tenant, counted(fleet, tenant))
        return fleet.report

    await worlds["contoso"].reset_requests()
    await staying()

    assert sorted(cycles) == sorted(2 * NAMES)
    assert await worlds["contoso"].requests("dynamics") == {BATCH: 2}
    signing_in = await worlds["contoso"].requests("entra")
    assert [count for path, count in signing_in.items() if path.endswith("/token")] == [1]


async def test_a_tenant_that_another_run_holds_is_left_to_it(worlds: Worlds) -> None:
    async with open_store() as store:
        lease = await store.leases.take("contoso", "another run")
        assert lease is not None
        report = await sync_fleet(options=ONCE)
        await store.leases.give_back(lease)

    assert set(report.tenants) == {"fabrikam", "litware"}
    assert report.broken == []
