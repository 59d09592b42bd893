"""``connect`` on a real Prefect server: the three steps with their seven tasks, and how it ends when it fails."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmsync.cli.demo_stage import Box
from crmsync.engine.status import status
from crmsync.errors import BindingRefused, CredentialsRefused
from crmsync.state.store import open_store
from flows.connect import connect
from flows.options import ConnectOptions
from tasks.secrets import TenantCredentials
from tasks.tenant import tenants_folder

pytestmark = pytest.mark.xdist_group("prefect")  # they look at one server's runs and blocks

SEVEN = [
    "validate_credentials contoso",
    "save_credentials contoso",
    "refresh_schema contoso",
    "select_fields contoso",
    "enable_sync contoso",
    "await_first_sync contoso",
    "notify contoso",
]


async def test_connect_runs_seven_tasks_in_order_under_three_screens(contoso: Box, prefect_server: str) -> None:
    state = await connect("contoso", return_state=True)

    assert state.is_completed()
    assert str(state.message).startswith("First sync done in ")
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        screens = await screens_of(prefect, state.state_details.flow_run_id)
        names = [name for screen in screens for name in await tasks_of(prefect, screen["id"])]
    assert [screen["name"] for screen in screens] == [
        "connect contoso: Enter credentials",
        "connect contoso: Select fields to sync",
        "connect contoso: Enable sync",
    ]
    assert names == SEVEN
    _, mail = contoso.newest_mail()
    assert str(mail["Subject"]).startswith("[crmsync] contoso: first sync done")


async def test_a_second_connect_keeps_what_is_there_and_writes_nothing(contoso: Box) -> None:
    first = await connect("contoso")
    second = await connect("contoso")

    assert first.total.created > 0
    assert second.skipped == "the first sync is done already"
    assert second.total.written == 0


async def test_a_connect_after_the_file_was_renamed_goes_on_with_what_is_known(contoso: Box) -> None:
    await connect("contoso")
    file = tenants_folder() / "contoso.yaml"
    text = re.sub("(?m)^tenant:.*$", "tenant: renamed", file.read_text())
    file.with_stem("renamed").write_text(text)
    with pytest.raises(BindingRefused, match="bound to tenant 'contoso'"):
        await connect("renamed", ConnectOptions(notify=False))
    file.unlink()

    report = await connect("renamed", ConnectOptions(rename="contoso", notify=False))

    assert (report.skipped, report.total.written) == ("the first sync is done already", 0)
    assert await TenantCredentials.aload("renamed")


async def test_a_wrong_secret_fails_with_the_remedy_in_state_and_mail_and_is_never_retried(
    contoso: Box, prefect_server: str
) -> None:
    secrets = contoso.tenants / ".env"
    secrets.write_text(secrets.read_text().replace("MARKETO_CLIENT_SECRET='", "MARKETO_CLIENT_SECRET='not-"))

    state = await connect("contoso", return_state=True)

    assert state.is_failed()
    assert "refused the client id" in str(state.message)
    assert "What to do: " in str(state.message)
    with pytest.raises(CredentialsRefused):
        await state.aresult()
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        screens = await screens_of(prefect, state.state_details.flow_run_id)
        query = {"flow_runs": {"id": {"any_": [screens[0]["id"]]}}}
        (failed,) = (await prefect.post("/task_runs/filter", json=query)).json()
    assert (failed["name"], failed["run_count"]) == ("validate_credentials contoso", 1)
    _, mail = contoso.newest_mail()
    assert str(mail["Subject"]).startswith("[crmsync] contoso: connect failed: ")


async def test_a_plan_shows_what_would_be_made_and_makes_nothing(contoso: Box, prefect_server: str) -> None:
    async with contoso.marketo() as marketo:
        before = (await marketo.schema()).person.fields.keys()
        planned = await connect("contoso", ConnectOptions(plan=True))
        assert (await marketo.schema()).person.fields.keys() == before

    assert planned.skipped == "this was the plan; nothing was made in Marketo"
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        shown = (await prefect.get("/artifacts/connect-contoso-fields/latest")).json()["data"]
    assert "| msType | Microsoft Type | string |" in shown

    assert (await connect("contoso", ConnectOptions(notify=False))).total.created > 0


async def test_without_notification_no_mail_is_sent(contoso: Box) -> None:
    await connect("contoso", ConnectOptions(notify=False))

    assert not list((contoso.folder / "mailbox").glob("*.eml"))


async def test_secrets_are_in_the_tenants_block_and_nowhere_else(
    contoso: Box, prefect_server: str, tmp_path: Path
) -> None:
    """Not in a state's message, the e-mail, a run, its parameters, an artifact, a log, the state database, the status;
    and the Prefect database holds the block encrypted."""
    facts = json.loads(contoso.ready_file.read_text())["tenants"]["contoso"]
    secrets = [facts["dynamics"]["client_secret"], facts["marketo"]["client_secret"]]

    state = await connect("contoso", return_state=True)

    saved = await TenantCredentials.aload("contoso")
    assert [saved.dynamics_secret.get_secret_value(), saved.marketo_secret.get_secret_value()] == secrets
    told = str(state.message) + contoso.newest_mail()[1].as_string()
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        for kind in ("flow_runs", "task_runs", "artifacts", "logs", "block_documents"):
            told += (await prefect.post(f"/{kind}/filter", json={"limit": 200})).text
    for path in (*tmp_path.glob("state.db*"), *Path(os.environ["PREFECT_HOME"]).glob("prefect.db*")):
        told += path.read_bytes().decode("latin-1")
    async with open_store() as store:
        told += json.dumps(await status(store, "contoso"))
    assert not [secret for secret in secrets if secret in told]


async def screens_of(prefect: httpx.AsyncClient, run: Any) -> list[dict[str, Any]]:
    """The flow runs that a run started, in order."""
    query = {"flow_runs": {"parent_flow_run_id": {"any_": [str(run)]}}, "sort": "START_TIME_ASC"}
    found: list[dict[str, Any]] = (await prefect.post("/flow_runs/filter", json=query)).json()
    return found


async def tasks_of(prefect: httpx.AsyncClient, run: str) -> list[str]:
    """The task runs of a flow run, in order."""
    query = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return [one["name"] for one in (await prefect.post("/task_runs/filter", json=query)).json()]
