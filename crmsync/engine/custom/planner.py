"""Plans the records of a custom entity: as those of all others, and with a link to whom they belong to.

A record whose person or company is not in Marketo waits: without them nobody sees it there, a filter that keeps them
out keeps out what is theirs, and a trigger on an added object needs the link when it is added. One that Marketo has
already stays there without a link meanwhile. A record that belongs to nobody is written as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crmsync.dynamics.schema import Entity
from crmsync.engine.column_rights import Prove, proves_nothing
from crmsync.engine.custom.ends import End, Ends
from crmsync.engine.links import Links
from crmsync.engine.plan import Change, Plan, Planner, planner_of
from crmsync.engine.refresh import Refresh, never
from crmsync.engine.session import Session
from crmsync.fields.model import Selection
from crmsync.state.records import Known


def planner_for(
    session: Session,
    entity: Entity,
    selection: Selection,
    links: Links,
    refresh: Refresh = never,
    prove: Prove = proves_nothing,
) -> Planner:
    """The planner of an entity, a custom one or another; ``refresh`` reads its metadata once more, ``prove`` sees
    whether what is empty can be read."""
    if entity.logical_name in selection.custom_objects:
        return CustomPlanner(session, entity, selection, links, refresh, prove)
    return planner_of(session, entity, selection, links, refresh, prove)


class CustomPlanner(Planner):
    """Plans the records of one custom entity of one tenant."""

    def __init__(
        self,
        session: Session,
        entity: Entity,
        selection: Selection,
        links: Links,
        refresh: Refresh = never,
        prove: Prove = proves_nothing,
    ) -> None:
        super().__init__(session.store, session.name, entity, selection, links, refresh=refresh, prove=prove)
        custom = selection.custom_objects[entity.logical_name]
        self._link_field = custom.link_field
        self._may_be_unknown = {custom.link_field}
        self._ends = Ends(session, custom.link, links)
        self._found: dict[str, End] = {}

    async def _resolve(
        self,
        plan: Plan,
        rows: Mapping[str, dict[str, Any]],
        converted: dict[str, dict[str, Any]],
        known: Mapping[str, Known],
        read_number: int,
    ) -> None:
        self._found = await self._ends.of({one: rows[one] for one in converted})
        for record_id, end in self._found.items():
            before = known.get(record_id)
            if end.is_missing and (before is None or not before.in_marketo):
                del converted[record_id]
                waiting = self._kept(record_id, before, "waiting", read_number)
                plan.filtered += 1
                plan.outcomes.append(waiting._replace(parent_id=end.target, middle_id=end.middle))
            elif end.unseen:
                converted[record_id].pop(self._link_field, None)  # its link stays as it is
            else:
                converted[record_id][self._link_field] = end.value

    async def _link(self, changes: Sequence[Change]) -> None:
        for change in changes:
            end = self._found[change.record_id]
            change.parent_id, change.middle_id = change.parent_id if end.unseen else end.target, end.middle
