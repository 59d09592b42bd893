"""A lead becomes a new contact: the person continues, with its Marketo id and all that hangs on it."""

from __future__ import annotations

import pytest

from crmsync.engine.record import sync_record
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, cycle_as, in_dynamics
from tests.engine.successions import how_many, new, nobody, person_id, qualify, status_of
from tests.world import World


async def test_the_person_continues_as_the_contact(connected: World) -> None:
    lead = await a_synced(connected, "lead", jobtitle="Director", emailaddress1="ada@example.com")
    person = await person_id(connected, lead)
    contact = await qualify(connected, lead)

    await connected.cycle()

    assert await nobody(connected, lead)
    found = await connected.person(contact, "msType", "title", "msIsDeleted")
    assert (found["id"], found["msType"], found["title"]) == (person, "Contact", "Director")
    assert not found["msIsDeleted"]
    assert await how_many(connected, "ada@example.com") == 1
    assert await status_of(connected, "lead", lead) == "converted"
    await assert_quiet(connected)


async def test_with_a_new_account_the_company_comes_first(connected: World) -> None:
    lead = await a_synced(connected, "lead", companyname="Analytical Engines")
    person = await person_id(connected, lead)
    contact = await qualify(connected, lead, account=True)
    row = await in_dynamics(connected, "contact", contact, "_parentcustomerid_value", "_ownerid_value")

    await connected.cycle()

    found = await connected.person(contact, "externalCompanyId", "externalSalesPersonId", "company")
    assert (found["id"], found["company"]) == (person, "Analytical Engines")
    assert found["externalCompanyId"] == row["_parentcustomerid_value"]
    assert found["externalSalesPersonId"] == row["_ownerid_value"]
    await assert_quiet(connected)


async def test_with_an_existing_account_the_person_joins_its_company(connected: World) -> None:
    [account, *_] = await connected.rows("account", "accountid", filter="new_synctomkto eq true")
    lead = await a_synced(connected, "lead")
    await change_in_dynamics(
        connected, "lead", lead, **{"parentaccountid@odata.bind": f"/accounts({account['accountid']})"}
    )
    person = await person_id(connected, lead)
    contact = await qualify(connected, lead)

    await connected.cycle()

    found = await connected.person(contact, "externalCompanyId")
    assert (found["id"], found["externalCompanyId"]) == (person, account["accountid"])
    await assert_quiet(connected)


async def test_custom_code_that_names_the_originating_lead_converts_as_well(connected: World) -> None:
    """Nothing but the contact's column tells it; the lead stays open."""
    lead = await a_synced(connected, "lead")
    person = await person_id(connected, lead)
    contact = await new(connected, "contact", **{"originatingleadid@odata.bind": f"/leads({lead})"})

    await connected.cycle()

    assert await person_id(connected, contact) == person
    await change_in_dynamics(connected, "lead", lead, jobtitle="Still a lead")
    await connected.cycle()
    assert (await connected.person(contact, "title")).get("title") != "Still a lead"
    assert await nobody(connected, lead)
    await assert_quiet(connected)


@pytest.mark.parametrize(
    ("lead_filter", "contact_filter", "goes_on_as"),
    [(False, False, None), (True, True, "the same"), (False, True, "a new person"), (True, False, "the lead")],
)
async def test_both_filters_decide(
    connected: World, lead_filter: bool, contact_filter: bool, goes_on_as: str | None
) -> None:
    """ "Microsoft Dynamics Sync Filter: Qualify", row by row."""
    lead = await new(connected, "lead", new_synctomkto=lead_filter)
    await connected.cycle()
    assert await nobody(connected, lead) is not lead_filter
    person = await person_id(connected, lead) if lead_filter else None
    await change_in_dynamics(connected, "lead", lead, jobtitle="Just before")
    contact = await qualify(connected, lead)
    await change_in_dynamics(connected, "contact", contact, new_synctomkto=contact_filter)

    await connected.cycle()

    assert await nobody(connected, contact) is not contact_filter
    assert await nobody(connected, lead) is (goes_on_as != "the lead")
    if goes_on_as == "the same":
        assert await person_id(connected, contact) == person
    if goes_on_as == "the lead":
        found = await connected.person(lead, "title", "msType")
        assert (found["id"], found["title"], found["msType"]) == (person, "Just before", "Lead")
    await assert_quiet(connected)


async def test_a_contact_that_is_let_in_later_continues_the_lead_then(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    person = await person_id(connected, lead)
    contact = await qualify(connected, lead)
    await change_in_dynamics(connected, "contact", contact, new_synctomkto=False)
    await connected.cycle()
    assert await person_id(connected, lead) == person
    await change_in_dynamics(connected, "contact", contact, new_synctomkto=True)

    await connected.cycle()

    assert await person_id(connected, contact) == person
    assert await nobody(connected, lead)
    await assert_quiet(connected)


async def test_a_filtered_lead_that_is_let_in_after_its_contact_makes_nobody(connected: World) -> None:
    lead = await new(connected, "lead", new_synctomkto=False)
    await connected.cycle()
    contact = await qualify(connected, lead)
    await change_in_dynamics(connected, "contact", contact, new_synctomkto=True)
    await connected.cycle()
    person = await person_id(connected, contact)
    await change_in_dynamics(connected, "lead", lead, new_synctomkto=True)

    await connected.cycle()

    assert await nobody(connected, lead)
    assert await person_id(connected, contact) == person


async def test_lead_and_contact_that_are_new_in_one_cycle_are_one_person(connected: World) -> None:
    lead = await new(connected, "lead", emailaddress1="both@example.com")
    contact = await qualify(connected, lead)

    await connected.cycle()

    assert await nobody(connected, lead)
    assert len((await connected.people([contact]))[contact]) == 1
    assert await how_many(connected, "both@example.com") == 1
    await assert_quiet(connected)


async def test_the_contact_may_be_read_before_the_lead(connected: World) -> None:
    """The lead was not carried when the contact was: it comes later, and makes nobody."""
    lead = await new(connected, "lead", emailaddress1="before@example.com")
    contact = await new(
        connected, "contact", emailaddress1="before@example.com", **{"originatingleadid@odata.bind": f"/leads({lead})"}
    )
    async with connected.session() as session:
        await sync_record(session, f"contact:{contact}")

    report = await connected.cycle()

    assert report.entities["lead"].created == 0, "not even for a moment"
    assert await nobody(connected, lead)
    assert await how_many(connected, "before@example.com") == 1
    await assert_quiet(connected)


async def test_the_lead_changes_after_it_was_qualified(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    contact = await qualify(connected, lead)
    await connected.cycle()
    await change_in_dynamics(connected, "lead", lead, jobtitle="Of the lead")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Of the contact")

    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Of the contact"
    assert await nobody(connected, lead)
    await assert_quiet(connected)


@pytest.mark.parametrize("policy", ["flag", "delete"])
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_the_lead_is_deleted_after_it_was_qualified(connected: World, policy: str, when: str) -> None:
    """The person is the contact's: it is neither flagged nor deleted."""
    lead = await a_synced(connected, "lead")
    person = await person_id(connected, lead)
    contact = await new(connected, "contact", **{"originatingleadid@odata.bind": f"/leads({lead})"})
    if when == "later":
        await cycle_as(connected, deleted_in_dynamics=policy)
    admin = await connected.admin()
    if when == "later":
        await admin.delete("leads", lead)
    else:
        await cycle_as(connected, deleted_in_dynamics=policy)
        await change_in_dynamics(connected, "lead", lead, jobtitle="Last words")
        await admin.delete("leads", lead)

    await cycle_as(connected, deleted_in_dynamics=policy)

    found = await connected.person(contact, "msIsDeleted")
    assert found["id"] == person
    assert not found["msIsDeleted"]
    await assert_quiet(connected, deleted_in_dynamics=policy)


async def test_a_deleted_contact_flags_the_person_that_came_from_the_lead(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    contact = await qualify(connected, lead)
    await connected.cycle()
    admin = await connected.admin()
    await admin.delete("contacts", contact)

    await connected.cycle()

    assert (await connected.person(contact, "msIsDeleted"))["msIsDeleted"] is True
    await assert_quiet(connected)
