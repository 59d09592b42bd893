"""One cycle of a tenant that is connected.

Marketo's documentation, "Microsoft Dynamics Sync" ("Sync Status"): cycles follow each other every five minutes.
"""

from __future__ import annotations

from prefect import flow

import tasks
from crmsync.engine.report import SyncReport
from flows.options import SyncOptions
from flows.outcome import (
    CANNOT_BEGIN,
    completed,
    failure_told,
    is_news,
    is_scheduled,
    needs_a_person,
    skipped_because,
)
from tasks.mail import Told
from tasks.tenant import TenantName


@flow(name="sync", flow_run_name="sync {tenant}")
async def sync(tenant: TenantName, options: SyncOptions = SyncOptions()) -> SyncReport:  # noqa: B008
    """Bring what changed on either side to the other. Scheduled; never two at once for a tenant.

    A scheduled cycle ends at once when the last one is too young, or the tenant is disabled or stopped. A first sync
    that was cut short goes on. A column that vanished is parked, told of, and the cycle goes on without it.

    Args:
        tenant: The tenant: the name of its file without .yaml.
        options: Choices for this run.
    """
    try:
        async with failure_told(tenant, "sync", when=needs_a_person):
            if options.record is not None:
                return completed(await tasks.sync_record(tenant, options.record, allow=options.allow))
            report = await tasks.run_cycle(tenant, force=not is_scheduled(), allow=options.allow)
    except CANNOT_BEGIN as reason:
        return completed(skipped_because(tenant, reason))
    if is_news(report):
        await tasks.notify(tenant, Told(flow="sync", report=report))
    return completed(report)
