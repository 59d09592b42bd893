"""How a flow ends: its report in the state's message, and people told when it failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal, cast

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.states import Completed

import tasks
from crmsync.engine.report import SyncReport
from crmsync.engine.sync import STOPPING
from crmsync.errors import AllowanceNeeded, CrmsyncError, NotificationFailed, StateMismatch, TenantBusy
from tasks.mail import Told
from tasks.syncing import summary

CANNOT_BEGIN = (TenantBusy, StateMismatch)
"""Why a cycle does not begin at all: another run is at work, or the tenant is not connected."""


def completed(report: SyncReport) -> SyncReport:
    """End a flow with its report's summary as the state's message.

    Returned by a flow, the state becomes the run's, and the caller gets the report out of it.
    """
    return cast(SyncReport, Completed(message=summary(report), data=report))


def skipped_because(tenant: str, reason: CrmsyncError) -> SyncReport:
    """The report of a cycle that could not begin. Whoever asked for a cycle of an unconnected tenant gets the error
    instead; only the schedule, which begins before anybody connects, is content with a line."""
    if isinstance(reason, StateMismatch) and not is_scheduled():
        raise reason
    now = datetime.now(UTC)
    return SyncReport(tenant=tenant, kind="cycle", started_at=now, ended_at=now, skipped=reason.message)


def only_planned(tenant: str) -> SyncReport:
    """The report of a connect that was to show its plan."""
    now = datetime.now(UTC)
    why = "this was the plan; nothing was made in Marketo"
    return SyncReport(tenant=tenant, kind="first sync", started_at=now, ended_at=now, skipped=why)


def is_news(report: SyncReport) -> bool:
    """Whether people are told of a scheduled run: it parked a field (the report names those of earlier runs too), or
    ended a first sync that was cut short."""
    taken_up = report.kind == "first sync" and report.skipped is None
    return taken_up or any(field.since >= report.started_at for field in report.parked)


def needs_a_person(error: Exception) -> bool:
    """Whether a scheduled cycle's failure is told: it ends the cycles until a person has acted, or the brake holds
    something since this one. Told once: the next cycles are skipped, or hold the same."""
    return isinstance(error, STOPPING) or (isinstance(error, AllowanceNeeded) and error.is_new)


@asynccontextmanager
async def failure_told(
    tenant: str,
    flow: Literal["connect", "sync", "resync"],
    *,
    notify: bool = True,
    when: Callable[[Exception], bool] = lambda error: True,
) -> AsyncIterator[None]:
    """Send the e-mail when what is inside fails; the failure itself goes on."""
    try:
        yield
    except Exception as error:
        if notify and when(error) and not isinstance(error, NotificationFailed):
            try:
                await tasks.notify(tenant, Told.failed(flow, error))
            except Exception as second:  # the first error is the one to show
                get_run_logger().warning("Nobody could be told of the failure: %s", second)
        raise


def is_scheduled() -> bool:
    """Whether the schedule started the run, not a person. Runs that are late find their work done and cost nothing;
    what a person asks for is done now."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.auto_scheduled
