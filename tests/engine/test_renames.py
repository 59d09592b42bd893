"""Teams and connection roles that are renamed in Dynamics: their names in Marketo follow, though no record changed."""

from __future__ import annotations

from typing import Any

from crmsync.engine.record import sync_record
from crmsync.sandbox.dataverse.connections import role_id
from tests.engine.test_idle import BATCH
from tests.engine.test_owners import a_team
from tests.engine.test_roles import a_contact, connect, roles
from tests.world import World


async def a_lead_of(world: World, team: str) -> str:
    admin = await world.admin()
    return await admin.create("leads", {"lastname": "Nurtured", "ownerid@odata.bind": f"/teams({team})"})


async def team_of(world: World, lead: str) -> Any:
    return (await world.person(lead, "msOwnerTeam"))["msOwnerTeam"]


async def test_a_renamed_team_has_its_new_name_on_all_that_it_owns(connected: World) -> None:
    admin, team = await connected.admin(), await a_team(connected)
    lead = await a_lead_of(connected, team)
    await connected.cycle()
    assert await team_of(connected, lead) == "Nurture Team, EMEA"

    await admin.update("teams", team, {"name": "Nurture Team, World"})
    report = await connected.cycle()

    assert await team_of(connected, lead) == "Nurture Team, World"
    people = await connected.rows("contact", "contactid", filter=f"_ownerid_value eq {team} and new_synctomkto eq true")
    found = await connected.people([row["contactid"] for row in people], "msOwnerTeam")
    assert {person["msOwnerTeam"] for [person] in found.values()} == {"Nurture Team, World"}
    assert "Teams were renamed in Dynamics, and are in Marketo: Nurture Team, World" in report.notes
    assert (await connected.cycle()).total.written == 0


async def test_a_renamed_connection_role_is_another_role_in_marketo(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_contact(admin, "Changing")
    deal = await admin.create("opportunities", {"name": "Deal"})
    await connect(admin, deal, contact, "Influencer")
    await connected.cycle()

    await admin.update("connectionroles", role_id("Influencer"), {"name": "Champion"})
    report = await connected.cycle()

    assert await roles(connected, deal) == {contact: {"Champion": False}}
    assert "Connection roles were renamed in Dynamics, and are in Marketo: Champion" in report.notes
    assert (await connected.cycle()).total.written == 0


async def test_a_name_that_was_sent_before_the_cycle_noticed_is_followed_for_the_others(connected: World) -> None:
    """One record is sent alone, and has the new name already; those of before must not be forgotten for that."""
    admin, team = await connected.admin(), await a_team(connected)
    before = await a_lead_of(connected, team)
    await connected.cycle()
    await admin.update("teams", team, {"name": "Renamed"})
    alone = await a_lead_of(connected, team)
    async with connected.session() as session:
        await sync_record(session, f"lead:{alone}")
    assert (await team_of(connected, alone), await team_of(connected, before)) == ("Renamed", "Nurture Team, EMEA")

    await connected.cycle()

    assert await team_of(connected, before) == "Renamed"


async def test_a_team_that_nothing_is_owned_by_or_that_keeps_its_name_leaves_a_cycle_idle(connected: World) -> None:
    admin, team = await connected.admin(), await a_team(connected)
    unit = (await connected.rows("businessunit", "businessunitid"))[0]["businessunitid"]
    new = await admin.create("teams", {"name": "New", "businessunitid@odata.bind": f"/businessunits({unit})"})
    await connected.cycle()
    await admin.update("teams", team, {"name": "Nurture Team, EMEA"})
    await admin.update("teams", new, {"name": "Newer"})
    await connected.reset_requests()

    report = await connected.cycle()

    assert await connected.requests("dynamics") == {BATCH: 1}
    assert report.notes == []


async def test_where_dynamics_takes_no_batch_names_are_asked_for_alone(connected: World) -> None:
    admin, team = await connected.admin(), await a_team(connected)
    lead = await a_lead_of(connected, team)
    await connected.cycle()
    await admin.update("teams", team, {"name": "Nurture Team, World"})
    fault = {"service": "dynamics", "path": "*$batch", "kind": "dataverse", "code": "0x80060888", "status": 400}
    await connected.post("faults", fault)

    await connected.cycle()

    assert await team_of(connected, lead) == "Nurture Team, World"
