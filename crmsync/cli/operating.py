"""``deploy`` and ``serve``: register the deployments with Prefect, and execute them on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console

from crmsync.cli.options import DEFAULT_TENANTS, TenantsFolder
from crmsync.cli.running import prepare
from crmsync.cli.story import terminal
from crmsync.errors import OperatorMustAct
from crmsync.tenants import load_tenant, tenant_names

UI_PORT = 4200


async def deploy(
    *,
    fleet: Annotated[
        int | None,
        Parameter(
            help="So many fleets run the cycles of all tenants, each in one warm process; 0: every tenant has a "
            "schedule of its own. Without, it stays as it is.",
            validator=validators.Number(gte=0, lte=1000),
        ),
    ] = None,
    remove_all: Annotated[
        bool, Parameter(negative="", help="The folder holds no tenant file on purpose: remove all deployments.")
    ] = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
) -> int:
    """Register every flow for every tenant file; remove those of deleted files.

    What is unchanged is left alone, so it is fast and may run as often as you like.

        PREFECT_API_URL=http://prefect.internal:4200/api crmsync deploy

    With more than a few dozen tenants let fleets run the cycles, and go back:

        crmsync deploy --fleet 4

        crmsync deploy --fleet 0
    """
    console = terminal()
    _check(tenants, may_be_empty=remove_all)
    prepare(console, tenants=tenants)
    await _deploy(console, tenants, fleet)
    return 0


async def serve(
    *,
    tenants: TenantsFolder = DEFAULT_TENANTS,
    port: Annotated[int, Parameter(help="Of the local Prefect server, when PREFECT_API_URL names none.")] = UI_PORT,
    limit: Annotated[int, Parameter(help="Flow runs at once.")] = 4,
    verbose: Annotated[bool, Parameter(negative="", help="Show every run's log lines too.")] = False,
) -> int:
    """Deploy, then execute what is scheduled or started, until Ctrl-C. One machine is enough for a few dozen tenants.

    On more machines run a Prefect worker on each instead: prefect worker start --pool crmsync

        crmsync serve
    """
    console = terminal()
    _check(tenants)
    prepare(console, tenants=tenants, verbose=verbose, port=port)
    await _deploy(console, tenants)
    ui = os.environ["PREFECT_API_URL"].removesuffix("/api")
    console.print(f"Executing runs, {limit} at once; Ctrl-C ends. Deployments and runs: {ui}/deployments")
    await _work(limit)
    return 0


def _check(tenants: Path, *, may_be_empty: bool = False) -> None:
    """Refuse a folder or a file that is wrong, before a server is started for it or a deployment removed."""
    if not tenants.is_dir():
        raise OperatorMustAct(
            f"There is no folder {tenants}", remedy="Name the folder with the tenant files: --tenants FOLDER."
        )
    names = tenant_names(tenants)
    if not names and not may_be_empty:
        raise OperatorMustAct(
            f"There is no tenant file in {tenants}, so all deployments would be removed",
            remedy="Name their folder: --tenants FOLDER. To remove all deployments: crmsync deploy --remove-all.",
        )
    for name in names:
        load_tenant(name, tenants)


async def _deploy(console: Console, tenants: Path, fleet: int | None = None) -> None:
    from deployments.register import register

    done = await register(tenants, fleet)
    for title, labels, style in (("registered", done.written, "green"), ("removed", done.removed, "yellow")):
        for label in sorted(labels):
            console.print(f"  {title} {label}", style=style)
    console.print(f"Deployments: {done}")


async def _work(limit: int) -> None:
    from prefect.workers.process import ProcessWorker

    from deployments.desired import POOL

    worker = asyncio.create_task(ProcessWorker(work_pool_name=POOL, limit=limit).start(printer=lambda *_: None))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, worker.cancel)
    try:
        await worker
    except asyncio.CancelledError:
        return
