"""Compares both sides of a tenant, on demand or after a gap, and repairs what differs when asked to.

Adobe's white paper on CRM synchronization, "Retention".
"""

from __future__ import annotations

from typing import cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

import tasks
from crmsync.engine.comparison import Comparison
from flows.options import CompareOptions
from tasks.comparing import told
from tasks.tenant import TenantName


@flow(name="compare", flow_run_name="compare {tenant}")
async def compare(tenant: TenantName, options: CompareOptions = CompareOptions()) -> Comparison:  # noqa: B008
    """Read everything from both sides and tell what differs. The run fails when the sides are out of step at its end.

    Args:
        tenant: The tenant: the name of its file without .yaml.
        options: Choices for this run.
    """
    found = await tasks.compare_sides(tenant, options.repair, options.entities, allow=options.allow)
    if found.in_step:
        return cast(Comparison, Completed(message=told(found), data=found))
    failed: State[Comparison] = Failed(message=told(found), data=found)
    return cast(Comparison, failed)
