"""What is gone from Dynamics. That an answer lacks a record proves it only to a user who may read them all.

A read by a user whose privilege reaches less than the organization leaves out the rest without a word. So nothing
counts as gone by its absence alone: of a few records the service is asked by their ids, and says "does not exist" (404)
or "not yours to read" (403); many are read once more between two proofs that the privilege reaches everything, because
a right may be narrowed, and given back, while a run is at work. No call is made where nothing is absent.

What change tracking calls deleted is the service's own answer. "Security roles and privileges" (access levels), "How
access to a record is determined" (Power Platform administration documents).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crmsync.dynamics.privileges import NEEDS, shortfall
from crmsync.dynamics.rows import ASKED_AT_ONCE
from crmsync.dynamics.schema import Entity
from crmsync.dynamics.setup_tables import read_privilege
from crmsync.engine.rights import lacks_privileges
from crmsync.errors import PermissionMissing

if TYPE_CHECKING:
    from crmsync.engine.session import Session

_READ = {one.entity: one.name for one in NEEDS if one.right == "read"}


class Absence:
    """Tells, for one run, which records are gone."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._user: str | None = None
        self._privileges: dict[str, str] = {}

    async def gone(self, entity: Entity, ids: Sequence[str]) -> list[str]:
        """Those of these records, which an answer did not have, that do not exist (any more). Raises
        ``PermissionMissing`` where there may be more than the user is shown."""
        if len(ids) <= ASKED_AT_ONCE:
            return await self._asked(entity, ids)
        await self.prove(entity)
        rows = await self._session.dynamics.read_by_ids(entity, [entity.primary_id], ids)
        await self.prove(entity)
        there = {str(row[entity.primary_id]).lower() for row in rows}
        return [one for one in ids if one not in there]

    async def prove(self, *entities: Entity) -> None:
        """Raise ``PermissionMissing`` unless the user may read every record of these entities as of now."""
        dynamics = self._session.dynamics
        for entity in entities:
            name = entity.logical_name
            if name not in self._privileges:
                told = _READ.get(name) or await read_privilege(dynamics.channel, name)
                self._privileges[name] = told or f"prvRead{entity.schema_name}"
        if self._user is None:
            self._user = (await dynamics.who_am_i()).user_id
        depths = await dynamics.privilege_depths(self._user)
        for entity in entities:
            if (lacking := shortfall(depths, self._privileges[entity.logical_name])) is not None:
                error = lacks_privileges([lacking], tenant=self._session.name)
                error.entity = entity.logical_name
                raise error

    async def _asked(self, entity: Entity, ids: Sequence[str]) -> list[str]:
        try:
            return await self._session.dynamics.missing(entity, ids)
        except PermissionMissing:
            await self.prove(entity)  # says which privilege it is, and how far it reaches
            raise
