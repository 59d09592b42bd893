"""``sync``, ``resync`` and ``validate`` on a real Prefect server, and a run that a worker executes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from prefect.workers.process import ProcessWorker

from crmsync.cli import flow_commands
from crmsync.cli.demo_acts import DELETED_COLUMN, NEW_LEAD
from crmsync.cli.demo_stage import Box
from crmsync.state.store import open_store
from deployments.register import register
from flows.compare import compare
from flows.connect import connect
from flows.options import CompareOptions, ConnectOptions, SyncOptions
from flows.resync import resync
from flows.sync import sync
from flows.validate import validate

pytestmark = pytest.mark.xdist_group("prefect")

QUIETLY = ConnectOptions(notify=False)


async def test_sync_brings_a_new_lead_and_then_writes_nothing(contoso: Box, prefect_server: str) -> None:
    await connect("contoso", QUIETLY)
    async with contoso.administrator() as dynamics, contoso.marketo() as marketo:
        new = await dynamics.create("leads", NEW_LEAD)
        report = await sync("contoso")
        people = await marketo.people("dynamicsId", [new], ["dynamicsId", "email"])

    assert report.total.created == 1
    assert [person["email"] for person in people] == [NEW_LEAD["emailaddress1"]]
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        shown = (await prefect.get("/artifacts/sync-contoso-summary/latest")).json()["id"]
        assert (await sync("contoso")).total.written == 0
        latest = (await prefect.get("/artifacts/sync-contoso-summary/latest")).json()["id"]
    assert latest == shown, "a cycle that found nothing leaves the summary of the last one that did something"


async def test_with_json_a_command_prints_its_report_and_nothing_else(
    contoso: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: dict[str, Callable[..., Awaitable[int]]] = {
        "first sync": flow_commands.connect,
        "cycle": flow_commands.sync,
        "resync": flow_commands.resync,
    }
    for kind, command in commands.items():
        assert await command("contoso", json=True, tenants=contoso.tenants) == 0
        told = capsys.readouterr()
        report = json.loads(told.out)
        assert (report["tenant"], report["kind"]) == ("contoso", kind)
        assert (report["skipped"] or "done in") in told.err


async def test_sync_of_a_busy_tenant_completes_and_says_that_it_was_skipped(contoso: Box) -> None:
    await connect("contoso", QUIETLY)
    async with open_store() as store:
        await store.leases.take("contoso", "another run")
        state = await sync("contoso", return_state=True)

    assert state.is_completed()
    assert str(state.message).startswith("Skipped: Run 'another run'")


async def test_sync_of_a_tenant_that_is_not_connected_fails_with_the_remedy(contoso: Box) -> None:
    state = await sync("contoso", return_state=True)

    assert state.is_failed()
    assert "What to do: Run: crmsync connect contoso" in str(state.message)


async def test_a_deleted_column_is_parked_by_sync_and_cleared_up_by_resync_and_both_send_a_mail(
    contoso: Box,
) -> None:
    await connect("contoso", QUIETLY)
    async with contoso.administrator() as dynamics:
        await dynamics.delete_attribute("lead", DELETED_COLUMN)

    parked = await sync("contoso")
    assert [field.attribute for field in parked.parked] == [DELETED_COLUMN]
    _, mail = contoso.newest_mail()
    assert "1 field parked" in str(mail["Subject"])

    await sync("contoso")
    assert len(list((contoso.folder / "mailbox").glob("*.eml"))) == 1, "parked fields are told of once"

    assert (await resync("contoso")).parked == []
    _, mail = contoso.newest_mail()
    assert "1 field cleared up" in str(mail["Subject"])
    assert (await sync("contoso")).parked == []


async def test_the_brake_sends_one_mail_and_a_command_lets_a_run_do_what_it_holds(contoso: Box) -> None:
    await connect("contoso", QUIETLY)
    file = contoso.tenants / "contoso.yaml"
    file.write_text(f"{file.read_text()}\nsafety: {{percent: 1, at_least: 0}}\n")
    async with contoso.administrator() as dynamics, open_store() as store:
        for gone in await store.records.in_marketo_after("contoso", "lead", "", 3):
            await dynamics.delete("leads", gone)

    for _ in range(2):
        state = await sync("contoso", return_state=True)
        assert state.is_failed()
        assert "crmsync sync contoso --allow" in str(state.message)
    [_] = (contoso.folder / "mailbox").glob("*.eml")
    _, mail = contoso.newest_mail()
    assert "sync failed: The brake is on: this run would flag 3 of" in str(mail["Subject"])

    assert await flow_commands.sync("contoso", allow=True, tenants=contoso.tenants) == 0
    assert (await sync("contoso")).total.written == 0


async def test_validate_completes_when_all_is_green_and_fails_naming_what_is_red(contoso: Box) -> None:
    green = await validate("contoso", return_state=True)
    secrets = contoso.tenants / ".env"
    secrets.write_text(secrets.read_text().replace("MARKETO_CLIENT_SECRET='", "MARKETO_CLIENT_SECRET='not-"))
    red = await validate("contoso", return_state=True)

    assert green.is_completed()
    assert red.is_failed()
    assert "Marketo sign-in" in str(red.message)
    assert "What to do: " in str(red.message)


async def test_sync_of_one_record_carries_that_record_only(contoso: Box) -> None:
    await connect("contoso", QUIETLY)
    async with contoso.administrator() as dynamics, contoso.marketo() as marketo:
        new = await dynamics.create("leads", NEW_LEAD)
        await dynamics.create("leads", {"lastname": "Later"})
        report = await sync("contoso", SyncOptions(record=f"lead:{new}"))
        people = await marketo.people("dynamicsId", [new], ["dynamicsId"])

    assert (report.kind, report.total.created, len(people)) == ("record", 1, 1)


async def test_compare_fails_while_the_sides_are_out_of_step_and_completes_when_they_are_repaired(
    contoso: Box,
) -> None:
    await connect("contoso", QUIETLY)
    only = CompareOptions(entities=["account"])
    async with contoso.administrator() as dynamics:
        await dynamics.create("accounts", {"name": "Not there yet"})

    apart = await compare("contoso", only, return_state=True)
    repaired = await compare("contoso", only.model_copy(update={"repair": True}), return_state=True)
    after = await compare("contoso", only, return_state=True)

    assert apart.is_failed()
    assert str(apart.message).startswith("Out of step: 1 of ")
    assert "1 missing" in str(apart.message)
    assert repaired.is_completed()
    assert "1 repaired" in str(repaired.message)
    assert (await after.aresult()).differences == []


async def test_a_worker_executes_a_run_that_was_asked_for_over_rest(
    contoso: Box, prefect_server: str, tmp_path: Path
) -> None:
    await register(contoso.tenants)
    try:
        async with httpx.AsyncClient(base_url=prefect_server) as prefect:
            deployment = (await prefect.get("/deployments/name/connect/contoso")).json()["id"]
            run = (await prefect.post(f"/deployments/{deployment}/create_flow_run", json={})).json()["id"]

            await ProcessWorker(work_pool_name="crmsync").start(run_once=True, printer=lambda *_: None)

            state = (await prefect.get(f"/flow_runs/{run}")).json()["state"]
        assert state["type"] == "COMPLETED", state["message"]
        assert state["message"].startswith("First sync done in ")
        assert (tmp_path / "state.db").is_file()
    finally:
        (tmp_path / "none").mkdir()
        await register(tmp_path / "none")
