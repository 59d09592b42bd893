"""An idle cycle: one request to Dynamics for all entities, three calls to Marketo; and a cycle goes on from what these
have read."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from crmsync.engine.setup import saved_selection
from crmsync.engine.sync import cycle
from crmsync.errors import BindingRefused
from crmsync.state.lifecycle import TenantState
from tests.engine.both_sides import cycle_as
from tests.world import World

BATCH = "POST /api/data/v9.2/$batch"


@pytest.fixture
async def quiet(connected: World) -> World:
    """A tenant whose last cycle found nothing, with all counters at zero. Marketo tells what happened in the second of
    a token once more, so cycles run until that second is over."""
    store = await connected.store()
    async with asyncio.timeout(60):
        while (last := await store.runs.last("contoso", "cycle")) is None or last.outcome != "idle":
            await connected.cycle()
    await connected.reset_requests()
    return connected


async def a_lead(world: World) -> str:
    [row, *_] = await world.rows("lead", "leadid", filter="new_synctomkto eq true")
    return str(row["leadid"])


async def test_an_idle_cycle_is_one_request_to_dynamics_and_three_to_marketo(quiet: World) -> None:
    report = await quiet.cycle()

    assert report.total.read == 0
    assert await quiet.requests("dynamics") == {BATCH: 1}
    assert await quiet.requests("marketo") == {
        f"GET /rest/v1/{path}.json": 1 for path in ("activities", "activities/leadchanges", "activities/deletedleads")
    }


async def test_one_way_an_idle_cycle_does_not_ask_marketo_at_all(quiet: World) -> None:
    await cycle_as(quiet, to_dynamics=False)

    assert await quiet.requests("dynamics") == {BATCH: 1}
    assert await quiet.requests("marketo") == {}


async def test_what_the_one_request_has_read_is_not_read_again(quiet: World) -> None:
    admin = await quiet.admin()
    lead = await a_lead(quiet)
    await admin.update("leads", lead, {"jobtitle": "Navigator"})
    await quiet.reset_requests()

    report = await quiet.cycle()

    assert report.entities["lead"].updated == 1
    assert (await quiet.requests("dynamics")) == {BATCH: 1}
    assert (await quiet.person(lead, "title"))["title"] == "Navigator"


async def test_changes_beyond_the_first_page_are_read_by_the_lane(quiet: World) -> None:
    admin = await quiet.admin()
    new = [await admin.create("leads", {"lastname": f"Many {number}"}) for number in range(510)]
    await quiet.reset_requests()

    report = await quiet.cycle()

    assert report.entities["lead"].created == len(new)
    assert (await quiet.requests("dynamics")) == {BATCH: 1, "GET /api/data/v9.2/leads": 1}
    assert (await quiet.cycle()).total.read == 0


async def test_idle_cycles_move_the_links_on_so_that_they_never_expire(quiet: World) -> None:
    for _ in range(3):
        await quiet.post("clock", {"advance_seconds": 5 * 86_400})
        report = await quiet.cycle()

    assert not [note for note in report.notes if "delta link" in note]


async def test_idle_cycles_leave_one_row_however_many_they_are(quiet: World) -> None:
    store = await quiet.store()
    before = await store.runs.last("contoso", "cycle")

    for _ in range(3):
        await quiet.cycle()

    after = await store.runs.last("contoso", "cycle")
    assert before is not None
    assert after is not None
    assert (after.id, after.outcome) == (before.id, "idle")
    assert after.started_at > before.started_at


async def test_a_contact_that_waited_for_its_company_is_carried_though_it_did_not_change(quiet: World) -> None:
    admin = await quiet.admin()
    account = await admin.create("accounts", {"name": "Late", "new_synctomkto": False})
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await admin.create("contacts", {"lastname": "Patient", **link})
    await quiet.cycle()

    await admin.update("accounts", account, {"new_synctomkto": True})
    await quiet.cycle()

    assert (await quiet.person(contact, "externalCompanyId"))["externalCompanyId"] == account


async def test_one_entity_whose_link_is_refused_does_not_spoil_the_others(quiet: World) -> None:
    store = await quiet.store()
    checkpoint = await store.checkpoints.get("contoso", "lead")
    assert checkpoint is not None
    broken = str(checkpoint.delta_link).split("deltatoken=")[0] + "deltatoken=nonsense"
    await store.checkpoints.put("contoso", checkpoint.model_copy(update={"delta_link": broken}))
    admin = await quiet.admin()
    contact = await admin.create("contacts", {"lastname": "Unharmed"})

    report = await quiet.cycle()

    assert contact in await quiet.people([contact])
    assert any("lead" in note and "read once more" in note for note in report.notes)
    assert report.entities["lead"].written == 0
    await quiet.reset_requests()
    await quiet.cycle()
    assert await quiet.requests("dynamics") == {BATCH: 1}


async def test_an_organization_copied_over_the_bound_one_stops_the_tenant_before_anything_is_believed(
    quiet: World,
) -> None:
    admin = await quiet.admin()
    lead = await a_lead(quiet)
    await admin.update("leads", lead, {"jobtitle": "of another organization"})
    quiet.ready.tenants["contoso"].organization.organization_id = "0ddba11e-0000-4000-8000-000000000001"

    with pytest.raises(BindingRefused, match="Another organization") as refused:
        await quiet.cycle()

    assert "--rebaseline" in refused.value.remedy
    assert (await (await quiet.store()).tenants.get("contoso")).state == TenantState.STOPPED
    assert (await quiet.person(lead, "title")).get("title") != "of another organization"


@pytest.mark.parametrize(
    ("minutes", "runs"), [(1, False), (2, False), (4, True)], ids=["too early", "still", "second half"]
)
async def test_the_interval_counts_from_the_end_of_the_last_cycle(quiet: World, minutes: int, runs: bool) -> None:
    last = await (await quiet.store()).runs.last("contoso", "cycle")
    assert last is not None
    assert last.ended_at is not None
    moment = last.ended_at + timedelta(minutes=minutes)

    async with quiet.session() as session:
        session.clock = lambda: moment
        report = await cycle(session)

    assert (report.skipped is None) is runs
    assert report.skipped is None or "ended" in report.skipped


async def test_a_session_of_many_cycles_reads_the_selection_again_only_when_it_is_new(quiet: World) -> None:
    async with quiet.session() as session:
        await cycle(session, force=True)
        choice = session.memo["choice"]
        await cycle(session, force=True)
        assert session.memo["choice"] is choice

        selection = await saved_selection(session)
        assert selection is not None
        fewer = selection.without("lead", {"fax"})
        await session.store.schemas.keep_selection("contoso", fewer.model_dump_json())
        report = await cycle(session, force=True)

    assert report.entities["lead"].unchanged > 0, "another selection is a new first read"
    assert report.total.written == 0
