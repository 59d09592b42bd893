"""Makes Prefect's deployments what the tenant files say: creates, changes and removes only what differs.

Everything that carries our tag and has no tenant file any more is removed; what others registered is left alone.

Prefect's documentation, REST API: "Deployments", "Work Pools", "Automations".
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Cancelling
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel

from crmsync.state.database import state_url
from crmsync.state.engine import STATE_URL_VARIABLE
from crmsync.tenants import Tenant, load_tenant, tenant_names
from deployments.desired import FLEET, OURS, POOL, Desired, desired, desired_fleet
from tasks.tenant import TENANTS_VARIABLE

AUTOMATIONS = Path(__file__).parent / "automations.yaml"
PAGE = 200
RUN_SETTINGS = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "PREFECT_LOGGING_EXTRA_LOGGERS": "crmsync"}
"""Heartbeats often enough for the automation that crashes zombies; our loggers' lines in the run's log."""


class Registered(BaseModel):
    """What registering did, by ``flow/tenant``."""

    written: list[str] = []
    unchanged: list[str] = []
    removed: list[str] = []

    def __str__(self) -> str:
        return f"{len(self.written)} written, {len(self.unchanged)} unchanged, {len(self.removed)} removed"


async def register(folder: Path, fleet: int | None = None) -> Registered:
    """Bring the deployments in step with the tenant files in ``folder``. Raises ``TenantFileWrong`` before it
    changes anything.

    ``fleet``: so many fleets run the cycles of all tenants, or (0) every tenant has a schedule of its own; None leaves
    it at what it is.
    """
    tenants = [load_tenant(name, folder) for name in tenant_names(folder)]
    async with get_client() as client:
        await _ensure_pool(client)
        present = await _ours(client)
        shards = _shards(present) if fleet is None else fleet
        done = await _reconcile(client, present, wanted_for(tenants, folder, shards if tenants else 0))
        await _ensure_automations(client)
    return done


def wanted_for(tenants: Iterable[Tenant], folder: Path, shards: int = 0) -> list[Desired]:
    """All deployments of these tenants, with the environment that their runs need."""
    environment = run_environment(folder)
    own = [one for tenant in tenants for one in desired(tenant, environment, in_fleet=shards > 0)]
    return [*own, *desired_fleet(shards, environment)]


def _shards(present: list[dict[str, Any]]) -> int:
    """How many fleets there are now."""
    return sum(FLEET in one["tags"] for one in present)


def run_environment(folder: Path) -> dict[str, str]:
    """Where runs find tenant files and state. A PostgreSQL URL may hold a password, so it is left to the worker's own
    environment; a SQLite path is made absolute, because a worker runs each flow in a folder of its own."""
    environment = {TENANTS_VARIABLE: str(folder.resolve()), **RUN_SETTINGS}
    url = state_url(os.environ.get(STATE_URL_VARIABLE))
    if url.get_backend_name() == "sqlite" and url.database:
        environment[STATE_URL_VARIABLE] = f"sqlite:///{Path(url.database).resolve()}"
    return environment


async def _reconcile(client: PrefectClient, before: list[dict[str, Any]], wanted: list[Desired]) -> Registered:
    flows = {name: str(await client.create_flow_from_name(name)) for name in sorted({one.flow for one in wanted})}
    present = {(one["flow_id"], one["name"]): one for one in before}
    done = Registered()
    # One after the other: on SQLite, writes that meet make each other wait for seconds.
    for one in wanted:
        label, found = f"{one.flow}/{one.name}", present.pop((flows[one.flow], one.name), None)
        if found is not None and found["version"] == one.version:
            done.unchanged.append(label)
            continue
        paused = {} if found is None else {"paused": found["paused"]}
        body = one.body | {"name": one.name, "flow_id": flows[one.flow], "version": one.version} | paused
        await _call(client, "POST", "/deployments/", json=body)
        done.written.append(label)
    for gone in present.values():
        await _end_runs(client, gone)
        with suppress(ObjectNotFound):  # a repeated call, or somebody was faster
            await client.delete_deployment(UUID(gone["id"]))
        flow = gone["entrypoint"].rpartition(".")[2].replace("_", "-")
        done.removed.append(f"{flow}/{gone['name']}")
    return done


async def _end_runs(client: PrefectClient, gone: dict[str, Any]) -> None:
    """A fleet's run would go on for up to an hour without its deployment. Its cycles go on at their checkpoints."""
    if FLEET not in gone["tags"]:
        return
    query = {
        "deployments": {"id": {"any_": [gone["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}},
    }
    for run in await _call(client, "POST", "/flow_runs/filter", json=query):
        await client.set_flow_run_state(UUID(run["id"]), Cancelling(), force=True)


async def _ours(client: PrefectClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        query = {"deployments": {"tags": {"all_": [OURS]}}, "limit": PAGE, "offset": len(found), "sort": "NAME_ASC"}
        page = await _call(client, "POST", "/deployments/filter", json=query)
        found += page
        if len(page) < PAGE:
            return found


async def _call(client: PrefectClient, method: str, path: str, **arguments: Any) -> Any:
    response = await client.request(cast(Any, method), cast(Any, path), **arguments)
    response.raise_for_status()
    return response.json() if response.content else None


async def _ensure_pool(client: PrefectClient) -> None:
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(
        name=POOL, type=ProcessWorker.type, base_job_template=template, description="Runs the flows of all tenants."
    )
    try:
        await client.create_work_pool(pool)
    except ObjectAlreadyExists:
        return


async def _ensure_automations(client: PrefectClient) -> None:
    for wanted in yaml.safe_load(AUTOMATIONS.read_text(encoding="utf-8")):
        if not await client.read_automations_by_name(wanted["name"]):
            await client.create_automation(AutomationCore.model_validate(wanted))
