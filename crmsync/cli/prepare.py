"""``prepare``: what an administrator of Dynamics does before a tenant is connected. Needs no Prefect server."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from crmsync.cli.options import DEFAULT_TENANTS, Json, TenantArgument, TenantsFolder
from crmsync.cli.reading import print_json, read_block
from crmsync.cli.story import terminal
from crmsync.engine.names import FILTERABLE, check_names, filterable_names
from crmsync.engine.prepare.report import Choices, StepName, StepReport
from crmsync.errors import OperatorMustAct, SecretMissing
from crmsync.tenants import Tenant, load_tenant

SECRET_VARIABLE = "CRMSYNC_ADMIN_SECRET"  # noqa: S105 - the variable's name
MARKS = {
    "nothing to do": "[green]✓[/]",
    "would change": "[yellow]+[/]",
    "changed": "[bold green]✓[/]",
    "undone": "[bold green]✓[/]",
    "cannot be undone": "[dim]–[/]",
}


async def prepare(
    tenant: TenantArgument,
    /,
    *,
    admin_client_id: Annotated[
        str | None,
        Parameter(env_var="CRMSYNC_ADMIN_CLIENT_ID", help="Client id of an application that is System Administrator."),
    ] = None,
    plan: Annotated[bool, Parameter(negative="", help="Only show what would be done; change nothing.")] = False,
    solution: Annotated[
        Path | None, Parameter(help="Marketo's solution file (zip); without it crmsync's own set.")
    ] = None,
    sync_filter: Annotated[
        str,
        Parameter(
            help="Make new_synctomkto on these: lead,contact,account,opportunity, or custom entities by their logical "
            "names. New records get No there."
        ),
    ] = "",
    business_unit: Annotated[str | None, Parameter(help="Of the sync user; the root one without.")] = None,
    undo: Annotated[
        tuple[StepName, ...], Parameter(negative="", help="Undo this step instead; may be given several times.")
    ] = (),
    json: Json = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
) -> int:
    """Prepare Dynamics by machine: the solution or crmsync's own small set, then the sync user with its role.

    An administrator's application is needed once: its client id by --admin-client-id or CRMSYNC_ADMIN_CLIENT_ID, its
    secret by CRMSYNC_ADMIN_SECRET or at the prompt. Neither is stored. Repeat it at will: what is there is kept.

    See first what would be done:

        crmsync prepare contoso --plan

    With Marketo's own solution, and filter columns on two tables:

        crmsync prepare contoso --solution MarketoSolution.zip --sync-filter lead,contact

    Take the role from the sync user again:

        crmsync prepare contoso --undo role-assignment
    """
    from crmsync.engine.prepare import preparing as engine
    from crmsync.secrets import SecretStore

    found = load_tenant(tenant, tenants)
    choices = Choices(solution_file=solution, sync_filter=_entities(sync_filter, found), business_unit=business_unit)
    console = terminal()
    quiet = terminal(stderr=True)
    reports = await engine.prepare(
        found,
        SecretStore(tenants, read_block=read_block),
        admin_client_id=_client_id(admin_client_id),
        admin_secret=_secret(),
        choices=choices,
        plan=plan,
        undo=undo,
        tell=lambda line: quiet.print(f"  {line}", style="dim", markup=False),
    )
    if json:
        print_json([report.model_dump() for report in reports])
    else:
        _show(console, reports, plan=plan)
    return 0


def _show(console: Console, reports: list[StepReport], *, plan: bool) -> None:
    for report in reports:
        before = "before: " if report.status in {"changed", "undone"} else ""
        console.print(f"{MARKS[report.status]} [bold]{escape(report.title)}[/]: {before}{escape(report.there)}")
        for change in report.changes:
            console.print(f"    {'would: ' if plan else ''}{change}", markup=False)
    number = sum(len(report.changes) for report in reports)
    done = "to be done; run it without --plan to do it" if plan else "done"
    console.print(f"{number} changes {done}" if number else "Nothing to do: all of it is there already")


def _entities(text: str, tenant: Tenant) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    check_names(names, filterable_names(tenant), tenant=tenant.tenant, which=FILTERABLE)
    return names


def _client_id(given: str | None) -> str:
    if given:
        return given
    raise OperatorMustAct(
        "Whose administrator rights shall be used?",
        remedy="Give --admin-client-id (or CRMSYNC_ADMIN_CLIENT_ID): the client id of an application whose application "
        "user is System Administrator in the organization.",
    )


def _secret() -> SecretStr:
    """From the environment, else asked for without an echo; never from the command line, where others see it."""
    given = os.environ.get(SECRET_VARIABLE)
    if not given and sys.stdin.isatty():
        given = getpass.getpass("Client secret of the administrator's application: ")
    if not given:
        raise SecretMissing(
            f"Environment variable {SECRET_VARIABLE} holds no secret, and nobody is there to be asked",
            remedy=f"Put the administrator's client secret into {SECRET_VARIABLE}, or run the command in a terminal.",
        )
    return SecretStr(given)
