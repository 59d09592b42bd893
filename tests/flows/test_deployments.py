"""Registering deployments: what the tenant files say is what Prefect has, and nothing is written twice."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from crmsync.errors import TenantFileWrong
from deployments.register import register

pytestmark = pytest.mark.xdist_group("prefect")  # they look at one server's whole list of deployments

TENANT = """\
dynamics:
  organization_url: https://contoso.crm.dynamics.com
  entra_tenant_id: 5f1c2a34-0000-4000-8000-000000000001
  client_id: 5f1c2a34-0000-4000-8000-000000000002
  client_secret: {env: CONTOSO_DYNAMICS_SECRET}
marketo:
  base_url: https://123-ABC-456.mktorest.com
  client_id: 5f1c2a34-0000-4000-8000-000000000003
  client_secret: {env: CONTOSO_MARKETO_SECRET}
"""


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    for name in ("contoso", "fabrikam"):
        (tmp_path / f"{name}.yaml").write_text(TENANT, encoding="utf-8")
    return tmp_path


@pytest.fixture
async def prefect(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=prefect_server) as client:
        yield client
    await register(tmp_path_factory.mktemp("no-tenants"))


async def test_every_tenant_gets_its_five_deployments(tenants: Path, prefect: httpx.AsyncClient) -> None:
    done = await register(tenants)

    assert sorted(done.written) == [
        f"{flow}/{tenant}"
        for flow in ("compare", "connect", "prepare", "resync", "sync", "validate")
        for tenant in ("contoso", "fabrikam")
    ]
    sync = (await prefect.get("/deployments/name/sync/contoso")).json()
    assert sync["work_pool_name"] == "crmsync"
    assert [schedule["schedule"]["interval"] for schedule in sync["schedules"]] == [300.0]
    assert sync["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    connect = (await prefect.get("/deployments/name/connect/contoso")).json()
    assert connect["schedules"] == []
    assert connect["job_variables"]["env"]["CRMSYNC_TENANTS"] == str(tenants)


async def test_what_is_unchanged_is_left_alone_and_what_changed_is_written(
    tenants: Path, prefect: httpx.AsyncClient
) -> None:
    await register(tenants)

    again = await register(tenants)
    assert (len(again.written), len(again.unchanged), len(again.removed)) == (0, 12, 0)

    (tenants / "contoso.yaml").write_text(TENANT + "interval_minutes: 10\n", encoding="utf-8")
    assert (await register(tenants)).written == ["sync/contoso"]


async def test_a_pause_that_a_person_made_survives_a_change(tenants: Path, prefect: httpx.AsyncClient) -> None:
    await register(tenants)
    sync = (await prefect.get("/deployments/name/sync/contoso")).json()
    (await prefect.patch(f"/deployments/{sync['id']}", json={"paused": True})).raise_for_status()
    (tenants / "contoso.yaml").write_text(TENANT + "interval_minutes: 10\n", encoding="utf-8")

    await register(tenants)

    after = (await prefect.get("/deployments/name/sync/contoso")).json()
    assert (after["paused"], after["schedules"][0]["schedule"]["interval"]) == (True, 600.0)


async def test_deployments_of_a_deleted_file_go_and_those_of_others_stay(
    tenants: Path, prefect: httpx.AsyncClient
) -> None:
    await register(tenants)
    flow = (await prefect.post("/flows/", json={"name": "somebody-elses"})).json()["id"]
    (await prefect.post("/deployments/", json={"name": "other", "flow_id": flow})).raise_for_status()
    (tenants / "fabrikam.yaml").unlink()

    done = await register(tenants)

    gone = [f"{flow}/fabrikam" for flow in ("compare", "connect", "prepare", "resync", "sync", "validate")]
    assert sorted(done.removed) == gone
    assert (await prefect.get("/deployments/name/somebody-elses/other")).status_code == 200
    assert (await prefect.get("/deployments/name/connect/fabrikam")).status_code == 404


async def test_a_fleet_takes_the_schedules_over_and_gives_them_back(tenants: Path, prefect: httpx.AsyncClient) -> None:
    async def schedules(name: str) -> int:
        return len((await prefect.get(f"/deployments/name/{name}")).json()["schedules"])

    await register(tenants)
    done = await register(tenants, fleet=2)

    assert sorted(done.written) == ["sync-fleet/0-of-2", "sync-fleet/1-of-2", "sync/contoso", "sync/fabrikam"]
    assert (await schedules("sync-fleet/0-of-2"), await schedules("sync/contoso")) == (1, 0)
    assert (await register(tenants, fleet=2)).written == []
    assert (await register(tenants)).written == [], "without a number it stays as it is"

    resharded = await register(tenants, fleet=1)
    assert resharded.written == ["sync-fleet/0-of-1"]
    assert sorted(resharded.removed) == ["sync-fleet/0-of-2", "sync-fleet/1-of-2"]

    back = await register(tenants, fleet=0)
    assert sorted(back.written) == ["sync/contoso", "sync/fabrikam"]
    assert back.removed == ["sync-fleet/0-of-1"]
    assert await schedules("sync/contoso") == 1


async def test_a_fleet_that_is_removed_is_ended_too(tenants: Path, prefect: httpx.AsyncClient) -> None:
    await register(tenants, fleet=1)
    deployment = (await prefect.get("/deployments/name/sync-fleet/0-of-1")).json()["id"]
    run = (await prefect.post(f"/deployments/{deployment}/create_flow_run", json={})).json()["id"]
    running = {"state": {"type": "RUNNING"}, "force": True}
    (await prefect.post(f"/flow_runs/{run}/set_state", json=running)).raise_for_status()

    await register(tenants, fleet=0)

    assert (await prefect.get(f"/flow_runs/{run}")).json()["state"]["type"] == "CANCELLING"
    (await prefect.delete(f"/flow_runs/{run}")).raise_for_status()


async def test_a_wrong_tenant_file_stops_registering_before_anything_changes(
    tenants: Path, prefect: httpx.AsyncClient
) -> None:
    shutil.copy(tenants / "contoso.yaml", tenants / "litware.yaml")
    (tenants / "fabrikam.yaml").write_text("dynamics: {}\n", encoding="utf-8")

    with pytest.raises(TenantFileWrong, match=r"fabrikam\.yaml"):
        await register(tenants)

    assert (await prefect.get("/deployments/name/connect/litware")).status_code == 404


async def test_the_automations_are_installed_once(tenants: Path, prefect: httpx.AsyncClient) -> None:
    await register(tenants)
    await register(tenants)

    names = [one["name"] for one in (await prefect.post("/automations/filter", json={})).json()]

    assert sorted(names) == ["crmsync: crash zombies", "crmsync: release runs stuck in Pending"]


async def test_bad_parameters_are_refused_with_a_message(tenants: Path, prefect: httpx.AsyncClient) -> None:
    await register(tenants)
    connect = (await prefect.get("/deployments/name/connect/contoso")).json()["id"]
    refused = {
        "'fabrikam' is not one of ['contoso']": {"tenant": "fabrikam"},
        "'maybe' is not of type 'boolean'": {"options": {"rebind": "maybe"}},
        "'rebound' was unexpected": {"options": {"rebound": True}},
        "'color' was unexpected": {"color": "red"},
    }

    for reason, parameters in refused.items():
        answer = await prefect.post(f"/deployments/{connect}/create_flow_run", json={"parameters": parameters})

        assert answer.status_code == 409
        assert reason in answer.json()["detail"]
