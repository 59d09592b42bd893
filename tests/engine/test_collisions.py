"""A field changed on both sides since the last cycle: who wins, what is remembered, and that both sides then agree."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.status import collisions
from tests.engine.both_sides import (
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.world import World

CONTACT_LIKE_LEAD = {"conflicts": {"contact": "marketo"}}
ONE_FIELD = {"conflicts": {"fields": {"contact.jobtitle": "marketo"}}}
LEAD_LIKE_CONTACT = {"conflicts": {"lead": "dynamics"}}


@pytest.mark.parametrize(
    ("entity", "options", "winner", "rule"),
    [
        ("lead", {}, "marketo", "default"),
        ("contact", {}, "dynamics", "default"),
        ("lead", LEAD_LIKE_CONTACT, "dynamics", "entity"),
        ("contact", CONTACT_LIKE_LEAD, "marketo", "entity"),
        ("contact", ONE_FIELD, "marketo", "field"),
    ],
)
async def test_the_same_field_goes_by_the_rule(
    connected: World, entity: str, options: dict[str, Any], winner: str, rule: str
) -> None:
    record = await a_synced(connected, entity, jobtitle="Director")
    await change_in_marketo(connected, record, title="Chief in Marketo")
    await change_in_dynamics(connected, entity, record, jobtitle="Chief in Dynamics")

    report = await cycle_as(connected, **options)

    expected = {"marketo": "Chief in Marketo", "dynamics": "Chief in Dynamics"}[winner]
    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == expected
    assert (await connected.person(record, "title"))["title"] == expected
    assert report.to_dynamics[entity].collisions == 1
    [shown] = await collisions(await connected.store(), "contoso")
    assert (shown["entity"], shown["record_id"], shown["attribute"]) == (entity, record, "jobtitle")
    assert (shown["winner"], shown["rule"]) == (winner, rule)
    assert shown["dynamics_fingerprint"] != shown["marketo_fingerprint"]
    assert "Chief" not in str(shown), "values are not remembered"
    await assert_quiet(connected, **options)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_different_fields_of_one_record_merge(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity, jobtitle="Director", mobilephone="+1 555 0100")
    await change_in_marketo(connected, record, title="Chief")
    await change_in_dynamics(connected, entity, record, mobilephone="+1 555 0199")

    await connected.cycle()

    row = await in_dynamics(connected, entity, record, "jobtitle", "mobilephone")
    person = await connected.person(record, "title", "mobilePhone")
    assert (row["jobtitle"], row["mobilephone"]) == ("Chief", "+1 555 0199")
    assert (person["title"], person["mobilePhone"]) == ("Chief", "+1 555 0199")
    assert await collisions(await connected.store(), "contoso") == []
    await assert_quiet(connected)


async def test_the_same_value_on_both_sides_is_no_collision(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    report = await connected.cycle()

    assert report.to_dynamics["contact"].collisions == report.to_dynamics["contact"].updated == 0
    assert await collisions(await connected.store(), "contoso") == []
    await assert_quiet(connected)


async def test_a_change_that_was_taken_back_in_marketo_leaves_dynamics_change_alone(connected: World) -> None:
    lead = await a_synced(connected, "lead", jobtitle="Director")
    await change_in_marketo(connected, lead, title="Chief")
    await change_in_marketo(connected, lead, title="Director")
    await change_in_dynamics(connected, "lead", lead, jobtitle="Head")

    await connected.cycle()

    assert (await connected.person(lead, "title"))["title"] == "Head"
    assert (await in_dynamics(connected, "lead", lead, "jobtitle"))["jobtitle"] == "Head"
    await assert_quiet(connected)


async def test_a_row_that_changed_since_it_was_read_is_decided_anew(connected: World) -> None:
    """412: the version is another one; the next cycle writes."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief")
    await connected.post(
        "faults",
        {"service": "dynamics", "method": "POST", "path": "/api/data/v9.2/$batch", "times": 1, "kind": "reset",
         "after_execution": True},
    )  # fmt: skip

    await connected.cycle()  # the batch is sent again after its answer was lost: its version has passed
    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert await collisions(await connected.store(), "contoso") == []
    assert (await connected.person(contact, "title"))["title"] == "Chief"
    await assert_quiet(connected)
