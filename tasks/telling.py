"""What a step tells while it runs: lines in the run's log, artifacts in the Prefect UI, progress.

Whoever runs a flow in its own process may listen too (the command line does): ``listening`` is a context variable, so
two flows in one process do not hear each other.

Prefect's documentation, "How to create artifacts": keys hold lower-case letters, digits and dashes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol
from uuid import UUID

import httpx
from prefect import get_run_logger, runtime
from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
)

from crmsync.engine.report import Progress
from crmsync.errors import CrmsyncError

FLOWS = frozenset({"prepare", "connect", "sync", "resync", "validate", "compare"})
SECONDS_BETWEEN_UPDATES = 2.0


class Listener(Protocol):
    """Hears what the steps tell."""

    def said(self, line: str) -> None: ...

    def progressed(self, progress: Progress) -> None: ...

    def waits(self, line: str) -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let ``listener`` hear the flows that are run inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def say(line: str) -> None:
    """One line of the story: into the run's log, and to the listener."""
    get_run_logger().info(line)
    if (listener := _listener.get()) is not None:
        listener.said(line)


async def show(tenant: str, subject: str, text: str) -> None:
    """A markdown artifact of the run; the same subject again makes a new version of it."""
    await acreate_markdown_artifact(text, key=artifact_key(tenant, subject))


def artifact_key(tenant: str, subject: str) -> str:
    """``connect-contoso-fields``: flow, tenant, subject. The flows inside ``connect`` count as it."""
    flow = str(runtime.flow_run.flow_name)
    return f"{flow if flow in FLOWS else 'connect'}-{tenant}-{subject}"


def say_that_it_waits(error: BaseException) -> None:
    """For the listener, that a step failed and is tried again in a while; the run's log has it from Prefect."""
    if (listener := _listener.get()) is not None:
        what = error.message if isinstance(error, CrmsyncError) else type(error).__name__
        listener.waits(f"{what}; trying again in a while")


class ProgressArtifacts:
    """A ``ProgressListener``: one progress artifact an entity, updated every two seconds, and the listener at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._artifacts: dict[str, UUID] = {}
        self._updated: dict[str, float] = {}
        self._pending: dict[str, Progress] = {}

    async def __call__(self, progress: Progress) -> None:
        if (listener := _listener.get()) is not None:
            listener.progressed(progress)
        self._pending[progress.entity] = progress
        last = self._updated.get(progress.entity)
        if last is None or self._clock() - last >= SECONDS_BETWEEN_UPDATES:
            await self._write(progress)

    async def close(self) -> None:
        """Write what was held back."""
        for progress in list(self._pending.values()):
            await self._write(progress)

    async def _write(self, progress: Progress) -> None:
        entity = progress.entity
        self._updated[entity] = self._clock()
        self._pending.pop(entity, None)
        share, text = percent(progress), describe(progress)
        try:
            if entity in self._artifacts:
                await aupdate_progress_artifact(self._artifacts[entity], share, description=text)
            else:
                key = artifact_key(progress.tenant, f"progress-{entity}".replace("_", "-"))
                self._artifacts[entity] = await acreate_progress_artifact(share, key=key, description=text)
        except httpx.HTTPError as error:  # a picture is not worth a first sync of hours
            get_run_logger().warning("The progress of %s could not be shown: %s", entity, type(error).__name__)


def percent(progress: Progress) -> float:
    """0 to 100; an estimate that was too small does not go beyond."""
    return min(100.0, 100 * progress.done / progress.total) if progress.total else 0.0


def describe(progress: Progress) -> str:
    """``lead: 1,200 of about 5,000 records, 340 a second, 12 s left``."""
    text = f"{progress.entity}: {progress.done:,}"
    text += f" of about {progress.total:,} records" if progress.total else " records"
    if progress.rate:
        text += f", {progress.rate:,.0f} a second"
    if progress.seconds_left is not None:
        text += f", {duration(progress.seconds_left)} left"
    return text


def counted(number: int, noun: str) -> str:
    """``1 field``, ``1,035 records``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 4 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
