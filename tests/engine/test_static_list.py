"""The list whose members are created in Dynamics, when an administrator deletes, renames or doubles it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmsync.engine.session import utc_now
from crmsync.engine.sync import cycle
from crmsync.tenants import Tenant
from tests.engine.both_sides import cycle_as
from tests.engine.test_created_in_marketo import NAME, a_list, creating, put_on_list, record_of, somebody
from tests.world import World

AS_LEADS = creating("lead")


async def delete_list(world: World, number: int) -> None:
    async with world.browser() as client:
        (await client.delete(f"{world.ready.admin_url}/lists/contoso/{number}")).raise_for_status()


async def in_program(world: World, program: str) -> int:
    return int((await world.post("lists", {"tenant": "contoso", "name": NAME, "program": program}))["id"])


@pytest.fixture
async def old(connected: World) -> int:
    """The list as it was found first."""
    number = await a_list(connected)
    await cycle_as(connected, **AS_LEADS)
    return number


async def test_a_list_that_was_made_anew_is_read_by_its_new_id_with_all_its_members(connected: World, old: int) -> None:
    await delete_list(connected, old)
    new = await a_list(connected)
    ada = await somebody(connected)
    await put_on_list(connected, new, ada)

    report = await cycle_as(connected, **AS_LEADS)

    assert report.to_dynamics["lead"].created == 1
    assert (await record_of(connected, ada))["msType"] == "Lead"
    assert f"The static list '{NAME}' was made anew in Marketo: {new} is read instead of {old}" in report.notes
    assert (await cycle_as(connected, **AS_LEADS)).notes == []


async def test_a_list_that_is_gone_is_told_in_every_cycle_until_it_is_there(connected: World, old: int) -> None:
    await delete_list(connected, old)
    tenant = Tenant.model_validate(connected.tenant.model_dump(exclude_unset=True) | AS_LEADS)
    async with connected.session(tenant=tenant) as session:
        session.clock = lambda: utc_now() + timedelta(minutes=61)  # nothing else happens, so it is looked for hourly
        told = [(await cycle(session, force=True)).notes for _ in range(2)]

    missing = f"There is no static list '{NAME}' in Marketo: nobody is created in Dynamics. Make it in Marketo, or"
    assert all(any(note.startswith(missing) for note in notes) for notes in told)

    await a_list(connected)
    assert (await cycle_as(connected, **AS_LEADS)).notes == []


async def test_a_list_that_has_another_name_now_is_still_read(connected: World, old: int) -> None:
    async with connected.browser() as client:
        await client.post(f"{connected.ready.admin_url}/lists/contoso/{old}", json={"name": "To Dynamics"})
    await put_on_list(connected, old, await somebody(connected))

    report = await cycle_as(connected, **AS_LEADS)

    assert report.to_dynamics["lead"].created == 1
    assert any("is called 'To Dynamics' in Marketo now" in note for note in report.notes)


async def test_the_list_that_was_there_first_goes_on_when_another_gets_its_name(connected: World, old: int) -> None:
    other = await in_program(connected, "Roadshow")
    await put_on_list(connected, old, await somebody(connected))

    report = await cycle_as(connected, **AS_LEADS)

    assert report.to_dynamics["lead"].created == 1
    assert any(f"({old} and {other} in program 'Roadshow'); {old} is read" in note for note in report.notes)


async def test_of_two_lists_of_the_name_none_is_guessed(connected: World) -> None:
    await a_list(connected)
    number = await in_program(connected, "Roadshow")
    await put_on_list(connected, number, await somebody(connected))

    report = await cycle_as(connected, **AS_LEADS)

    assert sum(counts.created for counts in report.to_dynamics.values()) == 0
    assert any("Several static lists" in note and "nobody is created" in note for note in report.notes)
