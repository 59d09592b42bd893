"""Consent: a sync never takes an opt-out back on its own authority."""

from __future__ import annotations

from tests.world import World


async def a_contact_that_may_be_mailed(world: World) -> str:
    rows = await world.rows("contact", "contactid", filter="new_synctomkto eq true and donotbulkemail eq false")
    people = await world.people([row["contactid"] for row in rows])
    return next(row["contactid"] for row in rows if row["contactid"] in people)


async def test_an_unsubscribe_in_marketo_survives_changes_in_dynamics(connected: World) -> None:
    contact = await a_contact_that_may_be_mailed(connected)
    marketo, admin = await connected.marketo(), await connected.admin()
    await marketo.sync_people([{"dynamicsId": contact, "unsubscribed": True}], action="updateOnly")
    await admin.update("contacts", contact, {"jobtitle": "Head of Consent"})

    await connected.cycle()

    person = await connected.person(contact, "title", "unsubscribed")
    assert (person["title"], person["unsubscribed"]) == ("Head of Consent", True)


async def test_an_opt_out_in_dynamics_arrives_and_can_be_taken_back_there(connected: World) -> None:
    contact = await a_contact_that_may_be_mailed(connected)
    admin = await connected.admin()

    await admin.update("contacts", contact, {"donotbulkemail": True})
    await connected.cycle()
    assert (await connected.person(contact, "unsubscribed"))["unsubscribed"] is True

    await admin.update("contacts", contact, {"donotbulkemail": False})
    await connected.cycle()
    assert not (await connected.person(contact, "unsubscribed"))["unsubscribed"]
