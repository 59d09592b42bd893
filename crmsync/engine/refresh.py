"""Metadata in mid cycle: what shapes values is read once more when it does not fit any more, and the cycle goes on.

The snapshot is as old as the last refresh, but an option may be renamed or made, or a column change its length or its
behavior, at any time (invariant 10). A refresh does not have the entity read again: what was sent before is outdated
until its record changes or ``resync`` reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.parking import type_refused, works_now
from crmsync.engine.session import Session
from crmsync.engine.setup import keep_snapshot
from crmsync.fields.drift import difference

Refresh = Callable[[str], Awaitable[Entity | None]]
"""Reads an entity's metadata once more; None where they are as they were, or were read in this run already."""

log = logging.getLogger("crmsync.engine")


async def never(_: str) -> None:
    """Reads no metadata."""


async def refresh_metadata(session: Session, schema: DynamicsSchema, name: str) -> tuple[DynamicsSchema, list[str]]:
    """Read this entity's metadata and Marketo's fields as they are now: the schema with it, which is kept as the newest
    snapshot, and what changed, to be told.

    Columns that are gone are kept as they were: the read that fails for lack of them parks them. Ask for this once a
    run and entity at most: what does not fit afterwards is the value's fault. Raises ``ColumnMissing`` where a type
    has changed, on either side, so that a field is to be parked (``crmsync.engine.parking.park_hidden``).
    """
    now = await works_now(session, entity=name)
    assert now.dynamics is not None  # fields were selected, so a schema was read
    if now.gone:
        raise type_refused(session.name, name, now.gone[0].reason)
    notes = difference(schema, now.dynamics).lines()
    for note in notes:
        log.warning("%s: %s", session.name, note)
    await keep_snapshot(session, "dynamics", now.dynamics)
    why = (await session.store.checkpoints.outdated(session.name)).get(name)
    if notes and why is not None:
        notes.append(f"{name}: {why}; run resync to send all records anew")
    return now.dynamics, notes
