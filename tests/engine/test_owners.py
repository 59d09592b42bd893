"""Owners: users are sales persons, teams are named in a field, accounts come all or as people need them."""

from __future__ import annotations

from crmsync.engine import setup
from crmsync.engine.sync import cycle, first_sync
from tests.world import World


async def a_team(world: World) -> str:
    """The team that owns some of the sandbox's records."""
    [team] = await world.rows("team", "teamid", filter="isdefault eq false")
    return str(team["teamid"])


async def test_a_record_of_a_team_names_the_team(connected: World) -> None:
    admin = await connected.admin()
    team = await a_team(connected)
    lead = await admin.create("leads", {"lastname": "Nurtured", "ownerid@odata.bind": f"/teams({team})"})

    await connected.cycle()

    person = await connected.person(lead, "msOwnerTeam", "externalSalesPersonId")
    assert person["msOwnerTeam"] == "Nurture Team, EMEA"
    assert person.get("externalSalesPersonId") is None
    assert (await connected.cycle()).total.written == 0


async def test_a_record_that_goes_from_a_team_to_a_user_has_one_owner(connected: World) -> None:
    admin = await connected.admin()
    team = await a_team(connected)
    lead = await admin.create("leads", {"lastname": "Assigned", "ownerid@odata.bind": f"/teams({team})"})
    await connected.cycle()
    user = (await connected.rows("systemuser", "systemuserid", filter="isdisabled eq false"))[0]["systemuserid"]
    await admin.update("leads", lead, {"ownerid@odata.bind": f"/systemusers({user})"})

    await connected.cycle()

    person = await connected.person(lead, "msOwnerTeam", "externalSalesPersonId")
    assert person.get("msOwnerTeam") is None
    assert person["externalSalesPersonId"] == user


async def test_an_owner_whom_nobody_knew_is_brought_first(connected: World) -> None:
    """A user made and given a record within one cycle: the record never waits."""
    admin = await connected.admin()
    unit = (await connected.rows("businessunit", "businessunitid"))[0]["businessunitid"]
    user = await admin.create(
        "systemusers",
        {
            "firstname": "New",
            "lastname": "Hire",
            "domainname": "hire@contoso.example",
            "internalemailaddress": "hire@contoso.example",
            "businessunitid@odata.bind": f"/businessunits({unit})",
        },
    )
    lead = await admin.create("leads", {"lastname": "Hot", "ownerid@odata.bind": f"/systemusers({user})"})

    await connected.cycle()

    assert (await connected.person(lead, "externalSalesPersonId"))["externalSalesPersonId"] == user


async def test_only_accounts_with_synced_people_come_when_the_tenant_wants_so(contoso: World) -> None:
    tenant = contoso.tenant.model_copy(update={"accounts": "with_synced_people"})
    admin = await contoso.admin()
    lonely = await admin.create("accounts", {"name": "Lonely"})
    hidden = await admin.create("accounts", {"name": "Of a filtered contact"})
    bind = f"/accounts({hidden})"
    quiet = {"lastname": "Quiet", "new_synctomkto": False, "parentcustomerid_account@odata.bind": bind}
    contact = await admin.create("contacts", quiet)
    marketo = await contoso.marketo()

    async def companies(*ids: str) -> set[str]:
        rows = await marketo.companies("externalCompanyId", ids, ["externalCompanyId"])
        return {row["externalCompanyId"] for row in rows}

    async with contoso.session(tenant=tenant) as session:
        await setup.save_credentials(session, await setup.validate_credentials(session))
        await setup.refresh_schema(session)
        await setup.select_fields(session)
        await setup.enable_sync(session)
        await first_sync(session)
        accounts = [row["accountid"] for row in await contoso.rows("account", "accountid")]
        contacts = await contoso.rows("contact", "contactid", "_parentcustomerid_value")
        people = await contoso.people([row["contactid"] for row in contacts], "externalCompanyId")
        of_people = {row["_parentcustomerid_value"] for row in contacts if row["contactid"] in people}
        there = await companies(*accounts)
        assert there
        assert there <= of_people, "every company belongs to somebody"
        assert not there & {lonely, hidden}
        assert all(person.get("externalCompanyId") in {*there, None} for found in people.values() for person in found)

        await admin.update("contacts", contact, {"new_synctomkto": True})
        await cycle(session, force=True)
        assert await companies(hidden) == {hidden}, "the account comes with its first person"
        assert (await contoso.person(contact, "externalCompanyId"))["externalCompanyId"] == hidden

        await admin.update("accounts", lonely, {"name": "Still lonely"})
        await cycle(session, force=True)
        assert await companies(lonely) == set()
        assert (await cycle(session, force=True)).total.written == 0
