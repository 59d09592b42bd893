"""Connects a tenant, in the three steps of Marketo's admin screen.

Marketo's documentation, "Step 3 of 3: Connect Marketo and Dynamics": Enter credentials, Select fields to sync, Enable
sync.
"""

from __future__ import annotations

from prefect import flow

import tasks
from crmsync.engine.report import SyncReport
from flows.options import ConnectOptions
from flows.outcome import completed, failure_told, only_planned
from tasks.mail import Told
from tasks.tenant import TenantName


@flow(name="connect", flow_run_name="connect {tenant}")
async def connect(tenant: TenantName, options: ConnectOptions = ConnectOptions()) -> SyncReport:  # noqa: B008
    """Connect one tenant: enter credentials, select fields to sync, enable sync.

    Runs again safely: what is saved, selected or synced already is kept.

    Args:
        tenant: The tenant: the name of its file without .yaml.
        options: Choices for this run.
    """
    async with failure_told(tenant, "connect", notify=options.notify):
        await enter_credentials(tenant, options.rebind, options.rebaseline, options.rename)
        await select_fields_to_sync(tenant, plan=options.plan)
        if options.plan:
            return completed(only_planned(tenant))
        return completed(await enable_sync(tenant, allow=options.allow, notify=options.notify))


@flow(name="Enter credentials", flow_run_name="connect {tenant}: Enter credentials")
async def enter_credentials(
    tenant: TenantName, rebind: bool = False, rebaseline: bool = False, rename: TenantName | None = None
) -> None:
    """Prove both sides, then save the secrets and bind the tenant to the organization and the subscription."""
    proof = await tasks.validate_credentials(tenant)
    await tasks.save_credentials(tenant, proof, rebind=rebind, rebaseline=rebaseline, rename=rename)


@flow(name="Select fields to sync", flow_run_name="connect {tenant}: Select fields to sync")
async def select_fields_to_sync(tenant: TenantName, plan: bool = False) -> None:
    """Read both schemas, choose the fields, and make the missing ones in Marketo; a plan only shows them."""
    await tasks.refresh_schema(tenant)
    await (tasks.plan_fields if plan else tasks.select_fields)(tenant)


@flow(name="Enable sync", flow_run_name="connect {tenant}: Enable sync")
async def enable_sync(tenant: TenantName, notify: bool = True, allow: bool = False) -> SyncReport:
    """Start the first sync, follow it to its end, and tell."""
    await tasks.enable_sync(tenant)
    report = await tasks.await_first_sync(tenant, allow=allow)
    if notify:
        await tasks.notify(tenant, Told(flow="connect", report=report))
    return report
