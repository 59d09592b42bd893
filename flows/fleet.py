"""The cycles of many tenants in one warm process.

Marketo's documentation, "Microsoft Dynamics Sync" ("Sync Status"): a tenant's next cycle begins five minutes after the
last one has ended.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from prefect import flow
from prefect.states import Completed, Failed

import tasks
from flows.options import FleetOptions
from flows.outcome import failure_told, is_news, needs_a_person
from tasks.fleet import Fleet, FleetReport
from tasks.mail import Told


@flow(name="sync-fleet", flow_run_name="sync-fleet {shard} of {shards}")
async def sync_fleet(shard: int = 0, shards: int = 1, options: FleetOptions = FleetOptions()) -> FleetReport:  # noqa: B008
    """Run the cycle of every tenant of a shard whenever it is due. A tenant without changes costs a look.

    Scheduled; a run stays for about an hour, so that sign-ins and connections last from cycle to cycle, and the next
    one takes over. It fails when more than half of its tenants do.

    Args:
        shard: Which shard of the tenants, from 0.
        shards: How many shards there are.
        options: Choices for this run.
    """
    limit = timedelta(minutes=options.limit_minutes)
    async with tasks.open_fleet(shard, shards, parallel=options.parallel, limit=limit) as fleet:
        async for tenant in fleet.due(timedelta(minutes=options.minutes)):
            fleet.start(tenant, one_cycle(fleet, tenant))
    report = fleet.report
    ended = Failed if 2 * len(report.broken) > len(report.tenants) else Completed
    return cast(FleetReport, ended(message=str(report), data=report))


async def one_cycle(fleet: Fleet, tenant: str) -> None:
    """A tenant's cycle, and people told when it stops the tenant, is held, or parks a field. Its failure is its own."""
    try:
        async with failure_told(tenant, "sync", when=needs_a_person):
            report = await fleet.cycle(tenant)
        fleet.done(tenant, report)
        if is_news(report):
            await tasks.notify(tenant, Told(flow="sync", report=report))
    except Exception as error:
        await fleet.failed(tenant, error)
