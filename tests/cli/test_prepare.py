"""``crmsync prepare``: what it prints, where the secret comes from, its exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread
from tests.cli.test_reading import run
from tests.engine.unprepared import unprepared_sandbox


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ready]:
    """An unprepared organization, and its administrator's credentials in the environment."""
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        app = ready.as_json()["tenants"]["contoso"]["dynamics"]["administrator"]
        monkeypatch.setenv("CRMSYNC_TENANTS", str(ready.tenants_folder))
        monkeypatch.setenv("CRMSYNC_STATE_URL", f"sqlite:///{tmp_path}/state.db")
        monkeypatch.setenv("CRMSYNC_ADMIN_CLIENT_ID", app["client_id"])
        monkeypatch.setenv("CRMSYNC_ADMIN_SECRET", app["client_secret"])
        yield ready


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    reports: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return reports


def test_planned_done_and_done_again(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "contoso", "--plan", "--sync-filter", "lead,contact", "--json") == 0
    planned = told(capsys)
    assert run("prepare", "contoso", "--sync-filter", "lead,contact", "--json") == 0
    done = told(capsys)
    assert run("prepare", "contoso", "--sync-filter", "lead,contact", "--json") == 0
    again = told(capsys)

    assert {"step", "title", "status", "there", "changes"} == set(planned[0])
    assert [one["step"] for one in planned if one["changes"]] == [one["step"] for one in done if one["changes"]]
    assert {one["status"] for one in planned} == {"would change", "nothing to do"}
    assert {one["status"] for one in again} == {"nothing to do"}


def test_what_a_person_sees(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "contoso", "--plan") == 0
    plan = capsys.readouterr().out
    assert "    would: Make solution 'crmsync'" in plan
    assert "run it without --plan to do it" in plan

    assert run("prepare", "contoso") == 0
    done = capsys.readouterr().out
    assert "(this is the username)" in done
    assert run("validate", "contoso") == 0
    assert "✗" not in capsys.readouterr().out
    assert run("prepare", "contoso") == 0
    assert "Nothing to do: all of it is there already" in capsys.readouterr().out

    assert run("prepare", "contoso", "--undo", "role-assignment", "--undo", "sync-user") == 0
    assert "2 changes done" in capsys.readouterr().out


def test_without_a_secret_and_nobody_to_ask(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CRMSYNC_ADMIN_SECRET")

    assert run("prepare", "contoso", "--plan") == 1

    shown = capsys.readouterr().err
    assert "CRMSYNC_ADMIN_SECRET" in shown
    assert "What to do: " in shown


def test_the_secret_is_shown_nowhere(ready: Ready, capsys: pytest.CaptureFixture[str]) -> None:
    secret = ready.tenants["contoso"].organization.admin_app.secret

    run("prepare", "contoso", "--json")
    run("prepare", "contoso", "--admin-client-id", "99999999-0000-0000-0000-000000000009")

    shown = capsys.readouterr()
    assert secret not in shown.out + shown.err
    assert "The administrator's application" in shown.err
    files = [path for path in ready.tenants_folder.rglob("*") if path.is_file()]
    assert not [path for path in files if secret in path.read_text(encoding="utf-8")]


def test_wrong_choices_are_refused(ready: Ready, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "contoso", "--plan", "--sync-filter", "lead,systemuser") == 1
    told = capsys.readouterr().err
    assert "'systemuser': no entity that can have a filter column" in told
    assert "account, lead, contact, opportunity." in told
    assert run("prepare", "contoso", "--plan", "--solution", str(tmp_path / "no.zip")) == 1
    assert "is no solution file" in capsys.readouterr().err
