"""Prepares the organization of a tenant: the two prerequisite steps in Dynamics, by machine.

Marketo's documentation, "Step 1 of 3: Install the Marketo Solution", "Step 2 of 3: Set up Sync User".
"""

from __future__ import annotations

from typing import cast

from prefect import flow
from prefect.states import Completed

import tasks
from crmsync.engine.prepare.report import StepReport
from flows.options import PrepareOptions
from tasks.tenant import TenantName


@flow(name="prepare", flow_run_name="prepare {tenant}")
async def prepare(tenant: TenantName, options: PrepareOptions) -> list[StepReport]:
    """Install the solution, or crmsync's own small set, and set up the sync user.

    Runs again safely: what is there is kept. The administrator's secret is used once and stays in its block.

    Args:
        tenant: The tenant: the name of its file without .yaml.
        options: Whose rights are used, and what is wanted.
    """
    reports = await tasks.prepare_dynamics(
        tenant,
        options.admin_client_id,
        options.admin_secret_block,
        options.choices(),
        plan=options.plan,
        undo=options.undo,
    )
    number = sum(len(report.changes) for report in reports)
    message = f"{number} changes {'planned' if options.plan else 'done'}" if number else "Nothing to do"
    return cast(list[StepReport], Completed(message=message, data=reports))
