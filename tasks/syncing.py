"""Enable sync and what follows: the first sync, a cycle, and the re-read after a change of fields.

Each holds the tenant's lease while it works. A first sync that was cut short goes on where its checkpoint is; nothing
that has an outcome is sent again.

Marketo's documentation, "Step 3 of 3: Connect Marketo and Dynamics", "Enable Sync".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from crmsync.engine import record as record_sync
from crmsync.engine import resync, setup, sync
from crmsync.engine.report import SyncReport
from crmsync.engine.setup import Enabled
from tasks.markdown import section, table
from tasks.policy import HOUR, MINUTE, step
from tasks.telling import ProgressArtifacts, counted, duration, say, show
from tasks.tenant import TenantName, session_of, writer_of

FIRST_SYNC_MINUTES = 7 * 24 * HOUR / MINUTE
"""A first sync of many millions is bounded by Marketo's daily quota; a week is a stop for what hangs, not a plan."""


@step(minutes=5)
async def enable_sync(tenant: TenantName) -> Enabled:
    """Start the first sync; for a tenant that is syncing already, nothing."""
    async with session_of(tenant) as session:
        enabled = await setup.enable_sync(session)
    rows = [(entity, count) for entity, count in enabled.entities.items()]
    await show(tenant, "enabled", section("Enabled", table(("Entity", "Records (estimate)"), rows)))
    total = sum(enabled.entities.values())
    say("The sync is enabled already" if enabled.already else f"Enabled the sync of about {total:,} records")
    return enabled


@step(minutes=5)
async def disable_sync(tenant: TenantName, why: str) -> None:
    """Stop the cycles of a tenant until its fields are reviewed."""
    async with writer_of(tenant) as session:
        await setup.disable_sync(session, why)
    say(f"Disabled the sync: {why}")


@step(minutes=FIRST_SYNC_MINUTES)
async def await_first_sync(tenant: TenantName, allow: bool = False) -> SyncReport:
    """Follow the first sync to its end."""
    async with writer_of(tenant) as session, progress_shown() as progress:
        report = await sync.first_sync(session, progress, allow=allow)
    return await _reported(report)


@step(minutes=4 * HOUR / MINUTE)
async def run_cycle(tenant: TenantName, force: bool = False, allow: bool = False) -> SyncReport:
    """One cycle: what changed on either side since the last one, or the rest of a first sync that was cut short."""
    async with writer_of(tenant) as session:
        report = await sync.cycle(session, force=force, allow=allow)
    return await _reported(report)


@step(minutes=30)
async def sync_record(tenant: TenantName, record: str, allow: bool = False) -> SyncReport:
    """One record, as it is in Dynamics now."""
    async with session_of(tenant) as session:
        report = await record_sync.sync_record(session, record, allow=allow)
    return await _reported(report)


@step(minutes=FIRST_SYNC_MINUTES)
async def resync_records(tenant: TenantName, entities: Sequence[str] = (), allow: bool = False) -> SyncReport:
    """Read again what the change of fields touched, and these entities."""
    async with writer_of(tenant) as session, progress_shown() as progress:
        report = await resync.resync(session, progress, entities=entities, allow=allow)
    return await _reported(report)


@asynccontextmanager
async def progress_shown() -> AsyncIterator[ProgressArtifacts]:
    """Progress artifacts, written to the end."""
    progress = ProgressArtifacts()
    try:
        yield progress
    finally:
        await progress.close()


async def _reported(report: SyncReport) -> SyncReport:
    """The report as a line, and as an artifact when there is something to show: most cycles find nothing."""
    if report.skipped is None and report.has_something_to_show:
        rows = [(entity, *counts.model_dump().values()) for entity, counts in report.entities.items()]
        head = ("Entity", "Read", "Filtered", "Unchanged", "Created", "Updated", "Deleted", "Failed")
        text = section(f"{report.kind.capitalize()} in {duration(report.seconds)}", table(head, rows))
        back = [(entity, *counts.model_dump().values()) for entity, counts in report.to_dynamics.items() if counts.read]
        back_head = ("Entity", "Read", "Updated", "Created", "Failed", "Collisions")
        text += section("Marketo → Dynamics", table(back_head, back))
        parked = [(field.entity, field.attribute, field.marketo_field, field.reason) for field in report.parked]
        text += section("Parked fields", table(("Entity", "Column", "Marketo field", "Why"), parked))
        text += section("Not synced", table(("Entity", "Why"), list(report.left_out.items())))
        text += section("Notes", "\n".join(f"- {note}" for note in report.notes))
        await show(report.tenant, "summary", text)
    say(summary(report))
    return report


def summary(report: SyncReport) -> str:
    """A report in one line."""
    if report.skipped is not None:
        return f"Skipped: {report.skipped}"
    counts = [f"{count:,} {kind}" for kind, count in report.total.model_dump().items() if count]
    back = [_back(kind, count) for kind, count in report.total_to_dynamics.model_dump().items() if count]
    told = [", ".join(counts)] if counts else []
    told += [f"to Dynamics {', '.join(back)}"] if back else []
    line = f"{report.kind.capitalize()} done in {duration(report.seconds)}: {'; '.join(told) or 'nothing changed'}"
    if report.parked:
        line += "; parked: " + ", ".join(f"{field.entity}.{field.attribute}" for field in report.parked)
    return line


def _back(kind: str, count: int) -> str:
    return counted(count, "collision") if kind == "collisions" else f"{count:,} {kind}"
