"""A sandbox for the flows' tests, and an environment in which flows find it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.cli.demo_stage import Box
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.server import SandboxThread


@pytest.fixture
def contoso(tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """A small sandbox with one tenant, its files and an empty state store, known to flows that run in this process."""
    box = Box(tmp_path / "box")
    monkeypatch.setenv("CRMSYNC_TENANTS", str(box.tenants))
    monkeypatch.setenv("CRMSYNC_STATE_URL", f"sqlite:///{tmp_path}/state.db")
    counts = Counts(leads=40, contacts=60, accounts=10)
    with SandboxThread(SandboxOptions(counts=counts, ready_file=box.ready_file)):
        yield box
