"""Clears up after fields were deleted, added or found out of step.

Marketo's documentation, "Edit Fields to Sync": disable the sync, edit the fields, refresh the schema, enable the sync.
"""

from __future__ import annotations

from prefect import flow

import tasks
from crmsync.engine.report import SyncReport
from flows.options import ResyncOptions
from flows.outcome import completed, failure_told
from tasks.mail import Told
from tasks.tenant import TenantName


@flow(name="resync", flow_run_name="resync {tenant}")
async def resync(tenant: TenantName, options: ResyncOptions = ResyncOptions()) -> SyncReport:  # noqa: B008
    """Disable the sync, refresh the schema, review the fields, read again what the change touched, enable, notify.

    A field that vanished in Dynamics is no longer read; its Marketo field is kept. Until the resync has run to its end
    the sync stays disabled; run it again, and it goes on where it was.

    Args:
        tenant: The tenant: the name of its file without .yaml.
        options: Choices for this run.
    """
    async with failure_told(tenant, "resync", notify=options.notify):
        await tasks.disable_sync(tenant, options.why)
        await tasks.refresh_schema(tenant)
        cleared_up = await tasks.review_fields(tenant, options.without_filter)
        report = await tasks.resync_records(tenant, options.entities, allow=options.allow)
        await tasks.enable_sync(tenant)
        if options.notify:
            await tasks.notify(tenant, Told(flow="resync", report=report, cleared_up=cleared_up))
        return completed(report)
