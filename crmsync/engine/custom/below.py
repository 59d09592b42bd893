"""Notes, while an entity is carried, which custom records lead to somebody through it: they are read once more.

A custom entity that is two levels away hangs on a record that may be moved to another person or company, of which its
own change tracking tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crmsync.dynamics.schema import Entity
from crmsync.engine.plan import Plan
from crmsync.engine.session import Session
from crmsync.fields.model import Selection

READ_AT_ONCE = 1000


class Below:
    """The custom entities that hang on one entity."""

    def __init__(self, session: Session, entity: Entity, selection: Selection) -> None:
        self._session = session
        self._primary_id = entity.primary_id
        mapped = {mapping.attribute for mapping in selection.mappings.get(entity.logical_name, ())}
        self._children = {
            name: one.link.middle.lookup in mapped
            for name, one in selection.custom_objects.items()
            if one.link.middle is not None and one.link.middle.entity == entity.logical_name
        }

    async def met(self, rows: Sequence[dict[str, Any]], plan: Plan) -> None:
        """These rows were read and planned; where the lookup is no field of theirs, each of them may have moved."""
        if not self._children or not rows:
            return
        changed = [one.record_id for one in plan.changes] + [one.record_id for one in plan.outcomes]
        everyone = [row[self._primary_id].lower() for row in rows]
        store, tenant = self._session.store, self._session.name
        for name, is_mapped in self._children.items():
            parents = changed if is_mapped else everyone
            if parents:
                children = await store.records.led_by(tenant, name, parents)
                await store.pending.add(tenant, name, "again", children)
