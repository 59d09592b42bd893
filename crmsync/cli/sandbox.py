"""``crmsync sandbox``: run a Dynamics 365, an Entra ID, a Marketo and a mail server on this machine.

The sandbox itself is imported when the command runs, so that every other command starts without it.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from crmsync.sandbox.options import SandboxOptions
    from crmsync.sandbox.readyfile import Ready

_WORTH_SHOWING = 5_000


class _Stopped(Exception):
    """A signal came while the data were being made."""


def sandbox(
    *,
    tenant: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = ("contoso",),
    leads: int = 300,
    contacts: int = 600,
    accounts: int = 120,
    seed: int = 1,
    port: int | None = None,
    limits: Literal["documented", "off"] = "documented",
    latency: Literal["none", "typical"] = "none",
    data: Path | None = None,
    ready_file: Path | None = None,
    state: Path | None = None,
    unprepared: bool = False,
) -> int:
    """Run a sandbox: Dynamics 365, Entra ID, Marketo and a mail server, on this machine only.

    Everything speaks as the real services are documented to, over https, so the same tenant file format and the same
    commands work against it. Start it in one terminal:

        crmsync sandbox --ready-file box/ready.json

    and use it in another one:

        crmsync validate contoso --tenants box/tenants
        crmsync connect contoso --tenants box/tenants

    The folder of the ready file then holds the certificate authority (ca.pem), the mailbox with every message sent
    (mailbox/*.eml), and a tenant file for each tenant with its secrets in .env beside it. Records and columns are
    changed through the services' public APIs; faults, the clock and administrators' switches at the admin URL, which
    explains itself. Ctrl-C ends the sandbox; its data go with it unless --state keeps them.

    Parameters
    ----------
    tenant
        Names of the tenants to serve; each has an organization, a subscription and an Entra tenant of its own.
    leads
        Leads to make for each tenant.
    contacts
        Contacts to make for each tenant.
    accounts
        Accounts to make for each tenant.
    seed
        The same seed makes the same records, ids and secrets.
    port
        The first port (Entra and the admin pages); each tenant takes the next two. Default: any free ports.
    limits
        "documented" enforces Marketo's and Dataverse's quotas; "off" leaves only the size limits.
    latency
        "typical" answers about as slowly as the real services do.
    data
        A folder with account.csv, contact.csv, lead.csv and systemuser.csv (header: logical names) to use instead of
        made records, so that a migration can be rehearsed.
    ready_file
        Written when everything is served: JSON with every address, id and secret a client needs.
    state
        Keep the databases in this folder; started with it again, the sandbox goes on where it ended.
    unprepared
        Start with organizations in which nothing is prepared: no sync user, no security role, no new_synctomkto
        columns, change tracking off.
    """
    from crmsync.sandbox.core import Limits
    from crmsync.sandbox.options import Counts, OptionsWrong, SandboxOptions

    console = Console()
    try:
        options = SandboxOptions(
            tenants=tenant,
            counts=Counts(leads, contacts, accounts),
            seed=seed,
            port=port,
            limits=Limits(documented=limits == "documented", latency=latency),
            data=data,
            ready_file=ready_file,
            state=state,
            unprepared=unprepared,
        )
        asyncio.run(_serve(options, console))
    except _Stopped:
        console.print("Stopped before the data were complete.")
    except OptionsWrong as wrong:
        Console(stderr=True).print(f"[red]The sandbox cannot start:[/red] {wrong}", highlight=False)
        return 2
    return 0


async def _serve(options: SandboxOptions, console: Console) -> None:
    from crmsync.sandbox.server import running_sandbox

    stop, stopped = asyncio.Event(), threading.Event()

    def on_signal() -> None:
        stopped.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    filling = _Filling(console, stopped)
    if options.data is None and options.counts.total * len(options.tenants) >= _WORTH_SHOWING:
        console.print(f"Making {options.counts.total * len(options.tenants):,} records.", highlight=False)
    async with running_sandbox(options, filling.told) as ready:
        filling.done()
        console.print(_summary(ready, options), highlight=False)
        await stop.wait()
        console.print("Stopping.")


class _Filling:
    """A progress bar for each entity, shown when there is enough to wait for."""

    def __init__(self, console: Console, stopped: threading.Event) -> None:
        self._stopped = stopped
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def told(self, tenant: str, entity: str, done: int, total: int | None) -> None:
        """Called from the thread that makes the data."""
        if self._stopped.is_set():
            self._bars.stop()
            raise _Stopped
        if (total or done) < _WORTH_SHOWING:
            return
        self._bars.start()
        key = (tenant, entity)
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(f"{tenant}: {entity}", total=total)
        self._bars.update(self._tasks[key], completed=done)

    def done(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


def _summary(ready: Ready, options: SandboxOptions) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("Admin", f"{ready.admin_url}/ (faults, clock, switches, counters)")
    table.add_row("Entra ID", ready.authority)
    table.add_row("Mail", f"smtp://{ready.smtp_host}:{ready.smtp_port}, kept in {ready.mailbox}")
    table.add_row("Certificates", f"trust {ready.ca_file}")
    for name, tenant in ready.tenants.items():
        table.add_row(name, f"Dynamics {tenant.organization.url}")
        table.add_row("", f"Marketo  {tenant.subscription.base_url} ({tenant.subscription.munchkin_id})")
    if options.ready_file is not None:
        table.add_row("Ready file", str(options.ready_file))
    table.add_row("Next", f"crmsync connect {next(iter(ready.tenants))} --tenants {ready.tenants_folder}")
    return Panel(table, title="crmsync sandbox is ready; Ctrl-C ends it", expand=False)
