"""Which tenants of many are due for a cycle, and which process works for which of them.

A tenant's interval counts from the end of its last cycle, whoever ran it. Nothing is asked of Dynamics or Marketo here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from crmsync.state.lifecycle import TenantState
from crmsync.state.store import Store
from crmsync.tenants import Tenant

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def shard_of(tenant: str, shards: int) -> int:
    """The shard that this tenant belongs to: stable, and even over many tenants."""
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[8:16], "big") % shards


async def due_at(store: Store, tenants: Collection[Tenant]) -> dict[str, datetime]:
    """When the next cycle of each of these tenants is due, or the next attempt at a first sync that was cut short.

    Those that are neither syncing nor at their first sync have none.
    """
    times: dict[str, datetime] = {}
    for state, kind in ((TenantState.SYNCING, "cycle"), (TenantState.FIRST_SYNC, "first sync")):
        names, ended = await store.tenants.in_state(state), await store.runs.ended(kind)
        for one in tenants:
            if one.tenant in names:
                times[one.tenant] = ended.get(one.tenant, LONG_AGO) + timedelta(minutes=one.interval_minutes)
    return times
