"""``crmsync demo``: one tenant from nothing to syncing, on real Prefect, against services on this machine."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from crmsync.cli.story import terminal

if TYPE_CHECKING:  # both import much of the product, which the list of commands need not wait for
    from crmsync.cli.demo_acts import Acts
    from crmsync.cli.demo_stage import Stage

FOLDER = Path(".crmsync/demo")


async def demo(
    *,
    keep: Annotated[bool, Parameter(negative="", help="Leave the Prefect UI and the services up at the end.")] = False,
) -> int:
    """See one tenant connected, synced and resynced, on this machine.

    Starts a Dynamics, an Entra ID, a Marketo and a mail server on loopback, and a Prefect server of its own; connects a
    tenant; changes records on both sides and deletes a column in Dynamics as an administrator would; shows what became
    of it on the other side and in the mailbox. Takes about a minute, needs no network, and leaves nothing running:

        crmsync demo

    To look around in the Prefect UI afterwards:

        crmsync demo --keep
    """
    from crmsync.cli.demo_acts import Acts
    from crmsync.cli.demo_stage import Stage

    console, began = terminal(), time.monotonic()
    console.print("Starting a sandbox (Dynamics, Entra ID, Marketo, mail) and a Prefect server on this machine …")
    stage = Stage(FOLDER, kept=keep)
    played = False
    try:
        stage.wait()
        console.print(f"The Prefect UI: {stage.server.ui_url}", style="dim")
        proofs = await _play(Acts(stage.box, console), console)
        played = True
    finally:
        if keep and not played:
            stage.stop()
    _summarize(console, stage, proofs, time.monotonic() - began, keep=keep)
    return 0


async def _play(acts: Acts, console: Console) -> list[str]:
    proofs = []
    for number, (title, act) in enumerate(acts.all(), start=1):
        console.print(f"\n[bold]{number}. {title}[/]")
        proofs.append(await act())
    return proofs


def _summarize(console: Console, stage: Stage, proofs: list[str], seconds: float, *, keep: bool) -> None:
    table = Table.grid(padding=(0, 1))
    for proof in proofs:
        table.add_row("[green]✓[/]", proof)
    console.print()
    console.print(
        Panel(table, title=f"crmsync demo: all shown, in {seconds:.0f} seconds", expand=False), soft_wrap=False
    )
    console.print(f"State, logs and e-mails: {stage.folder}")
    if not keep:
        console.print("Nothing was left running; to look around in the Prefect UI: crmsync demo --keep")
        return
    settings = f"PREFECT_API_URL={stage.server.api_url} CRMSYNC_STATE_URL={stage.state_url}"
    tenants = shlex.quote(str(stage.box.tenants))
    console.print(f"The Prefect UI: {stage.server.ui_url}/runs")
    console.print(f"Another cycle:  {settings} crmsync sync contoso --tenants {tenants}")
    console.print(f"Execute what is scheduled or started in the UI:  {settings} crmsync serve --tenants {tenants}")
    console.print(f"Stop:           kill {' '.join(str(one) for one in stage.process_ids)}")
