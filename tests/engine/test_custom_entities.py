"""Custom entities become custom objects that hang on the person or the company, in a lane of their own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmsync.dynamics import setup_tables
from crmsync.dynamics.setup_tables import tracking
from crmsync.engine import setup
from crmsync.engine.compare import compare
from crmsync.engine.record import sync_record
from crmsync.engine.report import Progress
from crmsync.engine.status import status
from crmsync.engine.sync import cycle, first_sync
from crmsync.fields.worksheet import describe_plan
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from tests.engine.successions import merge
from tests.engine.test_crash import Hurried
from tests.world import World, small_sandbox

REGISTRATION, ORDER_LINE = "new_eventregistration", "new_orderline"
KEY, PERSON, COMPANY = "dynamicsId", "linkToPerson", "linkToCompany"


def name_custom_entities(world: World, *lines: str) -> None:
    """Write these into the tenant file."""
    path = world.ready.tenants_folder / f"{world.name}.yaml"
    before = path.read_text().partition("custom_entities:")[0].rstrip()
    path.write_text("\n".join([before, "custom_entities:", *[f"  - {line}" for line in lines], ""]))


async def select(world: World) -> None:
    """What an administrator does to have them synced: ``crmsync connect`` once more, while cycles go on."""
    async with world.session() as session:
        await setup.refresh_schema(session)
        await setup.select_fields(session)
        await setup.enable_sync(session)
        await first_sync(session)


async def track(world: World, entity: str) -> None:
    admin = await world.admin()
    await setup_tables.enable_tracking(admin.channel, await tracking(admin.channel, entity))


async def objects(world: World, api_name: str, ids: list[str], *fields: str) -> dict[str, dict[str, Any]]:
    """Custom objects by their Dynamics id; each at most once, because it is the dedupe field."""
    marketo = await world.marketo()
    rows = await marketo.custom_objects(api_name, KEY, ids, [KEY, *fields])
    found = {row[KEY]: row for row in rows}
    assert len(found) == len(rows)
    return found


async def a_contact(world: World) -> str:
    """A contact that is in Marketo."""
    store = await world.store()
    rows = await world.rows("contact", "contactid", filter="new_synctomkto eq true and statecode eq 0")
    there = await store.records.in_marketo(world.name, "contact", [row["contactid"] for row in rows])
    return sorted(there)[0]


async def a_company(world: World) -> str:
    """An account that is in Marketo."""
    store = await world.store()
    rows = await world.rows("account", "accountid", filter="new_synctomkto eq true and statecode eq 0")
    there = await store.records.in_marketo(world.name, "account", [row["accountid"] for row in rows])
    return sorted(there)[0]


async def delete_type(world: World, api_name: str) -> None:
    """Delete a custom object type, as an administrator of Marketo may."""
    facts, base = world.facts["marketo"], world.tenant.marketo.base_url
    async with world.browser() as browser:
        asked = {"grant_type": "client_credentials", "client_id": world.tenant.marketo.client_id,
                 "client_secret": facts["client_secret"]}  # fmt: skip
        token = (await browser.get(f"{base}/identity/oauth/token", params=asked)).json()["access_token"]
        answer: httpx.Response = await browser.post(
            f"{base}/rest/v1/customobjects/schema/{api_name}/delete.json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["success"], answer.text


async def add_lookup(world: World, entity: str, target: str) -> None:
    """Give a table a lookup, as an administrator does: new_leadid for lead."""
    admin = await world.admin()
    name = target.capitalize()
    label = {"LocalizedLabels": [{"Label": name, "LanguageCode": 1033}]}
    await admin.channel.send(
        "POST",
        "RelationshipDefinitions",
        json={
            "@odata.type": "Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata",
            "SchemaName": f"new_{target}_{entity}",
            "ReferencedEntity": target,
            "ReferencingEntity": entity,
            "Lookup": {
                "@odata.type": "Microsoft.Dynamics.CRM.LookupAttributeMetadata",
                "SchemaName": f"new_{name}Id",
                "DisplayName": label,
            },
        },
    )


async def register(world: World, contact: str | None, **values: Any) -> str:
    admin = await world.admin()
    link = {"new_ContactId@odata.bind": f"/contacts({contact})"} if contact else {}
    return await admin.create("new_eventregistrations", {"new_name": "Summit", **link, **values})


@pytest.fixture
async def registering(connected: World) -> World:
    """A tenant whose event registrations are synced, some cycles after it was connected."""
    await connected.cycle()
    name_custom_entities(connected, REGISTRATION)
    await select(connected)
    await connected.cycle()
    return connected


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


@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_makes_nothing_twice_and_loses_nothing(registering: World, executed: bool) -> None:
    contact = await a_contact(registering)
    ids = [await register(registering, contact) for _ in range(3)]
    fault = {"service": "marketo", "method": "POST", "path": f"/rest/v1/customobjects/{REGISTRATION}.json",
             "times": 1, "kind": "reset", "after_execution": executed}  # fmt: skip
    await registering.post("faults", fault)
    hurried = Hurried()

    async with registering.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        report = await cycle(session, force=True)

    assert (await objects(registering, REGISTRATION, ids)).keys() == set(ids)
    assert report.entities[REGISTRATION].failed == 0
    assert await (await registering.store()).records.flights(registering.name) == []


async def test_a_killed_run_is_settled_and_taken_up(registering: World) -> None:
    contact = await a_contact(registering)
    one = await register(registering, contact)
    store = await registering.store()
    await store.records.take_off(registering.name, REGISTRATION, "sync", [one])
    hurried = Hurried()

    async with registering.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        await cycle(session, force=True)

    assert hurried.ahead > timedelta(), "a call that may still be executed is waited for"
    assert (await objects(registering, REGISTRATION, [one])).keys() == {one}


async def test_a_call_to_a_custom_object_that_is_gone_since_holds_up_nobody(registering: World) -> None:
    admin, store = await registering.admin(), await registering.store()
    await store.records.take_off(registering.name, REGISTRATION, "sync", ["11111111-0000-4000-8000-000000000001"])
    await delete_type(registering, REGISTRATION)
    lead = await admin.create("leads", {"lastname": "Free", "new_synctomkto": True})

    await registering.cycle()

    assert await store.records.flights(registering.name) == []
    assert (await registering.person(lead))["dynamicsId"] == lead


async def test_the_first_read_of_one_holds_up_no_other_entity(tmp_path: Path) -> None:
    counts = Counts(leads=5, contacts=10, accounts=5, registrations=4500)
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=counts)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        await world.connect()
        name_custom_entities(world, REGISTRATION)
        await select(world)
        admin, lead = await world.admin(), (await world.rows("lead", "leadid", filter="new_synctomkto eq true"))[0]
        titles: list[str | None] = []

        async def change_then_look(progress: Progress) -> None:
            if progress.entity == REGISTRATION:
                titles.append((await world.person(lead["leadid"], "title")).get("title"))
                await admin.update("leads", lead["leadid"], {"jobtitle": f"Navigator {len(titles)}"})

        async with world.session() as session:
            report = await cycle(session, change_then_look, force=True)

        assert report.entities[REGISTRATION].read == 4500
        assert titles[1:3] == ["Navigator 1", "Navigator 2"], "after a page the others have their turn"
        await world.cycle()
        assert (await world.cycle()).total.written == 0
        await world.close()


async def test_what_hangs_on_a_lead_hangs_on_the_contact_that_it_becomes(connected: World) -> None:
    admin = await connected.admin()
    await add_lookup(connected, REGISTRATION, "lead")
    name_custom_entities(connected, f"{{entity: {REGISTRATION}, link: new_leadid}}")
    await select(connected)
    lead = await admin.create("leads", {"lastname": "Prospect", "new_synctomkto": True})
    one = await admin.create(
        "new_eventregistrations", {"new_name": "Summit", "new_LeadId@odata.bind": f"/leads({lead})"}
    )
    await connected.cycle()
    assert (await objects(connected, REGISTRATION, [one], PERSON))[one][PERSON] == lead

    contact = await admin.create(
        "contacts",
        {"lastname": "Prospect", "new_synctomkto": True, "originatingleadid@odata.bind": f"/leads({lead})"},
    )
    await connected.cycle()

    assert (await objects(connected, REGISTRATION, [one], PERSON))[one][PERSON] == contact
    await connected.cycle()
    assert (await connected.cycle()).total.written == 0


async def test_what_hangs_on_a_merged_contact_hangs_on_the_other_one(registering: World) -> None:
    admin = await registering.admin()
    keep, lose = [
        await admin.create("contacts", {"lastname": name, "new_synctomkto": True}) for name in ("Keep", "Lose")
    ]
    one = await register(registering, lose)
    await registering.cycle()

    await merge(registering, "contact", keep, lose)
    await registering.cycle()
    await registering.cycle()

    assert (await objects(registering, REGISTRATION, [one], PERSON))[one][PERSON] == keep
    assert (await registering.cycle()).total.written == 0


async def test_an_idle_cycle_asks_for_it_in_the_one_request(registering: World) -> None:
    await registering.cycle()
    await registering.cycle()
    await registering.reset_requests()

    await registering.cycle()

    assert await registering.requests("dynamics") == {"POST /api/data/v9.2/$batch": 1}


async def test_without_custom_objects_in_marketo_the_rest_goes_on(connected: World) -> None:
    await connected.post("switches", {"tenant": connected.name, "custom_object_types": "off"})
    name_custom_entities(connected, REGISTRATION)
    await select(connected)
    admin = await connected.admin()
    lead = await admin.create("leads", {"lastname": "Free", "new_synctomkto": True})

    report = await connected.cycle()

    assert report.entities["lead"].created == 1
    assert "Custom Object Metadata" in report.left_out[REGISTRATION]
    assert (await connected.person(lead))["dynamicsId"] == lead
    assert "Custom Object Metadata" in (await status(await connected.store(), connected.name))["left_out"][REGISTRATION]


async def test_change_tracking_that_is_off_leaves_only_this_one_out(connected: World) -> None:
    name_custom_entities(connected, REGISTRATION, ORDER_LINE)
    await select(connected)

    report = await connected.cycle()

    assert report.entities[REGISTRATION].created > 0
    assert report.left_out.keys() == {ORDER_LINE}

    await track(connected, ORDER_LINE)
    report = await connected.cycle()
    assert report.entities[ORDER_LINE].created > 0
    assert report.left_out == {}


async def test_a_custom_object_that_was_deleted_in_marketo_stops_nothing_else(registering: World) -> None:
    contact, admin = await a_contact(registering), await registering.admin()
    await delete_type(registering, REGISTRATION)
    one = await register(registering, contact)
    lead = await admin.create("leads", {"lastname": "Free", "new_synctomkto": True})

    report = await registering.cycle()

    assert report.entities["lead"].created == 1
    assert (await registering.person(lead))["dynamicsId"] == lead
    errors = await (await registering.store()).errors.all(registering.name)
    assert [(each.record_id, each.code) for each in errors if each.entity == REGISTRATION] == [(one, "1013")]


async def test_compare_finds_what_was_lost_and_repairs_it(registering: World) -> None:
    contact = await a_contact(registering)
    one, other, gone = [await register(registering, contact) for _ in range(3)]
    await registering.cycle()
    marketo = await registering.marketo()
    await (await registering.admin()).delete("new_eventregistrations", gone)
    await marketo.delete_custom_objects(REGISTRATION, KEY, [one])
    await marketo.sync_custom_objects(REGISTRATION, KEY, [{KEY: other, "new_event": "Wrong"}])

    async with registering.session() as session:
        found = (await compare(session)).entities[REGISTRATION]
        assert (found.missing, found.differing, found.vanished, found.fields) == (1, 1, 1, {"new_event": 1})
        repaired = (await compare(session, repair=True)).entities[REGISTRATION]

    assert (repaired.repaired, repaired.open) == (3, 0)
    assert (await objects(registering, REGISTRATION, [one, other, gone])).keys() == {one, other}


async def test_compare_goes_on_without_a_custom_object_that_was_deleted_in_marketo(registering: World) -> None:
    await register(registering, await a_contact(registering))
    await registering.cycle()
    await delete_type(registering, REGISTRATION)

    async with registering.session() as session:
        result = await compare(session)

    assert list(result.left_out) == [REGISTRATION]
    assert result.entities["contact"].equal > 0
    assert not result.in_step
