"""Requests in flight: what may have been executed though nobody knows it.

A request stands here from before it is sent until its outcomes are written, so that a run that starts after a crash
knows which keys may still be on their way (invariant 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import uuid4

import orjson
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.state.engine import SubStore
from crmsync.state.records import Outcome
from crmsync.state.sql import among, now, of_entity, upsert
from crmsync.state.tables import in_flight, records

FlightKind = Literal["sync", "import", "delete", "back", "link", "merge"]
"""``back``: to Dynamics; the others to Marketo. ``link``: people get these keys; ``merge``: people with these keys are
merged into others. Both name people by Marketo's ids, so they create nobody."""


class Flight(BaseModel):
    """A request whose outcomes are not known yet: a Sync call, an import or a deletion, with the keys it carries, and
    for people with ``marks``, the fingerprints of what is agreed on once it is executed, key by key."""

    id: str
    entity: str
    kind: FlightKind
    job: int | None
    keys: list[str]
    sent_at: datetime
    field_set: int | None = None
    marks: bytes | None = None


class FlightStore(SubStore):
    """The requests in flight of one database. Every method is one transaction."""

    async def take_off(
        self,
        tenant: str,
        entity: str,
        kind: FlightKind,
        keys: Sequence[str],
        parents: Mapping[str, str] | None = None,
        *,
        field_set: int | None = None,
        marks: bytes | None = None,
    ) -> Flight:
        """Note a request before it is sent. With ``parents`` its keys get rows at once: what a key hangs on must be
        known even if the answer is lost."""
        flight = Flight(
            id=str(uuid4()), entity=entity, kind=kind, job=None, keys=list(keys), sent_at=now(),
            field_set=field_set, marks=marks,
        )  # fmt: skip
        row = flight.model_dump() | {"tenant": tenant, "keys": orjson.dumps(flight.keys).decode()}
        async with self._engine.begin() as connection:
            await connection.execute(sa.insert(in_flight), [row])
            if parents:
                await _insert_unknown(connection, tenant, entity, keys, parents)
        return flight

    async def never_left(self, flight: str) -> None:
        """The service refused the request as a whole: nothing of it was executed."""
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight))

    async def set_job(self, flight: str, job: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(in_flight).where(in_flight.c.id == flight).values(job=job))

    async def all(self, tenant: str) -> list[Flight]:
        """Requests in flight, oldest first: after a crash, those that may have been executed."""
        query = sa.select(in_flight).where(in_flight.c.tenant == tenant).order_by(in_flight.c.sent_at)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [Flight(**{**row, "keys": orjson.loads(row["keys"])}) for row in rows]

    async def settle(self, tenant: str, flight: Flight, learned: Sequence[Outcome] = ()) -> None:
        """A request of a killed run is over: its keys without an outcome become ``unknown``, to be written anew with
        every value told, because Marketo may hold them already. ``learned`` are rows of what it is seen to hold."""
        rows = [
            {"tenant": tenant, "entity": flight.entity, **one._asdict(), "synced_at": flight.sent_at} for one in learned
        ]
        async with self._engine.begin() as connection:
            await upsert(connection, records, rows)
            if flight.kind in ("sync", "import", "delete"):
                await _insert_unknown(connection, tenant, flight.entity, flight.keys, {})
            await connection.execute(sa.delete(in_flight).where(in_flight.c.id == flight.id))


async def _insert_unknown(
    connection: AsyncConnection, tenant: str, entity: str, keys: Sequence[str], parents: Mapping[str, str]
) -> None:
    """Rows for the keys that have none: nobody knows yet what Marketo holds of them."""
    query = sa.select(records.c.record_id).where(
        of_entity(records, tenant, entity), among(connection, records.c.record_id, keys)
    )
    there = set(await connection.scalars(query))
    blank = Outcome("", "unknown", False, None, None, None, None, None, 0)._asdict()
    rows = [
        {
            "tenant": tenant,
            "entity": entity,
            "synced_at": None,
            **blank,
            "record_id": key,
            "parent_id": parents.get(key),
        }
        for key in keys
        if key not in there
    ]
    if rows:
        await connection.execute(sa.insert(records), rows)
