"""Counters that grow for as long as a tenant is connected: of each direction a table, of each entity a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.sql import upsert
from crmsync.state.tables import back_counters, counters

LAST = "last_synced_at"


@dataclass(frozen=True)
class Counting:
    """The counters of one direction, and when each entity was last written."""

    table: sa.Table
    names: tuple[str, ...]

    async def add(
        self, connection: AsyncConnection, tenant: str, entity: str, counts: Mapping[str, int], moment: datetime | None
    ) -> None:
        """Add to an entity's counters, as part of a transaction; ``moment``: something was written just now."""
        if not any(counts.values()):
            return
        row: dict[str, Any] = {"tenant": tenant, "entity": entity, LAST: moment}
        row |= {name: counts.get(name, 0) for name in self.names}
        await upsert(connection, self.table, [row], add=self.names, keep=() if moment else (LAST,))

    async def of(self, connection: AsyncConnection, tenant: str) -> dict[str, dict[str, Any]]:
        """A tenant's counters, per entity."""
        query = sa.select(self.table).where(self.table.c.tenant == tenant)
        rows = (await connection.execute(query)).mappings().all()
        return {row["entity"]: {name: row[name] for name in (*self.names, LAST)} for row in rows}


COUNTERS = Counting(
    counters, ("read", "filtered", "tombstones", "unchanged", "created", "updated", "deleted", "failed")
)
BACK_COUNTERS = Counting(back_counters, ("read", "updated", "created", "failed", "collisions"))
