"""Many records of a custom entity go by bulk import where that is cheaper, under the same rules as people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.report import Progress, ProgressListener, SyncReport
from crmsync.engine.sync import first_sync
from crmsync.errors import CrmsyncError
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from tests.engine.both_sides import cycle_as
from tests.engine.custom_objects import (
    KEY,
    PERSON,
    REGISTRATION,
    a_contact,
    name_custom_entities,
    objects,
    select,
)
from tests.engine.test_crash import Hurried
from tests.world import World, small_sandbox

SYNC = f"/rest/v1/customobjects/{REGISTRATION}.json"
IMPORT = f"/bulk/v1/customobjects/{REGISTRATION}/import.json"
MANY = Counts(leads=5, contacts=40, accounts=8, registrations=2_600, order_lines=0)


@pytest.fixture
async def many(tmp_path: Path) -> AsyncIterator[World]:
    """A tenant before its first sync, whose many event registrations are to be synced."""
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=MANY)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        name_custom_entities(world, REGISTRATION)
        await world.prepare()
        await world.reset_requests()
        yield world
        await world.close()


async def calls(world: World, path: str) -> int:
    return (await world.written()).get(path, 0)


async def carry(world: World, progress: ProgressListener | None = None) -> SyncReport:
    """The first sync; naps do not last."""
    hurried = Hurried()
    async with world.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        return await first_sync(session, progress)


async def in_step(world: World) -> None:
    """Everything that should be there is there with its values, and nothing more is written."""
    assert (await world.cycle()).total.written == 0
    async with world.session() as session:
        result = await compare(session, entities=[REGISTRATION])
    assert result.differences == []
    assert result.entities[REGISTRATION].equal > 2_000


async def test_a_first_sync_of_many_records_is_one_import_and_their_values_survive(many: World) -> None:
    await carry(many)

    assert await calls(many, IMPORT) == 1
    assert await calls(many, SYNC) < 3, "what a file cannot carry"
    [row] = (await many.rows(REGISTRATION, "_new_contactid_value", filter="_new_contactid_value ne null"))[:1]
    [found] = (await objects(many, REGISTRATION, [row["new_eventregistrationid"]], PERSON)).values()
    assert found[PERSON] == row["_new_contactid_value"]
    await in_step(many)


@pytest.mark.parametrize(("calls_a_day", "imports"), [(25_000, 0), (170, 1)])
async def test_in_cycles_the_others_wait_for_a_job_only_where_the_calls_of_a_day_are_at_stake(
    tmp_path: Path, calls_a_day: int, imports: int
) -> None:
    with SandboxThread(small_sandbox(tmp_path / "ready.json", counts=MANY)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        await world.connect()
        name_custom_entities(world, REGISTRATION)
        await select(world)

        await cycle_as(world, quota={"marketo_calls_per_day": calls_a_day})

        assert await calls(world, IMPORT) == imports
        await in_step(world)
        await world.close()


async def test_a_type_that_was_there_before_is_not_imported_into(many: World) -> None:
    """What it holds already is not known, and a file can clear nothing."""
    [row, *_] = await many.rows(REGISTRATION, "new_remark", filter="new_remark eq null")
    one = row["new_eventregistrationid"]
    await (await many.marketo()).sync_custom_objects(REGISTRATION, KEY, [{KEY: one, "new_remark": "Old"}])
    other = World(many.ready, many.state_url.replace("state.db", "other.db"))
    await many.reset_requests()

    await other.connect()
    await other.close()

    assert (await calls(many, IMPORT), await calls(many, SYNC)) == (0, 9)
    assert (await objects(many, REGISTRATION, [one], "new_remark"))[one].get("new_remark") is None


async def test_a_row_that_fails_is_a_sync_error_with_its_reason_and_the_others_are_there(many: World) -> None:
    """Somebody is deleted in Marketo before those are written who belong to them: the Sync call by which a row that
    was not imported goes again says why."""
    deleted: list[str] = []

    async def delete_one(progress: Progress) -> None:
        if progress.entity == "contact" and not deleted:
            deleted.append(await a_contact(many))
            await (await many.marketo()).delete_people([(await many.person(deleted[0]))["id"]])

    await carry(many, delete_one)

    theirs = await many.rows(REGISTRATION, "new_name", filter=f"_new_contactid_value eq {deleted[0]}")
    store = await many.store()
    errors = [one for one in await store.errors.all("contoso") if one.entity == REGISTRATION]
    assert {one.record_id for one in errors} == {row["new_eventregistrationid"] for row in theirs}
    assert {one.code for one in errors} == {"1004"}
    assert all(one.reason for one in errors)
    assert len(await store.records.in_marketo_after("contoso", REGISTRATION, "", 3_000)) > 2_000


@pytest.mark.parametrize("executed", [True, False])
async def test_an_import_whose_answer_was_lost_is_settled_before_its_records_go_again(
    many: World, executed: bool
) -> None:
    await many.post(
        "faults",
        {"service": "marketo", "method": "POST", "path": IMPORT, "times": 1, "kind": "reset",
         "after_execution": executed},
    )  # fmt: skip
    with pytest.raises(CrmsyncError):
        await carry(many)
    [flight] = await (await many.store()).flights.all("contoso")
    assert (flight.entity, flight.kind, flight.job) == (REGISTRATION, "import", None)

    await carry(many)

    assert await (await many.store()).flights.all("contoso") == []
    await in_step(many)


async def test_a_job_that_a_run_left_behind_is_waited_for_by_its_number(many: World) -> None:
    """Here because the run was not let see how the job stands: the entity is left out of it, the job goes on."""
    status = f"/bulk/v1/customobjects/{REGISTRATION}/import/*/status.json"
    await many.post(
        "faults", {"service": "marketo", "method": "GET", "path": status, "times": 10, "kind": "marketo", "code": "603"}
    )
    assert REGISTRATION in (await carry(many)).left_out
    [flight] = await (await many.store()).flights.all("contoso")
    assert flight.job is not None
    async with many.browser() as browser:
        (await browser.delete(f"{many.ready.admin_url}/faults")).raise_for_status()

    await many.cycle()

    assert await calls(many, IMPORT) == 1
    await in_step(many)
