"""Records that are carried though they did not change: what failed, what waited for its owner or company, what is
marked to be read once more.

An entity's are found once and then carried some at a time, so that no lane holds up the others by them.
"""

from __future__ import annotations

from dataclasses import dataclass

from crmsync.engine.chosen import due_again
from crmsync.engine.connections import ConnectionLane
from crmsync.engine.lane import Lane
from crmsync.engine.session import Session
from crmsync.state.checkpoints import Checkpoint

AT_ONCE = 1000


@dataclass(frozen=True)
class Due:
    """Records that are due though they did not change, as of the latest write of owners and companies."""

    ids: list[str]
    parents_written: int


class DueRecords:
    """What is due of each entity, for one run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._due: dict[str, Due] = {}

    async def carry_some(self, lane: Lane | ConnectionLane, checkpoint: Checkpoint) -> bool:
        """Some of what is due and some of what is marked, of the checkpoint's entity; whether there is more."""
        more = await self._carry_due(lane, checkpoint)
        return await self._carry_marked(lane, checkpoint) or more

    async def _carry_due(self, lane: Lane | ConnectionLane, checkpoint: Checkpoint) -> bool:
        name = checkpoint.entity
        if name not in self._due:
            written = await self._session.store.records.parents_written(self._session.name)
            self._due[name] = Due(await due_again(self._session, checkpoint, written), written)
        due = self._due[name]
        if some := due.ids[:AT_ONCE]:
            await lane.again(some, checkpoint.read_number)
            del due.ids[: len(some)]
        if due.ids:
            return True
        del self._due[name]
        if checkpoint.parents_met != due.parents_written:
            met = checkpoint.model_copy(update={"parents_met": due.parents_written})
            await self._session.store.checkpoints.put(self._session.name, met)
        return False

    async def _carry_marked(self, lane: Lane | ConnectionLane, checkpoint: Checkpoint) -> bool:
        pending, tenant = self._session.store.pending, self._session.name
        some = await pending.first(tenant, checkpoint.entity, "again", limit=AT_ONCE)
        if some:
            await lane.again(some, checkpoint.read_number, mode="changed")
            await pending.done(tenant, checkpoint.entity, "again", some)
        return len(some) == AT_ONCE
