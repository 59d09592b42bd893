"""An opt-out wins every collision, whichever side it was made on and whatever the rules say."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.status import collisions
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, cycle_as, in_dynamics
from tests.world import World

OPT_OUTS = [
    ("donotbulkemail", "unsubscribed"),
    ("donotemail", "msDoNotEmail"),
    ("donotphone", "doNotCall"),
    ("donotfax", "msDoNotFax"),
    ("donotsendmm", "msDoNotSendMarketingMaterial"),
]


@pytest.mark.parametrize(("column", "field"), OPT_OUTS)
async def test_an_opt_out_in_marketo_goes_to_dynamics(connected: World, column: str, field: str) -> None:
    contact = await a_synced(connected, "contact", **{column: False})
    await change_in_marketo(connected, contact, **{field: True})

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, column))[column] is True
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_wins_against_a_change_on_the_other_side(connected: World, entity: str) -> None:
    """Nothing was said before; now Dynamics says "do" and Marketo "do not", and the rule is for Dynamics."""
    options: dict[str, Any] = {"conflicts": {entity: "dynamics", "fields": {f"{entity}.donotbulkemail": "dynamics"}}}
    record = await a_synced(connected, entity, donotbulkemail=None)
    await change_in_dynamics(connected, entity, record, donotbulkemail=False)
    await change_in_marketo(connected, record, unsubscribed=True)

    report = await cycle_as(connected, **options)

    assert (await in_dynamics(connected, entity, record, "donotbulkemail"))["donotbulkemail"] is True
    assert (await connected.person(record, "unsubscribed"))["unsubscribed"] is True
    assert report.to_dynamics[entity].collisions == 1
    [shown] = await collisions(await connected.store(), "contoso")
    assert (shown["attribute"], shown["winner"], shown["rule"]) == ("donotbulkemail", "marketo", "opt-out")
    await assert_quiet(connected, **options)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_in_dynamics_goes_to_marketo_beside_a_change_there(connected: World, entity: str) -> None:
    options: dict[str, Any] = {"conflicts": {entity: "marketo"}}
    record = await a_synced(connected, entity, donotbulkemail=False, jobtitle="Director")
    await change_in_dynamics(connected, entity, record, donotbulkemail=True)
    await change_in_marketo(connected, record, title="Chief", unsubscribed=False)

    await cycle_as(connected, **options)

    assert (await in_dynamics(connected, entity, record, "donotbulkemail"))["donotbulkemail"] is True
    assert (await connected.person(record, "unsubscribed"))["unsubscribed"] is True
    await assert_quiet(connected, **options)


async def test_a_change_of_another_field_in_dynamics_does_not_take_an_opt_out_back(connected: World) -> None:
    """Only what changed is sent to a person: an unsubscribe that is not read yet is not overwritten."""
    contact = await a_synced(connected, "contact", donotbulkemail=False, jobtitle="Director")
    await change_in_marketo(connected, contact, unsubscribed=True)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, to_dynamics=False)

    person = await connected.person(contact, "unsubscribed", "title")
    assert (person["unsubscribed"], person["title"]) == (True, "Chief")

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "donotbulkemail"))["donotbulkemail"] is True
    await assert_quiet(connected)


async def test_an_opt_in_on_one_side_alone_is_an_ordinary_change(connected: World) -> None:
    contact = await a_synced(connected, "contact", donotphone=True)
    await change_in_dynamics(connected, "contact", contact, donotphone=False)

    await connected.cycle()

    assert (await connected.person(contact, "doNotCall"))["doNotCall"] is False
    await assert_quiet(connected)


async def test_an_opt_out_in_dynamics_arrives_and_can_be_taken_back_there(connected: World) -> None:
    contact = await a_synced(connected, "contact", donotbulkemail=False)

    await change_in_dynamics(connected, "contact", contact, donotbulkemail=True)
    await connected.cycle()
    assert (await connected.person(contact, "unsubscribed"))["unsubscribed"] is True

    await change_in_dynamics(connected, "contact", contact, donotbulkemail=False)
    await connected.cycle()
    assert not (await connected.person(contact, "unsubscribed"))["unsubscribed"]


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_that_was_made_while_the_record_was_filtered_is_not_forgotten(
    connected: World, entity: str
) -> None:
    record = await a_synced(connected, entity, donotbulkemail=False)
    await change_in_dynamics(connected, entity, record, new_synctomkto=False)
    await connected.cycle()
    await change_in_marketo(connected, record, unsubscribed=True)
    await connected.cycle()
    await later_in_marketo(connected)
    await connected.cycle()
    assert (await in_dynamics(connected, entity, record, "donotbulkemail"))["donotbulkemail"] is False

    await change_in_dynamics(connected, entity, record, new_synctomkto=True)
    await connected.cycle()

    assert (await in_dynamics(connected, entity, record, "donotbulkemail"))["donotbulkemail"] is True
    assert (await connected.person(record, "unsubscribed"))["unsubscribed"] is True
    await assert_quiet(connected)


async def later_in_marketo(world: World) -> None:
    """A token's own second comes again: after this, what was read is not read once more."""
    await world.post("clock", {"advance_seconds": 5})
