"""Members of the list 'Sync Person to Microsoft' become leads or contacts in Dynamics, each of them once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crmsync.engine.datapath import DataPath
from crmsync.engine.sync import cycle
from crmsync.errors import TransportFailed
from crmsync.tenants import Tenant
from tests.engine.both_sides import KEYS, SETS, assert_quiet, cycle_as, in_dynamics
from tests.world import World

NAME = "Sync Person to Microsoft"


def creating(entity: str, **more: Any) -> dict[str, Any]:
    return {"create_in_dynamics": {"list": NAME, "as": entity, **more}}


async def a_list(world: World) -> int:
    return int((await world.post("lists", {"tenant": "contoso", "name": NAME}))["id"])


async def somebody(world: World, email: str = "ada@marketo.example", **values: Any) -> int:
    """A person who is in Marketo only."""
    marketo = await world.marketo()
    [made] = await marketo.sync_people(
        [{"email": email, "firstName": "Ada", "lastName": "Lovelace", **values}],
        action="createDuplicate",
    )
    return int(made.id or 0)


async def put_on_list(world: World, number: int, *people: int) -> None:
    base = world.tenant.marketo.base_url
    facts = world.facts["marketo"]
    async with world.browser() as client:
        query = {"grant_type": "client_credentials"} | {name: facts[name] for name in ("client_id", "client_secret")}
        token = (await client.get(f"{base}/identity/oauth/token", params=query)).json()["access_token"]
        answer = await client.post(
            f"{base}/rest/v1/lists/{number}/leads.json",
            json={"input": [{"id": one} for one in people]},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["success"], answer.text


async def record_of(world: World, person: int, *fields: str) -> dict[str, Any]:
    marketo = await world.marketo()
    [found] = await marketo.people("id", [str(person)], ["id", "dynamicsId", "msType", "msIsDeleted", *fields])
    return found


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_a_member_of_the_list_is_created_once(connected: World, entity: str) -> None:
    options = creating(entity)
    number = await a_list(connected)
    await cycle_as(connected, **options)
    ada = await somebody(connected, title="Countess", unsubscribed=True)
    await put_on_list(connected, number, ada)

    report = await cycle_as(connected, **options)

    assert report.to_dynamics[entity].created == 1
    person = await record_of(connected, ada)
    assert person["msType"] == entity.capitalize()
    row = await in_dynamics(
        connected, entity, person["dynamicsId"], "firstname", "lastname", "emailaddress1", "jobtitle", "donotbulkemail"
    )
    assert (row["firstname"], row["lastname"], row["jobtitle"]) == ("Ada", "Lovelace", "Countess")
    assert (row["emailaddress1"], row["donotbulkemail"]) == ("ada@marketo.example", True)
    assert len(await connected.people([person["dynamicsId"]])) == 1
    await assert_quiet(connected, **options)

    admin = await connected.admin()
    await admin.update(SETS[entity], person["dynamicsId"], {"jobtitle": "Programmer"})
    await cycle_as(connected, **options)

    after = await record_of(connected, ada, "title", "msCreatedDate")
    assert after["title"] == "Programmer", "it is synced as any other record from now on"
    assert after["msCreatedDate"], "what only Dynamics knows has come, too"


async def test_who_was_on_the_list_before_it_was_named_is_created_too(connected: World) -> None:
    number = await a_list(connected)
    people = [await somebody(connected, f"ada{at}@marketo.example") for at in range(3)]
    await put_on_list(connected, number, *people)
    await connected.cycle()

    report = await cycle_as(connected, **creating("lead"))

    assert report.to_dynamics["lead"].created == 3
    await assert_quiet(connected, **creating("lead"))


async def test_a_person_whom_dynamics_has_is_left_alone(connected: World) -> None:
    number = await a_list(connected)
    rows = await connected.rows("contact", "contactid", filter="new_synctomkto eq true")
    people = await connected.people([row["contactid"] for row in rows])
    await cycle_as(connected, **creating("lead"))
    await put_on_list(connected, number, *[found[0]["id"] for found in people.values()][:5])
    before = len(await connected.rows("lead", "leadid"))

    report = await cycle_as(connected, **creating("lead"))

    assert report.to_dynamics["lead"].created == 0
    assert len(await connected.rows("lead", "leadid")) == before
    await assert_quiet(connected, **creating("lead"))


async def test_a_person_whose_record_was_deleted_in_dynamics_is_created_anew(connected: World) -> None:
    number = await a_list(connected)
    rows = await connected.rows("contact", "contactid", filter="new_synctomkto eq true")
    people = await connected.people([row["contactid"] for row in rows])
    gone, [person] = next(iter(people.items()))
    admin = await connected.admin()
    await admin.delete("contacts", gone)
    await cycle_as(connected, **creating("lead"))
    await put_on_list(connected, number, person["id"])

    report = await cycle_as(connected, **creating("lead"))

    assert report.to_dynamics["lead"].created == 1
    after = await record_of(connected, person["id"])
    assert after["dynamicsId"] != gone
    assert (after["msType"], after["msIsDeleted"]) == ("Lead", False)
    await assert_quiet(connected, **creating("lead"))


async def test_the_owner_is_the_one_of_the_tenant_file(connected: World) -> None:
    [owner] = (await connected.rows("systemuser", "systemuserid", filter="isdisabled eq false"))[:1]
    options = creating("contact", owner=owner["systemuserid"])
    number = await a_list(connected)
    ada = await somebody(connected)
    await put_on_list(connected, number, ada)

    await cycle_as(connected, **options)

    record = (await record_of(connected, ada))["dynamicsId"]
    assert (await in_dynamics(connected, "contact", record, "_ownerid_value"))["_ownerid_value"] == owner[
        "systemuserid"
    ]


async def test_a_contact_keeps_the_account_of_its_person(connected: World) -> None:
    [account] = (await connected.rows("account", "accountid", filter="new_synctomkto eq true"))[:1]
    number = await a_list(connected)
    ada = await somebody(connected, externalCompanyId=account["accountid"])
    await put_on_list(connected, number, ada)

    await cycle_as(connected, **creating("contact"))

    record = (await record_of(connected, ada))["dynamicsId"]
    row = await in_dynamics(connected, "contact", record, "_parentcustomerid_value")
    assert row["_parentcustomerid_value"] == account["accountid"]
    await assert_quiet(connected, **creating("contact"))


@pytest.mark.parametrize(
    ("service", "path", "executed"),
    [
        ("dynamics", "/api/data/v9.2/$batch", True),
        ("dynamics", "/api/data/v9.2/$batch", False),
        ("marketo", "/rest/v1/leads.json", True),
        ("marketo", "/rest/v1/leads.json", False),
    ],
)
async def test_a_run_that_dies_while_it_creates_creates_nobody_twice(
    connected: World, service: str, path: str, executed: bool
) -> None:
    """The answer never comes, the run ends; the next one takes up what was noted."""
    options = creating("lead")
    number = await a_list(connected)
    ada = await somebody(connected)
    await put_on_list(connected, number, ada)
    rule = {"service": service, "method": "POST", "path": path, "times": 12, "kind": "reset",
            "after_execution": executed}  # fmt: skip
    await connected.post("faults", rule)
    tenant = Tenant.model_validate(connected.tenant.model_dump(exclude_unset=True) | options)

    async def hurry(_: float) -> None:
        return

    async with connected.session(tenant=tenant) as session:
        session.dynamics._channel._sleep = hurry  # type: ignore[assignment]
        with pytest.raises(TransportFailed):
            await cycle(session, force=True)
    async with connected.browser() as client:
        await client.delete(f"{connected.ready.admin_url}/faults")

    async with connected.session(tenant=tenant, sleep=hurry) as session:
        await cycle(session, force=True)

    found = await connected.rows("lead", KEYS["lead"], filter="emailaddress1 eq 'ada@marketo.example'")
    assert [row["leadid"] for row in found] == [(await record_of(connected, ada))["dynamicsId"]]
    marketo = await connected.marketo()
    assert len(await marketo.people("email", ["ada@marketo.example"], ["id"])) == 1
    await assert_quiet(connected, **options)


async def test_an_edit_of_a_person_whose_record_a_dead_run_created_is_brought_there(connected: World) -> None:
    options = creating("lead")
    number = await a_list(connected)
    ada = await somebody(connected, title="v1")
    await put_on_list(connected, number, ada)
    tenant = Tenant.model_validate(connected.tenant.model_dump(exclude_unset=True) | options)
    rule = {"service": "dynamics", "method": "POST", "path": "/api/data/v9.2/$batch", "skip": 1, "kind": "hang",
            "seconds": 60, "after_execution": True}  # fmt: skip
    fault = await connected.post("faults", rule)
    async with connected.session(tenant=tenant) as session:
        running = asyncio.create_task(cycle(session, force=True))
        await connected.until_fault_hit(fault["id"])
        running.cancel()
        await asyncio.wait([running])
    marketo = await connected.marketo()
    await marketo.sync_people([{"id": ada, "title": "v2"}], action="updateOnly", lookup_field="id")

    await cycle_as(connected, **options)
    await cycle_as(connected, **options)

    [row] = await connected.rows("lead", "jobtitle", filter="emailaddress1 eq 'ada@marketo.example'")
    assert (row["jobtitle"], (await record_of(connected, ada, "title"))["title"]) == ("v2", "v2")
    await assert_quiet(connected, **options)


async def test_a_record_whose_person_was_refused_its_key_is_read_once_more_when_it_has_it(connected: World) -> None:
    options = creating("lead")
    number = await a_list(connected)
    await cycle_as(connected, **options)
    ada = await somebody(connected)
    await put_on_list(connected, number, ada)
    await connected.post(
        "faults",
        {"service": "marketo", "method": "POST", "path": "/rest/v1/leads.json", "times": 1, "kind": "marketo",
         "code": "1003"},
    )  # fmt: skip

    for _ in range(2):
        await cycle_as(connected, **options)  # made and refused; met as a record without a person
    assert (await record_of(connected, ada))["dynamicsId"] is None
    async with (await connected.store()).engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE creations SET not_before = NULL")  # an hour later
    await cycle_as(connected, **options)

    person = await record_of(connected, ada, "externalSalesPersonId")
    row = await in_dynamics(connected, "lead", person["dynamicsId"], "_ownerid_value")
    assert person["externalSalesPersonId"] == row["_ownerid_value"]
    await assert_quiet(connected, **options)


async def test_duplicate_rules_refuse_only_when_the_tenant_asks_for_them(connected: World) -> None:
    [twin] = (await connected.rows("lead", "emailaddress1", filter="emailaddress1 ne null"))[:1]
    number = await a_list(connected)
    ada = await somebody(connected, twin["emailaddress1"])
    await put_on_list(connected, number, ada)

    report = await cycle_as(connected, **creating("lead"), duplicate_detection="detect")

    assert report.to_dynamics["lead"].failed == 1
    store = await connected.store()
    [error] = [one for one in await store.errors.all("contoso") if one.operation == "create"]
    assert error.record_id == f"Marketo person {ada}"
    assert error.direction == "Marketo → Dynamics"
    assert (await record_of(connected, ada))["dynamicsId"] is None


async def test_without_duplicate_detection_a_twin_is_created(connected: World) -> None:
    [twin] = (await connected.rows("lead", "emailaddress1", filter="emailaddress1 ne null"))[:1]
    number = await a_list(connected)
    ada = await somebody(connected, twin["emailaddress1"])
    await put_on_list(connected, number, ada)

    report = await cycle_as(connected, **creating("lead"))

    assert report.to_dynamics["lead"].created == 1


async def test_a_value_that_dynamics_cannot_take_is_told_and_does_not_stop_the_creation(connected: World) -> None:
    number = await a_list(connected)
    ada = await somebody(connected, rating="Lukewarm")
    await put_on_list(connected, number, ada)

    report = await cycle_as(connected, **creating("lead"))

    assert report.to_dynamics["lead"].created == 1
    record = (await record_of(connected, ada))["dynamicsId"]
    store = await connected.store()
    [error] = [one for one in await store.errors.all("contoso") if one.record_id == record]
    assert "Lukewarm" in error.reason
    assert (await record_of(connected, ada, "rating"))["rating"] == "Lukewarm"
    await assert_quiet(connected, **creating("lead"))


async def test_a_list_that_does_not_exist_is_told(connected: World) -> None:
    report = await cycle_as(connected, **creating("lead"))

    assert any(NAME in note for note in report.notes)


async def test_very_many_members_are_created_portion_by_portion(connected: World) -> None:
    """So that they do not hold up everything else: a cycle has a portion between two turns of the other direction."""
    options = creating("lead")
    number = await a_list(connected)
    await cycle_as(connected, **options)
    marketo = await connected.marketo()
    people = [{"email": f"many{one}@marketo.example", "lastName": f"Many {one}"} for one in range(310)]
    made = [
        int(one.id or 0) for one in await marketo.sync_people(people, action="createOrUpdate", lookup_field="email")
    ]
    for start in (0, 300):
        await put_on_list(connected, number, *made[start : start + 300])
    tenant = Tenant.model_validate(connected.tenant.model_dump(exclude_unset=True) | options)

    async with connected.session(tenant=tenant) as session:
        path = await DataPath.open(session, None)
        portions = []
        for _ in range(2):
            await path.collect(most=1)
            portions.append((path.from_marketo.counts["lead"].created, path.from_marketo.is_behind))

    assert portions == [(300, True), (310, False)]
    await cycle_as(connected, **options)
    await assert_quiet(connected, **options)
