"""Custom entities in a lane of their own: lost answers, killed runs, people that become one, others not held up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.report import Progress
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from crmsync.sandbox.options import Counts
from tests.engine.custom_objects import (
    KEY,
    ORDER_LINE,
    PERSON,
    REGISTRATION,
    a_contact,
    add_lookup,
    delete_type,
    name_custom_entities,
    objects,
    register,
    registering,
    select,
    track,
)
from tests.engine.successions import merge
from tests.engine.test_crash import Hurried
from tests.engine.test_refused import refusing_calls
from tests.world import World, connected_world

__all__ = ["registering"]


@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_makes_nothing_twice_and_loses_nothing(registering: World, executed: bool) -> None:
    contact = await a_contact(registering)
    ids = [await register(registering, contact) for _ in range(3)]
    fault = {"service": "marketo", "method": "POST", "path": f"/rest/v1/customobjects/{REGISTRATION}.json",
             "times": 1, "kind": "reset", "after_execution": executed}  # fmt: skip
    await registering.post("faults", fault)
    hurried = Hurried()

    async with registering.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        report = await cycle(session, force=True)

    assert (await objects(registering, REGISTRATION, ids)).keys() == set(ids)
    assert report.entities[REGISTRATION].failed == 0
    assert await (await registering.store()).flights.all(registering.name) == []


async def test_a_killed_run_is_settled_and_taken_up(registering: World) -> None:
    contact = await a_contact(registering)
    one = await register(registering, contact)
    store = await registering.store()
    await store.flights.take_off(registering.name, REGISTRATION, "sync", [one])
    hurried = Hurried()

    async with registering.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        await cycle(session, force=True)

    assert hurried.ahead > timedelta(), "a call that may still be executed is waited for"
    assert (await objects(registering, REGISTRATION, [one])).keys() == {one}


async def test_a_call_to_a_custom_object_that_is_gone_since_holds_up_nobody(registering: World) -> None:
    admin, store = await registering.admin(), await registering.store()
    await store.flights.take_off(registering.name, REGISTRATION, "sync", ["11111111-0000-4000-8000-000000000001"])
    await delete_type(registering, REGISTRATION)
    lead = await admin.create("leads", {"lastname": "Free", "new_synctomkto": True})

    await registering.cycle()

    assert await store.flights.all(registering.name) == []
    assert (await registering.person(lead))["dynamicsId"] == lead


async def test_the_first_read_of_one_holds_up_no_other_entity(tmp_path: Path) -> None:
    counts = Counts(leads=5, contacts=10, accounts=5, registrations=4500)
    async with connected_world(tmp_path, counts) as world:
        name_custom_entities(world, REGISTRATION)
        await select(world)
        admin, lead = await world.admin(), (await world.rows("lead", "leadid", filter="new_synctomkto eq true"))[0]
        titles: list[str | None] = []

        async def change_then_look(progress: Progress) -> None:
            if progress.entity == REGISTRATION:
                titles.append((await world.person(lead["leadid"], "title")).get("title"))
                await admin.update("leads", lead["leadid"], {"jobtitle": f"Navigator {len(titles)}"})

        async with world.session() as session:
            report = await cycle(session, change_then_look, force=True)

        assert report.entities[REGISTRATION].read == 4500
        assert titles[1:3] == ["Navigator 1", "Navigator 2"], "after a page the others have their turn"
        await world.cycle()
        assert (await world.cycle()).total.written == 0


async def test_what_hangs_on_a_lead_hangs_on_the_contact_that_it_becomes(connected: World) -> None:
    admin = await connected.admin()
    await add_lookup(connected, REGISTRATION, "lead")
    name_custom_entities(connected, f"{{entity: {REGISTRATION}, link: new_leadid}}")
    await select(connected)
    lead = await admin.create("leads", {"lastname": "Prospect", "new_synctomkto": True})
    one = await admin.create(
        "new_eventregistrations", {"new_name": "Summit", "new_LeadId@odata.bind": f"/leads({lead})"}
    )
    await connected.cycle()
    assert (await objects(connected, REGISTRATION, [one], PERSON))[one][PERSON] == lead

    contact = await admin.create(
        "contacts",
        {"lastname": "Prospect", "new_synctomkto": True, "originatingleadid@odata.bind": f"/leads({lead})"},
    )
    await connected.cycle()

    assert (await objects(connected, REGISTRATION, [one], PERSON))[one][PERSON] == contact
    await connected.cycle()
    assert (await connected.cycle()).total.written == 0


async def test_what_hangs_on_a_merged_contact_hangs_on_the_other_one(registering: World) -> None:
    admin = await registering.admin()
    keep, lose = [
        await admin.create("contacts", {"lastname": name, "new_synctomkto": True}) for name in ("Keep", "Lose")
    ]
    one = await register(registering, lose)
    await registering.cycle()

    await merge(registering, "contact", keep, lose)
    await registering.cycle()
    await registering.cycle()

    assert (await objects(registering, REGISTRATION, [one], PERSON))[one][PERSON] == keep
    assert (await registering.cycle()).total.written == 0


async def test_an_idle_cycle_asks_for_it_in_the_one_request(registering: World) -> None:
    await registering.cycle()
    await registering.cycle()
    await registering.reset_requests()

    await registering.cycle()

    assert await registering.requests("dynamics") == {"POST /api/data/v9.2/$batch": 1}


async def test_without_custom_objects_in_marketo_the_rest_goes_on(connected: World) -> None:
    await connected.post("switches", {"tenant": connected.name, "custom_object_types": "off"})
    name_custom_entities(connected, REGISTRATION)
    await select(connected)
    admin = await connected.admin()
    lead = await admin.create("leads", {"lastname": "Free", "new_synctomkto": True})

    report = await connected.cycle()

    assert report.entities["lead"].created == 1
    assert "Custom Object Metadata" in report.left_out[REGISTRATION]
    assert (await connected.person(lead))["dynamicsId"] == lead
    assert "Custom Object Metadata" in (await status(await connected.store(), connected.name))["left_out"][REGISTRATION]


async def test_change_tracking_that_is_off_leaves_only_this_one_out(connected: World) -> None:
    name_custom_entities(connected, REGISTRATION, ORDER_LINE)
    await select(connected)

    report = await connected.cycle()

    assert report.entities[REGISTRATION].created > 0
    assert report.left_out.keys() == {ORDER_LINE}

    await track(connected, ORDER_LINE)
    report = await connected.cycle()
    assert report.entities[ORDER_LINE].created > 0
    assert report.left_out == {}


async def test_a_custom_object_that_was_deleted_in_marketo_stops_nothing_else(registering: World) -> None:
    contact, admin = await a_contact(registering), await registering.admin()
    await delete_type(registering, REGISTRATION)
    one = await register(registering, contact)
    lead = await admin.create("leads", {"lastname": "Free", "new_synctomkto": True})

    report = await registering.cycle()

    assert report.entities["lead"].created == 1
    assert (await registering.person(lead))["dynamicsId"] == lead
    errors = await (await registering.store()).errors.all(registering.name)
    assert [(each.record_id, each.code) for each in errors if each.entity == REGISTRATION] == [(one, "1013")]


async def test_compare_finds_what_was_lost_and_repairs_it(registering: World) -> None:
    contact = await a_contact(registering)
    one, other, gone = [await register(registering, contact) for _ in range(3)]
    await registering.cycle()
    marketo = await registering.marketo()
    await (await registering.admin()).delete("new_eventregistrations", gone)
    await marketo.delete_custom_objects(REGISTRATION, KEY, [one])
    await marketo.sync_custom_objects(REGISTRATION, KEY, [{KEY: other, "new_event": "Wrong"}])

    async with registering.session() as session:
        found = (await compare(session)).entities[REGISTRATION]
        assert (found.missing, found.differing, found.vanished, found.fields) == (1, 1, 1, {"new_event": 1})
        repaired = (await compare(session, repair=True)).entities[REGISTRATION]

    assert (repaired.repaired, repaired.open) == (3, 0)
    assert (await objects(registering, REGISTRATION, [one, other, gone])).keys() == {one, other}


async def test_compare_says_that_a_record_waits_for_a_person_who_was_refused_but_not_for_one_who_is_filtered(
    registering: World,
) -> None:
    admin = await registering.admin()
    refused = await admin.create("contacts", {"lastname": "Twice"})
    await refusing_calls(registering)
    filtered = await admin.create("contacts", {"lastname": "Private", "new_synctomkto": False})
    one, _ = await register(registering, refused), await register(registering, filtered)
    await registering.cycle()

    async with registering.session() as session:
        result = await compare(session, entities=[REGISTRATION])

    assert [(found.record_id, found.category, found.waits_for) for found in result.differences] == [
        (one, "waiting", ["parent"])
    ]
    counts = result.entities[REGISTRATION]
    assert counts.waiting == 1
    assert counts.filtered >= 1
    assert counts.read == counts.equal + counts.waiting + counts.filtered


async def test_compare_goes_on_without_a_custom_object_that_was_deleted_in_marketo(registering: World) -> None:
    await register(registering, await a_contact(registering))
    await registering.cycle()
    await delete_type(registering, REGISTRATION)

    async with registering.session() as session:
        result = await compare(session)

    assert list(result.left_out) == [REGISTRATION]
    assert result.entities["contact"].equal > 0
    assert not result.in_step
