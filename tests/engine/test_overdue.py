"""What waits longer than five cycles is a sync error that is shown, until it is done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from crmsync.engine.overdue import CYCLES, MOST, tell_overdue
from crmsync.engine.session import utc_now
from crmsync.engine.status import errors, status
from crmsync.state import tables
from crmsync.state.inbox import Waiting
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, cycle_as, in_dynamics
from tests.engine.test_roles import a_contact
from tests.world import World


async def cycles_later(world: World, number: int, **options: Any) -> None:
    """What waits now has waited for so many cycles, and another one comes."""
    earlier = number * timedelta(minutes=world.tenant.interval_minutes)
    store = await world.store()
    async with store.engine.begin() as connection:
        for table in (tables.marketo_changes, tables.creations, tables.pending):
            for key, since in (await connection.execute(sa.select(table.c.tenant, sa.func.min(table.c.since)))).all():
                if since is not None:
                    await connection.execute(
                        sa.update(table).where(table.c.tenant == key).values(since=utc_now() - earlier)
                    )
    await cycle_as(world, **options)


async def shown(world: World) -> list[tuple[str, str, str, str]]:
    found = await errors(await world.store(), "contoso")
    return [
        (one["entity"], one["record_id"], one["direction"], one["code"]) for one in found if one["code"] == "waiting"
    ]


async def changes_waiting(world: World) -> list[dict[str, Any]]:
    waiting = (await status(await world.store(), "contoso"))["waiting"]
    return [queue for queue in waiting if queue["for"] == "change"]


@pytest.fixture
async def held(connected: World) -> tuple[World, str]:
    """A change made in Marketo that no cycle brings to Dynamics, for no reason that anybody told: here because the
    tenant file does not want it there any more."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    store = await connected.store()
    person = await connected.person(contact)
    await store.inbox.wait("contoso", "contact", [Waiting(contact, int(person["id"]), frozenset({"title"}))])
    return connected, contact


async def test_a_change_that_waits_longer_than_five_cycles_is_an_error_with_its_reason(
    held: tuple[World, str],
) -> None:
    world, contact = held
    other = await a_synced(world, "lead")
    await change_in_dynamics(world, "lead", other, jobtitle="One")
    await cycles_later(world, CYCLES - 1, to_dynamics=False)
    assert await shown(world) == []

    await change_in_dynamics(world, "lead", other, jobtitle="Two")
    await cycles_later(world, CYCLES + 1, to_dynamics=False)

    assert await shown(world) == [("contact", contact, "Marketo → Dynamics", "waiting")]
    [error] = [one for one in await errors(await world.store(), "contoso") if one["code"] == "waiting"]
    assert "'title' changed in Marketo" in error["reason"]
    assert "since" in error["reason"]
    assert "to_dynamics" in error["remedy"]


async def test_it_goes_away_when_the_thing_is_done(held: tuple[World, str]) -> None:
    world, contact = held
    await change_in_dynamics(world, "contact", contact, mobilephone="+1 555 0100")
    await cycles_later(world, CYCLES + 1, to_dynamics=False)
    assert await shown(world) == [("contact", contact, "Marketo → Dynamics", "waiting")]
    await change_in_marketo(world, contact, title="Chief")

    await world.cycle()

    assert (await in_dynamics(world, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert await shown(world) == []


async def test_roles_that_a_left_out_entity_keeps_waiting_say_what_keeps_it_out(connected: World) -> None:
    admin = await connected.admin()
    person = await a_contact(admin, "Main")
    deal = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({person})"})
    refusal = {"service": "marketo", "kind": "marketo", "code": "603", "message": "Access denied"}
    await connected.post("faults", {**refusal, "path": "/rest/v1/opportunities/roles*", "times": 1000})
    await connected.cycle()

    await cycles_later(connected, CYCLES + 1)

    assert ("opportunity", deal, "Dynamics → Marketo", "waiting") in await shown(connected)
    [error] = [one for one in await errors(await connected.store(), "contoso") if one["record_id"] == deal]
    assert "roles" in error["reason"]


async def test_status_says_what_waits_and_since_when(held: tuple[World, str]) -> None:
    world, _ = held

    [queue] = await changes_waiting(world)

    assert (queue["for"], queue["entity"], queue["records"]) == ("change", "contact", 1)
    assert datetime.fromisoformat(queue["since"]) <= utc_now()


async def test_a_thousand_are_told_at_the_same_time_and_all_are_counted(held: tuple[World, str]) -> None:
    world, contact = held
    store = await world.store()
    many = [Waiting(str(uuid4()), 10_000 + number, frozenset({"title"})) for number in range(MOST + 5)]
    await store.inbox.wait("contoso", "contact", many)
    await change_in_dynamics(world, "contact", contact, mobilephone="+1 555 0100")

    await cycles_later(world, CYCLES + 1, to_dynamics=False)

    assert len(await shown(world)) == MOST
    [queue] = await changes_waiting(world)
    assert queue["records"] == MOST + 6


async def test_what_a_cycle_has_not_had_its_turn_with_is_not_overdue(held: tuple[World, str]) -> None:
    """However long the cycle is: it came after that had begun."""
    world, _ = held
    async with world.session(tenant=world.tenant.model_copy(update={"to_dynamics": False})) as session:
        hours = timedelta(hours=5)
        assert await tell_overdue(session, utc_now() - hours, ["contact"], {}) == []

    assert await shown(world) == []
