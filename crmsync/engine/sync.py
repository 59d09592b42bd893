"""The first sync and the cycle: all entities in the white paper's order, owners and companies before people.

Adobe's white paper on CRM synchronization gives the order; the cadence and what an administrator sees are those of
Marketo's native sync. An error that only a person can put right, and that is still there some minutes later, stops the
tenant with its reason.
"""

from __future__ import annotations

import functools
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Literal

from crmsync.engine.datapath import DataPath
from crmsync.engine.destination import ROLE
from crmsync.engine.look import Look, look
from crmsync.engine.overdue import forget_what_is_done, tell_overdue
from crmsync.engine.report import Counts, ParkedField, ProgressListener, SyncReport
from crmsync.engine.session import Session
from crmsync.engine.setup import ensure_bound, renamed
from crmsync.engine.turns import take_turns
from crmsync.errors import (
    ApplicationUserMissing,
    BindingRefused,
    ChangeTrackingOff,
    CredentialsRefused,
    CrmsyncError,
    EntraTenantUnknown,
    FeatureMissing,
    NativeSyncOn,
    PermissionMissing,
    StateMismatch,
)
from crmsync.state.lifecycle import TenantState
from crmsync.state.tenantstore import TenantRow
from crmsync.tenants import ENTITIES

log = logging.getLogger("crmsync.engine")

STOPPING = (
    ApplicationUserMissing,
    BindingRefused,
    ChangeTrackingOff,
    CredentialsRefused,
    EntraTenantUnknown,
    FeatureMissing,
    NativeSyncOn,
    PermissionMissing,
)
"""What the services answer and only a person can put right. A name that does not resolve heals, so it is not here."""

CONFIRMED_AFTER = timedelta(minutes=3)
"""One answer is no verdict: a service that is being changed, or an identity service that fails over, refuses for some
minutes what it accepts again afterwards."""

Kind = Literal["first sync", "cycle", "resync", "record"]


async def first_sync(session: Session, progress: ProgressListener | None = None, *, allow: bool = False) -> SyncReport:
    """Follow the first sync to its end, from the start or from where a run was killed. ``allow`` loosens the brake.

    What has an outcome is not sent again. Returns at once, with ``skipped`` told, when everything was read already.
    Raises ``StateMismatch`` when the sync was never enabled, ``TenantBusy`` when another run is at it.
    """
    await ensure_bound(session)
    async with session.lease():
        row = await session.store.tenants.get(session.name)
        if row.state not in {TenantState.FIRST_SYNC, TenantState.SYNCING}:
            raise _not_enabled(session, row)
        async with stopping(session):
            path = await DataPath.open(session, progress, allow=allow, command=f"connect {session.name}")
            # What is enabled while cycles go on is read by these.
            names = [name for name in path.entities if name in ENTITIES or row.state == TenantState.FIRST_SYNC]
            waiting = [name for name in names if await path.needs_first_read(name)]
            if waiting or await path.is_unfinished():
                report = await carry_all(session, "first sync", path, waiting)
            else:
                report = skipped(session, "first sync", "the first sync is done already")
            await path.from_marketo.start(*path.shape)
        await session.store.tenants.move(
            session.name, TenantState.SYNCING, run=session.run, why="the first sync is done"
        )
    return report


async def cycle(
    session: Session, progress: ProgressListener | None = None, *, force: bool = False, allow: bool = False
) -> SyncReport:
    """One cycle over all entities. ``allow`` lets it take away more than the tenant's ``safety`` does.

    A scheduled cycle (``force`` false) ends at once, with the reason in ``skipped``, while the tenant is disabled or
    stopped and when the next one is not due: the interval counts from the end of the last one. A schedule knows
    nothing of that end, so a run that comes in the second half of the interval is in time. Raises ``StateMismatch``
    when the tenant was never connected, ``TenantBusy`` when another run is at it.

    A first sync that was cut short (the day's quota was used up, its machine died) is taken up by a scheduled cycle.
    """
    if not force and await is_cut_short(session):
        return await first_sync(session, progress, allow=allow)
    if (why := await not_now(session, force=force)) is not None:
        return skipped(session, "cycle", why)
    async with session.lease(), stopping(session):
        return await carry_what_changed(session, await look(session), progress, allow=allow)


async def is_cut_short(session: Session) -> bool:
    """Whether the first sync has begun and is not done. Whoever is at it holds the tenant's lease."""
    row = await session.store.tenants.get(session.name)
    return row.state == TenantState.FIRST_SYNC and await session.store.runs.last(session.name, "first sync") is not None


async def not_now(session: Session, *, force: bool) -> str | None:
    """Why there is no cycle now, else None; raises ``StateMismatch`` where a cycle cannot be at all."""
    row = await session.store.tenants.get(session.name)
    if row.state != TenantState.SYNCING:
        if not force and row.state in {TenantState.DISABLED, TenantState.STOPPED, TenantState.FIRST_SYNC}:
            return f"the tenant is {row.state}: {row.reason or 'see its status'}"
        raise _not_syncing(session, row)
    if not force and (age := await _age_of_last_cycle(session)) is not None:
        return f"the last cycle ended {age:.0f} seconds ago"
    await ensure_bound(session)
    return None


async def carry_what_changed(
    session: Session, found: Look, progress: ProgressListener | None = None, *, allow: bool = False
) -> SyncReport:
    """End the cycle that began with a look: at once when there was nothing, else by carrying every entity."""
    if found.is_idle:
        return await _idle(session, found)
    path = await DataPath.open(session, progress, found.pages, found.seen, allow=allow)
    await path.take_definitions(found.definitions)
    if found.renamed:
        await path.take_names()
    return await reported(session, "cycle", path, lambda: take_turns(path), path.is_carried)


async def _idle(session: Session, found: Look) -> SyncReport:
    report = SyncReport(
        tenant=session.name,
        kind="cycle",
        started_at=found.began,
        ended_at=session.clock(),
        entities={name: Counts() for name in found.pages},
        notes=[found.seen.note] if found.seen is not None and found.seen.note else [],
        left_out=dict(found.left_out),
    )
    if found.seen is not None:
        await session.store.inbox.move_all(session.name, found.seen.moved)
    await session.store.checkpoints.put(session.name, *found.moved)
    await session.store.runs.idle(session.name, "cycle", session.run, found.began, report.model_dump_json())
    return report


async def carry_all(session: Session, kind: Kind, path: DataPath, names: Sequence[str]) -> SyncReport:
    """Carry these entities to their ends and keep the report in the store, also when it fails. What happened in Marketo
    meanwhile is read by the cycles: until then people are looked at before they are written."""
    path.from_marketo.reads_on = session.tenant.to_dynamics
    _leave_code_to_itself()

    async def carry() -> None:
        for name in names:
            await path.carry(name)
        await path.finish()

    return await reported(session, kind, path, carry, {*names, ROLE}.__contains__)


@functools.cache
def _leave_code_to_itself() -> None:
    """Keep the garbage collector from looking through all that was imported, which stays for good: that took a tenth of
    a first sync's time. Once a process."""
    gc.collect()
    gc.freeze()


async def reported(
    session: Session,
    kind: Kind,
    path: DataPath,
    work: Callable[[], Awaitable[None]],
    ended: Callable[[str], bool] = lambda entity: False,
) -> SyncReport:
    """Do this work on the path, and keep the report in the store, also when it fails. ``ended``: the entities that
    are carried as a whole then. Raises ``AllowanceNeeded`` at its end where the brake held something."""
    number = await session.store.runs.start(session.name, kind, session.run)
    began = session.clock()
    try:
        await work()
        await session.brake.close(ended)
        if kind == "cycle":
            path.notes += await tell_overdue(session, began, path.carried, path.left_out)
        else:
            await forget_what_is_done(session)
    except BaseException as failure:
        path.notes.append(failure.message if isinstance(failure, CrmsyncError) else type(failure).__name__)
        report = await _report(session, kind, path, began)
        await session.store.runs.end(number, "failed", report.model_dump_json())
        raise
    report = await _report(session, kind, path, began)
    await session.store.runs.end(number, "done", report.model_dump_json())
    log.info("%s: %s done in %.1f s, %d records written", session.name, kind, report.seconds, report.total.written)
    return report


@asynccontextmanager
async def stopping(session: Session) -> AsyncIterator[None]:
    """An error that only a person can put right stops the tenant, with its reason, until it is connected again: when a
    run meets it some minutes after the first that did, with none between them that ended well.

    Another organization under the same address stops at once: it has said so itself, twice, and nothing may be written.
    """
    try:
        yield
    except STOPPING as failure:
        row = await session.store.tenants.get(session.name)
        if row.state in {TenantState.FIRST_SYNC, TenantState.SYNCING}:
            await _doubt_or_stop(session, row, failure)
        raise


async def _doubt_or_stop(session: Session, row: TenantRow, failure: CrmsyncError) -> None:
    kind, now, tenants = type(failure).__name__, session.clock(), session.store.tenants
    since = row.doubted_at if row.doubt == kind else None
    if isinstance(failure, BindingRefused) or (since is not None and now - since >= CONFIRMED_AFTER):
        await tenants.move(session.name, TenantState.STOPPED, run=session.run, why=failure.message, reason=str(failure))
    elif since is None:
        await tenants.doubt(session.name, kind, str(failure), now)
        log.warning("%s: stopped if this is still so in some minutes: %s", session.name, failure.message)


def skipped(session: Session, kind: Kind, why: str) -> SyncReport:
    """The report of a run that had nothing to do."""
    moment = session.clock()
    return SyncReport(tenant=session.name, kind=kind, started_at=moment, ended_at=moment, skipped=why)


async def _report(session: Session, kind: Kind, path: DataPath, began: datetime) -> SyncReport:
    parked = await session.store.schemas.parked(session.name)
    return SyncReport(
        tenant=session.name,
        kind=kind,
        started_at=began,
        ended_at=session.clock(),
        entities=path.counts,
        to_dynamics=path.from_marketo.counts,
        parked=[ParkedField(**one.model_dump(exclude={"reviewed_at"})) for one in parked if one.reviewed_at is None],
        open_errors=sum((await session.store.errors.counts(session.name)).values()),
        notes=[*path.notes, *path.from_marketo.notes],
        left_out=path.left_out,
    )


async def _age_of_last_cycle(session: Session) -> float | None:
    """Seconds since the last cycle ended, when it is too young for another one; else None."""
    last = await session.store.runs.last(session.name, "cycle")
    if last is None or last.ended_at is None or last.outcome == "failed":
        return None
    age = session.clock() - last.ended_at
    return age.total_seconds() if age < timedelta(minutes=session.tenant.interval_minutes) / 2 else None


def _not_enabled(session: Session, row: TenantRow) -> StateMismatch:
    if row.renamed_to is not None:
        return renamed(row)
    return StateMismatch(
        f"The sync is not enabled: the tenant is '{row.state}'" + (f" ({row.reason})" if row.reason else ""),
        tenant=session.name,
        remedy=f"Run: crmsync connect {session.name}",
    )


def _not_syncing(session: Session, row: TenantRow) -> StateMismatch:
    if row.renamed_to is not None:
        return renamed(row)
    if row.state == TenantState.FIRST_SYNC:
        message, remedy = (
            "The first sync is not done yet",
            f"Wait for it, or take it up: crmsync connect {session.name}",
        )
    elif row.state == TenantState.STOPPED:
        message = f"The sync was stopped: {row.reason}"
        remedy = f"Mend what is told, then run: crmsync connect {session.name}"
    elif row.state == TenantState.DISABLED:
        message, remedy = f"The sync is disabled: {row.reason}", f"Enable it: crmsync resync {session.name}"
    else:
        message, remedy = f"The tenant is '{row.state}', not connected", f"Run: crmsync connect {session.name}"
    return StateMismatch(message, tenant=session.name, remedy=remedy)
