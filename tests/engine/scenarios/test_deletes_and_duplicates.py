"""Deleted on one side, twice on one side, deactivated, row by row: "Deleting a Lead or Contact", "Find and Merge
Duplicate People" (Marketo's documents).

Which test shows which row, also those that stand elsewhere, is told in the README beside this file.
"""

from __future__ import annotations

import pytest

from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, cycle_as, in_dynamics
from tests.engine.scenarios.acts import company, delete_in_dynamics, name_in_marketo, new_in_dynamics
from tests.engine.test_created_in_marketo import a_list, creating, put_on_list, record_of, somebody
from tests.engine.test_deleted_and_merged import delete_in_marketo
from tests.world import World

# Deletions


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_who_is_deleted_in_dynamics_stays_in_marketo_with_a_flag(connected: World, entity: str) -> None:
    """ "deleted in Dynamics: person stays; Microsoft is Deleted = true", whatever else Marketo knows of it."""
    record = await a_synced(connected, entity, jobtitle="Director")
    before = await connected.person(record)
    await delete_in_dynamics(connected, entity, record)

    await connected.cycle()

    person = await connected.person(record, "msIsDeleted", "title")
    assert (person["id"], person["msIsDeleted"], person["title"]) == (before["id"], True, "Director")
    await assert_quiet(connected)


async def test_a_smart_campaign_may_delete_who_is_flagged(connected: World) -> None:
    """ "a smart campaign may delete it": then the record is gone on both sides, and nothing is left to do."""
    lead = await a_synced(connected, "lead")
    await delete_in_dynamics(connected, "lead", lead)
    await connected.cycle()
    await delete_in_marketo(connected, lead)

    await connected.cycle()

    assert await connected.people([lead]) == {}
    await assert_quiet(connected)


async def test_who_is_flagged_and_edited_in_marketo_troubles_nobody(connected: World) -> None:
    """ "person stays": it may be edited in Marketo, and there is no record any more that the edit could go to."""
    lead = await a_synced(connected, "lead")
    await delete_in_dynamics(connected, "lead", lead)
    await connected.cycle()
    await change_in_marketo(connected, lead, title="Chief")

    report = await connected.cycle()

    assert report.to_dynamics["lead"].failed == 0
    assert (await connected.person(lead, "title"))["title"] == "Chief"
    await assert_quiet(connected)


async def test_who_is_deleted_in_dynamics_becomes_a_new_lead_by_the_list(connected: World) -> None:
    """ "deleted in Dynamics, later Sync Person to Microsoft: a new lead is created": of the same person."""
    options = creating("lead")
    number = await a_list(connected)
    await cycle_as(connected, **options)
    lead = await a_synced(connected, "lead", jobtitle="Director", donotbulkemail=True)
    person = await connected.person(lead)
    await delete_in_dynamics(connected, "lead", lead)
    await cycle_as(connected, **options)

    await put_on_list(connected, number, person["id"])
    await cycle_as(connected, **options)

    again = await record_of(connected, person["id"])
    assert again["dynamicsId"] != lead
    assert (again["msType"], again["msIsDeleted"]) == ("Lead", False)
    row = await in_dynamics(connected, "lead", again["dynamicsId"], "jobtitle", "donotbulkemail")
    assert (row["jobtitle"], row["donotbulkemail"]) == ("Director", True), "what Marketo knew, opt-out included"
    await assert_quiet(connected, **options)


async def test_an_opted_out_person_who_is_created_again_is_opted_out(connected: World) -> None:
    """Consent: "a re-created person is unsubscribed again". The opt-out, made in Marketo, was brought to Dynamics."""
    options = {"deleted_in_marketo": "recreate"}
    contact = await a_synced(connected, "contact", donotbulkemail=False)
    before = await connected.person(contact)
    await change_in_marketo(connected, contact, unsubscribed=True)
    await cycle_as(connected, **options)
    await delete_in_marketo(connected, contact)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, **options)

    person = await connected.person(contact, "unsubscribed")
    assert person["id"] != before["id"], "another person, as the native connector would make"
    assert person["unsubscribed"] is True
    await assert_quiet(connected, **options)


# Duplicates


@pytest.mark.parametrize(("first", "second"), [("lead", "lead"), ("contact", "contact"), ("lead", "contact")])
async def test_two_records_with_one_email_are_two_people(connected: World, first: str, second: str) -> None:
    """ "Two Dynamics records with one e-mail are two people": and they stay apart when one of them changes."""
    email = {"emailaddress1": "twin@contoso.example"}
    one = await new_in_dynamics(connected, first, "One", **email)
    two = await new_in_dynamics(connected, second, "Two", **email)
    await connected.cycle()

    people = await connected.people([one, two], "email", "lastName")
    assert {key: [person["lastName"] for person in found] for key, found in people.items()} == {
        one: ["One"],
        two: ["Two"],
    }
    await change_in_dynamics(connected, second, two, jobtitle="Chief")
    await connected.cycle()

    assert (await connected.person(one, "title")).get("title") is None
    assert (await connected.person(two, "title"))["title"] == "Chief"
    await assert_quiet(connected)


async def test_who_is_in_marketo_already_is_not_matched_by_email(connected: World) -> None:
    """ "Nothing de-duplicates against the CRM sync". Ours is the same: a record of Dynamics is a person of its own."""
    known = await somebody(connected, "ada@contoso.example")
    lead = await new_in_dynamics(connected, "lead", "Lovelace", emailaddress1="ada@contoso.example")

    await connected.cycle()

    person = await connected.person(lead, "email")
    assert (person["id"] != known, person["email"]) == (True, "ada@contoso.example")
    assert (await record_of(connected, known))["dynamicsId"] is None
    await assert_quiet(connected)


async def test_an_email_that_becomes_that_of_another_merges_nobody(connected: World) -> None:
    """Two people with one e-mail address, by an edit in Dynamics; then they part again, by an edit in Marketo."""
    ada = await a_synced(connected, "contact", emailaddress1="ada@contoso.example")
    bob = await a_synced(connected, "contact", number=1, emailaddress1="bob@contoso.example")
    before = {one: (await connected.person(one))["id"] for one in (ada, bob)}

    await change_in_dynamics(connected, "contact", bob, emailaddress1="ada@contoso.example")
    await connected.cycle()

    assert {one: (await connected.person(one))["id"] for one in (ada, bob)} == before
    assert (await connected.person(bob, "email"))["email"] == "ada@contoso.example"

    await change_in_marketo(connected, ada, email="ada.new@contoso.example")
    await connected.cycle()

    rows = {one: (await in_dynamics(connected, "contact", one, "emailaddress1"))["emailaddress1"] for one in (ada, bob)}
    assert rows == {ada: "ada.new@contoso.example", bob: "ada@contoso.example"}
    await assert_quiet(connected)


# Deactivation


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_deactivation_is_a_change_of_status(connected: World, entity: str) -> None:
    """ "Deactivation is not deletion: it arrives as a change of the mapped Status"; so does activation."""
    record = await a_synced(connected, entity, jobtitle="Director")
    before = await connected.person(record, "leadStatus")
    inactive, active = {"lead": ({"statecode": 2, "statuscode": 4}, {"statecode": 0, "statuscode": 1})}.get(
        entity, ({"statecode": 1, "statuscode": 2}, {"statecode": 0, "statuscode": 1})
    )

    await change_in_dynamics(connected, entity, record, **inactive)
    await connected.cycle()

    person = await connected.person(record, "leadStatus", "msStatusReason", "msIsDeleted", "title")
    assert person["leadStatus"] != before["leadStatus"]
    assert (person["leadStatus"], person["msIsDeleted"], person["title"]) == (
        {"lead": "Disqualified", "contact": "Inactive"}[entity],
        False,
        "Director",
    )

    await change_in_dynamics(connected, entity, record, **active)
    await connected.cycle()

    assert (await connected.person(record, "leadStatus"))["leadStatus"] == before["leadStatus"]
    await assert_quiet(connected)


async def test_a_deactivated_account_is_kept_with_its_people(connected: World) -> None:
    """ "Deactivation is not deletion": of an account."""
    account = await new_in_dynamics(connected, "account", "Closed down")
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await new_in_dynamics(connected, "contact", "Employee", **link)
    await connected.cycle()
    admin = await connected.admin()

    await admin.update("accounts", account, {"statecode": 1, "statuscode": 2})
    await connected.cycle()

    assert (await company(connected, account, "company"))["company"] == "Closed down"
    assert (await connected.person(contact, "externalCompanyId"))["externalCompanyId"] == account
    await assert_quiet(connected)


async def test_a_deactivated_record_still_takes_changes_from_marketo(connected: World) -> None:
    """Not in the table: an inactive record is not read-only to the API, and stays in step."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_dynamics(connected, "contact", contact, statecode=1, statuscode=2)
    await connected.cycle()

    await change_in_marketo(connected, contact, title="Chief")
    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert await name_in_marketo(connected, "contact", contact)
    await assert_quiet(connected)


# Not in the tables


async def test_a_record_that_is_restored_in_dynamics_is_flagged_no_more(connected: World) -> None:
    """A restored record has the id that it had: it is the same person again."""
    lead = await a_synced(connected, "lead", jobtitle="Director")
    before = await connected.person(lead)
    await delete_in_dynamics(connected, "lead", lead)
    await connected.cycle()

    await new_in_dynamics(connected, "lead", "Restored", leadid=lead)
    await connected.cycle()

    person = await connected.person(lead, "msIsDeleted", "lastName")
    assert (person["id"], person["msIsDeleted"], person["lastName"]) == (before["id"], False, "Restored")
    await assert_quiet(connected)


async def test_an_account_that_is_deleted_in_dynamics_leaves_its_people_in_peace(connected: World) -> None:
    """Marketo deletes no company that has people, and takes nobody out of one: the company stays as it is."""
    account = await new_in_dynamics(connected, "account", "Closed down")
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await new_in_dynamics(connected, "contact", "Employee", **link)
    await connected.cycle()

    await delete_in_dynamics(connected, "account", account)
    await connected.cycle()

    assert (await connected.person(contact, "lastName", "msIsDeleted"))["msIsDeleted"] is False
    await assert_quiet(connected)


async def test_who_was_deleted_in_marketo_while_filtered_is_not_created_by_yes(connected: World) -> None:
    """A tombstone outlives the filter: No, deleted in Marketo, Yes again."""
    lead = await a_synced(connected, "lead")
    await change_in_dynamics(connected, "lead", lead, new_synctomkto=False)
    await connected.cycle()
    await delete_in_marketo(connected, lead)

    await change_in_dynamics(connected, "lead", lead, new_synctomkto=True)
    await connected.cycle()

    assert await connected.people([lead]) == {}
    await assert_quiet(connected)
