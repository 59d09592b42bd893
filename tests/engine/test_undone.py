"""Final states that life undoes: a lead that is open again, a merged record that is active again, a person who was
deleted in Marketo and is wanted back; and one id in two tables, which stands for one person only."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.comparison import Compared
from crmsync.engine.record import sync_record
from crmsync.engine.report import SyncReport
from tests.engine.both_sides import (
    SETS,
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.engine.successions import merge, new, nobody, person_id, qualify, status_of
from tests.engine.test_deleted_and_merged import delete_in_marketo
from tests.world import World

OPEN = {"statecode": 0, "statuscode": 1}


async def push(world: World, record: str) -> SyncReport:
    async with world.session() as session:
        return await sync_record(session, record)


async def compared(world: World, entity: str) -> Compared:
    async with world.session() as session:
        return (await compare(session, entities=[entity])).entities[entity]


async def delete(world: World, entity: str, record: str) -> None:
    await (await world.admin()).delete(SETS[entity], record)


async def test_a_lead_that_is_open_again_after_its_contact_was_deleted_is_a_person_again(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    contact = await qualify(connected, lead)
    await connected.cycle()
    person = await person_id(connected, contact)
    await delete(connected, "contact", contact)
    await connected.cycle()
    assert await nobody(connected, lead), "it is not open"
    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief", **OPEN)

    report = await connected.cycle()

    assert (report.entities["lead"].created, report.entities["lead"].tombstones) == (1, 0)
    found = await connected.person(lead, "title", "msType")
    assert (found["title"], found["msType"]) == ("Chief", "Lead")
    assert (await person_id(connected, contact), (await connected.person(contact, "msIsDeleted"))["msIsDeleted"]) == (
        person,
        True,
    )
    await assert_quiet(connected)


async def test_a_lead_that_is_open_again_and_its_contact_are_two_people_and_stay_so(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    contact = await qualify(connected, lead)
    await connected.cycle()
    person = await person_id(connected, contact)
    await change_in_dynamics(connected, "lead", lead, **OPEN)
    await connected.cycle()
    anew = await person_id(connected, lead)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await change_in_dynamics(connected, "lead", lead, jobtitle="Director")

    await connected.cycle()

    assert (await person_id(connected, contact), await person_id(connected, lead)) == (person, anew)
    assert (await connected.person(lead, "title"))["title"] == "Director"
    await assert_quiet(connected)


async def test_a_qualified_lead_whose_contact_is_gone_is_carried_when_it_changes(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    contact = await qualify(connected, lead)
    await connected.cycle()
    await delete(connected, "contact", contact)
    await connected.cycle()
    assert (await compared(connected, "lead")).tombstones == 1
    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief")

    await connected.cycle()

    assert (await connected.person(lead, "title"))["title"] == "Chief"
    assert (await compared(connected, "lead")).tombstones == 0


async def test_a_merged_record_that_is_active_again_is_a_person_again(connected: World) -> None:
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    await merge(connected, "contact", winner, loser)
    await connected.cycle()
    assert await nobody(connected, loser)
    person = await person_id(connected, winner)
    await change_in_dynamics(connected, "contact", loser, **OPEN)

    await connected.cycle()

    assert len((await connected.people([loser]))[loser]) == 1
    assert await person_id(connected, winner) == person
    await assert_quiet(connected)


async def test_who_was_deleted_in_marketo_is_counted_apart_and_comes_back_when_an_operator_asks(
    connected: World,
) -> None:
    contact = await a_synced(connected, "contact")
    await delete_in_marketo(connected, contact)
    await connected.cycle()
    before = await compared(connected, "contact")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    report = await connected.cycle()
    assert (report.entities["contact"].filtered, report.entities["contact"].tombstones) == (0, 1)
    assert before.tombstones == 1

    report = await push(connected, f"contact:{contact}")

    assert report.entities["contact"].created == 1
    assert (await connected.person(contact, "title"))["title"] == "Chief"
    after = await compared(connected, "contact")
    assert (after.tombstones, after.filtered, after.equal) == (0, before.filtered, before.equal + 1)
    await assert_quiet(connected)


async def test_an_operator_is_told_as_whom_a_record_goes_on(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    contact = await qualify(connected, lead)
    await connected.cycle()

    report = await push(connected, f"lead:{lead}")

    assert (report.entities["lead"].tombstones, await nobody(connected, lead)) == (1, True)
    assert any(contact in note and "goes on as" in note for note in report.notes)


async def test_a_contact_with_the_id_of_a_lead_is_refused_until_the_lead_is_gone(connected: World) -> None:
    lead = await a_synced(connected, "lead", emailaddress1="lead@example.com")
    person = await person_id(connected, lead)
    await new(connected, "contact", contactid=lead, emailaddress1="contact@example.com")

    report = await connected.cycle()

    assert report.entities["contact"].failed == 1
    found = await connected.person(lead, "email", "msType")
    assert (found["id"], found["email"], found["msType"]) == (person, "lead@example.com", "Lead")
    store = await connected.store()
    [error] = (await store.errors.of(connected.name, "contact", [lead]))[lead]
    assert (error.code, "Delete this contact" in error.remedy) == ("same-id", True)
    assert (await compared(connected, "contact")).refused >= 1

    await change_in_marketo(connected, lead, title="Chief")
    await connected.cycle()
    assert (await in_dynamics(connected, "lead", lead, "jobtitle"))["jobtitle"] == "Chief"
    assert (await in_dynamics(connected, "contact", lead, "jobtitle"))["jobtitle"] is None

    await delete(connected, "lead", lead)
    await connected.cycle()
    await push(connected, f"contact:{lead}")
    found = await connected.person(lead, "email", "msType", "msIsDeleted")
    assert (found["email"], found["msType"], bool(found["msIsDeleted"])) == ("contact@example.com", "Contact", False)
    assert await status_of(connected, "contact", lead) == "synced"
    await assert_quiet(connected)


async def test_a_lead_with_the_id_of_a_contact_is_refused_too(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    values: dict[str, Any] = {"leadid": contact, "jobtitle": "Lead"}
    await new(connected, "lead", **values)

    report = await connected.cycle()

    assert report.entities["lead"].failed == 1
    assert (await connected.person(contact, "title"))["title"] == "Director"
    await assert_quiet(connected)


async def test_in_a_first_sync_the_lead_comes_first(contoso: World) -> None:
    lead = await new(contoso, "lead", lastname="First")
    await new(contoso, "contact", contactid=lead, lastname="Second")

    await contoso.connect()

    found = await contoso.person(lead, "lastName", "msType")
    assert (found["lastName"], found["msType"]) == ("First", "Lead")
    store = await contoso.store()
    assert [one.code for one in (await store.errors.of(contoso.name, "contact", [lead]))[lead]] == ["same-id"]


@pytest.mark.parametrize("policy", ["flag", "delete", "ignore"])
async def test_a_record_that_is_restored_with_its_id_is_one_person_again(connected: World, policy: str) -> None:
    contact = await a_synced(connected, "contact")
    await delete(connected, "contact", contact)
    await cycle_as(connected, deleted_in_dynamics=policy)
    await new(connected, "contact", contactid=contact, jobtitle="Restored")

    await cycle_as(connected, deleted_in_dynamics=policy)

    found = await connected.person(contact, "title", "msIsDeleted")
    assert (found["title"], bool(found["msIsDeleted"])) == ("Restored", False)
    await assert_quiet(connected, deleted_in_dynamics=policy)


async def test_a_lead_that_is_qualified_a_second_time_continues_as_the_second_contact(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    first = await qualify(connected, lead)
    await connected.cycle()
    await change_in_dynamics(connected, "lead", lead, **OPEN)
    await connected.cycle()
    people = await person_id(connected, first), await person_id(connected, lead)
    second = await qualify(connected, lead)
    await change_in_dynamics(connected, "contact", first, jobtitle="Chief")

    await connected.cycle()

    assert (await person_id(connected, first), await person_id(connected, second)) == people
    assert await nobody(connected, lead)
    await assert_quiet(connected)
