"""``crmsync sandbox`` as a program: it says what it serves, and a signal ends it cleanly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running; killed if the test leaves it so."""
    environment = {**os.environ, "COLUMNS": "300", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "crmsync", "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def printed_until(process: subprocess.Popen[str], text: str) -> str:
    """What the program prints until ``text`` stands in it."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if text in line:
            return printed
    raise AssertionError(f"it ended after {printed!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_what_it_serves_and_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "ready.json"
    with started("--leads", "5", "--contacts", "5", "--accounts", "2", "--ready-file", str(file)) as process:
        printed = printed_until(process, "Next")
        ready = json.loads(file.read_text())
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors
    assert errors == ""
    assert ready["tenants"]["contoso"]["dynamics"]["organization_url"] in printed
    assert ready["tenants"]["contoso"]["marketo"]["client_secret"] not in printed


def test_a_signal_while_data_are_made_ends_it_too() -> None:
    with started("--leads", "3000000") as process:
        printed = printed_until(process, "Making 3,001,080 records.")
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "Stopped before the data were complete." in printed + rest


def test_options_that_cannot_be_end_it_with_advice(tmp_path: Path) -> None:
    with started("--data", str(tmp_path / "nowhere")) as process:
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "there is no such folder" in errors


def test_help_teaches_how_to_use_it() -> None:
    with started("--help") as process:
        printed, _ = process.communicate(timeout=60)

    for option in ("--tenant", "--leads", "--seed", "--port", "--limits", "--latency", "--data", "--ready-file"):
        assert option in printed
    assert "crmsync connect contoso --tenants" in printed
