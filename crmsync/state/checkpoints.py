"""How far each entity is read: the checkpoint that a restarted run picks up from (invariant 1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel

from crmsync.state.engine import SubStore
from crmsync.state.sql import now, of_entity, upsert
from crmsync.state.tables import checkpoints


class Checkpoint(BaseModel):
    """Where reading goes on.

    While a first read is under way (``read_done`` false) ``next_link`` is its next page, or None before the first one.
    After it ``delta_link`` is where the changes since then are. A first read that is done again for another selection
    has a higher ``read_number``; records that such a read does not meet have vanished. ``parents_met`` tells up to
    which write of owners and companies the records that wait for one were looked through.
    """

    entity: str
    selection_digest: str
    read_number: int = 1
    read_started_at: datetime | None = None
    read_done: bool = False
    records_read: int = 0
    records_expected: int | None = None
    next_link: str | None = None
    delta_link: str | None = None
    parents_met: int | None = None
    moved_at: datetime | None = None


class CheckpointStore(SubStore):
    """Reads and moves checkpoints. They move only after every record before them has an outcome."""

    async def all(self, tenant: str) -> dict[str, Checkpoint]:
        query = sa.select(checkpoints).where(checkpoints.c.tenant == tenant)
        async with self._engine.connect() as connection:
            rows = [_checkpoint(row._mapping) for row in await connection.execute(query)]
        return {row.entity: row for row in rows}

    async def get(self, tenant: str, entity: str) -> Checkpoint | None:
        return (await self.all(tenant)).get(entity)

    async def put(self, tenant: str, *moved: Checkpoint) -> None:
        """Keep these checkpoints, in one transaction."""
        rows = [{"tenant": tenant, **checkpoint.model_dump(), "moved_at": now()} for checkpoint in moved]
        async with self._engine.begin() as connection:
            await upsert(connection, checkpoints, rows)

    async def begin(self, tenant: str, fresh: Checkpoint) -> None:
        """Keep the checkpoint of a new read, after which no value of the entity is outdated."""
        row = {"tenant": tenant, **fresh.model_dump(), "moved_at": now(), "outdated": None}
        async with self._engine.begin() as connection:
            await upsert(connection, checkpoints, [row])

    async def outdated(self, tenant: str) -> dict[str, str]:
        """Why values that were sent before are not as they would be sent now, by entity."""
        query = sa.select(checkpoints.c.entity, checkpoints.c.outdated).where(
            checkpoints.c.tenant == tenant, checkpoints.c.outdated.is_not(None)
        )
        async with self._engine.connect() as connection:
            return {row.entity: row.outdated for row in await connection.execute(query)}

    async def set_outdated(self, tenant: str, reasons: Mapping[str, str]) -> None:
        """What was sent of these entities is outdated; one that was never read is left alone."""
        async with self._engine.begin() as connection:
            for entity, reason in reasons.items():
                row = sa.update(checkpoints).where(of_entity(checkpoints, tenant, entity))
                await connection.execute(row.values(outdated=reason))


def _checkpoint(row: Any) -> Checkpoint:
    return Checkpoint(**{name: row[name] for name in Checkpoint.model_fields})
