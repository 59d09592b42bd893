"""Which tenants of many are due for a cycle, and which process works for which of them.

A tenant's interval counts from the end of its last cycle, whoever ran it. Nothing is asked of Dynamics or Marketo here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from crmsync.state.lifecycle import TenantState
from crmsync.state.store import Store
from crmsync.tenants import Tenant

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def shard_of(tenant: str, shards: int) -> int:
    """The shard that this tenant belongs to: stable, and even over many tenants."""
    return int.from_bytes(hashlib.sha256(tenant.encode()).digest()[8:16], "big") % shards


async def due_at(store: Store, tenants: Iterable[Tenant]) -> dict[str, datetime]:
    """When the next cycle of each of these tenants is due; those that are not syncing have none."""
    syncing = await store.tenants.in_state(TenantState.SYNCING)
    ended = await store.runs.ended("cycle")
    return {
        one.tenant: ended.get(one.tenant, LONG_AGO) + timedelta(minutes=one.interval_minutes)
        for one in tenants
        if one.tenant in syncing
    }
