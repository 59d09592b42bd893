"""Enable Sync: the first sync may begin, or cycles go on; and disable it.

"Step 3 of 3: Connect Marketo and Dynamics", "Enable Sync" (Marketo's documentation).
"""

from __future__ import annotations

from pydantic import BaseModel

from crmsync.engine.rights import ensure_rights
from crmsync.engine.session import Session
from crmsync.engine.setup.credentials import ensure_bound
from crmsync.engine.setup.schema import snapshots
from crmsync.engine.setup.selection import saved_selection
from crmsync.state.checkpoints import Checkpoint
from crmsync.state.lifecycle import TenantState
from crmsync.tenants import is_optional


class Enabled(BaseModel):
    """The first sync is under way, or was before (``already``): records expected per entity."""

    entities: dict[str, int]
    already: bool


async def enable_sync(session: Session) -> Enabled:
    """Start the first sync, or go on after the sync was disabled or stopped. Safe to repeat.

    Raises ``PermissionMissing`` before anything moves when the sync user lacks a privilege or a selected column.
    """
    await ensure_bound(session)
    async with session.lease():
        state = (await session.store.tenants.get(session.name)).state
        checkpoints = await session.store.checkpoints.all(session.name)
        expected = {name: one.records_expected or one.records_read for name, one in checkpoints.items()}
        if state in {TenantState.FIRST_SYNC, TenantState.SYNCING}:
            return Enabled(entities=expected, already=True)
        selection = await saved_selection(session)
        await ensure_rights(session.dynamics, selection, session.tenant, first=not checkpoints)
        await session.store.tenants.saw_rights(session.name, session.clock())
        if not checkpoints:
            names = await _selected_entities(session)
            expected = await session.dynamics.record_counts(names)
            for name in names:
                blank = Checkpoint(entity=name, selection_digest="", records_expected=expected.get(name))
                await session.store.checkpoints.put(session.name, blank)
        needed = [one for name, one in checkpoints.items() if not is_optional(name)]
        done = bool(needed) and all(one.read_done for one in needed)
        target = TenantState.SYNCING if done else TenantState.FIRST_SYNC
        await session.store.tenants.move(session.name, target, run=session.run, why="the sync was enabled")
    return Enabled(entities=expected, already=False)


async def _selected_entities(session: Session) -> list[str]:
    """The entities that will be read, as far as the set-up knows."""
    dynamics, _ = await snapshots(session)
    selection = await saved_selection(session)
    known = dynamics.entities if dynamics else {}
    taken = selection.mappings if selection else {}
    return [
        name
        for name in (*session.tenant.entities, *session.tenant.custom_names)
        if name in known and ("opportunity" if name == "connection" else name) in taken
    ]


async def disable_sync(session: Session, why: str) -> None:
    """Stop cycles until the sync is enabled again; nothing is lost meanwhile, Dynamics keeps its changes."""
    async with session.lease():
        await session.store.tenants.move(session.name, TenantState.DISABLED, run=session.run, why=why, reason=why)
