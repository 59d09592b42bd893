"""Runs a flow in this process, against the Prefect server that is given or one that is started for the command.

Prefect is imported only here and below, after its settings are in the environment: help and reading commands stay fast.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from crmsync.cli.local_server import CLIENT_SETTINGS, QUIET, LocalServer, answers
from crmsync.cli.story import Story
from crmsync.errors import ServiceUnavailable

R = TypeVar("R")

HOME = Path(".crmsync/prefect")
TENANTS_VARIABLE = "CRMSYNC_TENANTS"


def prepare(console: Console, *, tenants: Path, verbose: bool = False, port: int | None = None) -> None:
    """Set Prefect's environment, and start a local server when ``PREFECT_API_URL`` names none; says so.

    The server is stopped at exit, after Prefect's own clean-up: what registers first at exit runs last.
    """
    set_client(tenants, verbose=verbose)
    if given := os.environ.get("PREFECT_API_URL"):
        if not answers(given):
            raise ServiceUnavailable(
                f"No Prefect server answers at {given}",
                remedy="Start it, correct PREFECT_API_URL, or unset it: the command then starts one of its own.",
            )
        return
    server = LocalServer(HOME, port=port)
    atexit.register(server.stop)
    console.print(
        f"PREFECT_API_URL names no Prefect server: starting one at {server.ui_url} for this command", style="dim"
    )
    server.wait()
    server.use()


def set_client(tenants: Path, *, verbose: bool = False) -> None:
    """The environment of flows that run in this process."""
    os.environ[TENANTS_VARIABLE] = str(tenants.absolute())
    for name, value in (CLIENT_SETTINGS if verbose else {**CLIENT_SETTINGS, **QUIET}).items():
        os.environ.setdefault(name, value)


async def heard(console: Console, flow: Callable[[], Awaitable[R]]) -> R:
    """Run a flow and show what its steps tell."""
    from tasks.telling import listening

    with Story(console) as story, listening(story):
        return await flow()
