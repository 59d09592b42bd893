from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crmsync.sandbox.server import SandboxThread
from tests.databases import postgresql, state_url
from tests.world import World, connected_world, small_sandbox

__all__ = ["postgresql", "state_url"]


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    """A tenant that was never connected: 40 leads, 80 contacts, 16 accounts, and an empty Marketo."""
    with SandboxThread(small_sandbox(tmp_path / "ready.json")) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        yield world
        await world.close()


@pytest.fixture
async def connected(tmp_path: Path) -> AsyncIterator[World]:
    """The same tenant after its first sync."""
    async with connected_world(tmp_path) as world:
        yield world
