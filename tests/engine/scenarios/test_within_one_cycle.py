"""Several things happen between two cycles, to one record or to two that belong together."""

from __future__ import annotations

from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics
from tests.engine.successions import how_many, new, person_id, qualify
from tests.world import World


async def test_two_people_change_their_addresses_with_each_other(connected: World) -> None:
    one = await a_synced(connected, "contact", emailaddress1="one@example.com")
    other = await a_synced(connected, "contact", number=1, emailaddress1="other@example.com")
    people = [await person_id(connected, one), await person_id(connected, other)]
    await change_in_dynamics(connected, "contact", one, emailaddress1="other@example.com")
    await change_in_dynamics(connected, "contact", other, emailaddress1="one@example.com")

    await connected.cycle()

    found = [await connected.person(record, "email") for record in (one, other)]
    assert [(row["id"], row["email"]) for row in found] == [
        (people[0], "other@example.com"),
        (people[1], "one@example.com"),
    ]
    await assert_quiet(connected)


async def test_a_record_that_changes_and_changes_back_within_one_cycle_is_not_written(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    for title in ("Chief", "Director"):
        await change_in_dynamics(connected, "contact", contact, jobtitle=title)

    report = await connected.cycle()

    assert (report.entities["contact"].updated, report.entities["contact"].unchanged) == (0, 1)


async def test_a_lead_that_is_disqualified_changes_like_any_other(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    person = await person_id(connected, lead)
    await change_in_dynamics(connected, "lead", lead, statecode=2, statuscode=4, jobtitle="Not interested")

    await connected.cycle()

    found = await connected.person(lead, "title", "msType")
    assert (found["id"], found["title"], found["msType"]) == (person, "Not interested", "Lead")
    await assert_quiet(connected)


async def test_a_lead_is_created_changed_qualified_and_its_contact_changed_between_two_cycles(
    connected: World,
) -> None:
    lead = await new(connected, "lead", emailaddress1="fast@example.com")
    await change_in_dynamics(connected, "lead", lead, jobtitle="Director")
    contact = await qualify(connected, lead)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await connected.cycle()

    assert await how_many(connected, "fast@example.com") == 1
    found = await connected.person(contact, "title", "msType")
    assert (found["title"], found["msType"]) == ("Chief", "Contact")
    await assert_quiet(connected)
