"""Which way what goes, who wins, and who may say no, row by row: "Field Sync", "Account Sync", "Lead Sync" (Marketo's
documents).

Which test shows which row, also those that stand elsewhere (cadence, one record on demand, collisions, opt-outs,
creation from a list), is told in the README beside this file.
"""

from __future__ import annotations

import pytest

from tests.engine.both_sides import (
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.engine.scenarios.acts import change, company, new_in_dynamics, sync_errors, users
from tests.engine.test_created_in_marketo import a_list, creating, put_on_list, record_of, somebody
from tests.world import World

# One-way entities


async def test_an_account_with_many_contacts_is_one_write(connected: World) -> None:
    """ "account change with more than 5,000 contacts: value synced". The company is written, and none of its people."""
    account = await new_in_dynamics(connected, "account", "Before")
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contacts = [await new_in_dynamics(connected, "contact", f"Employee {at}", **link) for at in range(40)]
    await connected.cycle()
    await connected.reset_requests()

    await change(connected, "account", account, name="After")
    report = await connected.cycle()

    assert (report.entities["account"].updated, report.entities["contact"].written) == (1, 0)
    assert await connected.written() == {"/rest/v1/companies.json": 1}
    people = await connected.people(contacts, "company")
    assert {person["company"] for found in people.values() for person in found} == {"After"}
    assert len(people) == len(contacts)
    await assert_quiet(connected)


async def test_an_account_field_edited_in_marketo_is_overwritten_at_the_next_update(connected: World) -> None:
    """ "changes all people of that account …; never reaches Dynamics; overwritten at the next account update"."""
    account = await new_in_dynamics(connected, "account", "Contoso", address1_city="Seattle")
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await new_in_dynamics(connected, "contact", "Employee", **link)
    await connected.cycle()

    marketo = await connected.marketo()
    await marketo.sync_companies([{"externalCompanyId": account, "billingCity": "Marketoville"}])
    await connected.cycle()

    assert (await connected.person(contact, "billingCity"))["billingCity"] == "Marketoville"
    [row] = await connected.rows("account", "address1_city", filter=f"accountid eq {account}")
    assert row["address1_city"] == "Seattle"

    await change(connected, "account", account, telephone1="+1 555 0100")
    await connected.cycle()

    assert (await company(connected, account, "billingCity"))["billingCity"] == "Seattle"
    await assert_quiet(connected)


async def test_an_opportunity_edited_in_marketo_is_overwritten_at_the_next_update(connected: World) -> None:
    """ "account, opportunity, user …: Dynamics → Marketo only"; "one-way entities: Dynamics wins"."""
    deal = await new_in_dynamics(connected, "opportunity", "Deal", description="as sold")
    await connected.cycle()

    marketo = await connected.marketo()
    await marketo.sync_opportunities([{"externalOpportunityId": deal, "name": "Renamed in Marketo"}])
    await connected.cycle()

    [row] = await connected.rows("opportunity", "name", filter=f"opportunityid eq {deal}")
    assert row["name"] == "Deal"

    await change(connected, "opportunity", deal, estimatedvalue=700.0)
    await connected.cycle()

    [found] = await marketo.opportunities("externalOpportunityId", [deal], ["name", "amount"])
    assert (found["name"], found["amount"]) == ("Deal", 700.0)
    await assert_quiet(connected)


async def test_a_sales_person_edited_in_marketo_is_overwritten_at_the_next_update(connected: World) -> None:
    """ "account, opportunity, user …: Dynamics → Marketo only"."""
    [user, *_] = await users(connected)
    [before] = await connected.rows("systemuser", "title", filter=f"systemuserid eq {user}")
    marketo = await connected.marketo()
    await marketo.sync_sales_persons([{"externalSalesPersonId": user, "title": "Named in Marketo"}])
    await connected.cycle()

    [row] = await connected.rows("systemuser", "title", filter=f"systemuserid eq {user}")
    assert row["title"] == before["title"]

    admin = await connected.admin()
    await admin.update("systemusers", user, {"title": "Named in Dynamics"})
    await connected.cycle()

    [found] = await marketo.sales_persons("externalSalesPersonId", [user], ["title"])
    assert found["title"] == "Named in Dynamics"
    await assert_quiet(connected)


# Owners


async def test_another_owner_in_dynamics_is_another_sales_person(connected: World) -> None:
    """ "Users … Dynamics → Marketo": the owner of a lead, a contact, and an account changes."""
    first, second, *_ = await users(connected)
    owned_by = {"ownerid@odata.bind": f"/systemusers({first})"}
    records = {name: await new_in_dynamics(connected, name, "Owned", **owned_by) for name in ("lead", "contact")}
    account = await new_in_dynamics(connected, "account", "Owned", **owned_by)
    await connected.cycle()

    for entity, record in {**records, "account": account}.items():
        await change(connected, entity, record, **{"ownerid@odata.bind": f"/systemusers({second})"})
    await connected.cycle()

    for record in records.values():
        person = await connected.person(record, "externalSalesPersonId")
        assert person["externalSalesPersonId"] == second
    assert (await company(connected, account, "externalSalesPersonId"))["externalSalesPersonId"] == second
    await assert_quiet(connected)


async def test_another_owner_in_marketo_stays_there_until_dynamics_speaks(connected: World) -> None:
    """ "Change Owner" (a flow action). Ours: not carried; Dynamics' owner comes back with the record's next change."""
    first, second, *_ = await users(connected)
    lead = await new_in_dynamics(connected, "lead", "Owned", **{"ownerid@odata.bind": f"/systemusers({first})"})
    await connected.cycle()

    await change_in_marketo(connected, lead, externalSalesPersonId=second)
    await connected.cycle()

    assert (await in_dynamics(connected, "lead", lead, "_ownerid_value"))["_ownerid_value"] == first

    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief")
    await connected.cycle()

    assert (await connected.person(lead, "externalSalesPersonId"))["externalSalesPersonId"] == first
    await assert_quiet(connected)


# Rules in Dynamics


async def test_a_write_that_dynamics_refuses_is_a_sync_error_and_the_others_go_on(connected: World) -> None:
    """ "validation rules in Dynamics: respected; a failing write is logged". The rule: no e-mail address twice."""
    options = {"duplicate_detection": "detect"}
    taken = await a_synced(connected, "contact", emailaddress1="taken@contoso.example")
    refused = await a_synced(connected, "contact", number=1, emailaddress1="own@contoso.example")
    other = await a_synced(connected, "contact", number=2, jobtitle="Director")
    await change_in_marketo(connected, refused, email="taken@contoso.example")
    await change_in_marketo(connected, other, title="Chief")

    report = await cycle_as(connected, **options)

    assert (report.to_dynamics["contact"].failed, report.to_dynamics["contact"].updated) == (1, 1)
    assert (await in_dynamics(connected, "contact", other, "jobtitle"))["jobtitle"] == "Chief"
    row = await in_dynamics(connected, "contact", refused, "emailaddress1")
    assert row["emailaddress1"] == "own@contoso.example"
    [error] = await sync_errors(connected, refused)
    assert (error.direction, error.operation) == ("Marketo → Dynamics", "update")
    assert "duplicate" in error.reason.lower()
    assert error.remedy
    assert error.next_attempt is not None

    await change_in_dynamics(connected, "contact", taken, emailaddress1="another@contoso.example")
    await change_in_marketo(connected, refused, email="free@contoso.example")
    await cycle_as(connected, **options)

    row = await in_dynamics(connected, "contact", refused, "emailaddress1")
    assert row["emailaddress1"] == "free@contoso.example"
    assert await sync_errors(connected, refused) == []
    await assert_quiet(connected, **options)


async def test_a_duplicate_rule_does_not_refuse_a_change_of_a_field_in_no_rule(connected: World) -> None:
    """Complaint C8: "a duplicate … already exists" though the changed field is in no rule. Ours: only where asked."""
    await a_synced(connected, "contact", emailaddress1="twin@contoso.example")
    twin = await a_synced(connected, "contact", number=1, emailaddress1="twin@contoso.example")
    await change_in_marketo(connected, twin, title="Chief")

    report = await connected.cycle()

    assert (await in_dynamics(connected, "contact", twin, "jobtitle"))["jobtitle"] == "Chief"
    assert report.to_dynamics["contact"].failed == 0
    await assert_quiet(connected)


# Create from Marketo


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_a_person_without_a_company_record_is_created_without_an_account(connected: World, entity: str) -> None:
    """ "As contact, a lead is created and qualified without an account". Ours: a contact at once, and nothing else."""
    before = await how_many(connected)
    number = await a_list(connected)
    ada = await somebody(connected, company="Analytical Engines")
    await put_on_list(connected, number, ada)

    await cycle_as(connected, **creating(entity))

    record = (await record_of(connected, ada))["dynamicsId"]
    if entity == "contact":
        row = await in_dynamics(connected, "contact", record, "_parentcustomerid_value")
        assert row["_parentcustomerid_value"] is None
    else:
        assert (await in_dynamics(connected, "lead", record, "companyname"))["companyname"] == "Analytical Engines"
    assert await how_many(connected) == before | {entity: before[entity] + 1}
    await assert_quiet(connected, **creating(entity))


async def how_many(world: World) -> dict[str, int]:
    return {name: len(await world.rows(name, f"{name}id")) for name in ("account", "lead", "contact")}


async def test_a_created_record_belongs_to_its_persons_sales_person(connected: World) -> None:
    """ "by flow action (with owner …)". Ours: where the tenant file names no owner, the one whom Marketo knows."""
    owner = (await users(connected))[-1]
    number = await a_list(connected)
    ada = await somebody(connected, externalSalesPersonId=owner)
    await put_on_list(connected, number, ada)

    await cycle_as(connected, **creating("lead"))

    record = (await record_of(connected, ada))["dynamicsId"]
    assert (await in_dynamics(connected, "lead", record, "_ownerid_value"))["_ownerid_value"] == owner
    await assert_quiet(connected, **creating("lead"))


async def test_an_opted_out_person_is_created_opted_out(connected: World) -> None:
    """Consent: true means do not send, on both sides; a new record does not forget it."""
    number = await a_list(connected)
    ada = await somebody(connected, unsubscribed=True)
    await put_on_list(connected, number, ada)

    await cycle_as(connected, **creating("lead"))

    record = (await record_of(connected, ada))["dynamicsId"]
    assert (await in_dynamics(connected, "lead", record, "donotbulkemail"))["donotbulkemail"] is True
    assert (await record_of(connected, ada, "unsubscribed"))["unsubscribed"] is True
    await assert_quiet(connected, **creating("lead"))
