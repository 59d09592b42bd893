"""A fleet: one warm process that runs the cycles of many tenants, as each becomes due.

Each due tenant is looked at first, which is a few requests; only one that has something to do becomes a task. Looks and
work have gates of their own, and every tenant its own session and time limit, so that a slow or broken tenant never
delays the others. A cycle that is cut short by its limit goes on at its checkpoint the next time.

Prefect's documentation, "How to run work concurrently": a task run costs the server more than the client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.artifacts import acreate_markdown_artifact
from pydantic import BaseModel

from crmsync.engine.fleet import due_at, shard_of
from crmsync.engine.look import Look, look
from crmsync.engine.pool import SessionPool, session_pool
from crmsync.engine.report import SyncReport
from crmsync.engine.session import Session, utc_now
from crmsync.engine.sync import carry_what_changed, first_sync, is_cut_short, not_now, skipped, stopping
from crmsync.errors import (
    CredentialsRefused,
    CrmsyncError,
    StateUnavailable,
    TenantBusy,
    TenantFileWrong,
    TransportFailed,
)
from crmsync.state.store import Store, open_store
from crmsync.tenants import Tenant, load_tenant, tenant_names
from tasks.markdown import section, table
from tasks.policy import step
from tasks.secrets import saved_secrets
from tasks.syncing import summary
from tasks.telling import counted, say
from tasks.tenant import TenantName, tenants_folder

log = logging.getLogger("crmsync.fleet")

LOOK_SECONDS = 60.0
POLL_SECONDS = 5.0
BUSY_SECONDS = 30.0
MOST_ROWS = 500
SECONDS_BETWEEN_ARTIFACTS = 300.0


class TenantLine(BaseModel):
    """What became of one tenant in a fleet's run. ``error`` is that of its last cycle."""

    cycles: int = 0
    idle: int = 0
    written: int = 0
    failed: int = 0
    last: str = ""
    error: str | None = None


class FleetReport(BaseModel):
    """One fleet's run. Times are UTC."""

    shard: int
    shards: int
    started_at: datetime
    tenants: dict[str, TenantLine] = {}

    @property
    def broken(self) -> list[str]:
        """The tenants whose last cycle failed."""
        return [name for name, line in self.tenants.items() if line.error is not None]

    def __str__(self) -> str:
        cycles = sum(line.cycles for line in self.tenants.values())
        idle = sum(line.idle for line in self.tenants.values())
        text = f"{counted(cycles, 'cycle')} of {counted(len(self.tenants), 'tenant')}, {idle:,} of them idle"
        return f"{text}; failing: {', '.join(self.broken)}" if self.broken else text


class Fleet:
    """Runs the cycles of one shard's tenants until its time is over."""

    def __init__(
        self, store: Store, pool: SessionPool, folder: Path, report: FleetReport, *, parallel: int, limit: timedelta
    ) -> None:
        self.report = report
        self._store = store
        self._pool = pool
        self._folder = folder
        self._limit = limit
        self._looking = asyncio.Semaphore(parallel)
        self._working = asyncio.Semaphore(parallel)
        self._files: dict[str, tuple[int, Tenant | None]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, datetime] = {}
        self._shown_at = utc_now()
        self.found: dict[str, tuple[Session, Look | None]] = {}

    async def due(self, lasting: timedelta) -> AsyncIterator[str]:
        """The tenants, each whenever it is due, until the time is over; with none to spend, those due now."""
        until = self.report.started_at + lasting
        while True:
            tenants = self._tenants()
            times = await due_at(self._store, tenants.values())
            now = utc_now()
            for name, moment in sorted(times.items(), key=lambda one: one[1]):
                if name not in self._running and max(moment, self._not_before.get(name, moment)) <= now:
                    yield name
            if utc_now() + timedelta(seconds=POLL_SECONDS) >= until:
                return
            await asyncio.sleep(POLL_SECONDS)
            await self._show_now_and_then()

    def start(self, tenant: str, cycle: Coroutine[Any, Any, None]) -> None:
        """Run a tenant's cycle beside the others."""
        self._running[tenant] = task = asyncio.create_task(cycle)
        task.add_done_callback(lambda _: self._running.pop(tenant, None))

    async def cycle(self, tenant: str) -> SyncReport:
        """One cycle: the look, and a task for the rest if there is any."""
        file = self._files[tenant][1]
        assert file is not None  # only tenants with a good file become due
        async with AsyncExitStack() as stack:
            async with self._looking:
                session = await self._pool.session(file)
                await stack.enter_async_context(stopping(session))
                found = await self._look(session, stack)
            if isinstance(found, SyncReport):
                return found
            async with self._working:
                self.found[tenant] = session, found
                try:
                    return await sync_tenant.with_options(timeout_seconds=self._limit.total_seconds(), retries=0)(
                        tenant
                    )
                finally:
                    del self.found[tenant]

    async def _look(self, session: Session, stack: AsyncExitStack) -> Look | SyncReport | None:
        """What a look found, or the report when that was all; None for a first sync that was cut short."""
        try:
            async with asyncio.timeout(min(LOOK_SECONDS, self._limit.total_seconds())):
                if await is_cut_short(session):
                    await stack.enter_async_context(session.lease())
                    return None
                if (why := await not_now(session, force=False)) is not None:
                    return skipped(session, "cycle", why)
                await stack.enter_async_context(session.lease())
                found = await look(session)
                return await carry_what_changed(session, found) if found.is_idle else found
        except TimeoutError:
            if self._store.is_away:
                raise StateUnavailable("The state database does not answer", tenant=session.name) from None
            raise TransportFailed(
                f"Dynamics gave no answer in {LOOK_SECONDS:.0f} seconds", tenant=session.name
            ) from None

    def done(self, tenant: str, report: SyncReport) -> None:
        """Note how a cycle ended."""
        line = self.report.tenants.setdefault(tenant, TenantLine())
        if report.skipped is not None:
            self._not_before[tenant] = utc_now() + timedelta(seconds=BUSY_SECONDS)
            return
        line.cycles += 1
        line.error = None
        if report.total.read or report.total_to_dynamics.read:
            line.written += report.total.written + report.total_to_dynamics.written
            line.last = summary(report)
        else:
            line.idle += 1

    async def failed(self, tenant: str, error: BaseException) -> None:
        """Note that a cycle failed, and why; the tenant's turn comes again after its interval."""
        if isinstance(error, TenantBusy | StateUnavailable):  # nothing that is wrong with the tenant
            self._not_before[tenant] = utc_now() + timedelta(seconds=BUSY_SECONDS)
            return
        file = self._files[tenant][1]
        self._not_before[tenant] = utc_now() + timedelta(minutes=file.interval_minutes if file else 5)
        line = self.report.tenants.setdefault(tenant, TenantLine())
        line.cycles += 1
        line.failed += 1
        line.error = error.message if isinstance(error, CrmsyncError) else type(error).__name__
        log.warning("%s: the cycle failed: %s", tenant, line.error)
        if isinstance(error, CredentialsRefused):
            await self._pool.forget(tenant)

    async def finish(self) -> None:
        """Wait for the cycles that are at work, and show the summary."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
        await self._show()

    async def cancel(self) -> None:
        """End all cycles at once; they go on at their checkpoints in another run."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _tenants(self) -> dict[str, Tenant]:
        """The shard's tenant files, each read again when it has changed; a wrong one is left out, and told."""
        names = [name for name in tenant_names(self._folder) if shard_of(name, self.report.shards) == self.report.shard]
        self._files = {name: self._file(name) for name in names}
        return {name: tenant for name, (_, tenant) in self._files.items() if tenant is not None}

    def _file(self, name: str) -> tuple[int, Tenant | None]:
        try:
            changed = (self._folder / f"{name}.yaml").stat().st_mtime_ns
        except OSError:
            return 0, None
        if (kept := self._files.get(name)) is not None and kept[0] == changed:
            return kept
        try:
            return changed, load_tenant(name, self._folder)
        except TenantFileWrong as error:
            self.report.tenants.setdefault(name, TenantLine()).error = error.message
            return changed, None

    async def _show_now_and_then(self) -> None:
        if (utc_now() - self._shown_at).total_seconds() >= SECONDS_BETWEEN_ARTIFACTS:
            await self._show()

    async def _show(self) -> None:
        """The summary: one artifact, with the tenants that did something or failed."""
        self._shown_at = utc_now()
        rows = [
            ("❌" if line.error else "✅", name, line.cycles, line.idle, line.written, line.error or line.last)
            for name, line in sorted(self.report.tenants.items(), key=lambda one: (one[1].error is None, one[0]))
            if line.error or line.cycles > line.idle
        ][:MOST_ROWS]
        head = ("", "Tenant", "Cycles", "Idle", "Written", "Last")
        text = section(str(self.report), table(head, rows) if rows else "Nothing changed in any tenant.")
        await acreate_markdown_artifact(text, key=f"sync-fleet-{self.report.shard}-of-{self.report.shards}")


_fleet: ContextVar[Fleet] = ContextVar("fleet")


@asynccontextmanager
async def open_fleet(shard: int, shards: int, *, parallel: int, limit: timedelta) -> AsyncIterator[Fleet]:
    """A fleet over one shard, with the store opened once; its cycles end before it does."""
    report = FleetReport(shard=shard, shards=shards, started_at=utc_now())
    name, run = runtime.flow_run.name, runtime.flow_run.id
    async with open_store() as store, session_pool(store, saved_secrets, run=f"{name} {run}") as pool:
        fleet = Fleet(store, pool, tenants_folder(), report, parallel=parallel, limit=limit)
        token = _fleet.set(fleet)
        try:
            yield fleet
            await fleet.finish()
        finally:
            await fleet.cancel()
            _fleet.reset(token)


@step(minutes=60)
async def sync_tenant(tenant: TenantName) -> SyncReport:
    """The rest of a cycle whose look has found something, or of a first sync that was cut short."""
    session, found = _fleet.get().found[tenant]
    report = await (first_sync(session) if found is None else carry_what_changed(session, found))
    say(f"{tenant}: {summary(report)}")
    return report
