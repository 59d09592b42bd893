"""The first sync and the cycle: all entities in the white paper's order, owners and companies before people.

Adobe's white paper on CRM synchronization gives the order; the cadence and what an administrator sees are those of
Marketo's native sync. An error that only a person can mend stops the tenant with its reason.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Literal

from crmsync.engine.datapath import DataPath
from crmsync.engine.report import ParkedField, ProgressListener, SyncReport
from crmsync.engine.session import Session
from crmsync.engine.setup import ensure_bound
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
"""What the services answer and only a person can mend. A name that does not resolve is not among them: that heals."""

Kind = Literal["first sync", "cycle", "resync"]


async def first_sync(session: Session, progress: ProgressListener | None = None) -> SyncReport:
    """Follow the first sync to its end, from the start or from where a run was killed.

    What has an outcome is not sent again. Returns at once, with ``skipped`` told, when everything was read already.
    Raises ``StateMismatch`` when the sync was never enabled, ``TenantBusy`` when another run is at it.
    """
    await ensure_bound(session)
    async with session.lease():
        row = await session.store.tenants.get(session.name)
        if row.state not in {TenantState.FIRST_SYNC, TenantState.SYNCING}:
            raise _not_enabled(session, row)
        async with stopping(session):
            path = await DataPath.open(session, progress)
            waiting = [name for name in ENTITIES if await path.needs_first_read(name)]
            if waiting:
                report = await carry_all(session, "first sync", path, waiting)
            else:
                report = skipped(session, "first sync", "the first sync is done already")
            await path.from_marketo.start(*path.shape)
        await session.store.tenants.move(
            session.name, TenantState.SYNCING, run=session.run, why="the first sync is done"
        )
    return report


async def cycle(session: Session, progress: ProgressListener | None = None, *, force: bool = False) -> SyncReport:
    """One cycle over all entities.

    A scheduled cycle (``force`` false) ends at once, with the reason in ``skipped``, while the tenant is disabled or
    stopped and when the last cycle is younger than half the interval, so that late runs cost nothing. Raises
    ``StateMismatch`` when the tenant was never connected, ``TenantBusy`` when another run is at it.
    """
    row = await session.store.tenants.get(session.name)
    if row.state != TenantState.SYNCING:
        if not force and row.state in {TenantState.DISABLED, TenantState.STOPPED, TenantState.FIRST_SYNC}:
            return skipped(session, "cycle", f"the tenant is {row.state}: {row.reason or 'see its status'}")
        raise _not_syncing(session, row)
    if not force and (age := await _age_of_last_cycle(session)) is not None:
        return skipped(session, "cycle", f"the last cycle began {age:.0f} seconds ago")
    await ensure_bound(session)
    async with session.lease(), stopping(session):
        path = await DataPath.open(session, progress)
        return await carry_all(session, "cycle", path, ENTITIES)


async def carry_all(session: Session, kind: Kind, path: DataPath, names: Sequence[str]) -> SyncReport:
    """Carry these entities and keep the report in the store, also when it fails."""
    number = await session.store.runs.start(session.name, kind, session.run)
    began = session.clock()
    try:
        if kind == "cycle":
            await path.from_marketo.collect(*path.shape)
        for name in names:
            await path.carry(name)
        if kind == "cycle":
            await path.from_marketo.write_back(*path.shape)
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
    """An error that only a person can mend stops the tenant, with its reason, until it is connected again."""
    try:
        yield
    except STOPPING as failure:
        row = await session.store.tenants.get(session.name)
        if row.state in {TenantState.FIRST_SYNC, TenantState.SYNCING}:
            await session.store.tenants.move(
                session.name, TenantState.STOPPED, run=session.run, why=failure.message, reason=str(failure)
            )
        raise


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
    )


async def _age_of_last_cycle(session: Session) -> float | None:
    """Seconds since the last cycle began, when it is too young for another one; else None."""
    last = await session.store.runs.last(session.name, "cycle")
    if last is None or last.outcome != "done":
        return None
    age = session.clock() - last.started_at
    return age.total_seconds() if age < timedelta(minutes=session.tenant.interval_minutes) / 2 else None


def _not_enabled(session: Session, row: TenantRow) -> StateMismatch:
    return StateMismatch(
        f"The sync is not enabled: the tenant is '{row.state}'" + (f" ({row.reason})" if row.reason else ""),
        tenant=session.name,
        remedy=f"Run: crmsync connect {session.name}",
    )


def _not_syncing(session: Session, row: TenantRow) -> StateMismatch:
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
