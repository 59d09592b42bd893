"""Keeps a lease while a run works, and keeps the run from sending anything when it cannot be sure of it.

Another run may take over what was not renewed for a while, so from some seconds before that on nothing is sent: calls
wait at the gate until the lease is renewed, as after an outage of the state database, and end when it is lost. The
time is counted by the monotonic clock, from before a renewal was asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from crmsync.errors import LeaseLost
from crmsync.state.leases import LEASE_SECONDS, Lease, LeaseStore

RENEWAL_SECONDS = LEASE_SECONDS / 3
CERTAIN_SECONDS = LEASE_SECONDS * 5 / 6
"""How long after a renewal nobody can have taken over, with something to spare."""


class Keeper:
    """Keeps one lease. ``monotonic`` and ``sleep`` are seams for tests."""

    def __init__(
        self,
        leases: LeaseStore,
        lease: Lease,
        *,
        asked_at: float,
        sleep: Callable[[float], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._lease = lease
        self._sleep = sleep
        self._monotonic = monotonic
        self._asked_at = asked_at
        self._changed = asyncio.Condition()
        self._over = False

    async def keep(self) -> None:
        """Renew the lease again and again. Raises ``LeaseLost`` when another run has it, ``StateUnavailable`` when the
        database stays away."""
        while True:
            if self._age < RENEWAL_SECONDS:
                await self._sleep(RENEWAL_SECONDS)
            asked_at = self._monotonic()
            if not await self._leases.renew(self._lease):
                raise LeaseLost("Another run has taken the tenant over; this one ends", tenant=self._lease.tenant)
            async with self._changed:
                self._asked_at = asked_at
                self._changed.notify_all()

    async def until_certain(self) -> None:
        """Wait until nobody else can hold the tenant. Raises ``LeaseLost`` when this run does not hold it any more."""
        if not self._is_certain:
            async with self._changed:
                await self._changed.wait_for(lambda: self._is_certain or self._over)
        if self._over:
            raise LeaseLost("The lease is not held any more", tenant=self._lease.tenant)

    async def close(self) -> None:
        """Nothing is sent under this lease any more."""
        self._over = True
        async with self._changed:
            self._changed.notify_all()

    @property
    def _age(self) -> float:
        """Seconds since the lease was renewed."""
        return self._monotonic() - self._asked_at

    @property
    def _is_certain(self) -> bool:
        return self._age < CERTAIN_SECONDS


@dataclass
class Clearance:
    """What a session's calls pass before they are sent: open where no lease is held, as for a look."""

    keeper: Keeper | None = field(default=None, repr=False)

    async def __call__(self, request: httpx.Request) -> None:
        if self.keeper is not None:
            await self.keeper.until_certain()
