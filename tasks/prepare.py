"""Prepare Dynamics: what is there, what is changed, step by step.

Marketo's documentation, "Step 1 of 3: Install the Marketo Solution", "Step 2 of 3: Set up Sync User".
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.engine.prepare import preparing
from crmsync.engine.prepare.report import Choices, StepName, StepReport
from tasks.markdown import table
from tasks.policy import step
from tasks.secrets import administrators_secret, saved_secrets
from tasks.telling import say, show
from tasks.tenant import TenantName, find_tenant

MARKS = {"nothing to do": "✅", "would change": "🟡", "changed": "🟢", "undone": "🟢", "cannot be undone": "⚪"}


@step(minutes=120)
async def prepare_dynamics(
    tenant: TenantName,
    admin_client_id: str,
    admin_secret_block: str,
    choices: Choices,
    plan: bool = False,
    undo: Sequence[StepName] = (),
) -> list[StepReport]:
    """Do the steps (or only plan them, or undo some) as the administrator whose secret is in that block."""
    found = find_tenant(tenant)
    secret = await administrators_secret(admin_secret_block)
    reports = await preparing.prepare(
        found,
        await saved_secrets(found),
        admin_client_id=admin_client_id,
        admin_secret=secret,
        choices=choices,
        plan=plan,
        undo=undo,
        tell=say,
    )
    rows = [(MARKS[one.status], one.title, one.status, one.there, "\n".join(one.changes)) for one in reports]
    await show(tenant, "steps", table(("", "Step", "Status", "What was there", "Changes"), rows))
    for one in reports:
        say(f"{one.title}: {one.there}" + "".join(f"; {'would: ' if plan else ''}{change}" for change in one.changes))
    return reports
