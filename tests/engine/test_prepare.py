"""``prepare`` over the wire: planned, done, done again, undone; with Marketo's solution and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.dynamics.privileges import needs
from crmsync.engine.prepare.preparing import prepare
from crmsync.engine.prepare.report import Choices, StepReport
from crmsync.errors import (
    CredentialsRefused,
    OperatorMustAct,
    PermissionMissing,
    ServiceUnavailable,
    SolutionRefused,
)
from crmsync.sandbox.server import SandboxThread
from crmsync.tenants import ENTITIES
from tests.engine.custom_objects import REGISTRATION, name_custom_entities
from tests.engine.unprepared import checked, marketos_file, prepared, red, rows, unprepared_sandbox, user_id
from tests.sandbox.solutions import solution_zip
from tests.world import World

FILTERED = Choices(sync_filter=("lead", "account"))


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        yield world
        await world.close()


def changed(reports: list[StepReport]) -> dict[str, list[str]]:
    return {report.step: report.changes for report in reports if report.changes}


async def state_of(world: World) -> dict[str, Any]:
    """What a set-up changes, as the administrator sees it."""
    tracked = await rows(world, "EntityDefinitions", select="LogicalName", filter="ChangeTrackingEnabled eq true")
    client_id = world.tenant.dynamics.client_id
    columns = await rows(world, "EntityDefinitions(LogicalName='lead')/Attributes", select="LogicalName")
    return {
        "tracked": {row["LogicalName"] for row in tracked},
        "solutions": {row["uniquename"] for row in await rows(world, "solutions", select="uniquename")},
        "roles": {row["name"] for row in await rows(world, "roles", select="name")},
        "users": len(await rows(world, "systemusers", filter=f"applicationid eq {client_id}")),
        "filtered": any(row["LogicalName"] == "new_synctomkto" for row in columns),
    }


async def test_a_plan_changes_nothing_and_tells_every_change(contoso: World) -> None:
    before = await state_of(contoso)

    planned = await prepared(contoso, FILTERED, plan=True)

    assert await state_of(contoso) == before
    assert {report.status for report in planned} == {"would change", "nothing to do"}
    done = await prepared(contoso, FILTERED)
    assert [report.step for report in done if report.changes] == [one.step for one in planned if one.changes]


async def test_what_is_made_is_exactly_what_the_sync_needs(contoso: World) -> None:
    await prepared(contoso, FILTERED)

    now = await state_of(contoso)
    assert now["tracked"] == set(ENTITIES)
    assert (now["users"], now["filtered"]) == (1, True)
    assert {"crmsync"} <= now["solutions"]
    held = await (await contoso.admin()).privilege_depths(await user_id(contoso))
    assert held == dict.fromkeys((need.name for need in needs(contoso.tenant)), "Global")


async def test_the_second_run_changes_nothing(contoso: World) -> None:
    first = await prepared(contoso, FILTERED)
    second = await prepared(contoso, FILTERED)

    assert len(changed(first)) == 7
    assert changed(second) == {}
    assert {report.status for report in second} == {"nothing to do"}
    (user,) = [report for report in second if report.step == "sync-user"]
    assert f"e-mail {contoso.facts['dynamics']['sync_user_email']} (this is the username)" in user.there


async def test_with_marketos_solution_everything_is_set_up_and_the_second_run_changes_nothing(
    contoso: World, tmp_path: Path
) -> None:
    choices = Choices(solution_file=marketos_file(tmp_path))
    heard: list[str] = []

    first = changed(await prepared(contoso, choices, tell=heard.append))

    assert first["solution"] == ["Imported MarketoLeadManagement 5.0.2.1"]
    assert first["publish"] == ["Publish all customizations"]
    assert first["marketo-config"]
    assert any("import" in line for line in heard)
    (config,) = await rows(contoso, "mkt_configs", select="_mkt_marketouser_value")
    assert config["_mkt_marketouser_value"] == await user_id(contoso)
    again = await prepared(contoso, choices)
    assert changed(again) == {}
    assert "5.0.2.1 is there already" in again[0].there


async def test_an_older_solution_is_brought_up_to_date(contoso: World, tmp_path: Path) -> None:
    await prepared(contoso, Choices(solution_file=marketos_file(tmp_path, version="5.0.1.1")))

    done = changed(await prepared(contoso, Choices(solution_file=marketos_file(tmp_path))))

    assert done == {
        "solution": ["Imported MarketoLeadManagement 5.0.2.1"],
        "publish": ["Publish all customizations"],
    }


async def test_completed_with_warning_is_success_and_told(contoso: World, tmp_path: Path) -> None:
    file = marketos_file(tmp_path, tables=("lead", "no_such_table"))

    (imported,) = changed(await prepared(contoso, Choices(solution_file=file)))["solution"]

    assert "completed with warnings, which is usual" in imported
    assert "no_such_table" in imported
    assert red(await checked(contoso)) == []


async def test_a_solution_that_lacks_something_is_refused_before_anything_changes(
    contoso: World, tmp_path: Path
) -> None:
    before = await state_of(contoso)
    file = tmp_path / "needy.zip"
    file.write_bytes(solution_zip(needs=("new_unheardof",)))

    with pytest.raises(SolutionRefused, match="new_unheardof") as refused:
        await prepared(contoso, Choices(solution_file=file))

    assert "first" in refused.value.remedy
    assert await state_of(contoso) == before


async def test_a_file_that_is_no_solution(contoso: World, tmp_path: Path) -> None:
    file = tmp_path / "solution.zip"
    file.write_text("no zip")

    with pytest.raises(SolutionRefused, match="no solution file") as refused:
        await prepared(contoso, Choices(solution_file=file), plan=True)
    assert "not unpacked" in refused.value.remedy


async def test_an_import_that_takes_long_is_waited_for_but_not_for_ever(contoso: World, tmp_path: Path) -> None:
    await contoso.post("switches", {"tenant": "contoso", "import_seconds": 100_000})
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with pytest.raises(ServiceUnavailable, match="60 minutes") as late:
        await prepared(contoso, Choices(solution_file=marketos_file(tmp_path)), sleep=sleep)

    assert 3500 < sum(slept) < 3700
    assert "run the command again" in late.value.remedy


async def test_another_import_is_waited_for(contoso: World, tmp_path: Path) -> None:
    await contoso.post("switches", {"tenant": "contoso", "import_seconds": 100})
    other = Choices(solution_file=marketos_file(tmp_path))
    calls: list[float] = []

    async def give_up(seconds: float) -> None:
        if len(calls) > 2:
            raise TimeoutError
        calls.append(seconds)

    with pytest.raises(TimeoutError):
        await prepared(contoso, other, sleep=give_up)
    heard: list[str] = []

    async def time_passes(seconds: float) -> None:
        await contoso.post("clock", {"advance_seconds": seconds})

    reports = await prepared(contoso, other, sleep=time_passes, tell=heard.append)

    assert changed(reports)["publish"]
    assert any("waiting for its end" in line for line in heard)


async def test_a_new_user_is_waited_for(contoso: World) -> None:
    await contoso.post("switches", {"tenant": "contoso", "new_user_seconds": 60})
    waited: list[float] = []

    async def time_passes(seconds: float) -> None:
        waited.append(seconds)
        await contoso.post("clock", {"advance_seconds": seconds})

    done = changed(await prepared(contoso, sleep=time_passes))

    assert 50 <= sum(waited) <= 80
    assert done["role-assignment"][0].endswith("it signs in")


async def test_a_user_that_was_deleted_or_disabled_is_brought_back(contoso: World) -> None:
    await prepared(contoso)
    admin = await contoso.admin()
    await admin.update("systemusers", await user_id(contoso), {"isdisabled": True})
    assert changed(await prepared(contoso)) == {"sync-user": ["Enable it"]}

    await admin.delete("systemusers", await user_id(contoso))
    done = changed(await prepared(contoso))

    assert set(done) == {"sync-user", "role-assignment"}
    assert red(await checked(contoso)) == []


async def test_a_business_unit_of_its_own(contoso: World) -> None:
    admin = await contoso.admin()
    (root,) = await rows(contoso, "businessunits", select="name", filter="_parentbusinessunitid_value eq null")
    below = {"name": "Sales", "parentbusinessunitid@odata.bind": f"/businessunits({root['businessunitid']})"}
    unit = await admin.create("businessunits", below)

    await prepared(contoso, Choices(business_unit="Sales"))

    (user,) = await rows(contoso, "systemusers", filter=f"applicationid eq {contoso.tenant.dynamics.client_id}")
    assert user["_businessunitid_value"] == unit
    assert red(await checked(contoso)) == []
    with pytest.raises(OperatorMustAct, match="no business unit 'Nowhere'"):
        await prepared(contoso, Choices(business_unit="Nowhere"), plan=True)


async def test_a_custom_entity_gets_the_filter_column_and_loses_it_again(contoso: World) -> None:
    name_custom_entities(contoso, REGISTRATION, "new_notthere")
    of_it = f"EntityDefinitions(LogicalName='{REGISTRATION}')/Attributes"

    done = changed(await prepared(contoso, Choices(sync_filter=(REGISTRATION, "opportunity"))))

    assert [change.split()[1] for change in done["sync-filter"]] == [
        f"{REGISTRATION}.new_synctomkto", "opportunity.new_synctomkto",
    ]  # fmt: skip
    assert "new_synctomkto" in {row["LogicalName"] for row in await rows(contoso, of_it, select="LogicalName")}
    (undone,) = await prepared(contoso, undo=["sync-filter"])
    assert len(undone.changes) == 2
    assert "new_synctomkto" not in {row["LogicalName"] for row in await rows(contoso, of_it, select="LogicalName")}


async def test_a_filter_column_on_what_is_not_synced_is_refused_with_what_is(contoso: World) -> None:
    with pytest.raises(OperatorMustAct, match="'new_eventregistration': no entity") as refused:
        await prepared(contoso, Choices(sync_filter=(REGISTRATION,)))

    assert "account, lead, contact, opportunity. A custom entity" in refused.value.remedy


async def test_steps_are_undone_one_by_one_and_all_together(contoso: World) -> None:
    before = await state_of(contoso)
    await prepared(contoso, FILTERED)

    (planned,) = await prepared(contoso, undo=["role-assignment"], plan=True)
    assert planned.status == "would change"
    (undone,) = await prepared(contoso, undo=["role-assignment"])
    assert (undone.status, len(undone.changes)) == ("undone", 1)
    assert changed(await prepared(contoso)) == {"role-assignment": undone_again(contoso)}

    every = [report.step for report in await prepared(contoso)]
    reports = {report.step: report for report in await prepared(contoso, undo=every)}

    assert reports["change-tracking"].status == "cannot be undone"
    after = await state_of(contoso)
    assert after.pop("tracked") == set(ENTITIES)
    before.pop("tracked")
    assert after == before
    assert changed(await prepared(contoso, undo=every)) == {}


def undone_again(world: World) -> list[str]:
    return ["Assigned 'Marketo Sync User' to '# crmsync for contoso'; it signs in"]


async def test_marketos_solution_is_removed_only_when_its_file_is_named(contoso: World, tmp_path: Path) -> None:
    choices = Choices(solution_file=marketos_file(tmp_path))
    await prepared(contoso, choices)

    (left,) = await prepared(contoso, undo=["solution"])
    (role,) = await prepared(contoso, undo=["role"])
    (config,) = await prepared(contoso, undo=["marketo-config"])
    (gone,) = await prepared(contoso, choices, undo=["solution"])

    assert (left.status, role.status) == ("nothing to do", "nothing to do")
    assert "goes with the solution" in role.there
    assert (config.status, gone.status) == ("undone", "undone")
    assert "MarketoLeadManagement" not in (await state_of(contoso))["solutions"]


async def test_an_administrator_without_rights_is_told_so(contoso: World) -> None:
    await prepared(contoso)
    facts = contoso.facts["dynamics"]

    async def as_app(client_id: str, secret: str) -> None:
        await prepare(contoso.tenant, contoso.secrets, admin_client_id=client_id, admin_secret=SecretStr(secret))

    with pytest.raises(CredentialsRefused, match="administrator's application") as wrong:
        await as_app(facts["administrator"]["client_id"], "wrong")
    assert "System Administrator" in wrong.value.remedy
    await prepared(contoso, undo=["role-assignment"])
    with pytest.raises(PermissionMissing, match="administrator's application") as lacking:
        await as_app(facts["client_id"], facts["client_secret"])
    assert "System Administrator" in lacking.value.remedy


async def test_an_app_that_entra_does_not_know(contoso: World) -> None:
    unknown = "99999999-0000-0000-0000-000000000009"
    tenant = contoso.tenant.model_copy(
        update={"dynamics": contoso.tenant.dynamics.model_copy(update={"client_id": unknown})}
    )
    app = contoso.facts["dynamics"]["administrator"]

    with pytest.raises(CredentialsRefused, match="no application of that client id") as refused:
        await prepare(
            tenant,
            contoso.secrets,
            admin_client_id=app["client_id"],
            admin_secret=SecretStr(app["client_secret"]),
        )
    assert "client_id in the tenant file" in refused.value.remedy
