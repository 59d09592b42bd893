"""The checklist of ``validate``: every line with a mark, what it proves, and the remedy.

Marketo's documentation, "Validate Microsoft Dynamics Sync".
"""

from __future__ import annotations

from crmsync.engine import checks
from crmsync.engine.report import CheckLine
from tasks.markdown import table
from tasks.policy import step
from tasks.secrets import named_secrets
from tasks.telling import say, show
from tasks.tenant import TenantName, find_tenant

MARKS = {"green": "✅", "red": "❌", "not run": "⚪"}


@step(minutes=10)
async def run_checks(tenant: TenantName) -> list[CheckLine]:
    """Look at everything a sync needs, with the secrets that the tenant file names; changes nothing."""
    found = find_tenant(tenant)
    selected, filters = await checks.selected_before(tenant), await checks.filters_before(tenant)
    others, secrets = await checks.bound_before(tenant), named_secrets(found)
    lines = await checks.validate(found, secrets, selected=selected, filters=filters, others=others)
    rows = [(MARKS[line.status], line.side, line.name, line.proves, line.found, line.remedy) for line in lines]
    await show(tenant, "checks", table(("", "Side", "Check", "Proves", "Found", "Remedy"), rows))
    green = sum(line.status == "green" for line in lines)
    say(f"{green} of {len(lines)} checks are green")
    return lines
