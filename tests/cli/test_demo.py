"""The demo's acts, one after the other, on the session's Prefect server."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from crmsync.cli.demo_acts import Acts
from crmsync.cli.demo_stage import Box
from deployments.register import register
from tests.flows.sandboxes import contoso

__all__ = ["contoso"]

pytestmark = pytest.mark.xdist_group("prefect")


async def test_the_demo_shows_what_it_says(contoso: Box, tmp_path_factory: pytest.TempPathFactory) -> None:
    shown = io.StringIO()
    acts = Acts(contoso, Console(file=shown, width=200))
    try:
        proofs = [await act() for _, act in acts.all()]
    finally:
        await register(tmp_path_factory.mktemp("no-tenants"))

    assert len(proofs) == 7
    for step in (
        "Signed in to",
        "First sync done in",
        "is 'Head of Everything'",
        "to Dynamics 1 read, 1 updated",
        "Cleared up lead.",
        "nothing changed",
    ):
        assert step in shown.getvalue()
