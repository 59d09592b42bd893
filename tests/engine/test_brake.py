"""The brake: whatever goes wrong upstream, a run does not empty a subscription, nor an organization."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.compare import compare
from crmsync.engine.destination import ROLE
from crmsync.engine.record import sync_record
from crmsync.engine.resync import resync
from crmsync.engine.status import status
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import AllowanceNeeded, QuotaExhausted, RecordMissing
from tests.engine.both_sides import KEYS, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.custom_objects import PERSON, REGISTRATION, objects, registering
from tests.engine.successions import merge
from tests.engine.test_opportunities import is_there
from tests.engine.test_rebaseline import rebaseline
from tests.engine.test_roles import connect
from tests.world import World, connected_world

__all__ = ["registering"]


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[World]:
    """A connected and quiet tenant whose runs may take away three of anything."""
    async with connected_world(tmp_path) as world:
        set_safety(world, "{percent: 1, at_least: 3}")
        await world.cycle()
        yield world


def set_safety(world: World, safety: str) -> None:
    path = world.ready.tenants_folder / f"{world.name}.yaml"
    path.write_text(f"{path.read_text().partition('safety:')[0]}\nsafety: {safety}\n")


async def some_synced(world: World, entity: str, number: int) -> list[str]:
    rows = await world.rows(entity, KEYS[entity], filter="new_synctomkto eq true and statecode eq 0")
    return sorted(await world.people([row[KEYS[entity]] for row in rows]))[:number]


async def update(world: World, entity: str, ids: list[str], **values: Any) -> None:
    for one in ids:
        await change_in_dynamics(world, entity, one, **values)


async def delete(world: World, path: str, ids: list[str]) -> None:
    admin = await world.admin()
    for one in ids:
        await admin.delete(path, one)


async def in_marketo(world: World, ids: list[str], field: str) -> list[Any]:
    people = await world.people(ids, field)
    return [people[one][0][field] for one in ids]


async def braked(world: World, **options: Any) -> AllowanceNeeded:
    """A cycle that the brake stops; what it says."""
    with pytest.raises(AllowanceNeeded) as stopped:
        await allowed(world, allow=False, **options)
    return stopped.value


async def allowed(world: World, **options: Any) -> Any:
    async with world.session() as session:
        return await cycle(session, force=True, **{"allow": True, **options})


async def brake_of(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await status(await world.store(), world.name))["brake"]
    return found


async def test_people_who_are_deleted_by_the_dozen_are_flagged_only_when_it_is_allowed(guarded: World) -> None:
    gone, [lead] = await some_synced(guarded, "contact", 5), await some_synced(guarded, "lead", 1)
    await delete(guarded, "contacts", gone)
    await update(guarded, "lead", [lead], jobtitle="Director")

    error = await braked(guarded)

    assert "flag 5 of " in error.message
    assert "contacts as deleted" in error.message
    assert gone[0] in error.message
    assert f"crmsync sync {guarded.name} --allow" in error.remedy
    assert error.is_new
    assert await in_marketo(guarded, [lead], "title") == ["Director"], "the rest goes on"
    assert not (await braked(guarded)).is_new, "a second cycle does not get round it"
    assert await in_marketo(guarded, gone, "msIsDeleted") == [False] * 5
    [held] = await brake_of(guarded)
    assert (held["entity"], held["kind"], held["since"] is not None) == ("contact", "delete", True)

    report = await allowed(guarded)

    assert report.entities["contact"].deleted == 5
    assert await in_marketo(guarded, gone, "msIsDeleted") == [True] * 5
    assert await brake_of(guarded) == []
    await assert_quiet(guarded)


async def test_the_default_is_five_percent_but_more_than_fifty(connected: World) -> None:
    """And who is there again is flagged by nobody's word."""
    store = await connected.store()
    [last, *gone] = (await store.records.in_marketo_after("contoso", "contact", "", 51))[::-1]
    assert len(gone) == 50, "of 80"
    await delete(connected, "contacts", [last, *gone])
    error = await braked(connected)
    assert "flag 51 of" in error.message
    assert "more than 50, and more than 5 %" in error.message

    admin = await connected.admin()
    await admin.create("contacts", {"contactid": last, "lastname": "Restored"})
    report = await connected.cycle()

    assert report.entities["contact"].deleted == 50
    assert await in_marketo(connected, [last], "msIsDeleted") == [False]
    assert await brake_of(connected) == []


async def test_a_column_that_is_emptied_stays_in_marketo_and_everything_else_goes_on(guarded: World) -> None:
    ids = await some_synced(guarded, "contact", 5)
    await update(guarded, "contact", ids, mobilephone="+1 555 0100")
    await guarded.cycle()
    await update(guarded, "contact", ids, mobilephone=None, jobtitle="Director")
    await update(guarded, "contact", ids[:1], donotbulkemail=True)
    new = await (await guarded.admin()).create("contacts", {"lastname": "New"})

    error = await braked(guarded)

    assert "clear mobilePhone of 5 of " in error.message
    assert "+1" not in str(error)
    assert await in_marketo(guarded, ids, "mobilePhone") == ["+1 555 0100"] * 5
    assert await in_marketo(guarded, ids[:1], "unsubscribed") == [True], "consent first"
    assert new in await guarded.people([new])
    assert "clear mobilePhone of 5 of " in (await braked(guarded)).message

    await update(guarded, "contact", ids[1:], mobilephone="+1 555 0100")
    await guarded.cycle()

    assert await in_marketo(guarded, ids, "mobilePhone") == [None, *["+1 555 0100"] * 4], "healed upstream"
    assert await in_marketo(guarded, ids, "title") == ["Director"] * 5
    assert await brake_of(guarded) == []
    await assert_quiet(guarded)


async def test_opt_outs_are_not_taken_back_by_the_dozen(guarded: World) -> None:
    ids = await some_synced(guarded, "contact", 5)
    await update(guarded, "contact", ids, donotbulkemail=True)
    await guarded.cycle()
    await update(guarded, "contact", ids, donotbulkemail=False)

    error = await braked(guarded)

    assert "take back the opt-out unsubscribed of 5 of" in error.message
    assert await in_marketo(guarded, ids, "unsubscribed") == [True] * 5
    await allowed(guarded)
    assert await in_marketo(guarded, ids, "unsubscribed") == [False] * 5


async def test_up_to_the_limit_nothing_stops_and_every_cycle_counts_anew(guarded: World) -> None:
    ids = await some_synced(guarded, "contact", 6)
    for some in (ids[:3], ids[3:]):
        await delete(guarded, "contacts", some)
        await guarded.cycle()

    assert await in_marketo(guarded, ids, "msIsDeleted") == [True] * 6


async def test_overwriting_is_capped_only_where_the_tenant_file_says_so(guarded: World) -> None:
    ids = await some_synced(guarded, "lead", 5)
    await update(guarded, "lead", ids, jobtitle="Director")
    await guarded.cycle()
    await update(guarded, "lead", ids, jobtitle="Chief")
    await guarded.cycle()
    assert await in_marketo(guarded, ids, "title") == ["Chief"] * 5
    set_safety(guarded, "{overwrite_percent: 1, at_least: 3}")
    await update(guarded, "lead", ids, jobtitle="#N/A")

    assert "overwrite title of 5 of" in (await braked(guarded)).message
    assert await in_marketo(guarded, ids, "title") == ["Chief"] * 5


async def test_a_repair_stops_before_it_flags_the_first_of_many(guarded: World) -> None:
    gone = await some_synced(guarded, "lead", 5)
    await delete(guarded, "leads", gone)

    async with guarded.session() as session:
        with pytest.raises(AllowanceNeeded, match="flag 5 of") as stopped:
            await compare(session, repair=True)
    assert "crmsync compare contoso --repair --allow" in stopped.value.remedy
    assert await in_marketo(guarded, gone, "msIsDeleted") == [False] * 5
    await braked(guarded)
    async with guarded.session() as session:
        result = await compare(session, repair=True, allow=True)

    assert result.entities["lead"].repaired == 5
    assert await in_marketo(guarded, gone, "msIsDeleted") == [True] * 5
    await guarded.cycle()
    assert await brake_of(guarded) == []


async def test_a_resync_is_held_and_goes_on_when_it_is_allowed(guarded: World) -> None:
    gone = await some_synced(guarded, "lead", 5)
    async with guarded.session() as session:
        await setup.disable_sync(session, "a test")
        await delete(guarded, "leads", gone)
        with pytest.raises(AllowanceNeeded) as stopped:
            await resync(session, entities=["lead"])
        assert "crmsync resync contoso --allow" in stopped.value.remedy
        assert await in_marketo(guarded, gone, "msIsDeleted") == [False] * 5

        report = await resync(session, allow=True)

    assert report.entities["lead"].deleted == 5


async def test_a_resync_does_not_bring_empty_values_by_the_dozen(guarded: World) -> None:
    ids = await some_synced(guarded, "lead", 5)
    await update(guarded, "lead", ids, mobilephone="+1 555 0100")
    await guarded.cycle()
    async with guarded.session() as session:
        await setup.disable_sync(session, "a test")
        await update(guarded, "lead", ids, mobilephone=None)
        with pytest.raises(AllowanceNeeded, match="clear mobilePhone of 5 of"):
            await resync(session, entities=["lead"])
        assert await in_marketo(guarded, ids, "mobilePhone") == ["+1 555 0100"] * 5

        assert (await resync(session, allow=True)).entities["lead"].updated == 5


async def test_a_new_baseline_that_lacks_many_is_held(guarded: World) -> None:
    gone = await some_synced(guarded, "lead", 5)
    await delete(guarded, "leads", gone)

    with pytest.raises(AllowanceNeeded) as stopped:
        await rebaseline(guarded)

    assert "crmsync connect contoso --allow" in stopped.value.remedy
    assert await in_marketo(guarded, gone, "msIsDeleted") == [False] * 5
    async with guarded.session() as session:
        assert (await first_sync(session, allow=True)).entities["lead"].deleted == 5


async def test_opportunities_and_their_roles_are_held_together(guarded: World) -> None:
    store = await guarded.store()
    gone = (await store.records.in_marketo_after("contoso", "opportunity", "", 5))[:5]
    roles = await store.brakes.total("contoso", ROLE)
    await delete(guarded, "opportunities", gone)

    assert "delete 5 of " in (await braked(guarded)).message

    assert all([await is_there(guarded, one) for one in gone])
    assert await store.brakes.total("contoso", ROLE) == roles
    await allowed(guarded)
    assert not any([await is_there(guarded, one) for one in gone])


@pytest.mark.parametrize("by", ["cycle", "repair"])
async def test_roles_whose_connections_vanish_are_held(guarded: World, by: str) -> None:
    store = await guarded.store()
    before = await store.brakes.total("contoso", ROLE)
    for row in await guarded.rows("connection"):
        with suppress(RecordMissing):  # its mirror went with the other
            await delete(guarded, "connections", [row["connectionid"]])

    if by == "repair":
        async with guarded.session() as session:
            with pytest.raises(AllowanceNeeded, match="opportunity roles in Marketo"):
                await compare(session, repair=True, entities=[ROLE])
    assert "opportunity roles in Marketo" in (await braked(guarded)).message

    assert await store.brakes.total("contoso", ROLE) == before
    await allowed(guarded)
    assert await store.brakes.total("contoso", ROLE) < before


async def test_one_record_does_not_take_its_many_children_with_it(guarded: World) -> None:
    admin = await guarded.admin()
    deal = await admin.create("opportunities", {"name": "Deal"})
    for contact in await some_synced(guarded, "contact", 4):
        await connect(admin, deal, contact)
    await guarded.cycle()
    await delete(guarded, "opportunities", [deal])

    async with guarded.session() as session:
        with pytest.raises(AllowanceNeeded, match=r"delete 4 of .* opportunity roles") as stopped:
            await sync_record(session, f"opportunity:{deal}")
        assert f"--record opportunity:{deal} --allow" in stopped.value.remedy
        assert await is_there(guarded, deal)
        assert not await session.store.errors.of(session.name, "opportunity", [deal]), "its deletion was not even tried"

        await sync_record(session, f"opportunity:{deal}", allow=True)

    assert not await is_there(guarded, deal)
    await assert_quiet(guarded)
    assert await brake_of(guarded) == []


async def test_opt_outs_in_dynamics_are_not_taken_back_by_the_dozen(guarded: World) -> None:
    ids = await some_synced(guarded, "contact", 5)
    await update(guarded, "contact", ids, donotbulkemail=True)
    await guarded.cycle()
    for one in ids:
        await change_in_marketo(guarded, one, unsubscribed=False)

    assert "take back the opt-out unsubscribed of 5 of" in (await braked(guarded)).message

    rows = [await in_dynamics(guarded, "contact", one, "donotbulkemail") for one in ids]
    assert [row["donotbulkemail"] for row in rows] == [True] * 5


async def test_dynamics_is_not_emptied_by_marketo(guarded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmsync.engine.back.writeback.BATCH", 2)
    ids = await some_synced(guarded, "contact", 5)
    await update(guarded, "contact", ids, mobilephone="+1 555 0100")
    await guarded.cycle()
    for one in ids:
        await change_in_marketo(guarded, one, mobilePhone=None, title="Director")

    error = await braked(guarded)

    assert "clear mobilePhone of 5 of" in error.message
    assert "in Dynamics" in error.message
    rows = [await in_dynamics(guarded, "contact", one, "mobilephone", "jobtitle") for one in ids]
    assert [(row["mobilephone"], row["jobtitle"]) for row in rows] == [("+1 555 0100", "Director")] * 5
    await braked(guarded)
    await allowed(guarded)
    rows = [await in_dynamics(guarded, "contact", one, "mobilephone") for one in ids]
    assert [row["mobilephone"] for row in rows] == [None] * 5
    await assert_quiet(guarded)


async def test_a_repair_does_not_empty_what_only_marketo_knows(guarded: World) -> None:
    """Of what is changed in Marketo the ledger knows nothing, where Dynamics is not written."""
    path = guarded.ready.tenants_folder / f"{guarded.name}.yaml"
    path.write_text(f"to_dynamics: false\n{path.read_text()}")
    ids = await some_synced(guarded, "lead", 5)
    await update(guarded, "lead", ids, mobilephone=None)
    await allowed(guarded)
    for one in ids:
        await change_in_marketo(guarded, one, mobilePhone="+1 555 0199")

    async with guarded.session() as session:
        with pytest.raises(AllowanceNeeded, match="clear mobilePhone of 5 of"):
            await compare(session, repair=True, entities=["lead"])

    assert await in_marketo(guarded, ids, "mobilePhone") == ["+1 555 0199"] * 5


async def test_people_are_not_merged_away_by_the_dozen(guarded: World) -> None:
    [winner, *losers] = await some_synced(guarded, "contact", 6)
    for loser in losers:
        await merge(guarded, "contact", winner, loser)
    await update(guarded, "contact", [winner], donotbulkemail=True)

    assert "merge 5 of " in (await braked(guarded)).message

    assert len(await guarded.people([winner, *losers])) == 6
    assert await in_marketo(guarded, [winner], "unsubscribed") == [True]
    assert "merge 5 of " in (await braked(guarded)).message
    await allowed(guarded)
    assert (await guarded.people([winner, *losers])).keys() == {winner}


async def test_custom_objects_and_whom_they_belong_to_are_held(registering: World) -> None:
    store = await registering.store()
    set_safety(registering, "{percent: 1, at_least: 2}")
    ids = await store.records.in_marketo_after("contoso", REGISTRATION, "", 6)
    await delete(registering, "new_eventregistrations", ids[:3])
    admin = await registering.admin()
    for one in ids[3:]:
        await admin.update("new_eventregistrations", one, {"new_ContactId@odata.bind": None})

    error = await braked(registering)

    assert "delete 3 of" in error.message
    assert f"clear {PERSON} of 3 of" in error.message
    there = await objects(registering, REGISTRATION, ids, PERSON)
    assert len(there) == 6
    assert all(there[one][PERSON] for one in ids[3:])


async def test_what_a_run_did_that_was_cut_short_counts_in_the_next_one(guarded: World) -> None:
    ids = await some_synced(guarded, "lead", 4)
    await update(guarded, "lead", ids, mobilephone="+1 555 0100")
    await guarded.cycle()
    await update(guarded, "lead", ids[:3], mobilephone=None)
    [deal, *_] = [row["opportunityid"] for row in await guarded.rows("opportunity", "opportunityid")]
    await (await guarded.admin()).update("opportunities", deal, {"name": "Another deal"})
    path = "/rest/v1/opportunities.json"
    used_up = {"service": "marketo", "method": "POST", "path": path, "times": 1, "kind": "marketo", "code": "607"}
    await guarded.post("faults", used_up)
    with pytest.raises(QuotaExhausted):
        await guarded.cycle()
    await update(guarded, "lead", ids[3:], mobilephone=None)

    error = await braked(guarded)

    assert "clear mobilePhone of 4 of" in error.message
    assert "(3 of these were done before)" in error.message
    assert await in_marketo(guarded, ids, "mobilePhone") == [None] * 3 + ["+1 555 0100"]
