"""``validate``, ``status``, ``errors`` and ``collisions``: commands that change nothing and need no Prefect server."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crmsync.cli.options import DEFAULT_TENANTS, Json, TenantArgument, TenantsFolder
from crmsync.cli.story import terminal
from crmsync.engine.report import CheckLine

if TYPE_CHECKING:
    from crmsync.state.store import Store

Row = dict[str, Any]
_WAITS_FOR = {
    "change": "changed in Marketo",
    "creation": "to be created in Dynamics",
    "again": "to be read once more",
    "delete": "deleted in Dynamics",
    "roles": "for their roles",
    "heir": "for the record that continues them",
    "owner": "for their owner",
    "company": "for their company",
    "parent": "for the person or company they belong to",
}
MARKS = {"green": "[green]✓[/]", "red": "[bold red]✗[/]", "not run": "[dim]–[/]"}


async def validate(tenant: TenantArgument, /, *, json: Json = False, tenants: TenantsFolder = DEFAULT_TENANTS) -> int:
    """Check everything a sync needs, on both sides. Changes nothing, and runs before anything is saved.

    Exit status 0 when no line is red. For programs:

        crmsync validate contoso --json
    """
    from crmsync.engine import checks
    from crmsync.secrets import SecretStore
    from crmsync.tenants import load_tenant

    found = load_tenant(tenant, tenants)
    secrets = SecretStore(tenants, read_block=read_block)
    selected, filters = await checks.selected_before(tenant), await checks.filters_before(tenant)
    others = await checks.bound_before(tenant)
    lines = await checks.validate(found, secrets, selected=selected, filters=filters, others=others)
    red = sum(line.status == "red" for line in lines)
    if json:
        print_json([line.model_dump() for line in lines])
        return 1 if red else 0
    console = terminal()
    table = Table("", "side", "check", "found", box=SIMPLE, pad_edge=False)
    for line in lines:
        table.add_row(MARKS[line.status], line.side, escape(line.name), escape(line.found))
    console.print(table, soft_wrap=False)
    for line in lines:
        if line.status == "red":
            _show_red(console, line)
    green = sum(line.status == "green" for line in lines)
    console.print(f"{green} of {len(lines)} checks are green", style="red" if red else "green")
    return 1 if red else 0


async def status(
    tenant: Annotated[str | None, Parameter(help="The tenant; all of them without.")] = None,
    /,
    *,
    json: Json = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
) -> int:
    """Where a tenant stands: its state, what it is bound to, counts per entity, parked fields, the last cycle.

    Exit status 1 when a tenant is stopped by an error. For programs:

        crmsync status contoso --json
    """
    from crmsync.engine.status import status as read
    from crmsync.state.store import open_store
    from crmsync.tenants import load_tenant, tenant_names

    async with open_store() as store:
        known = await store.tenants.names()
        if tenant is not None and tenant not in known:
            load_tenant(tenant, tenants)
        names = sorted({*known, *tenant_names(tenants)}) if tenant is None else [tenant]
        found: list[dict[str, Any]] = [await read(store, name) for name in names]
    if json:
        print_json(found if tenant is None else found[0])
    else:
        console = terminal()
        for one in found:
            _show_status(console, one)
        if not found:
            console.print(f"There are no tenants: no file in {tenants}, none in the state store.")
    return 1 if any(one["state"] == "stopped" for one in found) else 0


async def errors(tenant: TenantArgument, /, *, json: Json = False, tenants: TenantsFolder = DEFAULT_TENANTS) -> int:
    """The records that could not be synced, each with its reason, its remedy and its next attempt.

    For programs:

        crmsync errors contoso --json
    """
    from crmsync.engine.status import errors as read

    found = await _rows(tenant, tenants, read, json=json, none=f"No record of {tenant} waits for a correction.")
    console = terminal()
    for one in found:
        console.print(f"[bold]{one['entity']} {one['record_id']}[/], {one['direction']} ({escape(one['code'])})")
        console.print(f"    found: {one['reason']}", markup=False)
        console.print(f"    what to do: {one['remedy']}", markup=False)
        if one["next_attempt"]:
            console.print(f"    next attempt: {one['next_attempt']}")
    if found:
        console.print(f"{len(found):,} {'record is' if len(found) == 1 else 'records are'} not in step", style="red")
    return 0


async def collisions(tenant: TenantArgument, /, *, json: Json = False, tenants: TenantsFolder = DEFAULT_TENANTS) -> int:
    """The fields that were changed on both sides between two cycles: who won, and by which rule. Newest first.

    Values are not kept: what is shown are fingerprints, equal for equal values. For programs:

        crmsync collisions contoso --json
    """
    from crmsync.engine.status import collisions as read

    found = await _rows(tenant, tenants, read, json=json, none=f"No field of {tenant} was changed on both sides.")
    table = Table("when", "record", "column", "Marketo field", "winner", "rule", "Dynamics", "Marketo", box=SIMPLE)
    for one in found:
        table.add_row(
            one["at"][:19],
            f"{one['entity']} {one['record_id']}",
            one["attribute"],
            one["marketo_field"],
            one["winner"],
            one["rule"],
            one["dynamics_fingerprint"],
            one["marketo_fingerprint"],
        )
    if found:
        terminal().print(table, soft_wrap=False)
    return 0


async def _rows(
    tenant: str, tenants: Path, read: Callable[[Store, str], Awaitable[list[Row]]], *, json: bool, none: str
) -> list[Row]:
    """What is to be shown of a tenant. As JSON it goes out at once, and so does ``none`` when there is nothing."""
    from crmsync.state.lifecycle import TenantState
    from crmsync.state.store import open_store
    from crmsync.tenants import load_tenant

    async with open_store() as store:
        if tenant not in await store.tenants.names():
            load_tenant(tenant, tenants)
        row = await store.tenants.get(tenant)
        found = await read(store, tenant)
    if json:
        print_json(found)
        return []
    if row.renamed_to is not None:
        terminal().print(f"{tenant} goes on as {row.renamed_to}")
    elif row.state == TenantState.NEW:
        terminal().print(f"{tenant} was never connected: {_next_step(tenant)}")
    elif not found:
        terminal().print(none, style="green")
    return found


async def read_block(name: str) -> str | None:
    """A Prefect Secret block, where a server is named; Prefect is imported only when a tenant file names a block."""
    if not os.environ.get("PREFECT_API_URL"):
        return None
    from tasks.secrets import read_secret_block

    return await read_secret_block(name)


def _show_red(console: Console, line: CheckLine) -> None:
    console.print(f"{MARKS['red']} [bold]{line.side}: {escape(line.name)}[/]")
    for label, text in (("proves", line.proves), ("found", line.found), ("what to do", line.remedy)):
        console.print(f"    {label}: {text}", markup=False)


def _show_status(console: Console, one: dict[str, Any]) -> None:
    console.print(f"[bold]{one['tenant']}[/]: {'renamed' if one['renamed_to'] else one['state']}")
    if one["renamed_to"]:
        console.print(f"  goes on as {one['renamed_to']}: crmsync status {one['renamed_to']}", markup=False)
        return
    if one["state"] == "new":
        console.print(f"  never connected: {_next_step(one['tenant'])}", markup=False)
        return
    for name in ("reason", "organization_name", "organization_id", "subscription"):
        if one[name]:
            console.print(f"  {name.replace('_', ' ')}: {one[name]}", markup=False)
    if one["doubt"]:
        text = f"  in doubt since {one['doubt']['since']}, stopped if it stays: {one['doubt']['reason']}"
        console.print(text, style="yellow", markup=False)
    for held in one["brake"]:
        text = f"  brake: on since {held['since']}; held, a run would {held['would']}"
        console.print(text, style="bold red", markup=False)
    if one["brake"]:
        command = {"syncing": "sync", "disabled": "resync"}.get(one["state"], "connect")
        console.print(f"    if that is meant: crmsync {command} {one['tenant']} --allow", markup=False)
    last_run = [] if one["last_run"] == one["last_cycle"] else [one["last_run"]]
    for run in [one["last_cycle"], *last_run]:
        if run is not None:
            title = "last cycle" if run["kind"] == "cycle" else f"last run: {run['kind']}"
            console.print(f"  {title}: {run['outcome']}, began {run['started_at']}", markup=False)
    for entity, why in one["left_out"].items():
        console.print(f"  not synced: {entity}: {why}", style="yellow", markup=False)
    if one["catching_up_since"]:
        text = f"  catching up: activities are missing since {one['catching_up_since']}; people are compared"
        console.print(text, style="yellow", markup=False)
    for queue in one["waiting"]:
        text = f"  waiting: {queue['records']:,} {queue['entity']}, {_WAITS_FOR[queue['for']]}"
        console.print(text + (f", since {queue['since']}" if queue["since"] else ""), markup=False)
    for kind in ("parked_fields", "reviewed_fields"):
        for field in one[kind]:
            text = f"  {kind.partition('_')[0]}: {field['entity']}.{field['attribute']}: {field['reason']}"
            console.print(text, style="yellow" if kind == "parked_fields" else "", markup=False)
    for form in one["own_forms"]:
        text = f"  lossy: {form['entity']}.{form['field']}: {form['records']:,} stored by Marketo in a form of its own"
        console.print(text, style="yellow", markup=False)
    columns = list(next(iter(one["entities"].values())))
    table = Table("entity", *[column.replace("_", " ") for column in columns], box=SIMPLE)
    for entity, counts in one["entities"].items():
        table.add_row(entity, *[_figure(counts[column]) for column in columns])
    console.print(table, soft_wrap=False)
    back = one["to_dynamics"]
    if any(value for counts in back.values() for value in counts.values()):
        columns = list(next(iter(back.values())))
        table = Table("Marketo → Dynamics", *[column.replace("_", " ") for column in columns], box=SIMPLE)
        for entity, counts in back.items():
            table.add_row(entity, *[_figure(counts[column]) for column in columns])
        console.print(table, soft_wrap=False)


def _next_step(tenant: str) -> str:
    return f"crmsync validate {tenant}, then crmsync connect {tenant}"


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def print_json(value: object) -> None:
    print(json_text.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
