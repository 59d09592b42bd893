"""Our own lines of the checklist over the wire: privileges, fields, field security, budgets, clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crmsync.engine.checks import selected_before
from crmsync.marketo.calls import NEEDED_PERMISSIONS
from crmsync.sandbox.server import SandboxThread
from crmsync.tenants import FieldChoice, Tenant
from tests.engine.unprepared import (
    Break,
    checked,
    custom_column,
    lower_privilege,
    prepared,
    red,
    secure,
    send,
    take_privilege,
    unprepared_sandbox,
    user_id,
)
from tests.world import World


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    """An organization that ``prepare`` has prepared."""
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        await prepared(world)
        yield world
        await world.close()


def taking(name: str) -> Break:
    async def take(world: World) -> None:
        await take_privilege(world, name)

    return take


def lowering(name: str, depth: str) -> Break:
    async def lower(world: World) -> None:
        await lower_privilege(world, name, depth)

    return lower


@pytest.mark.parametrize(
    ("break_it", "expected", "found"),
    [
        (taking("prvReadUser"), "Privilege to read systemuser", "prvReadUser is missing"),
        (taking("prvReadContact"), "Privilege to read contact", "prvReadContact is missing"),
        (lowering("prvReadLead", "Deep"), "Privilege to read lead", "its business unit and those below only"),
        (lowering("prvReadAccount", "Basic"), "Privilege to read account", "the user's own records only"),
        (taking("prvWriteLead"), "Privilege to write lead", "prvWriteLead is missing"),
        (lowering("prvWriteContact", "Local"), "Privilege to write contact", "its business unit only"),
        (taking("prvReadOrganization"), "Organization", "prvReadOrganization"),
        (taking("prvReadSolution"), "Marketo solution is properly installed", "prvReadSolution"),
    ],
)
async def test_a_privilege_that_is_missing_or_does_not_reach_far_enough(
    contoso: World, break_it: Break, expected: str, found: str
) -> None:
    await break_it(contoso)

    lines = await checked(contoso)

    assert red(lines) == [expected]
    assert found in lines[expected].found
    entity = expected.rpartition(" ")[2]
    if expected.startswith("Privilege to read"):
        assert lines[f"Change tracking of {entity}"].status == "not run"


async def test_a_secured_column_that_the_sync_user_may_not_read(contoso: World) -> None:
    column = await custom_column(contoso, "lead")
    await secure(contoso, "lead", column)

    lines = await checked(contoso)

    assert red(lines) == ["Field security of lead"]
    assert f"lead.{column}" in lines["Field security of lead"].found
    assert "fields: exclude" in lines["Field security of lead"].remedy
    left_out = with_fields(contoso.tenant, FieldChoice(exclude={"lead": (column,)}))
    assert red(await checked(contoso, left_out)) == []


async def test_a_secured_column_that_a_profile_lets_the_sync_user_read(contoso: World) -> None:
    column = await custom_column(contoso, "lead")
    await secure(contoso, "lead", column)
    admin = await contoso.admin()
    profile = await admin.create("fieldsecurityprofiles", {"name": "Sync"})
    bound = {"fieldsecurityprofileid@odata.bind": f"/fieldsecurityprofiles({profile})", "canread": 4}
    await admin.create("fieldpermissions", {"entityname": "lead", "attributelogicalname": column, **bound})
    root = f"{contoso.tenant.dynamics.organization_url}/api/data/v9.2/"
    link = {"@odata.id": f"{root}fieldsecurityprofiles({profile})"}
    await send(contoso, "POST", f"systemusers({await user_id(contoso)})/systemuserprofiles_association/$ref", link)

    lines = await checked(contoso)

    assert red(lines) == []
    assert f"left out until the tenant file includes it: {column}" in lines["Field security of lead"].found


def with_fields(tenant: Tenant, fields: FieldChoice) -> Tenant:
    return tenant.model_copy(update={"fields": fields})


async def test_a_column_that_the_tenant_file_names_and_nobody_has(contoso: World) -> None:
    lines = await checked(contoso, with_fields(contoso.tenant, FieldChoice(include={"lead": ("new_nothing",)})))

    assert red(lines) == ["Selected fields of lead"]
    assert "new_nothing" in lines["Selected fields of lead"].found
    assert lines["Field security of lead"].status == "not run"


async def test_a_selected_column_that_was_deleted(contoso: World) -> None:
    await contoso.prepare()
    column = await custom_column(contoso, "lead")
    selected = await selected_before("contoso", contoso.state_url)
    assert column in selected["lead"]
    await (await contoso.admin()).delete_attribute("lead", column)

    lines = await checked(contoso, selected=selected)

    assert red(lines) == ["Selected fields of lead"]
    assert "crmsync resync contoso" in lines["Selected fields of lead"].remedy


async def test_what_was_selected_is_not_asked_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/state.db"

    assert await selected_before("contoso", url) == {}
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", NEEDED_PERMISSIONS)
async def test_each_marketo_permission_has_its_line(contoso: World, name: str) -> None:
    kept = [one for one in NEEDED_PERMISSIONS if one != name]
    await contoso.post("switches", {"tenant": "contoso", "permissions": kept})

    lines = await checked(contoso)

    assert red(lines) == [f"Marketo permission {name}"]
    assert name in lines[f"Marketo permission {name}"].remedy
    assert lines["Custom-field budget left"].status == "not run"


async def test_the_budget_tells_what_is_left_and_what_is_needed(contoso: World) -> None:
    line = (await checked(contoso))["Custom-field budget left"]

    assert line.found.startswith("100 of 100, and ")


@pytest.mark.parametrize(("minutes", "word"), [(11, "ahead of"), (-11, "behind")])
async def test_a_clock_that_is_wrong(contoso: World, minutes: int, word: str) -> None:
    lines = await checked(contoso, clock=lambda: datetime.now(UTC) + timedelta(minutes=minutes))

    assert red(lines) == ["Clock of Dynamics", "Clock of Marketo"]
    assert word in lines["Clock of Dynamics"].found
    assert "NTP" in lines["Clock of Marketo"].remedy
