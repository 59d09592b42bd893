"""How fast a read is and how long it will take: checkpoints in, progress out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from crmsync.engine.report import Progress, ProgressListener
from crmsync.state.checkpoints import Checkpoint


class Tempo:
    """Follows one entity from where this run took it up; the rate is that of this run alone."""

    def __init__(
        self, tenant: str, start: Checkpoint, listener: ProgressListener | None, clock: Callable[[], datetime]
    ) -> None:
        self._tenant = tenant
        self._listener = listener
        self._clock = clock
        self._began = clock()
        self._from = start.records_read

    async def moved(self, checkpoint: Checkpoint) -> None:
        """Tell the listener how far the checkpoint is."""
        if self._listener is None:
            return
        seconds = (self._clock() - self._began).total_seconds()
        done, total = checkpoint.records_read, checkpoint.records_expected
        rate = (done - self._from) / seconds if seconds > 0 else 0.0
        if checkpoint.read_done or (total is not None and done > total):
            total = done
        left = (total - done) / rate if total is not None and rate > 0 else None
        await self._listener(
            Progress(
                tenant=self._tenant, entity=checkpoint.entity, done=done, total=total, rate=rate, seconds_left=left
            )
        )
