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
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.unprepared import secure
from tests.world import World

COLUMNS = ("emailaddress1", "donotbulkemail", "mobilephone")
FIELDS = ("email", "unsubscribed", "mobilePhone", "title")


@pytest.fixture
async def lead(connected: World) -> str:
    """A lead with an e-mail address, a phone number and an opt-out, on both sides."""
    values = {"emailaddress1": "ada@example.com", "mobilephone": "+1 555 0100", "donotbulkemail": True}
    return await a_synced(connected, "lead", jobtitle="Director", **values)


async def let_read(world: World, *columns: str) -> str:
    """Put the sync user into a column security profile that may read these columns of leads; the profile's id."""
    admin = await world.admin()
    profile = await admin.create("fieldsecurityprofiles", {"name": "Sync"})
    for column in columns:
        bound = {"fieldsecurityprofileid@odata.bind": f"/fieldsecurityprofiles({profile})", "canread": 4}
        await admin.create("fieldpermissions", {"entityname": "lead", "attributelogicalname": column, **bound})
    link = {"@odata.id": f"{_root(world)}fieldsecurityprofiles({profile})"}
    await admin.channel.send("POST", f"{await _profiles(world)}/$ref", json=link)
    return profile


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


@pytest.mark.parametrize("lose", [secure_while_syncing, lose_the_profile])
@pytest.mark.parametrize("by", [by_a_cycle, by_one_record, by_a_repair])
async def test_what_cannot_be_read_any_more_stays_in_marketo_and_is_parked(
    connected: World, lead: str, lose: Loss, by: Way
) -> None:
    await lose(connected)
    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief")

    await by(connected, lead)

    person = await connected.person(lead, *FIELDS)
    assert [person[field] for field in FIELDS] == ["ada@example.com", True, "+1 555 0100", "Chief"]
    assert await parked(connected) == set(COLUMNS)
    await connected.cycle()
    await assert_quiet(connected)
