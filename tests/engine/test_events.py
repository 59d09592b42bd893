"""Events of a record's life that need care, one readable test each."""

from __future__ import annotations

from tests.engine.both_sides import SETS, a_synced, assert_quiet, change_in_dynamics, in_dynamics
from tests.engine.successions import how_many, new, nobody, person_id, qualify
from tests.world import World


async def test_a_contact_moves_to_another_company(connected: World) -> None:
    accounts = [row["accountid"] for row in await connected.rows("account", "accountid")]
    store = await connected.store()
    there = sorted(await store.records.in_marketo(connected.name, "account", accounts))
    bind = "parentcustomerid_account@odata.bind"
    contact = await a_synced(connected, "contact", **{bind: f"/accounts({there[0]})"})
    assert (await connected.person(contact, "externalCompanyId"))["externalCompanyId"] == there[0]
    person = await person_id(connected, contact)
    await change_in_dynamics(connected, "contact", contact, **{bind: f"/accounts({there[1]})"})

    await connected.cycle()

    found = await connected.person(contact, "externalCompanyId", "company")
    assert (found["id"], found["externalCompanyId"]) == (person, there[1])
    [account] = await connected.rows("account", "name", filter=f"accountid eq {there[1]}")
    assert found["company"] == account["name"]
    await assert_quiet(connected)


async def test_a_contact_moves_to_a_company_that_is_new_in_the_same_cycle(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    admin = await connected.admin()
    account = await admin.create("accounts", {"name": "Brand New", "new_synctomkto": True})
    await change_in_dynamics(
        connected, "contact", contact, **{"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    )

    await connected.cycle()

    found = await connected.person(contact, "externalCompanyId", "company")
    assert (found["externalCompanyId"], found["company"]) == (account, "Brand New")
    await assert_quiet(connected)


async def test_a_record_gets_another_owner(connected: World) -> None:
    users = [row["systemuserid"] for row in await connected.rows("systemuser", "systemuserid")]
    store = await connected.store()
    owners = await store.records.in_marketo(connected.name, "systemuser", users)
    lead = await a_synced(connected, "lead")
    before = (await in_dynamics(connected, "lead", lead, "_ownerid_value"))["_ownerid_value"]
    other = sorted(owners - {before})[0]
    await change_in_dynamics(connected, "lead", lead, **{"ownerid@odata.bind": f"/systemusers({other})"})

    await connected.cycle()

    assert (await connected.person(lead, "externalSalesPersonId"))["externalSalesPersonId"] == other
    await assert_quiet(connected)


async def test_an_email_changes_to_that_of_another(connected: World) -> None:
    """Two records are two people, whatever their address: nobody is merged by e-mail."""
    one = await a_synced(connected, "contact", emailaddress1="one@example.com")
    other = await a_synced(connected, "contact", number=1, emailaddress1="other@example.com")
    people = {await person_id(connected, one), await person_id(connected, other)}
    await change_in_dynamics(connected, "contact", other, emailaddress1="one@example.com")

    await connected.cycle()

    assert {await person_id(connected, one), await person_id(connected, other)} == people
    assert await how_many(connected, "one@example.com") == 2
    await assert_quiet(connected)


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


async def test_a_record_that_changes_twice_within_one_cycle_is_written_once_with_the_last_value(
    connected: World,
) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    for title in ("Chief", "Head"):
        await change_in_dynamics(connected, "contact", contact, jobtitle=title)

    report = await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Head"
    assert report.entities["contact"].updated == 1
    await assert_quiet(connected)


async def test_a_record_that_changes_and_changes_back_within_one_cycle_is_not_written(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    for title in ("Chief", "Director"):
        await change_in_dynamics(connected, "contact", contact, jobtitle=title)

    report = await connected.cycle()

    assert (report.entities["contact"].updated, report.entities["contact"].unchanged) == (0, 1)


async def test_a_record_that_is_created_and_deleted_between_two_cycles_leaves_no_trace(connected: World) -> None:
    lead = await new(connected, "lead", emailaddress1="brief@example.com")
    admin = await connected.admin()
    await admin.delete(SETS["lead"], lead)
    before = await connected.written()

    report = await connected.cycle()

    assert await nobody(connected, lead)
    assert await how_many(connected, "brief@example.com") == 0
    assert report.total.written == report.total.deleted == 0
    assert await connected.written() == before
    errors = await (await connected.store()).errors.all(connected.name)
    assert lead not in {error.record_id for error in errors}
    await assert_quiet(connected)


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
