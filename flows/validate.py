"""The checklist, before anything is saved and at any time after.

Marketo's documentation, "Validate Microsoft Dynamics Sync".
"""

from __future__ import annotations

from typing import cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

import tasks
from crmsync.engine.report import CheckLine
from tasks.tenant import TenantName


@flow(name="validate", flow_run_name="validate {tenant}")
async def validate(tenant: TenantName) -> list[CheckLine]:
    """Look at everything a sync needs, on both sides; changes nothing. The run fails when a line is red.

    Args:
        tenant: The tenant: the name of its file without .yaml.
    """
    lines = await tasks.run_checks(tenant)
    red = [line for line in lines if line.status == "red"]
    if red:
        message = "\n".join(f"{line.name}: {line.found}\nWhat to do: {line.remedy}" for line in red)
        title = f"{len(red)} of {len(lines)} checks are red"
        failed: State[list[CheckLine]] = Failed(message=f"{title}\n{message}", data=lines)
        return cast(list[CheckLine], failed)
    return cast(list[CheckLine], Completed(message=f"All {len(lines)} checks are green", data=lines))
