"""What a cycle of many tenants costs in one warm process: CPU and wall time, idle and with changes.

    python benchmarks/fleet.py                              # 200 and 1,000 tenants; ten to twenty minutes
    python benchmarks/fleet.py --tenants 50 --changed 5

All tenants are those of one sandbox, each with an organization, a subscription and an Entra tenant of its own, and a
few records. The tenants that will have changes are connected as anybody's; of the others only the first reads are done,
because nothing else is looked at in an idle cycle. The fleet runs as a flow on a Prefect server of its own: "cold" is
its first cycle, with a sign-in and a read of the saved schema for each tenant, "warm" is every later one. Prefect's
share is what an empty fleet run costs in the process, and all that the server uses meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from stage import running_sandbox

ALLOWED_SECONDS = 0.1
RECORDS = {"leads": 5, "contacts": 5, "accounts": 2}
LATER = "2026-01-01 00:00:00"


def main() -> int:
    """Measure each size, print a line a cycle; 0 when an idle tenant costs no more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--changed", type=int, default=20, help="tenants that have changes in the last cycle")
    parser.add_argument("--run", nargs=2, metavar=("FOLDER", "CHANGED"), help=argparse.SUPPRESS)
    parser.add_argument("--prepare", nargs=2, metavar=("FOLDER", "CHANGED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        asyncio.run(prepare(Path(options.prepare[0]), int(options.prepare[1])))
        return 0
    if options.run:
        asyncio.run(cycles(Path(options.run[0]), int(options.run[1])))
        return 0
    idle = [measure(tenants, options.changed) for tenants in options.tenants]
    return 0 if max(idle) <= ALLOWED_SECONDS else 1


def measure(tenants: int, changed: int) -> float:
    """One sandbox, one Prefect server, one fleet; prints its figures and returns the CPU seconds of an idle tenant."""
    from crmsync.cli.local_server import LocalServer

    names = [word for number in range(tenants) for word in ("--tenant", f"t{number:04}")]
    with tempfile.TemporaryDirectory() as name, running_sandbox(Path(name), RECORDS, *names):
        folder = Path(name)
        server = LocalServer(folder / "prefect")
        try:
            server.wait()
            environment = os.environ | {
                "PREFECT_API_URL": server.api_url,
                "PREFECT_HOME": str(server.home),
                "PREFECT_LOGGING_LEVEL": "ERROR",
                "CRMSYNC_TENANTS": str(folder / "tenants"),
                "CRMSYNC_STATE_URL": f"sqlite:///{folder}/state.db",
                "SERVER_PROCESS": str(server.process.pid),
            }
            command = [sys.executable, __file__]
            began = time.monotonic()
            subprocess.run([*command, "--prepare", name, str(changed)], check=True, env=environment)
            print(f"{tenants:,} tenants were made ready in {time.monotonic() - began:,.0f} s", flush=True)
            done = subprocess.run(
                [*command, "--run", name, str(changed)], check=True, env=environment, stdout=subprocess.PIPE, text=True
            )
        finally:
            server.stop()
    figures: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    for cycle, one in figures.items():
        each = f", {1000 * one['cpu'] / one['tenants']:.1f} ms a tenant" if one["tenants"] else ""
        print(
            f"  {cycle}: {one['seconds']:.1f} s, {one['cpu']:.2f} CPU s{each}; "
            f"Prefect's server {one['server']:.2f} CPU s; {one['worked']:.0f} became tasks",
            flush=True,
        )
    return figures["warm, idle"]["cpu"] / figures["warm, idle"]["tenants"]


async def prepare(folder: Path, changed: int) -> None:
    """Connect the tenants that will have changes, and bring all others to where an idle cycle begins."""
    from crmsync.engine.session import open_session
    from crmsync.engine.setup import snapshots
    from crmsync.secrets import SecretStore
    from crmsync.state.store import open_store
    from crmsync.tenants import load_tenant, tenant_names

    tenants = [load_tenant(name, folder / "tenants") for name in tenant_names(folder / "tenants")]
    secrets = SecretStore(folder / "tenants")
    gate = asyncio.Semaphore(8)
    async with open_store() as store:

        async def one(number: int) -> None:
            async with gate, open_session(tenants[number], secrets, run="benchmark", store=store) as session:
                await (connect(session) if number < max(1, changed) else read_first(session, known))

        known: Any = None
        await one(0)
        async with open_session(tenants[0], secrets, run="benchmark", store=store) as session:
            known, _ = await snapshots(session)
        await asyncio.gather(*[one(number) for number in range(1, len(tenants))])
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql(f"UPDATE runs SET ended_at = '{LATER}'")


async def connect(session: Any) -> None:
    """The three steps and the first sync."""
    from crmsync.engine import setup, sync

    await setup.save_credentials(session, await setup.validate_credentials(session))
    await setup.refresh_schema(session)
    await setup.select_fields(session)
    await setup.enable_sync(session)
    await sync.first_sync(session)


async def read_first(session: Any, dynamics: Any) -> None:
    """What an idle cycle needs: a binding, a schema (the first tenant's) and a selection, delta links and tokens."""
    from crmsync.engine import setup
    from crmsync.engine.back.direction import FromMarketo
    from crmsync.engine.chosen import selection_digest
    from crmsync.state.checkpoints import Checkpoint
    from crmsync.state.lifecycle import TenantState
    from crmsync.state.tenantstore import Binding

    who, connection = await session.dynamics.who_am_i(), session.tenant
    binding = Binding(
        organization_id=who.organization_id,
        organization_name=session.name,
        organization_url=connection.dynamics.organization_url,
        sync_user_id=who.user_id,
        subscription=connection.marketo.subscription,
    )
    await session.store.tenants.bind(session.name, binding, run="benchmark", why="benchmark")
    await setup.keep_snapshot(session, "dynamics", dynamics)
    await setup.keep_snapshot(session, "marketo", await session.marketo.schema())
    await session.store.tenants.move(session.name, TenantState("schema_refreshed"), run="benchmark", why="benchmark")
    selection = await setup.select_fields(session)
    for name, entity in dynamics.entities.items():
        async for page in session.dynamics.changes(entity, selection.select(entity)):
            link = page.delta_link
        digest = selection_digest(connection, dynamics, selection, name)
        point = Checkpoint(entity=name, selection_digest=digest, read_done=True, delta_link=link)
        await session.store.checkpoints.put(session.name, point)
    await FromMarketo(session).start(dynamics, selection)
    for state in ("first_sync", "syncing"):
        await session.store.tenants.move(session.name, TenantState(state), run="benchmark", why="benchmark")


async def cycles(folder: Path, changed: int) -> None:
    """An empty fleet run, then a fleet of a cold, a warm and a changed cycle; prints their figures as JSON."""
    import psutil
    from prefect import flow

    from crmsync.state.store import open_store
    from flows.fleet import one_cycle, sync_fleet
    from flows.options import FleetOptions
    from tasks.fleet import open_fleet

    server, figures = psutil.Process(int(os.environ["SERVER_PROCESS"])), {}
    parallel = FleetOptions().parallel

    def used() -> tuple[float, float, float]:
        times = server.cpu_times()
        return time.monotonic(), time.process_time(), times.user + times.system

    def note(name: str, before: tuple[float, float, float], tenants: int, worked: int) -> None:
        seconds, cpu, prefect = (after - start for after, start in zip(used(), before, strict=True))
        figures[name] = {"seconds": seconds, "cpu": cpu, "server": prefect, "tenants": tenants, "worked": worked}

    @flow(name="sync-fleet")
    async def measured() -> None:
        async with open_fleet(0, 1, parallel=parallel, limit=timedelta(minutes=10)) as fleet:
            for name in ("cold, idle", "warm, idle", f"warm, {changed} changed"):
                if name.endswith("changed"):
                    await change(folder, changed)
                before, seen = used(), _cycles(fleet.report)
                async for tenant in fleet.due(timedelta(0)):
                    fleet.start(tenant, one_cycle(fleet, tenant))
                await fleet.finish()
                await asyncio.sleep(2)  # what Prefect records, it records a little later
                worked = sum(line.cycles - line.idle for line in fleet.report.tenants.values())
                note(name, before, _cycles(fleet.report) - seen, worked)
                if fleet.report.broken:
                    raise SystemExit(str(fleet.report))
                async with open_store() as store, store.engine.begin() as connection:
                    await connection.exec_driver_sql(f"UPDATE runs SET ended_at = '{LATER}'")

    await sync_fleet(shard=1, shards=10**6, options=FleetOptions(minutes=0))
    before = used()
    await sync_fleet(shard=1, shards=10**6, options=FleetOptions(minutes=0))
    note("an empty fleet run", before, 0, 0)
    await measured()
    print(json.dumps(figures))


def _cycles(report: Any) -> int:
    return sum(line.cycles for line in report.tenants.values())


async def change(folder: Path, many: int) -> None:
    """An administrator changes one lead in each of the first tenants."""
    from pydantic import SecretStr

    from crmsync.dynamics.auth import ClientSecret
    from crmsync.dynamics.client import DynamicsClient
    from crmsync.tenants import load_tenant, tenant_names

    facts = json.loads((folder / "ready.json").read_text(encoding="utf-8"))["tenants"]
    for name in tenant_names(folder / "tenants")[:many]:
        app = facts[name]["dynamics"]["administrator"]
        tenant = load_tenant(name, folder / "tenants")
        connection = tenant.dynamics.model_copy(update={"client_id": app["client_id"]})
        secret = ClientSecret(SecretStr(app["client_secret"]))
        async with DynamicsClient(connection, secret, tenant=name, ca_path=tenant.ca_path) as administrator:
            await administrator.create("leads", {"lastname": "Changed"})


if __name__ == "__main__":
    sys.exit(main())
