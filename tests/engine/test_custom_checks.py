"""Custom entities in ``prepare`` and in the checklist: rights, change tracking, whom they belong to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crmsync.dynamics import setup_tables
from crmsync.marketo.calls import CUSTOM_OBJECT_PERMISSIONS
from crmsync.sandbox.core import PERMISSIONS
from crmsync.sandbox.server import SandboxThread
from tests.engine.custom_objects import ORDER_LINE, REGISTRATION, name_custom_entities
from tests.engine.unprepared import checked, prepared, red, take_privilege, unprepared_sandbox, user_id
from tests.world import World


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    """An organization that ``prepare`` has prepared for both custom entities."""
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        name_custom_entities(world, REGISTRATION, ORDER_LINE)
        await prepared(world)
        yield world
        await world.close()


async def test_what_is_prepared_is_green_and_a_second_time_nothing_changes(contoso: World) -> None:
    admin = await contoso.admin()
    held = await admin.privilege_depths(await user_id(contoso))

    found = await checked(contoso)

    assert held["prvReadnew_EventRegistration"] == held["prvReadnew_OrderLine"] == "Global"
    assert {one: (await setup_tables.tracking(admin.channel, one)).on for one in (REGISTRATION, ORDER_LINE)} == {
        REGISTRATION: True,
        ORDER_LINE: True,
    }
    assert red(found) == []
    assert found[f"Whom {REGISTRATION} belongs to"].found == "a person, by new_contactid"
    assert found[f"Whom {ORDER_LINE} belongs to"].found == "a company, by new_opportunityid.customerid"
    assert [report.changes for report in await prepared(contoso) if report.changes] == []


async def test_a_missing_privilege_is_named(contoso: World) -> None:
    await take_privilege(contoso, "prvReadnew_OrderLine")

    found = await checked(contoso)

    assert red(found) == [f"Privilege to read {ORDER_LINE}"]
    assert "prvReadnew_OrderLine is missing" in found[f"Privilege to read {ORDER_LINE}"].found
    assert found[f"Change tracking of {ORDER_LINE}"].status == "not run"


async def test_what_the_tenant_file_names_wrongly_is_told(contoso: World) -> None:
    name_custom_entities(
        contoso,
        "new_nothing",
        f"{{entity: {REGISTRATION}, exclude: [new_evnt]}}",
        f"{{entity: {ORDER_LINE}, link: new_sku}}",
    )

    found = await checked(contoso)

    assert "no table new_nothing" in found["Whom new_nothing belongs to"].found
    assert "did you mean new_event" in found[f"Selected fields of {REGISTRATION}"].found
    assert "by 'new_sku' to no lead" in found[f"Whom {ORDER_LINE} belongs to"].found


@pytest.mark.parametrize("name", CUSTOM_OBJECT_PERMISSIONS)
async def test_the_permission_is_needed_only_where_custom_entities_are_named(contoso: World, name: str) -> None:
    left = sorted(PERMISSIONS - {name, name.replace("Read-Write", "Read-Only")})
    await contoso.post("switches", {"tenant": contoso.name, "permissions": left})

    assert red(await checked(contoso)) == [f"Marketo permission {name}"]

    without = contoso.tenant.model_copy(update={"custom_entities": ()})
    assert red(await checked(contoso, without)) == []


async def test_tracking_that_is_off_is_told_with_both_ways_out(tmp_path: Path) -> None:
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        await prepared(world)
        name_custom_entities(world, ORDER_LINE)
        admin = await world.admin()
        assert (await setup_tables.tracking(admin.channel, ORDER_LINE)).on is False

        [line] = [one for name, one in (await checked(world)).items() if name == f"Privilege to read {ORDER_LINE}"]
        assert line.status == "red"
        await prepared(world)
        assert red(await checked(world)) == []
        await world.close()
