"""Custom entities become custom objects that hang on the person or the company."""

from __future__ import annotations

import pytest

from crmsync.dynamics import setup_tables
from crmsync.engine import setup
from crmsync.engine.record import sync_record
from crmsync.fields.worksheet import describe_plan
from tests.engine.custom_objects import (
    COMPANY,
    ORDER_LINE,
    PERSON,
    REGISTRATION,
    a_company,
    a_contact,
    name_custom_entities,
    objects,
    register,
    registering,
    select,
    track,
)
from tests.world import World

__all__ = ["registering"]


async def test_enabling_one_needs_no_stop_and_brings_all_records(connected: World) -> None:
    name_custom_entities(connected, REGISTRATION)
    async with connected.session() as session:
        assert (await session.store.tenants.get(session.name)).state == "syncing"

    await select(connected)
    report = await connected.cycle()

    rows = await connected.rows(REGISTRATION, "_new_contactid_value", "new_fee", "new_attendance")
    counts = report.entities[REGISTRATION]
    assert counts.read == len(rows) > 0
    assert counts.created + counts.filtered == counts.read
    there = await objects(connected, REGISTRATION, [row["new_eventregistrationid"] for row in rows], PERSON, "new_fee")
    contacts = {row["_new_contactid_value"] for row in rows} - {None}
    in_marketo = await (await connected.store()).records.in_marketo(connected.name, "contact", contacts)
    assert {row["new_eventregistrationid"] for row in rows if row["_new_contactid_value"] in {*in_marketo, None}} == (
        there.keys()
    )
    for row in rows:
        if (found := there.get(row["new_eventregistrationid"])) is not None:
            assert found.get(PERSON) == row["_new_contactid_value"]
            assert found.get("new_fee") == pytest.approx(row["new_fee"])
    assert (await connected.cycle()).total.written == 0


async def test_the_second_time_nothing_is_made(registering: World) -> None:
    await registering.reset_requests()

    await select(registering)

    schema = [path for path in await registering.requests("marketo") if "customobjects/schema" in path]
    assert schema
    assert not [path for path in schema if path.startswith("POST")]


async def test_a_plan_shows_what_will_be_made_and_makes_nothing(connected: World) -> None:
    name_custom_entities(connected, REGISTRATION)
    async with connected.session() as session:
        await setup.refresh_schema(session)
        plan = describe_plan(await setup.plan_fields(session))
        types = await session.marketo.custom_object_types()

    assert f"{REGISTRATION}: custom object {REGISTRATION}, which belongs to a person by new_contactid" in plan
    assert "  linkToPerson (link, 'Linked Person', to lead.dynamicsId)" in plan
    assert "  new_remark (text, 'Remark')" in plan
    assert f"  {REGISTRATION}.new_remark to new_remark: cut to 2,000 characters" in plan
    assert types.types == {}


async def test_what_changes_is_updated_and_what_is_deleted_goes(registering: World) -> None:
    contact, admin = await a_contact(registering), await registering.admin()
    one = await register(registering, contact, new_vegetarian=True)
    await registering.cycle()
    await admin.update("new_eventregistrations", one, {"new_event": "Spring", "new_vegetarian": None})

    await registering.cycle()
    found = await objects(registering, REGISTRATION, [one], "new_event", "statecode", PERSON)
    assert (found[one]["new_event"], found[one]["statecode"], found[one][PERSON]) == ("Spring", "Active", contact)

    await admin.delete("new_eventregistrations", one)
    report = await registering.cycle()
    assert await objects(registering, REGISTRATION, [one]) == {}
    assert report.entities[REGISTRATION].deleted == 1
    assert (await registering.cycle()).total.written == 0


async def test_a_record_waits_for_its_person_and_is_not_lost(registering: World) -> None:
    admin = await registering.admin()
    contact = await admin.create("contacts", {"lastname": "Later", "new_synctomkto": False})
    one = await register(registering, contact)
    report = await registering.cycle()
    assert await objects(registering, REGISTRATION, [one]) == {}
    assert report.entities[REGISTRATION].filtered == 1
    assert (await registering.cycle()).total.read == 0, "who waits costs nothing"

    await admin.update("contacts", contact, {"new_synctomkto": True})
    await registering.cycle()

    assert (await objects(registering, REGISTRATION, [one], PERSON))[one][PERSON] == contact


async def test_a_record_that_moves_belongs_to_the_other_person(registering: World) -> None:
    admin, first = await registering.admin(), await a_contact(registering)
    one = await register(registering, first)
    await registering.cycle()
    hidden = await admin.create("contacts", {"lastname": "Hidden", "new_synctomkto": False})

    await admin.update("new_eventregistrations", one, {"new_ContactId@odata.bind": f"/contacts({hidden})"})
    await registering.cycle()
    assert (await objects(registering, REGISTRATION, [one], PERSON))[one].get(PERSON) is None

    await admin.update("contacts", hidden, {"new_synctomkto": True})
    await registering.cycle()
    assert (await objects(registering, REGISTRATION, [one], PERSON))[one][PERSON] == hidden


async def test_one_record_on_demand_brings_its_person_first(registering: World) -> None:
    admin = await registering.admin()
    contact = await admin.create("contacts", {"lastname": "Hot", "new_synctomkto": True})
    one = await register(registering, contact)

    async with registering.session() as session:
        report = await sync_record(session, f"{REGISTRATION}:{one}")

    assert (await objects(registering, REGISTRATION, [one], PERSON))[one][PERSON] == contact
    assert report.entities[REGISTRATION].created == report.entities["contact"].created == 1


async def test_the_filter_column_keeps_a_record_out(connected: World) -> None:
    admin = await connected.admin()
    await setup_tables.create_filter_column(admin.channel, REGISTRATION, headers={})
    contact = await a_contact(connected)
    name_custom_entities(connected, REGISTRATION)
    await select(connected)
    one = await register(connected, contact, new_synctomkto=False)
    other = await register(connected, contact, new_synctomkto=True)

    await connected.cycle()
    assert (await objects(connected, REGISTRATION, [one, other])).keys() == {other}

    await admin.update("new_eventregistrations", one, {"new_synctomkto": True})
    await admin.update("new_eventregistrations", other, {"new_synctomkto": False, "new_event": "Stale"})
    await connected.cycle()
    found = await objects(connected, REGISTRATION, [one, other], "new_event")
    assert found.keys() == {one, other}
    assert found[other].get("new_event") is None


async def test_an_order_line_hangs_on_the_company_of_its_opportunitys_customer(connected: World) -> None:
    await track(connected, ORDER_LINE)
    name_custom_entities(connected, f"{{entity: {ORDER_LINE}, name: orderLine}}")
    await select(connected)
    await connected.cycle()
    admin, store = await connected.admin(), await connected.store()
    one, other = await a_company(connected), await admin.create("accounts", {"name": "Fabrikam"})
    contact = await admin.create(
        "contacts", {"lastname": "Buyer", "parentcustomerid_account@odata.bind": f"/accounts({other})"}
    )
    deal = await admin.create("opportunities", {"name": "Deal", "customerid_account@odata.bind": f"/accounts({one})"})
    line = await admin.create(
        "new_orderlines", {"new_name": "Line", "new_OpportunityId@odata.bind": f"/opportunities({deal})"}
    )

    async def company_of_line() -> int | None:
        found = (await objects(connected, "orderLine", [line], COMPANY, "new_opportunityid"))[line]
        assert found["new_opportunityid"] == deal
        number: int | None = found.get(COMPANY)
        return number

    await connected.cycle()
    known = await store.records.known(connected.name, "account", [one])
    assert await company_of_line() == known[one].marketo_id

    await admin.update("opportunities", deal, {"customerid_account@odata.bind": f"/accounts({other})"})
    await connected.cycle()
    known = await store.records.known(connected.name, "account", [other])
    assert await company_of_line() == known[other].marketo_id

    await admin.update("opportunities", deal, {"customerid_contact@odata.bind": f"/contacts({contact})"})
    await connected.cycle()
    assert await company_of_line() == known[other].marketo_id
    assert (await connected.cycle()).total.written == 0


async def test_what_belongs_to_a_company_without_people_waits_where_the_tenant_wants_no_others(contoso: World) -> None:
    path = contoso.ready.tenants_folder / f"{contoso.name}.yaml"
    path.write_text(f"{path.read_text().rstrip()}\naccounts: with_synced_people\n")
    await track(contoso, ORDER_LINE)
    await contoso.connect()
    name_custom_entities(contoso, ORDER_LINE)
    await select(contoso)
    admin, store = await contoso.admin(), await contoso.store()
    account = await admin.create("accounts", {"name": "Fabrikam"})
    deal = await admin.create("opportunities", {"name": "D", "customerid_account@odata.bind": f"/accounts({account})"})
    line = await admin.create(
        "new_orderlines", {"new_name": "L", "new_OpportunityId@odata.bind": f"/opportunities({deal})"}
    )
    await contoso.cycle()
    assert await objects(contoso, ORDER_LINE, [line]) == {}
    assert await store.records.in_marketo(contoso.name, "account", [account]) == set()

    belonging = {"lastname": "First", "parentcustomerid_account@odata.bind": f"/accounts({account})"}
    await admin.create("contacts", belonging)
    await contoso.cycle()
    await contoso.cycle()

    known = await store.records.known(contoso.name, "account", [account])
    assert (await objects(contoso, ORDER_LINE, [line], COMPANY))[line][COMPANY] == known[account].marketo_id
