from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crmsync.state.store import Store, open_store
from tests.databases import own_postgresql, postgresql, state_url, stoppable_postgresql

__all__ = ["own_postgresql", "postgresql", "state_url", "stoppable_postgresql"]


@pytest.fixture
async def store(state_url: str) -> AsyncIterator[Store]:
    """An empty store, on SQLite and on PostgreSQL."""
    async with open_store(state_url) as opened:
        yield opened
