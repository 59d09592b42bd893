"""The deletions of one entity that were left for the end of a run: whether the brake lets them be done.

They are counted as a whole before the first of them. Many of them are looked at once more: a mark that was made by an
earlier run may be of a record that Dynamics has, or shows, again.
"""

from __future__ import annotations

from crmsync.dynamics.schema import Entity
from crmsync.engine.brake import SAMPLES
from crmsync.engine.session import Session
from crmsync.state.brakes import Loss
from crmsync.state.syncerrors import TO_MARKETO
from crmsync.tenants import Tenant

LOOKED_AT = 300
_STAY = ("systemuser", "account", "connection")
_PEOPLE = ("lead", "contact")


def removal_of(entity: str) -> Loss:
    """What the brake counts them as."""
    return Loss(entity, "delete", TO_MARKETO)


def removes(tenant: Tenant, entity: str) -> bool:
    """Whether a deletion in Dynamics takes anything away from Marketo."""
    return entity not in _STAY and not (entity in _PEOPLE and tenant.deleted_in_dynamics == "ignore")


class Removals:
    """What was left for later of one entity."""

    def __init__(self, session: Session, entity: Entity) -> None:
        self._session = session
        self._entity = entity
        self._name = entity.logical_name

    async def are_held(self) -> bool:
        """Whether they are too many."""
        brake, loss = self._session.brake, removal_of(self._name)
        number, samples = await self._number(), list[str]()
        if (too_much := await brake.is_too_much(loss, number)) or brake.was_on(loss):
            if await self._forget_alive(everyone=brake.allowed or not too_much):
                number = await self._number()
            samples = await self._marked(SAMPLES)
        return not await brake.passes_whole(loss, number, samples)

    async def _number(self) -> int:
        return await self._session.store.brakes.removals(self._session.name, self._name)

    async def _marked(self, limit: int, after: str = "") -> list[str]:
        pending = self._session.store.pending
        return await pending.first(self._session.name, self._name, "delete", limit=limit, after=after)

    async def _forget_alive(self, *, everyone: bool) -> bool:
        """Take the marks away from records that Dynamics has, if there are any among the first ones (or ``everyone``
        is looked at, because the others are removed now); these are read once more instead."""
        after, found = "", False
        while some := await self._marked(LOOKED_AT, after):
            after = some[-1]
            alive = await self._alive(some)
            if alive:
                pending = self._session.store.pending
                await pending.done(self._session.name, self._name, "delete", alive)
                await pending.add(self._session.name, self._name, "again", alive)
            found |= bool(alive)
            if not found and not everyone:
                break
        return found

    async def _alive(self, ids: list[str]) -> list[str]:
        rows = await self._session.dynamics.read_by_ids(self._entity, [self._entity.primary_id], ids)
        return [str(row[self._entity.primary_id]).lower() for row in rows]
