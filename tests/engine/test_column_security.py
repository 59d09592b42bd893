"""A column that the sync user may not read any more reads as empty: it is parked, and nothing of it is believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.compare import compare
from crmsync.engine.record import sync_record
from crmsync.engine.resync import resync, review_fields
from crmsync.engine.session import utc_now
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.unprepared import lower_privilege, secure, take_privilege
from tests.world import World

COLUMNS = ("emailaddress1", "donotbulkemail", "mobilephone")
FIELDS = ("email", "unsubscribed", "mobilePhone", "title")


@pytest.fixture
async def lead(connected: World) -> str:
    """A lead with an e-mail address, a phone number and an opt-out, on both sides."""
    values = {"emailaddress1": "ada@example.com", "mobilephone": "+1 555 0100", "donotbulkemail": True}
    return await a_synced(connected, "lead", jobtitle="Director", **values)


async def let_read(world: World, *columns: str, entity: str = "lead", **more: int) -> str:
    """Put the sync user into a column security profile that may read these columns, with ``canupdate=4`` write them;
    the profile's id."""
    admin = await world.admin()
    profile = await admin.create("fieldsecurityprofiles", {"name": "Sync"})
    for column in columns:
        bound = {"fieldsecurityprofileid@odata.bind": f"/fieldsecurityprofiles({profile})", "canread": 4, **more}
        await admin.create("fieldpermissions", {"entityname": entity, "attributelogicalname": column, **bound})
    await put_in(world, profile)
    return profile


async def put_in(world: World, profile: str) -> None:
    """Put the sync user into the profile."""
    link = {"@odata.id": f"{_root(world)}fieldsecurityprofiles({profile})"}
    await (await world.admin()).channel.send("POST", f"{await _profiles(world)}/$ref", json=link)


async def take_out(world: World, profile: str) -> None:
    """Take the sync user out of the profile: no definition changes, and no row."""
    admin = await world.admin()
    where = f"{await _profiles(world)}/$ref?$id={_root(world)}fieldsecurityprofiles({profile})"
    await admin.channel.send("DELETE", where)


def _root(world: World) -> str:
    return f"{world.tenant.dynamics.organization_url}/api/data/v9.2/"


async def _profiles(world: World) -> str:
    async with world.session() as session:
        user = (await session.dynamics.who_am_i()).user_id
    return f"systemusers({user})/systemuserprofiles_association"


async def secure_while_syncing(world: World) -> None:
    for column in COLUMNS:
        await secure(world, "lead", column)


async def lose_the_profile(world: World) -> None:
    """The columns were secured before, with a profile that let the sync user read them."""
    profile = await let_read_secured(world)
    await take_out(world, profile)


async def let_read_secured(world: World) -> str:
    await secure_while_syncing(world)
    profile = await let_read(world, *COLUMNS)
    await world.cycle()
    assert (await status(await world.store(), "contoso"))["parked_fields"] == []
    return profile


async def resynced(world: World) -> Any:
    """The procedure of ``crmsync resync``."""
    async with world.session() as session:
        await setup.disable_sync(session, "rights changed")
        await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)
    return report


async def parked(world: World) -> set[str]:
    return {one["attribute"] for one in (await status(await world.store(), "contoso"))["parked_fields"]}


async def by_a_cycle(world: World, _: str) -> None:
    await world.cycle()


async def by_one_record(world: World, record: str) -> None:
    async with world.session() as session:
        await sync_record(session, f"lead:{record}")


async def by_a_repair(world: World, _: str) -> None:
    async with world.session() as session:
        await compare(session, repair=True)


Loss = Callable[[World], Awaitable[None]]
Way = Callable[[World, str], Awaitable[None]]


@pytest.mark.parametrize(
    ("lose", "by"),
    [
        (secure_while_syncing, by_a_cycle),
        (lose_the_profile, by_a_cycle),
        (lose_the_profile, by_one_record),
        (lose_the_profile, by_a_repair),
    ],
)
async def test_what_cannot_be_read_any_more_stays_in_marketo_and_is_parked(
    connected: World, lead: str, lose: Loss, by: Way
) -> None:
    await lose(connected)
    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief")

    await by(connected, lead)

    person = await connected.person(lead, *FIELDS)
    assert [person[field] for field in FIELDS] == ["ada@example.com", True, "+1 555 0100", "Chief"]
    assert await parked(connected) == set(COLUMNS)


async def test_a_comparison_that_writes_nothing_says_what_cannot_be_read(connected: World, lead: str) -> None:
    await let_read_secured(connected)
    await secure(connected, "lead", "jobtitle")

    async with connected.session() as session:
        found = await compare(session, entities=["lead"])

    assert {one.attribute for one in found.parked} == {"jobtitle"}
    assert "column security" in found.parked[0].reason
    assert "run resync" in found.parked[0].reason
    assert found.entities["lead"].differing == 0
    assert not found.in_step
    assert await parked(connected) == set(), "a comparison changes nothing"


async def test_once_it_can_be_read_again_a_resync_takes_it_up_and_no_opt_out_is_lost(
    connected: World, lead: str
) -> None:
    await change_in_dynamics(connected, "lead", lead, donotbulkemail=False)
    await connected.cycle()
    await secure_while_syncing(connected)
    await connected.cycle()
    await change_in_dynamics(connected, "lead", lead, mobilephone="+1 555 0111")
    await change_in_marketo(connected, lead, unsubscribed=True)
    await connected.cycle()
    assert await parked(connected) == set(COLUMNS)

    await let_read(connected, *COLUMNS)
    await resynced(connected)
    await connected.cycle()

    assert await parked(connected) == set()
    person = await connected.person(lead, *FIELDS)
    assert [person[field] for field in FIELDS[:3]] == ["ada@example.com", True, "+1 555 0111"]


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_made_in_marketo_while_the_column_is_hidden_arrives_once_it_is_not(
    connected: World, entity: str
) -> None:
    person = await a_synced(connected, entity, donotbulkemail=False)
    await secure(connected, entity, "donotbulkemail")
    profile = await let_read(connected, "donotbulkemail", entity=entity, canupdate=4)
    await connected.cycle()
    await take_out(connected, profile)
    await change_in_marketo(connected, person, unsubscribed=True)
    await connected.cycle()
    assert await parked(connected) == {"donotbulkemail"}

    await put_in(connected, profile)
    await resynced(connected)
    await connected.cycle()

    assert (await in_dynamics(connected, entity, person, "donotbulkemail"))["donotbulkemail"] is True


async def test_what_only_seems_to_be_cleared_wins_no_collision(connected: World) -> None:
    """For contacts Dynamics wins: what Marketo was given meanwhile would be overwritten with nothing."""
    contact = await a_synced(connected, "contact", mobilephone="+1 555 0100")
    await secure(connected, "contact", "mobilephone")
    profile = await let_read(connected, "mobilephone", entity="contact")
    await connected.cycle()
    await take_out(connected, profile)
    await change_in_marketo(connected, contact, mobilePhone="+1 555 0199")

    await connected.cycle()

    assert (await connected.person(contact, "mobilePhone"))["mobilePhone"] == "+1 555 0199"
    assert await parked(connected) == {"mobilephone"}


async def test_a_lost_profile_is_seen_by_the_daily_look_of_a_cycle_that_has_nothing_to_do(
    connected: World, lead: str
) -> None:
    await lose_the_profile(connected)

    async with connected.session() as session:
        session.clock = lambda: utc_now() + timedelta(days=1)
        await cycle(session, force=True)

    assert await parked(connected) == set(COLUMNS)
    assert (await connected.person(lead, "email"))["email"] == "ada@example.com"


async def test_a_column_that_tells_who_continues_whom_stops_its_entity(connected: World) -> None:
    await secure(connected, "contact", "originatingleadid")
    contact = await a_synced(connected, "contact", number=1)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    report = await connected.cycle()

    assert "contact.originatingleadid" in report.left_out["contact"]
    assert (await connected.person(contact, "title")).get("title") != "Chief"


@pytest.mark.parametrize("depth", [None, "Local"])
async def test_the_name_of_a_team_that_cannot_be_read_stays_until_it_can(connected: World, depth: str | None) -> None:
    admin = await connected.admin()
    root = (await connected.rows("businessunit", "businessunitid"))[0]["businessunitid"]
    below = {"name": "Below", "parentbusinessunitid@odata.bind": f"/businessunits({root})"}
    unit = f"/businessunits({await admin.create('businessunits', below)})"
    team = await admin.create("teams", {"name": "Nurture", "businessunitid@odata.bind": unit})
    lead = await admin.create("leads", {"lastname": "Nurtured", "ownerid@odata.bind": f"/teams({team})"})
    await connected.cycle()
    await (lower_privilege(connected, "prvReadTeam", depth) if depth else take_privilege(connected, "prvReadTeam"))
    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief")

    await connected.cycle()

    person = await connected.person(lead, "msOwnerTeam", "title")
    assert (person["msOwnerTeam"], person["title"]) == ("Nurture", "Chief")
    told = (await status(await connected.store(), "contoso"))["parked_fields"]
    assert {one["marketo_field"] for one in told} == {"msOwnerTeam"}
    assert all("prvReadTeam" in one["reason"] for one in told)

    await admin.update("teams", team, {"name": "Nurture Team"})
    await lower_privilege(connected, "prvReadTeam", "Global")
    await resynced(connected)
    assert await parked(connected) == set()
    assert (await connected.person(lead, "msOwnerTeam"))["msOwnerTeam"] == "Nurture Team"


async def test_an_opt_out_of_a_new_record_that_cannot_be_read_is_not_taken_for_none(connected: World) -> None:
    await lose_the_profile(connected)
    lead = await (await connected.admin()).create("leads", {"lastname": "New", "donotbulkemail": True})

    await connected.cycle()

    assert await parked(connected) == set(COLUMNS)
    assert (await connected.person(lead, "unsubscribed"))["unsubscribed"] is not False
