"""The checklist on an unprepared organization, after ``prepare``, and after breaking each of the seven in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.dynamics.setup_tables import FILTER_COLUMN
from crmsync.engine.checks.seven import (
    ASSIGNED,
    ASSIGNED_ROLE,
    CREDENTIALS,
    MATCHES,
    NOT_MARKETOS,
    SOLUTION,
    STEPS,
    URL,
)
from crmsync.engine.prepare.preparing import STEPS as ALL_STEPS
from crmsync.engine.prepare.report import Choices
from crmsync.engine.prepare.stage import Stage
from crmsync.sandbox.server import SandboxThread
from tests.engine.unprepared import (
    IF_ANY,
    Break,
    checked,
    marketos_file,
    prepared,
    red,
    role_id,
    rows,
    send,
    unprepared_sandbox,
    user_id,
    with_dynamics,
)
from tests.world import World

SEVEN = [URL, CREDENTIALS, ASSIGNED_ROLE, SOLUTION, STEPS, ASSIGNED, MATCHES]


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        yield world
        await world.close()


async def with_marketos(world: World, **changes: Any) -> None:
    await world.post("switches", {"tenant": world.name, "import_seconds": 0})
    await prepared(world, Choices(solution_file=marketos_file(world.ready.folder, **changes)))


async def without(world: World) -> None:
    await prepared(world)


async def test_nothing_is_prepared(contoso: World) -> None:
    lines = await checked(contoso)

    assert list(lines)[:7] == SEVEN
    assert red(lines) == [CREDENTIALS]
    assert "crmsync prepare contoso" in lines[CREDENTIALS].remedy
    assert lines[URL].status == "green"
    waiting = [line for line in lines.values() if line.status == "not run"]
    assert {line.side for line in waiting} == {"Dynamics"}
    assert all(line.found.startswith("waits for") for line in waiting)
    assert len(waiting) > 20


@pytest.mark.parametrize("prepare", [with_marketos, without])
async def test_after_prepare_everything_is_green(contoso: World, prepare: Any) -> None:
    await prepare(contoso)

    lines = await checked(contoso)

    assert {name: line.found for name, line in lines.items() if line.status != "green"} == {}
    assert all(line.proves and line.found and not line.remedy for line in lines.values())
    substitutes = [NOT_MARKETOS in lines[name].found for name in SEVEN[3:]]
    assert substitutes == [prepare is without] * 4


async def unassign(world: World) -> None:
    link = f"{world.tenant.dynamics.organization_url}/api/data/v9.2/roles({await role_id(world)})"
    await send(world, "DELETE", f"systemusers({await user_id(world)})/systemuserroles_association/$ref?$id={link}")


async def delete_role(world: World) -> None:
    await send(world, "DELETE", f"roles({await role_id(world)})")


async def disable_user(world: World) -> None:
    await send(world, "PATCH", f"systemusers({await user_id(world)})", {"isdisabled": True}, **IF_ANY)


async def delete_user(world: World) -> None:
    await send(world, "DELETE", f"systemusers({await user_id(world)})")


async def change_email(world: World) -> None:
    body = {"internalemailaddress": "somebody-else@contoso.example"}
    await send(world, "PATCH", f"systemusers({await user_id(world)})", body, **IF_ANY)


async def let_secret_expire(world: World) -> None:
    await world.post("apps", {"tenant": world.name, "client_id": sync_app(world), "secret_expired": True})


async def disable_app(world: World) -> None:
    await world.post("apps", {"tenant": world.name, "client_id": sync_app(world), "enabled": False})


def sync_app(world: World) -> str:
    return world.tenant.dynamics.client_id


async def remove_our_solution(world: World) -> None:
    (found,) = await rows(world, "solutions", filter="uniquename eq 'crmsync'")
    await send(world, "DELETE", f"solutions({found['solutionid']})")


async def remove_marketos_solution(world: World) -> None:
    (found,) = await rows(world, "solutions", filter="uniquename eq 'MarketoLeadManagement'")
    await send(world, "DELETE", f"solutions({found['solutionid']})")


async def switch_a_step_off(world: World) -> None:
    step = (await rows(world, "sdkmessageprocessingsteps", select="name"))[0]
    where = f"sdkmessageprocessingsteps({step['sdkmessageprocessingstepid']})"
    await send(world, "PATCH", where, {"statecode": 1, "statuscode": 2}, **IF_ANY)


async def let_config_name(world: World, user: str | None) -> None:
    (found,) = await rows(world, "mkt_configs")
    body = {"mkt_MarketoUser@odata.bind": user and f"/systemusers({user})"}
    await send(world, "PATCH", f"mkt_configs({found['mkt_configid']})", body, **IF_ANY)


async def empty_config(world: World) -> None:
    await let_config_name(world, None)


async def name_another_in_config(world: World) -> None:
    app = world.facts["dynamics"]["administrator"]["client_id"]
    (admin,) = await rows(world, "systemusers", select="systemuserid", filter=f"applicationid eq {app}")
    await let_config_name(world, admin["systemuserid"])


@pytest.mark.parametrize(
    ("prepare", "break_it", "expected", "remedy"),
    [
        (without, let_secret_expire, CREDENTIALS, "new client secret"),
        (without, disable_app, CREDENTIALS, "Enable it"),
        (without, disable_user, CREDENTIALS, "Enable it"),
        (with_marketos, delete_user, CREDENTIALS, "crmsync prepare contoso"),
        (without, change_email, CREDENTIALS, "sync_user_email"),
        (with_marketos, unassign, ASSIGNED_ROLE, "crmsync prepare contoso"),
        (without, delete_role, ASSIGNED_ROLE, "crmsync prepare contoso"),
        (with_marketos, remove_marketos_solution, ASSIGNED_ROLE, "crmsync prepare contoso"),
        (without, remove_our_solution, SOLUTION, "crmsync prepare contoso"),
        (with_marketos, switch_a_step_off, STEPS, "Activate"),
        (with_marketos, empty_config, ASSIGNED, "Marketo Config"),
        (with_marketos, name_another_in_config, MATCHES, "Marketo Config"),
    ],
)
async def test_exactly_the_line_of_what_was_broken_is_red(
    contoso: World, prepare: Any, break_it: Break, expected: str, remedy: str
) -> None:
    await prepare(contoso)
    await break_it(contoso)

    lines = await checked(contoso)

    assert red(lines) == [expected]
    assert remedy in lines[expected].remedy
    after = SEVEN[SEVEN.index(expected) + 1 :]
    if expected in SEVEN[:4]:
        assert {lines[name].status for name in after} <= {"not run"}
    assert lines["Native sync is off"].status == "green"


async def test_steps_that_came_switched_off(contoso: World) -> None:
    await with_marketos(contoso, disabled=("lead",))

    lines = await checked(contoso)

    assert red(lines) == [STEPS]
    assert lines[STEPS].found.startswith("3 of 15 steps are disabled")
    assert [lines[name].status for name in (ASSIGNED, MATCHES)] == ["green", "green"]


async def test_change_tracking_that_was_never_switched_on(contoso: World) -> None:
    await prepared_but_for_tracking(contoso)

    lines = await checked(contoso)

    assert red(lines) == [STEPS]
    assert "off for systemuser, account, lead, contact" in lines[STEPS].found
    assert "Track changes" in lines[STEPS].remedy
    assert lines["Change tracking of lead"].status == "not run"
    assert lines["Change tracking of lead"].found == f"told by '{STEPS}'"


async def prepared_but_for_tracking(world: World) -> None:
    """What ``prepare`` does, as somebody does it by hand who forgets one step."""
    stage = Stage(world.tenant, world.secrets, await world.admin(), Choices(), sleep=_no_wait, tell=lambda line: None)
    for step in ALL_STEPS:
        if step.name not in {"change-tracking", "publish"}:
            for change in (await step.look(stage)).changes:
                await change.apply()


async def _no_wait(seconds: float) -> None:
    del seconds


@pytest.mark.parametrize("wrong", ["https://cont0so.invalid", "another website"])
async def test_a_url_at_which_no_organization_answers(contoso: World, wrong: str) -> None:
    await prepared(contoso)
    if wrong == "another website":
        wrong = contoso.ready.admin_url.removesuffix("/admin")

    lines = await checked(contoso, with_dynamics(contoso.tenant, organization_url=wrong), sleep=_no_wait)

    assert red(lines) == [URL]
    assert "organization_url" in lines[URL].remedy
    assert {lines[name].status for name in SEVEN[1:]} == {"not run"}


async def test_a_service_that_is_down_is_red_with_a_remedy(contoso: World) -> None:
    await contoso.post(
        "faults", {"service": "dynamics", "tenant": "contoso", "kind": "status", "status": 503, "times": 100}
    )
    lines = await checked(contoso, sleep=_no_wait)

    assert red(lines) == [URL]
    assert "service health" in lines[URL].remedy


async def test_nothing_is_changed(contoso: World) -> None:
    await prepared(contoso, Choices(sync_filter=("lead",)))
    before = await prepared(contoso, plan=True)

    await checked(contoso)

    assert await prepared(contoso, plan=True) == before
    columns = await rows(contoso, "EntityDefinitions(LogicalName='lead')/Attributes", select="LogicalName")
    assert FILTER_COLUMN in [row["LogicalName"] for row in columns]
