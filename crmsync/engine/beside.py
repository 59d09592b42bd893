"""Work beside other work, heard when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def beside() -> AsyncIterator[asyncio.TaskGroup]:
    """What is started in the group runs beside what is inside. The first failure, of either, ends all of it at once
    and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
