"""What Marketo stores in its own way is neither a change nor a difference; what somebody writes there is a change."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.report import SyncReport
from tests.engine.both_sides import (
    SETS,
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    in_dynamics,
)
from tests.engine.late_calls import PEOPLE, Late, cycle_with, killed_cycle
from tests.world import World

EMOJI = "Chief 😀 of Fun"

HABITS: list[tuple[str, str, str, str, str]] = [
    ("emoji", "cut", "jobtitle", "title", EMOJI),
    ("emoji", "cut", "jobtitle", "title", "😀"),
    ("outer_space", "trim", "jobtitle", "title", " Director "),
    ("line_ends", "line_feeds", "jobtitle", "title", "Director\r\nand more"),
    ("email_case", "lower", "emailaddress1", "email", "Ada.Lovelace@Contoso.example"),
    ("phone_numbers", "digits", "mobilephone", "mobilePhone", "(425) 555-0100"),
]


async def switch(world: World, **switches: Any) -> None:
    await world.post("switches", {"tenant": "contoso", **switches})


async def assert_in_step(world: World, record: str) -> None:
    async with world.session() as session:
        found = await compare(session)
    assert [one for one in found.differences if one.record_id == record] == []


def lossy_notes(report: SyncReport) -> list[str]:
    return [note for note in report.notes if "in a form of its own" in note]


@pytest.mark.parametrize("entity", ["lead", "contact"])
@pytest.mark.parametrize(("habit", "answer", "column", "name", "value"), HABITS)
async def test_what_marketo_makes_of_a_value_is_no_change(
    connected: World, entity: str, habit: str, answer: str, column: str, name: str, value: str
) -> None:
    record = await a_synced(connected, entity)
    await switch(connected, **{habit: answer})
    await change_in_dynamics(connected, entity, record, **{column: value})

    report = await connected.cycle()
    await assert_quiet(connected)

    assert (await in_dynamics(connected, entity, record, column))[column] == value
    stored = (await connected.person(record, name))[name]
    assert stored != value
    assert lossy_notes(report) != []
    assert await (await connected.store()).forms.counts("contoso") == [(entity, name, 1)]
    await assert_in_step(connected, record)


async def test_what_marketo_makes_of_a_new_persons_value_is_no_difference(connected: World) -> None:
    await switch(connected, emoji="cut")
    admin = await connected.admin()
    row = {"firstname": "Ada", "lastname": "Lovelace", "jobtitle": EMOJI, "new_synctomkto": True}
    record = await admin.create(SETS["contact"], row)

    await connected.cycle()
    await assert_quiet(connected)

    assert (await connected.person(record, "title"))["title"] == "Chief "
    await assert_in_step(connected, record)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_what_somebody_writes_after_us_is_a_change(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity)
    await switch(connected, emoji="cut")
    await change_in_dynamics(connected, entity, record, jobtitle=EMOJI)
    await connected.cycle()

    await change_in_marketo(connected, record, title="Boss")
    await connected.cycle()

    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == "Boss"
    await assert_quiet(connected)
    await assert_in_step(connected, record)


async def test_an_edit_that_follows_a_write_which_changed_nothing_is_a_change(connected: World) -> None:
    """Both values come to the same in Marketo, so the second write leaves no trace there but the edit."""
    record = await a_synced(connected, "contact")
    await switch(connected, emoji="cut")
    await change_in_dynamics(connected, "contact", record, jobtitle=EMOJI)
    await connected.cycle()
    await change_in_dynamics(connected, "contact", record, jobtitle="Chief 😎")
    await connected.cycle()

    await change_in_marketo(connected, record, title="Boss")
    await connected.cycle()

    assert (await in_dynamics(connected, "contact", record, "jobtitle"))["jobtitle"] == "Boss"
    await assert_quiet(connected)


async def test_an_edit_beside_a_lossy_field_is_brought_alone(connected: World) -> None:
    record = await a_synced(connected, "lead")
    await switch(connected, emoji="cut")
    await change_in_dynamics(connected, "lead", record, jobtitle=EMOJI)
    await connected.cycle()

    await change_in_marketo(connected, record, mobilePhone="+1 425 555 0100")
    await connected.cycle()

    row = await in_dynamics(connected, "lead", record, "jobtitle", "mobilephone")
    assert (row["jobtitle"], row["mobilephone"]) == (EMOJI, "+1 425 555 0100")
    await assert_quiet(connected)


async def test_a_value_that_is_stored_as_it_is_again_is_not_lossy_any_more(connected: World) -> None:
    record = await a_synced(connected, "lead")
    await switch(connected, emoji="cut")
    await change_in_dynamics(connected, "lead", record, jobtitle=EMOJI)
    await connected.cycle()

    await change_in_dynamics(connected, "lead", record, jobtitle="Director")
    await connected.cycle()
    assert await (await connected.store()).forms.counts("contoso") == []
    await change_in_marketo(connected, record, title="Chief ")
    await connected.cycle()

    assert (await in_dynamics(connected, "lead", record, "jobtitle"))["jobtitle"] == "Chief "


async def test_a_person_whose_edit_loses_holds_dynamics_value_in_marketos_form(connected: World) -> None:
    """A collision that Dynamics wins writes to Marketo as well."""
    record = await a_synced(connected, "contact")
    await switch(connected, emoji="cut")
    await change_in_marketo(connected, record, title="Boss")
    await change_in_dynamics(connected, "contact", record, jobtitle=EMOJI)

    await connected.cycle()
    await assert_quiet(connected)

    assert (await in_dynamics(connected, "contact", record, "jobtitle"))["jobtitle"] == EMOJI
    assert (await connected.person(record, "title"))["title"] == "Chief "
    await assert_in_step(connected, record)


@pytest.mark.parametrize("typed", ["Di\x01rector", "\x02", "Director\r\nof\x7f fun", "\x85Head\x9f"])
@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_a_control_character_that_is_cleaned_on_the_way_is_no_difference(
    connected: World, entity: str, typed: str
) -> None:
    record = await a_synced(connected, entity, jobtitle="Assistant")
    await change_in_marketo(connected, record, title=typed)

    await connected.cycle()
    await assert_quiet(connected)

    cleaned = "".join(one for one in typed if one in "\r\n" or one.isprintable()) or None
    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == cleaned
    await assert_in_step(connected, record)
    await change_in_dynamics(connected, entity, record, jobtitle="Chief")
    await connected.cycle()
    assert (await connected.person(record, "title"))["title"] == "Chief"


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_what_marketo_made_of_a_dead_runs_value_is_no_change(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity, jobtitle="Assistant")
    await switch(connected, emoji="cut")
    await change_in_dynamics(connected, entity, record, jobtitle=EMOJI)

    async def arrived() -> bool:
        return bool((await connected.person(record, "title"))["title"] == "Chief ")

    await killed_cycle(connected, PEOPLE)
    await cycle_with(connected, Late(connected, arrived))
    await connected.cycle()

    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == EMOJI
    await assert_quiet(connected)
    await assert_in_step(connected, record)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_edit_after_a_dead_runs_call_is_a_change(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity, jobtitle="Assistant")
    await switch(connected, emoji="cut")
    await change_in_dynamics(connected, entity, record, jobtitle=EMOJI)

    async def arrived() -> bool:
        return bool((await connected.person(record, "title"))["title"] == "Chief ")

    await killed_cycle(connected, PEOPLE)
    late = Late(connected, arrived)
    await late.execute()
    await change_in_marketo(connected, record, title="Boss")
    await cycle_with(connected, late)
    await connected.cycle()

    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == "Boss"
    await assert_quiet(connected)
