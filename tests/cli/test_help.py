"""The command line explains itself: every command, every option."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crmsync.cli.main import app, main

COMMANDS = [
    "collisions",
    "compare",
    "connect",
    "demo",
    "deploy",
    "errors",
    "prepare",
    "resync",
    "sandbox",
    "serve",
    "status",
    "sync",
    "validate",
]


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])

    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert [command for command in COMMANDS if f" {command} " not in shown] == []
    assert sorted(name for name in app if not name.startswith("-")) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])

    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert f" crmsync {command}" in shown.replace(f"Usage: crmsync {command}", "")


def test_help_does_not_wait_for_prefect() -> None:
    code = "import sys; from crmsync.cli.main import app; app(['connect', '--help'], result_action='return_value');"
    code += "sys.exit('prefect' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_python_dash_m_is_the_same_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "crmsync", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "0.1.0"


def test_an_unknown_command_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["conect"])

    assert end.value.code == 2
