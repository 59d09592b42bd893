"""A run that is killed, or whose answers get lost, is taken up again: the same result, and no duplicate."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from crmsync.engine.session import utc_now
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import QuotaExhausted
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from crmsync.state.lifecycle import TenantState
from tests.world import World, small_sandbox

FIRST_SYNC = """
import asyncio, sys
from pathlib import Path
from crmsync.engine.session import open_session
from crmsync.engine.sync import first_sync
from crmsync.secrets import SecretStore
from crmsync.tenants import load_tenant

async def main(folder, state_url):
    tenant, secrets = load_tenant("contoso", folder), SecretStore(folder)
    async with open_session(tenant, secrets, run="killed", state_url=state_url) as session:
        await first_sync(session)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


class Hurried:
    """A clock and a sleep that pass time without waiting: two minutes a nap."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def clock(self) -> object:
        return utc_now() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(minutes=2)
        await asyncio.sleep(0.05)


async def duplicates_and_missing(world: World) -> tuple[set[str], set[str]]:
    """Records that are in Marketo twice, and records that should be there and are not."""
    rows = [
        *await world.rows("lead", "leadid", filter="new_synctomkto ne false"),
        *await world.rows("contact", "contactid", filter="new_synctomkto ne false"),
    ]
    ids = [row.get("leadid") or row["contactid"] for row in rows]
    people = await world.people(ids)
    refused = {error.record_id for error in await (await world.store()).errors.all(world.name)}
    return {one for one, found in people.items() if len(found) > 1}, set(ids) - people.keys() - refused


@pytest.mark.parametrize(
    "path",
    [
        "/bulk/v1/leads.json",
        "/rest/v1/leads.json",
        "/rest/v1/companies.json",
        "/rest/v1/opportunities.json",
        "/rest/v1/opportunities/roles.json",
    ],
)
async def test_a_killed_first_sync_is_taken_up_where_it_was(tmp_path: Path, path: str) -> None:
    """SIGKILL while Marketo holds a write of this kind: the answer never arrives, the write is executed."""
    options = small_sandbox(tmp_path / "ready.json", counts=Counts(leads=2600, contacts=900, accounts=700))
    with SandboxThread(options) as ready:
        contoso = World(ready, f"sqlite:///{tmp_path}/state.db")
        await contoso.prepare()
        skip = 1 if path in {"/rest/v1/leads.json", "/rest/v1/companies.json"} else 0
        fault = {"service": "marketo", "method": "POST", "path": path, "skip": skip, "times": 1,
                 "kind": "hang", "seconds": 60, "after_execution": True}  # fmt: skip
        rule = await contoso.post("faults", fault)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FIRST_SYNC, str(ready.tenants_folder), contoso.state_url
        )
        await contoso.until_fault_hit(rule["id"])
        process.kill()
        await process.wait()

        hurried = Hurried()
        async with contoso.session(sleep=hurried.sleep) as session:
            session.clock = hurried.clock  # type: ignore[assignment]
            await first_sync(session)

        assert await duplicates_and_missing(contoso) == (set(), set())
        assert (await contoso.cycle()).total.written == 0
        await contoso.close()


@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_is_settled_before_its_records_go_again(contoso: World, executed: bool) -> None:
    await contoso.prepare()
    await contoso.post(
        "faults",
        {"service": "marketo", "method": "POST", "path": "/rest/v1/leads.json", "times": 1, "kind": "reset",
         "after_execution": executed},
    )  # fmt: skip
    hurried = Hurried()

    async with contoso.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        await first_sync(session)

    assert await duplicates_and_missing(contoso) == (set(), set())
    assert (hurried.ahead > timedelta()) is (not executed), "only a call that may still be executed is waited for"


async def test_a_first_sync_that_used_up_the_day_is_taken_up_by_the_schedule(contoso: World) -> None:
    await contoso.prepare()
    async with contoso.session() as session:
        assert (await cycle(session)).skipped is not None, "whoever connects is about to begin it"
    await contoso.post(
        "faults",
        {"service": "marketo", "method": "POST", "path": "/rest/v1/leads.json", "times": 1, "kind": "marketo",
         "code": "607"},
    )  # fmt: skip
    async with contoso.session() as session:
        with pytest.raises(QuotaExhausted):
            await first_sync(session)

    async with contoso.session() as session:
        report = await cycle(session)
        assert (await session.store.tenants.get(session.name)).state == TenantState.SYNCING

    assert (report.kind, report.skipped) == ("first sync", None)
    assert await duplicates_and_missing(contoso) == (set(), set())


async def test_passing_trouble_on_both_sides_is_waited_out(contoso: World) -> None:
    await contoso.prepare()
    for fault in (
        {"service": "dynamics", "path": "/api/data/v9.2/leads*", "times": 1, "kind": "throttle", "retry_after": 1},
        {"service": "dynamics", "path": "/api/data/v9.2/contacts*", "times": 1, "kind": "truncate"},
        {"service": "marketo", "path": "/rest/v1/leads.json", "times": 1, "kind": "marketo", "code": "608"},
        {"service": "marketo", "path": "/rest/v1/companies.json", "times": 1, "kind": "marketo", "code": "602"},
    ):
        await contoso.post("faults", fault)

    async with contoso.session() as session:
        await first_sync(session)
        report = await cycle(session, force=True)

    assert await duplicates_and_missing(contoso) == (set(), set())
    assert report.total.written == 0
