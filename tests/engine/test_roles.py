"""Opportunity roles: from the opportunity's contact, its customer when that is a contact, and its connections."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics.client import DynamicsClient
from crmsync.engine.destination import ROLE
from crmsync.engine.sync import cycle
from crmsync.sandbox.dataverse.connections import role_id
from tests.engine.test_crash import Hurried
from tests.engine.unprepared import lower_privilege, take_privilege
from tests.world import World


async def roles(world: World, opportunity: str) -> dict[str, dict[str, bool]]:
    """The roles of an opportunity in Marketo: by the person's Dynamics id, each name and whether it is primary."""
    marketo = await world.marketo()
    rows = await marketo.roles("externalOpportunityId", [opportunity], [])
    people = await marketo.people("id", [str(row["leadId"]) for row in rows], ["id", "dynamicsId"]) if rows else []
    names = {person["id"]: person["dynamicsId"] for person in people}
    found: dict[str, dict[str, bool]] = {}
    for row in rows:
        found.setdefault(names[row["leadId"]], {})[row["role"]] = row.get("isPrimary") is True
    return found


async def a_contact(admin: DynamicsClient, name: str, **more: Any) -> str:
    return await admin.create("contacts", {"lastname": name, **more})


async def connect(admin: DynamicsClient, opportunity: str, contact: str, role: str | None = None) -> str:
    """A connection from an opportunity to a contact."""
    record = {
        "record1id_opportunity@odata.bind": f"/opportunities({opportunity})",
        "record2id_contact@odata.bind": f"/contacts({contact})",
    }
    if role is not None:
        record["record2roleid@odata.bind"] = f"/connectionroles({role_id(role)})"
    return await admin.create("connections", record)


async def test_contact_customer_and_connections_take_part(connected: World) -> None:
    admin = await connected.admin()
    main, buyer, other = [await a_contact(admin, name) for name in ("Main", "Buyer", "Other")]
    new = await admin.create(
        "opportunities",
        {
            "name": "Deal",
            "parentcontactid@odata.bind": f"/contacts({main})",
            "customerid_contact@odata.bind": f"/contacts({buyer})",
        },
    )
    await connect(admin, new, other, "Influencer")

    report = await connected.cycle()

    assert await roles(connected, new) == {
        main: {"Contact": True},
        buyer: {"Contact": False},
        other: {"Influencer": False},
    }
    assert report.entities["opportunityrole"].created == 3
    assert (await connected.cycle()).total.written == 0


async def test_a_connection_made_from_the_contact_counts_once(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "From the other side")
    new = await admin.create("opportunities", {"name": "Deal"})
    await admin.create(
        "connections",
        {
            "record1id_contact@odata.bind": f"/contacts({contact})",
            "record1roleid@odata.bind": f"/connectionroles({role_id('Decision Maker')})",
            "record2id_opportunity@odata.bind": f"/opportunities({new})",
        },
    )

    await connected.cycle()

    assert await roles(connected, new) == {contact: {"Decision Maker": False}}


async def test_the_primary_contact_has_the_name_of_its_connection(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Both")
    bind = f"/contacts({contact})"
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": bind})
    await connect(admin, new, contact, "Economic Buyer")

    await connected.cycle()

    assert await roles(connected, new) == {contact: {"Economic Buyer": True}}


async def test_a_customer_contact_is_primary_where_no_other_contact_is_named(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Customer")
    new = await admin.create(
        "opportunities", {"name": "Deal", "customerid_contact@odata.bind": f"/contacts({contact})"}
    )

    await connected.cycle()

    assert await roles(connected, new) == {contact: {"Contact": True}}


async def test_another_role_name_is_a_new_role_and_the_old_one_goes(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Changing")
    new = await admin.create("opportunities", {"name": "Deal"})
    connection = await connect(admin, new, contact, "Influencer")
    await connected.cycle()
    await admin.update(
        "connections", connection, {"record2roleid@odata.bind": f"/connectionroles({role_id('End User')})"}
    )

    report = await connected.cycle()

    assert await roles(connected, new) == {contact: {"End User": False}}
    counts = report.entities["opportunityrole"]
    assert (counts.created, counts.updated, counts.deleted) == (1, 0, 1)


async def test_another_contact_is_another_primary(connected: World) -> None:
    admin = await connected.admin()
    one, other = await a_contact(admin, "One"), await a_contact(admin, "Other")
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({one})"})
    await connect(admin, new, one, "Influencer")
    await connected.cycle()
    await admin.update("opportunities", new, {"parentcontactid@odata.bind": f"/contacts({other})"})

    await connected.cycle()

    assert await roles(connected, new) == {one: {"Influencer": False}, other: {"Contact": True}}


@pytest.mark.parametrize("how", ["deleted", "deactivated"])
async def test_a_connection_that_ends_takes_its_role_along(connected: World, how: str) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Leaving")
    new = await admin.create("opportunities", {"name": "Deal"})
    connection = await connect(admin, new, contact, "Influencer")
    await connected.cycle()
    assert await roles(connected, new)

    if how == "deleted":
        await admin.delete("connections", connection)
    else:
        await admin.update("connections", connection, {"statecode": 1, "statuscode": 2})
    await connected.cycle()

    assert await roles(connected, new) == {}


async def test_a_role_waits_for_its_person(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Late", new_synctomkto=False)
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({contact})"})
    await connected.cycle()
    assert await roles(connected, new) == {}

    await admin.update("contacts", contact, {"new_synctomkto": True})
    await connected.cycle()

    assert await roles(connected, new) == {contact: {"Contact": True}}


async def test_a_role_waits_for_its_opportunity(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Early")
    new = await admin.create(
        "opportunities",
        {"name": "Late", "new_synctomkto": False, "parentcontactid@odata.bind": f"/contacts({contact})"},
    )
    await connected.cycle()

    await admin.update("opportunities", new, {"new_synctomkto": True})
    await connected.cycle()

    assert await roles(connected, new) == {contact: {"Contact": True}}


async def test_ids_of_people_who_came_by_import_are_looked_up_once_and_kept(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Imported")
    await connected.cycle()
    store = await connected.store()
    await store.records.set_marketo_ids("contoso", "contact", {contact: None})
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({contact})"})

    await connected.cycle()

    [person] = (await connected.people([contact]))[contact]
    known = await store.records.known("contoso", "contact", [contact])
    assert known[contact].marketo_id == person["id"]
    assert await roles(connected, new) == {contact: {"Contact": True}}


@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_is_settled_before_the_role_goes_again(connected: World, executed: bool) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Lost")
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({contact})"})
    await connected.post(
        "faults",
        {"service": "marketo", "method": "POST", "path": "/rest/v1/opportunities/roles.json", "times": 1,
         "kind": "reset", "after_execution": executed},
    )  # fmt: skip
    hurried = Hurried()

    async with connected.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        await cycle(session, force=True)

    assert await roles(connected, new) == {contact: {"Contact": True}}
    assert (await connected.cycle()).total.written == 0


async def test_a_call_that_was_never_executed_is_given_up_beside_other_roles_of_the_opportunity(
    connected: World,
) -> None:
    """A run was killed before Marketo got its call: the roles that are there already must not be taken for it."""
    admin = await connected.admin()
    one, other = await a_contact(admin, "There"), await a_contact(admin, "Lost")
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({one})"})
    await connected.cycle()
    store = await connected.store()
    await store.flights.take_off("contoso", ROLE, "sync", ["lost"], {"lost": new})
    await connect(admin, new, other, "Influencer")
    hurried = Hurried()

    async with connected.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        await cycle(session, force=True)

    assert await store.flights.all("contoso") == []
    assert await roles(connected, new) == {one: {"Contact": True}, other: {"Influencer": False}}


async def test_a_role_whose_name_cannot_be_read_any_more_keeps_it(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Named")
    new = await admin.create("opportunities", {"name": "Deal"})
    await connect(admin, new, contact, "Influencer")
    await connected.cycle()
    await take_privilege(connected, "prvReadConnectionRole")
    await admin.update("opportunities", new, {"parentcontactid@odata.bind": f"/contacts({contact})"})

    report = await connected.cycle()

    assert await roles(connected, new) == {contact: {"Influencer": False}}
    assert "prvReadConnectionRole" in report.left_out["opportunityrole"]

    await lower_privilege(connected, "prvReadConnectionRole", "Global")
    await connected.cycle()
    assert await roles(connected, new) == {contact: {"Influencer": True}}
