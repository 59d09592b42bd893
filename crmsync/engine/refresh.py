"""Metadata in mid cycle: what shapes values is read once more when it does not fit any more, and the cycle goes on.

The snapshot is as old as the last refresh, but an option may be renamed or made, or a column change its length or its
behavior, at any time (invariant 10). A refresh does not have the entity read again: what was sent before is outdated
until its record changes or ``resync`` reads it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.session import Session
from crmsync.engine.setup import keep_snapshot
from crmsync.fields.drift import difference
from crmsync.fields.model import Selection

Refresh = Callable[[str], Awaitable[Entity | None]]
"""Reads an entity's metadata once more; None where they are as they were, or were read in this run already."""

log = logging.getLogger("crmsync.engine")


class Refreshed(NamedTuple):
    """Schema and selection to go on with, and what to tell; without notes nothing is different."""

    schema: DynamicsSchema
    selection: Selection
    notes: list[str]


async def never(_: str) -> None:
    """Reads no metadata."""


async def refresh_metadata(session: Session, name: str, shape: tuple[DynamicsSchema, Selection]) -> Refreshed:
    """Read this entity's metadata as it is now, and keep it as the newest snapshot.

    Columns that are gone are kept as they were: the read that fails for lack of them parks them. Ask for this once a
    run and entity at most: what does not fit afterwards is the value's fault. Raises what reading metadata raises.
    """
    schema, selection = shape
    found = await session.dynamics.entity(name)
    new = schema.with_entities([_with_gone(found, schema.entities[name])])
    notes = difference(schema, new).lines()
    for note in notes:
        log.warning("%s: %s", session.name, note)
    await keep_snapshot(session, "dynamics", new)
    return Refreshed(new, selection, notes)


def _with_gone(now: Entity, was: Entity) -> Entity:
    return now.model_copy(update={"attributes": was.attributes | now.attributes})
