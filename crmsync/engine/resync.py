"""After fields were deleted, added, or found out of step: review the fields, and read again what the change touched.

The five manual steps of "Editing Fields to Sync Before Deleting Them in Dynamics" as functions: disable, refresh the
schema, review the fields, resync, enable. The first, second and last are in ``crmsync.engine.setup``.
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.engine.datapath import DataPath
from crmsync.engine.names import check_names, names_of
from crmsync.engine.report import ProgressListener, SyncReport
from crmsync.engine.session import Session
from crmsync.engine.setup import ensure_bound, select_fields
from crmsync.engine.sync import carry_all, skipped
from crmsync.errors import StateMismatch
from crmsync.fields.model import Selection
from crmsync.state.lifecycle import TenantState


async def review_fields(session: Session, *, without_filter: Sequence[str] = ()) -> Selection:
    """Select the fields anew after the schema was refreshed; parked fields count as seen by an operator. The sync
    filters of the entities in ``without_filter`` were removed on purpose: their records are all synced from now on."""
    check_names(without_filter, names_of(session.tenant), tenant=session.name)
    selection = await select_fields(session, without_filter=without_filter)
    async with session.lease():
        await session.store.schemas.mark_reviewed(session.name)
    return selection


async def resync(
    session: Session,
    progress: ProgressListener | None = None,
    *,
    entities: Sequence[str] = (),
    allow: bool = False,
) -> SyncReport:
    """Read again the entities whose selection changed, or whose values are sent otherwise since they were read, and
    those named in ``entities``; write what differs. ``allow`` loosens the brake.

    The tenant must be disabled (``disable_sync``), so that no cycle begins meanwhile. Raises ``OperatorMustAct`` for a
    name that is none of the tenant's entities.
    """
    check_names(entities, names_of(session.tenant), tenant=session.name)
    await ensure_bound(session)
    async with session.lease():
        row = await session.store.tenants.get(session.name)
        if row.state != TenantState.DISABLED:
            raise StateMismatch(
                f"A resync needs the sync disabled; the tenant is '{row.state}'",
                tenant=session.name,
                remedy=f"Run the whole procedure: crmsync resync {session.name}",
            )
        outdated = await session.store.checkpoints.outdated(session.name)
        for name in {*entities, *outdated}:
            await read_anew(session, name)
        path = await DataPath.open(session, progress, allow=allow, command=f"resync {session.name}")
        touched = [name for name in path.entities if await path.needs_first_read(name)]
        if not touched and not await path.is_unfinished():
            return skipped(
                session, "resync", "no field changed, nor how a value is sent: there was nothing to read again"
            )
        path.notes += [f"{name} is read again: {outdated[name]}" for name in touched if name in outdated]
        return await carry_all(session, "resync", path, touched)


async def read_anew(session: Session, name: str) -> None:
    """Have this entity read from its beginning: values that are out of step are written, the rest is left alone."""
    current = await session.store.checkpoints.get(session.name, name)
    if current is not None:
        anew = current.model_copy(update={"selection_digest": "read anew"})
        await session.store.checkpoints.put(session.name, anew)
