"""Names in the tenant file that lead nowhere: a column, a list, an owner, a tenant that is there already."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine import checks, setup
from crmsync.engine.report import CheckLine
from crmsync.errors import TenantFileWrong
from crmsync.tenants import Tenant
from tests.engine.both_sides import a_synced, change_in_dynamics, cycle_as
from tests.world import World

NOBODY = "00000000-0000-4000-8000-000000000001"


def with_options(world: World, **options: Any) -> Tenant:
    return Tenant.model_validate(world.tenant.model_dump(exclude_unset=True) | options)


async def lines_of(world: World, tenant: Tenant) -> dict[str, CheckLine]:
    others = await checks.bound_before(tenant.tenant, world.state_url)
    return {line.name: line for line in await checks.validate(tenant, world.secrets, others=others)}


async def test_a_rule_for_a_column_that_does_not_exist_is_refused_before_anything_is_written(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    await change_in_dynamics(connected, "lead", lead, jobtitle="Navigator")
    options = {"conflicts": {"fields": {"lead.jobtitel": "dynamics"}}}
    before = await connected.written()

    with pytest.raises(TenantFileWrong, match="lead has no column 'jobtitel'; did you mean jobtitle"):
        await cycle_as(connected, **options)

    assert await connected.written() == before
    async with connected.session(tenant=with_options(connected, **options)) as session:
        with pytest.raises(TenantFileWrong, match="did you mean jobtitle"):
            await setup.plan_fields(session)
    line = (await lines_of(connected, with_options(connected, **options)))["Selected fields of lead"]
    assert (line.status, "did you mean jobtitle" in line.found) == ("red", True)


async def test_a_rule_that_never_decides_anything_is_told(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    await change_in_dynamics(connected, "lead", lead, jobtitle="Navigator")
    rules = {"lead.createdon": "marketo", "lead.jobtitle": "marketo"}

    report = await cycle_as(connected, conflicts={"fields": rules})

    [note] = [note for note in report.notes if "decides nothing" in note]
    assert note.startswith("The rule for lead.createdon")


async def test_validate_has_a_red_line_for_each_name_that_leads_nowhere(connected: World) -> None:
    wanted = {"list": "No such list", "as": "lead", "owner": NOBODY}
    lines = await lines_of(connected, with_options(connected, tenant="copy", create_in_dynamics=wanted))

    red = {name: line for name, line in lines.items() if line.status == "red"}
    assert "bound to tenant 'contoso'" in red["A tenant of its own"].found
    assert "There is no static list 'No such list'" in red["Static list of 'create_in_dynamics'"].found
    assert NOBODY in red["Owner of 'create_in_dynamics'"].found
    assert all(line.remedy for line in red.values())

    [user, *_] = await connected.rows("systemuser", "systemuserid", filter="isdisabled eq false")
    wanted = {"list": "newsletter", "as": "lead", "owner": user["systemuserid"]}
    lines = await lines_of(connected, with_options(connected, create_in_dynamics=wanted))

    assert "A tenant of its own" not in lines, "there is no other"
    assert lines["Owner of 'create_in_dynamics'"].status == "green"
    assert lines["Static list of 'create_in_dynamics'"].remedy.startswith("Did you mean 'Newsletter'?")
