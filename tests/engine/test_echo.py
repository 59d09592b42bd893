"""What crmsync wrote to one side is not a change to bring back from it."""

from __future__ import annotations

from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.world import World


async def test_the_first_syncs_own_writes_do_not_come_back(connected: World) -> None:
    report = await connected.cycle()

    assert sum(one.read for one in report.to_dynamics.values()) == 0
    await assert_quiet(connected)


async def test_a_cycles_own_write_to_marketo_does_not_come_back(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Director", telephone1=None, donotphone=True)
    await connected.cycle()

    report = await connected.cycle()

    assert report.to_dynamics["contact"].read == 0
    await assert_quiet(connected)


async def test_a_write_to_dynamics_comes_back_as_an_unchanged_record(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    await change_in_marketo(connected, contact, title="Chief")
    await connected.cycle()

    report = await connected.cycle()

    assert (report.entities["contact"].read, report.entities["contact"].unchanged) == (1, 1)
    assert report.total.written == 0


async def test_a_change_that_comes_to_the_same_value_is_not_written(connected: World) -> None:
    """Marketo logs a change only when a value differs; the same one written by two integrations is one change."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief")
    await change_in_marketo(connected, contact, title="Director")

    report = await connected.cycle()

    assert report.to_dynamics["contact"].updated == 0
    await assert_quiet(connected)


async def test_a_change_after_our_own_write_is_somebody_elses(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Head")
    await connected.cycle()
    await change_in_marketo(connected, contact, title="Chief")

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    await assert_quiet(connected)


async def test_people_who_are_in_marketo_only_are_left_alone(connected: World) -> None:
    marketo = await connected.marketo()
    before = len(await connected.rows("lead", "leadid"))
    await marketo.sync_people(
        [{"email": "only@marketo.example", "lastName": "Only"}], action="createOnly", lookup_field="email"
    )
    await marketo.sync_people([{"email": "only@marketo.example", "title": "Chief"}], lookup_field="email")

    report = await connected.cycle()

    assert report.to_dynamics["lead"].read == 0
    assert len(await connected.rows("lead", "leadid")) == before
