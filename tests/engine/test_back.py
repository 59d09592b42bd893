"""Marketo → Dynamics: a field changed in Marketo is in Dynamics after a cycle, and the cycle after that is quiet."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from crmsync.engine.status import status
from crmsync.state.syncerrors import TO_DYNAMICS
from crmsync.state.tables import records
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, cycle_as, in_dynamics
from tests.engine.scenarios.acts import sync_errors
from tests.world import World


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_a_field_changed_in_marketo_goes_to_dynamics(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity)
    await change_in_marketo(connected, record, title="Chief of Everything")

    report = await connected.cycle()

    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == "Chief of Everything"
    assert report.to_dynamics[entity].updated == 1
    assert report.total.written == 0
    await assert_quiet(connected)


async def test_only_the_changed_fields_are_written(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await change_in_marketo(connected, contact, title="Chief")
    before = await in_dynamics(connected, "contact", contact)

    await connected.cycle()

    after = await in_dynamics(connected, "contact", contact)
    own = {"jobtitle", "modifiedon", "versionnumber", "_modifiedby_value", "@odata.etag"}
    assert {name for name in after if after[name] != before.get(name)} <= own
    assert after["jobtitle"] == "Chief"


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("title", None, "jobtitle", None),
        ("doNotCall", True, "donotphone", True),
        ("rating", "Hot", "leadqualitycode", 1),
        ("annualRevenue", 125000.5, "revenue", 125000.5),
        ("msTopic", "Interested in everything", "subject", "Interested in everything"),
    ],
)
async def test_values_of_every_kind_are_translated_back(
    connected: World, field: str, value: Any, column: str, expected: Any
) -> None:
    lead = await a_synced(connected, "lead", jobtitle="Director", donotphone=False, leadqualitycode=2)
    await change_in_marketo(connected, lead, **{field: value})

    await connected.cycle()

    assert (await in_dynamics(connected, "lead", lead, column))[column] == expected
    await assert_quiet(connected)


async def test_an_unknown_label_is_a_sync_error_and_the_other_fields_go_on(connected: World) -> None:
    lead = await a_synced(connected, "lead", leadqualitycode=2, jobtitle="Director")
    await change_in_marketo(connected, lead, rating="Lukewarm", title="Chief")

    report = await connected.cycle()

    row = await in_dynamics(connected, "lead", lead, "leadqualitycode", "jobtitle")
    assert (row["leadqualitycode"], row["jobtitle"]) == (2, "Chief")
    assert report.to_dynamics["lead"].failed == 1
    store = await connected.store()
    [error] = [one for one in await store.errors.all("contoso") if one.record_id == lead]
    assert error.direction == "Marketo → Dynamics"
    assert "Lukewarm" in error.reason
    assert error.next_attempt is not None

    await change_in_marketo(connected, lead, rating="Cold")
    await connected.cycle()

    assert (await in_dynamics(connected, "lead", lead, "leadqualitycode"))["leadqualitycode"] == 3
    assert lead not in {one.record_id for one in await store.errors.all("contoso")}
    await assert_quiet(connected)


async def test_an_empty_boolean_is_not_written_over_as_false(connected: World) -> None:
    lead = await a_synced(connected, "lead", donotfax=None, jobtitle="Director")
    before = (await in_dynamics(connected, "lead", lead, "donotfax"))["donotfax"]
    await change_in_marketo(connected, lead, msDoNotFax=False, title="Chief")

    await connected.cycle()

    assert (await in_dynamics(connected, "lead", lead, "donotfax"))["donotfax"] is before
    assert (await in_dynamics(connected, "lead", lead, "jobtitle"))["jobtitle"] == "Chief"


async def test_a_field_that_goes_one_way_stays_and_is_told(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    await change_in_marketo(connected, contact, msStatusReason="On holiday")

    report = await connected.cycle()

    assert any("msStatusReason" in note for note in report.notes)
    assert report.to_dynamics["contact"].updated == 0
    await assert_quiet(connected)


async def test_a_secured_column_is_told_and_skipped_and_the_others_are_written(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await secure(connected, "contact", "mobilephone")
    await change_in_marketo(connected, contact, title="Chief", mobilePhone="+1 555 0199")

    report = await connected.cycle()

    row = await in_dynamics(connected, "contact", contact, "jobtitle", "mobilephone")
    assert (row["jobtitle"], row["mobilephone"]) == ("Chief", "+1 555 0100")
    assert any("contact.mobilephone is secured" in note for note in report.notes)
    [error] = await sync_errors(connected, contact)
    assert (error.field, error.direction, error.code) == ("mobilePhone", TO_DYNAMICS, "0x8004F507")
    await assert_quiet(connected)


async def secure(world: World, entity: str, column: str) -> None:
    """Column security: the sync user may read the column, and not change it."""
    admin = await world.admin()
    channel = admin._channel
    url = f"EntityDefinitions(LogicalName='{entity}')/Attributes(LogicalName='{column}')"
    definition = await channel.get(url)
    await channel.send("PUT", url, json=definition | {"IsSecured": True}, headers={"MSCRM.MergeLabels": "true"})
    profile = await admin.create("fieldsecurityprofiles", {"name": "Sync"})
    permission = {"entityname": entity, "attributelogicalname": column, "canread": 4}
    bound = {"fieldsecurityprofileid@odata.bind": f"/fieldsecurityprofiles({profile})"}
    await admin.create("fieldpermissions", permission | bound)
    async with world.session() as session:
        user = (await session.dynamics.who_am_i()).user_id
    reference = {
        "@odata.id": f"{world.tenant.dynamics.organization_url}/api/data/v9.2/fieldsecurityprofiles({profile})"
    }
    await channel.send("POST", f"systemusers({user})/systemuserprofiles_association/$ref", json=reference)


async def test_an_idle_cycle_asks_marketo_three_times(connected: World) -> None:
    await connected.post("switches", {"tenant": "contoso", "activity_pages": "full"})
    await connected.cycle()
    before = await asked(connected)

    await connected.cycle()

    after = await asked(connected)
    assert {path: after[path] - before.get(path, 0) for path in after if after[path] != before.get(path, 0)} == {
        "/rest/v1/activities.json": 1,
        "/rest/v1/activities/deletedleads.json": 1,
        "/rest/v1/activities/leadchanges.json": 1,
    }


async def asked(world: World) -> dict[str, int]:
    """Marketo calls by path, but for signing in and asking for the day's usage, which a warm process does once."""
    async with world.browser() as client:
        answer = await client.get(f"{world.ready.admin_url}/requests")
    return {
        row["path"]: row["count"]
        for row in answer.json()["requests"]
        if row["service"] == "marketo" and not row["path"].startswith(("/identity/", "/rest/v1/stats/"))
    }


async def test_many_changes_go_in_several_batches(connected: World) -> None:
    rows = await connected.rows("contact", "contactid", filter="new_synctomkto eq true")
    people = await connected.people([row["contactid"] for row in rows])
    rows = await connected.rows("lead", "leadid", filter="new_synctomkto eq true")
    people |= await connected.people([row["leadid"] for row in rows])
    marketo = await connected.marketo()
    await marketo.sync_people(
        [
            {"id": found[0]["id"], "title": f"Chief {key}", "phone": f"+1 {at}"}
            for at, (key, found) in enumerate(people.items())
        ],
        action="updateOnly",
        lookup_field="id",
    )

    report = await connected.cycle()

    assert sum(one.updated for one in report.to_dynamics.values()) == len(people)
    contacts = await connected.rows("contact", "contactid", "jobtitle")
    assert all(row["jobtitle"] == f"Chief {row['contactid']}" for row in contacts if row["contactid"] in people)
    await assert_quiet(connected)


async def test_people_of_a_bulk_import_are_known_after_a_cycle(connected: World) -> None:
    """An import tells no ids; they are looked up, so that deletions, which tell nothing else, find their records."""
    contact = await a_synced(connected, "contact")
    store = await connected.store()
    async with store.engine.begin() as connection:
        await connection.execute(sa.update(records).values(marketo_id=None))
    await change_in_marketo(connected, contact, title="Chief")

    await connected.cycle()

    assert (await store.records.known("contoso", "contact", [contact]))[contact].marketo_id is not None
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert await store.people.without_marketo_id("contoso", "lead", limit=10) == []


async def test_a_record_that_is_filtered_is_left_alone(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_dynamics(connected, "contact", contact, new_synctomkto=False)
    await connected.cycle()
    await change_in_marketo(connected, contact, title="Chief")

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Director"


async def test_a_tenant_may_leave_dynamics_untouched(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief")

    report = await cycle_as(connected, to_dynamics=False)

    assert report.to_dynamics == {}
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Director"


async def test_a_missing_permission_to_read_activities_leaves_the_other_direction_running(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    async with connected.browser() as client:
        held = (await client.get(f"{connected.ready.admin_url}/switches")).json()
    permissions = held["tenants"]["contoso"]["permissions"] if "tenants" in held else held["contoso"]["permissions"]
    await connected.post(
        "switches",
        {"tenant": "contoso", "permissions": [one for one in permissions if one != "Read-Only Activity"]},
    )
    await change_in_dynamics(connected, "contact", contact, jobtitle="Director of Sales")

    report = await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Director of Sales"
    assert any("Read-Only Activity" in note for note in report.notes)


async def test_a_lost_paging_token_is_replaced_and_nothing_is_lost(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief")
    await connected.post("clock", {"advance_seconds": 25 * 3600})

    report = await connected.cycle()

    assert any("paging token" in note for note in report.notes)
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"


async def test_status_counts_the_direction(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    await change_in_marketo(connected, contact, title="Chief of Everything")
    await connected.cycle()

    shown = await status(await connected.store(), "contoso")

    assert shown["to_dynamics"]["contact"]["updated"] == 1
    assert shown["to_dynamics"]["contact"]["waiting"] == 0
