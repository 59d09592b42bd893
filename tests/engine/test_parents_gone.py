"""Somebody deletes a company, sales person or opportunity in Marketo: it is made anew, and nothing waits for it."""

from __future__ import annotations

import pytest

from crmsync.engine.compare import compare
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, cycle_as
from tests.engine.custom_objects import REGISTRATION, register, registering
from tests.engine.test_roles import connect, roles
from tests.world import World

__all__ = ["registering"]


async def delete(world: World, target: str, key: str) -> None:
    await world.post("deletions", {"tenant": world.name, "target": target, "key": key})


async def an_employee(world: World, **values: object) -> tuple[str, str]:
    """A synced contact and its account, which is synced as well."""
    [account, *_] = await world.rows("account", "accountid", filter="new_synctomkto eq true")
    contact = await a_synced(
        world, "contact", **{"parentcustomerid_account@odata.bind": f"/accounts({account['accountid']})"}, **values
    )
    assert (await world.person(contact, "externalCompanyId"))["externalCompanyId"] == account["accountid"]
    return contact, account["accountid"]


async def companies(world: World, *ids: str) -> list[str]:
    marketo = await world.marketo()
    rows = await marketo.companies("externalCompanyId", ids, ["externalCompanyId", "company"])
    return [row["externalCompanyId"] for row in rows if row["company"]]


@pytest.mark.parametrize("switch", ["record", "call"])
async def test_a_company_is_made_anew_and_its_people_go_on_in_the_same_cycle(connected: World, switch: str) -> None:
    await connected.post("switches", {"tenant": connected.name, "missing_link": switch})
    contact, account = await an_employee(connected, donotbulkemail=False)
    await delete(connected, "company", account)
    await change_in_dynamics(connected, "contact", contact, donotbulkemail=True)

    report = await connected.cycle()

    assert report.entities["contact"].failed == 0
    assert (await connected.person(contact, "unsubscribed"))["unsubscribed"] is True
    assert await companies(connected, account) == [account]
    await assert_quiet(connected)


async def test_an_opt_out_arrives_though_the_company_cannot_be_made(connected: World) -> None:
    contact, account = await an_employee(connected, donotbulkemail=False)
    await (await connected.admin()).update("accounts", account, {"new_synctomkto": False})
    await connected.cycle()
    await delete(connected, "company", account)
    await change_in_dynamics(connected, "contact", contact, donotbulkemail=True)

    report = await connected.cycle()

    assert report.entities["contact"].failed == 0
    assert (await connected.person(contact, "unsubscribed"))["unsubscribed"] is True
    assert await companies(connected, account) == []


async def test_a_sales_person_is_made_anew_for_the_person_and_for_the_company(connected: World) -> None:
    contact, account = await an_employee(connected)
    owner = (await connected.person(contact, "externalSalesPersonId"))["externalSalesPersonId"]
    await delete(connected, "sales_person", owner)
    await delete(connected, "company", account)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    report = await connected.cycle()

    assert (report.entities["contact"].failed, report.entities["account"].failed) == (0, 0)
    found = await connected.person(contact, "title", "externalSalesPersonId")
    assert (found["title"], found["externalSalesPersonId"]) == ("Chief", owner)
    marketo = await connected.marketo()
    assert len(await marketo.sales_persons("externalSalesPersonId", [owner], ["lastName"])) == 1
    assert await companies(connected, account) == [account]


async def test_an_opportunity_is_made_anew_with_all_its_roles(connected: World) -> None:
    contact, account = await an_employee(connected)
    other = await a_synced(connected, "contact", number=1)
    admin = await connected.admin()
    links = {"parentcontactid": f"/contacts({contact})", "customerid_account": f"/accounts({account})"}
    new = await admin.create("opportunities", {"name": "Engines", **{f"{k}@odata.bind": v for k, v in links.items()}})
    await connected.cycle()
    assert (await roles(connected, new)).keys() == {contact}
    await delete(connected, "opportunity", new)
    await connect(admin, new, other)

    await connected.cycle()

    assert (await roles(connected, new)).keys() == {contact, other}
    await assert_quiet(connected)


async def test_compare_tells_of_the_missing_parent_and_repair_makes_it(connected: World) -> None:
    _, account = await an_employee(connected)
    await delete(connected, "company", account)

    async with connected.session() as session:
        found = await compare(session)
        assert [(one.record_id, one.kind) for one in found.differences if one.entity == "account"] == [
            (account, "missing in Marketo")
        ]
        await compare(session, repair=True, entities=["account"])

    assert await companies(connected, account) == [account]


async def test_a_custom_object_whose_person_lost_its_key_finds_it_again(registering: World) -> None:
    contact = await a_synced(registering, "contact")
    person = (await registering.person(contact))["id"]
    marketo = await registering.marketo()
    await marketo.sync_people([{"id": person, "dynamicsId": None}], action="updateOnly", lookup_field="id")
    await register(registering, contact)

    report = await cycle_as(registering, to_dynamics=False)

    assert report.entities[REGISTRATION].created == 1
    assert (await registering.person(contact))["id"] == person
