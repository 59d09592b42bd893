"""``connect``, ``sync`` and ``resync``: the flows, run here and now."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from crmsync.cli.options import DEFAULT_TENANTS, Allow, Json, TenantArgument, TenantsFolder, Verbose
from crmsync.cli.reading import print_json
from crmsync.cli.running import heard, prepare
from crmsync.cli.story import terminal
from crmsync.engine.names import check_names, names_of
from crmsync.tenants import Tenant, check_name, load_tenant

Notify = Annotated[bool, Parameter(help="Send the e-mail to the addresses of the tenant file.")]


async def connect(
    tenant: TenantArgument,
    /,
    *,
    plan: Annotated[
        bool, Parameter(negative="", help="Show what would be made in Marketo, for good, and stop there.")
    ] = False,
    rebind: Annotated[bool, Parameter(negative="", help="Bind to another organization or subscription.")] = False,
    rebaseline: Annotated[
        bool, Parameter(negative="", help="The organization was restored or copied: read everything once more.")
    ] = False,
    rename: Annotated[
        str | None, Parameter(help="The tenant file was renamed: go on with what is known under this old name.")
    ] = None,
    allow: Allow = False,
    notify: Notify = True,
    json: Json = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
    verbose: Verbose = False,
) -> int:
    """Connect a tenant: enter credentials, select fields to sync, enable sync; follow the first sync to its end.

    Runs again safely: what is saved, selected or synced already is kept, and a first sync that was cut short goes on
    where it was.

    What is made in Marketo can never be deleted there, so see it first; the credentials are proved and saved, and
    nothing else is done:

        crmsync connect contoso --plan

    Connect the tenant of deployments/tenants/contoso.yaml:

        crmsync connect contoso

    The report as JSON on standard output, what is told meanwhile on standard error:

        crmsync connect contoso --json

    The tenant file now names another organization, on purpose:

        crmsync connect contoso --rebind

    The environment was restored from a backup or refreshed from a copy:

        crmsync connect contoso --rebaseline

    The tenant file contoso.yaml was renamed to fabrikam.yaml:

        crmsync connect fabrikam --rename contoso
    """
    console = terminal(stderr=json)
    load_tenant(tenant, tenants)
    if rename is not None:
        check_name(rename)
    prepare(console, tenants=tenants, verbose=verbose)
    from flows.connect import connect as flow
    from flows.options import ConnectOptions

    console.print(f"[bold]Connecting {tenant}[/]")
    options = ConnectOptions(plan=plan, rebind=rebind, rebaseline=rebaseline, rename=rename, allow=allow, notify=notify)
    report = await heard(console, lambda: flow(tenant, options))
    if json:
        print_json(report.model_dump())
    return 0


async def sync(
    tenant: TenantArgument,
    /,
    *,
    record: Annotated[
        str | None,
        Parameter(
            help="Only this record, as entity:GUID, also where its person was deleted in Marketo; custom entities by "
            "their logical names."
        ),
    ] = None,
    allow: Allow = False,
    json: Json = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
    verbose: Verbose = False,
) -> int:
    """Run one cycle: bring what changed on either side to the other.

    Deployments do this every five minutes; this is for "now". Exit status 1 when another run is at work.

        crmsync sync contoso

    One hot lead, with its owner and its company where Marketo lacks them:

        crmsync sync contoso --record lead:6f0b1c2d-0000-4000-8000-000000000001

    The brake holds deletions, or values that would be cleared, and crmsync status says that they are meant:

        crmsync sync contoso --allow
    """
    console = terminal(stderr=json)
    _check(record, load_tenant(tenant, tenants))
    prepare(console, tenants=tenants, verbose=verbose)
    from flows.options import SyncOptions
    from flows.sync import sync as flow

    options = SyncOptions(record=record, allow=allow)
    console.print(f"Syncing {record or tenant}", style="bold", markup=False)
    report = await heard(console, lambda: flow(tenant, options))
    if json:
        print_json(report.model_dump())
    if report.skipped is None:
        return 1 if record is not None and report.total.failed else 0
    console.print(f"  Skipped: {report.skipped}", style="yellow", markup=False)
    return 1


def _check(record: str | None, tenant: Tenant) -> None:
    """Refuse what names no record, before a server is started for it."""
    if record is not None:
        from crmsync.engine.record import parsed

        parsed(record, tenant)


async def resync(
    tenant: TenantArgument,
    /,
    *,
    why: Annotated[str, Parameter(help="Kept in the tenant's audit log.")] = "Fields changed in Dynamics",
    entity: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Read this one again in any case; may be given several times."),
    ] = (),
    without_filter: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", help="Give up this entity's sync filter, deleted on purpose; may be given several times."
        ),
    ] = (),
    allow: Allow = False,
    notify: Notify = True,
    json: Json = False,
    tenants: TenantsFolder = DEFAULT_TENANTS,
    verbose: Verbose = False,
) -> int:
    """Clear up after fields were deleted, added or found out of step.

    Disables the sync, refreshes the schema, reviews the fields, reads again what the change touched, enables, notifies.

        crmsync resync contoso --why "cr_region was deleted"

    Read contacts and a custom entity of the tenant file again, whatever changed:

        crmsync resync contoso --entity contact --entity new_eventregistration

    Leads are no longer filtered: new_synctomkto was deleted there on purpose, and every lead is to be synced:

        crmsync resync contoso --without-filter lead
    """
    console = terminal(stderr=json)
    file = load_tenant(tenant, tenants)
    check_names((*entity, *without_filter), names_of(file), tenant=tenant)
    prepare(console, tenants=tenants, verbose=verbose)
    from flows.options import ResyncOptions
    from flows.resync import resync as flow

    console.print(f"[bold]Resyncing {tenant}[/]")
    options = ResyncOptions(
        why=why, entities=list(entity), without_filter=list(without_filter), allow=allow, notify=notify
    )
    report = await heard(console, lambda: flow(tenant, options))
    if json:
        print_json(report.model_dump())
    return 0
