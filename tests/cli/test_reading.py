"""``status``, ``errors`` and ``validate``: what they print, and their exit status."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crmsync.cli.main import main
from crmsync.state.brakes import Braked, Loss
from crmsync.state.collisions import Collision
from crmsync.state.inbox import Landing
from crmsync.state.lifecycle import TenantState
from crmsync.state.store import open_store
from crmsync.state.syncerrors import TO_MARKETO
from crmsync.state.tenantstore import Binding
from tests.flows.test_deployments import TENANT

RECORD = "6f0b1c2d-0000-4000-8000-000000000001"
BINDING = Binding(
    organization_id="6d6b029b-be61-48d2-b87b-118fdcd369d7",
    organization_name="Contoso",
    organization_url="https://contoso.crm.dynamics.com",
    sync_user_id="61991777-2101-5eaf-a7b1-bdfc21371c8c",
    subscription="123-ABC-456",
)


@pytest.fixture
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one tenant's file, and an empty state store."""
    monkeypatch.setenv("CRMSYNC_STATE_URL", f"sqlite:///{tmp_path}/state.db")
    monkeypatch.setenv("CRMSYNC_TENANTS", str(tmp_path))
    (tmp_path / "contoso.yaml").write_text(TENANT, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


async def stop_contoso() -> None:
    async with open_store() as store:
        await store.tenants.bind("contoso", BINDING, run="a run", why="a test")
        for state in ("schema_refreshed", "fields_selected", "first_sync"):
            await store.tenants.move("contoso", TenantState(state), run="a run", why="a test")
        await store.tenants.move(
            "contoso", TenantState.STOPPED, run="a run", why="a test", reason="the secret has expired"
        )


async def doubt_contoso() -> None:
    async with open_store() as store:
        await store.tenants.bind("contoso", BINDING, run="a run", why="a test")
        since = datetime(2026, 1, 31, 12, tzinfo=UTC)
        await store.tenants.doubt("contoso", "CredentialsRefused", "The client secret is wrong.", since)


async def brake_contoso() -> None:
    async with open_store() as store:
        await store.tenants.bind("contoso", BINDING, run="a run", why="a test")
        for state in ("schema_refreshed", "fields_selected", "first_sync", "syncing"):
            await store.tenants.move("contoso", TenantState(state), run="a run", why="a test")
        loss, since = Loss("contact", "delete", TO_MARKETO), datetime(2026, 1, 31, 12, tzinfo=UTC)
        await store.brakes.hold("contoso", [Braked(loss, 0, since, "flag 60 of 80 contacts as deleted in Marketo")])


async def a_collision() -> None:
    decided = Collision(
        entity="contact",
        record_id="11111111-2222-3333-4444-555555555555",
        attribute="jobtitle",
        marketo_field="title",
        dynamics_fingerprint="0a0a0a0a0a0a",
        marketo_fingerprint="0b0b0b0b0b0b",
        winner="dynamics",
        rule="default",
        run="a run",
    )
    async with open_store() as store:
        await store.tenants.bind("contoso", BINDING, run="a run", why="a test")
        await store.inbox.land("contoso", "contact", Landing(collisions=[decided]))


def test_status_of_a_tenant_that_was_never_connected(tenants: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "contoso") == 0

    shown = capsys.readouterr().out
    assert "contoso: new" in shown
    assert "crmsync connect contoso" in shown, "what to do next is told instead of a table of zeros"


def test_status_as_json_has_the_members_that_programs_rely_on(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status", "contoso", "--json") == 0

    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"tenant", "state", "organization_id", "entities", "parked_fields", "last_cycle"} <= set(found)
    for counts in found["entities"].values():
        assert {"read", "filtered", "unchanged", "created", "updated", "failed", "backlog", "last_synced_at"} <= set(
            counts
        )


async def rename_contoso() -> None:
    async with open_store() as store:
        await store.tenants.bind("contoso", BINDING, run="a run", why="a test")
        lease = await store.leases.take("contoso", "a run")
        assert lease is not None
        await store.tenants.rename("contoso", "fabrikam", lease, run="a run", why="renamed from contoso")


def test_status_of_a_renamed_tenant_says_under_which_name_it_goes_on(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(rename_contoso())

    assert run("status", "contoso") == 0
    assert run("errors", "contoso") == 0

    shown = capsys.readouterr().out
    assert "contoso: renamed" in shown
    assert "goes on as fabrikam: crmsync status fabrikam" in shown
    assert "never connected" not in shown


def test_status_of_a_stopped_tenant_says_why_and_is_not_well(tenants: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(stop_contoso())

    assert run("status") == 1

    shown = capsys.readouterr().out
    assert "contoso: stopped" in shown
    assert "the secret has expired" in shown


def test_status_says_what_would_stop_a_tenant_that_still_syncs(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(doubt_contoso())

    assert run("status") == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "in doubt since 2026-01-31T12:00:00+00:00, stopped if it stays: The client secret is wrong." in shown


def test_status_says_what_the_brake_holds_and_what_lets_it_be_done(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(brake_contoso())

    assert run("status") == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "brake: on since 2026-01-31T12:00:00+00:00; held, a run would flag 60 of 80 contacts" in shown
    assert "if that is meant: crmsync sync contoso --allow" in shown


@pytest.mark.parametrize(
    "command",
    ["status", "errors", "collisions", "prepare", "validate", "connect", "sync", "resync", "compare"],
)
def test_an_unknown_tenant_is_an_error_with_a_remedy(
    command: str, tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "nobody") == 1

    told = capsys.readouterr().err
    assert "There is no tenant file" in told
    assert "What to do: " in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "command",
    [("compare", "--entity", "NAME"), ("resync", "--entity", "NAME"), ("sync", "--record", f"NAME:{RECORD}"),
     ("prepare", "--sync-filter", "lead,NAME")],
)  # fmt: skip
def test_an_unknown_entity_is_told_with_those_that_the_tenant_has(
    command: tuple[str, ...], tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tenants / "contoso.yaml").write_text(f"{TENANT}\ncustom_entities: [new_eventregistration]\n", encoding="utf-8")

    name, *options = (part.replace("NAME", "new_evnt") for part in command)
    assert run(name, "contoso", *options) == 1

    told = capsys.readouterr().err
    assert "'new_evnt" in told
    assert "contact, opportunity" in told
    assert "new_eventregistration" in told


@pytest.mark.parametrize("command", ["status", "errors", "collisions", "prepare", "validate", "compare"])
def test_who_asks_for_json_gets_an_error_as_json(
    command: str, tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "nobody", "--json") == 1

    told = capsys.readouterr()
    assert {"error", "message", "remedy", "tenant"} <= set(json.loads(told.out))
    assert told.err == ""


def test_errors_of_a_tenant_that_has_none(tenants: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("errors", "contoso", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_errors_of_a_tenant_that_was_never_connected_do_not_say_that_all_is_well(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("errors", "contoso") == 0
    assert "contoso was never connected" in capsys.readouterr().out


@pytest.mark.parametrize("record", ["lead:xyz", "nothing:11111111-2222-3333-4444-555555555555", "lead"])
def test_what_names_no_record_is_refused_before_a_server_is_started(
    record: str, tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("sync", "contoso", "--record", record) == 1

    told = capsys.readouterr()
    assert f"'{record}' names no record" in told.err
    assert told.out == ""


def test_collisions_of_a_tenant_that_has_none(tenants: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("collisions", "contoso", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_collisions_show_who_won_and_by_which_rule(tenants: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(a_collision())

    assert run("collisions", "contoso", "--json") == 0
    [found] = json.loads(capsys.readouterr().out)
    assert (found["attribute"], found["winner"], found["rule"]) == ("jobtitle", "dynamics", "default")

    assert run("collisions", "contoso") == 0
    assert "jobtitle" in capsys.readouterr().out


def test_validate_needs_no_prefect_server_and_is_red_when_a_secret_is_missing(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("validate", "contoso", "--json") == 1

    lines = json.loads(capsys.readouterr().out)
    assert {"name", "side", "status", "proves", "found", "remedy"} <= set(lines[0])
    assert any(line["status"] == "red" and line["remedy"] for line in lines)


def test_validate_shows_one_line_a_check_and_the_details_of_what_is_red(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("validate", "contoso") == 1

    shown = capsys.readouterr().out
    assert "Username and password are valid" in shown
    assert shown.count("what to do: ") == shown.count("proves: ") == 2
    assert "checks are green" in shown


def test_a_prefect_server_that_does_not_answer_is_told(
    tenants: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    assert run("connect", "contoso") == 1
    assert "No Prefect server answers at http://127.0.0.1:9/api" in capsys.readouterr().err


def test_deploying_a_folder_that_is_not_there_changes_nothing(
    tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("deploy", "--tenants", str(tenants / "elsewhere")) == 1
    assert "There is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["deploy", "serve"])
def test_a_folder_without_tenant_files_does_not_remove_all_deployments(
    command: str, tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tenants / "contoso.yaml").unlink()

    assert run(command) == 1

    told = capsys.readouterr().err
    assert f"There is no tenant file in {tenants}" in told
    assert "--remove-all" in told


@pytest.mark.parametrize("command", ["deploy", "serve"])
def test_a_wrong_tenant_file_is_refused_before_a_server_is_started(
    command: str, tenants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tenants / "fabrikam.yaml").write_text("dynamics: [", encoding="utf-8")

    assert run(command) == 1

    told = capsys.readouterr()
    assert "fabrikam.yaml:1: this is not YAML" in told.err
    assert told.out == ""
