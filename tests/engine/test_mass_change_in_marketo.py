"""A mass change in Marketo is read in portions: what else changes waits for one of them, and nothing is lost of it."""

from __future__ import annotations

import pytest

from crmsync.engine.back.collect import PAGES_A_ROUND
from crmsync.engine.session import utc_now
from crmsync.engine.status import collisions
from crmsync.errors import RecordRefused
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.world import World

CHANGES = "/rest/v1/activities/leadchanges.json"
PAGE = 300


async def mass_change(world: World, pages: int) -> dict[str, str]:
    """Give everybody in Marketo another title again and again, so many pages of activities; the last one by record."""
    ids = [row["leadid"] for row in await world.rows("lead", "leadid", filter="new_synctomkto eq true")]
    ids += [row["contactid"] for row in await world.rows("contact", "contactid", filter="new_synctomkto eq true")]
    people = await world.people(ids)
    marketo, titles = await world.marketo(), {}
    for number in range(pages * PAGE // len(people) + 1):
        titles = {record: f"Chief {number} of {record[:8]}" for record in people}
        await marketo.sync_people(
            [{"id": people[record][0]["id"], "title": title} for record, title in titles.items()],
            action="updateOnly",
            lookup_field="id",
        )
    return titles


async def full_pages(world: World) -> None:
    await world.cycle()
    await world.post("switches", {"tenant": "contoso", "activity_pages": "full"})


async def stop_after(world: World, calls: int) -> None:
    """So many calls for changes are answered; the run that asks for more fails."""
    fault = {"service": "marketo", "path": CHANGES, "skip": calls, "times": 1, "kind": "marketo", "code": "1003"}
    await world.post("faults", fault)


async def test_a_changed_contact_waits_for_one_portion_of_it(connected: World) -> None:
    await full_pages(connected)
    contact = await a_synced(connected, "contact", mobilephone="+1 555 0100")
    began = utc_now()
    titles = await mass_change(connected, PAGES_A_ROUND + 10)
    await change_in_dynamics(connected, "contact", contact, mobilephone="+1 555 0199")
    await stop_after(connected, PAGES_A_ROUND + 2)

    with pytest.raises(RecordRefused):
        await connected.cycle()  # in its second round

    assert (await connected.person(contact, "mobilePhone"))["mobilePhone"] == "+1 555 0199"

    marks = await (await connected.store()).inbox.watermarks("contoso")
    assert marks["changed"].moved_at < began, "should its token get lost, all of it is read again"

    await connected.reset_requests()
    await connected.cycle()

    asked = (await connected.requests("marketo"))[f"GET {CHANGES}"]
    assert asked <= 10 + 4, "what was noted is not read again"
    for entity, key in (("lead", "leadid"), ("contact", "contactid")):
        rows = {row[key]: row["jobtitle"] for row in await connected.rows(entity, key, "jobtitle")}
        assert {one: title for one, title in rows.items() if one in titles} == {
            one: title for one, title in titles.items() if one in rows
        }
    await assert_quiet(connected)


@pytest.mark.parametrize(("entity", "winner"), [("lead", "+1 555 0111"), ("contact", "+1 555 0199")])
async def test_a_change_that_is_not_read_yet_is_not_written_over(connected: World, entity: str, winner: str) -> None:
    await full_pages(connected)
    record = await a_synced(connected, entity, mobilephone="+1 555 0100")
    await mass_change(connected, PAGES_A_ROUND + 4)
    await change_in_marketo(connected, record, mobilePhone="+1 555 0111")
    await change_in_dynamics(connected, entity, record, mobilephone="+1 555 0199")

    await connected.cycle()

    row = await in_dynamics(connected, entity, record, "mobilephone")
    assert row["mobilephone"] == (await connected.person(record, "mobilePhone"))["mobilePhone"] == winner
    shown = await collisions(await connected.store(), "contoso")
    assert [(one["record_id"], one["attribute"]) for one in shown] == [(record, "mobilephone")]
    await assert_quiet(connected)


async def test_a_deletion_that_is_not_read_yet_is_not_undone(connected: World) -> None:
    """As if its activity had been read: the person is not created again."""
    await full_pages(connected)
    contact = await a_synced(connected, "contact", number=1)
    await mass_change(connected, PAGES_A_ROUND + 4)
    marketo = await connected.marketo()
    await marketo.delete_people([(await connected.person(contact))["id"]])
    await change_in_dynamics(connected, "contact", contact, jobtitle="Gone")

    await connected.cycle()

    assert await connected.people([contact]) == {}
    await assert_quiet(connected)
