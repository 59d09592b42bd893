"""The checklist: looks at both sides of a tenant, changes nothing, and says what to do about each red line.

Marketo's seven checks come first, in their order; then ours. The lines build on each other: what depends on a red line
is not run. Nothing has to be saved before, and no token is shared with the sync, so a corrected secret shows at once.

"Validate Microsoft Dynamics Sync" (Marketo's documents).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import httpx
import sqlalchemy as sa

from crmsync.dynamics.pacing import Sleep
from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.beside import beside
from crmsync.engine.checks.custom import custom_checks
from crmsync.engine.checks.dynamics import dynamics_checks
from crmsync.engine.checks.look import Look
from crmsync.engine.checks.marketo import SIGN_IN, clock_check, marketo_checks
from crmsync.engine.checks.running import Check, run
from crmsync.engine.checks.seven import URL, seven
from crmsync.engine.guards import remembering
from crmsync.engine.report import CheckLine
from crmsync.engine.rights import selected_columns
from crmsync.engine.session import utc_now
from crmsync.fields.model import Selection
from crmsync.secrets import SecretStore
from crmsync.state.database import state_url
from crmsync.state.store import open_store
from crmsync.state.tenantstore import Binding
from crmsync.tenants import Tenant

__all__ = ["Check", "bound_before", "filters_before", "run", "selected_before", "validate"]

Selected = Mapping[str, frozenset[str]]
"""Columns by entity."""


async def validate(
    tenant: Tenant,
    secrets: SecretStore,
    *,
    selected: Selected | None = None,
    filters: Mapping[str, str] | None = None,
    others: Mapping[str, Binding] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], datetime] = utc_now,
) -> list[CheckLine]:
    """Run the checklist. Red lines are in the result; nothing is raised for them.

    ``selected`` are the columns that the tenant syncs already (``selected_before``), ``filters`` the sync filters that
    its entities have (``filters_before``), ``others`` what other tenants are bound to (``bound_before``).
    ``transport``, ``sleep`` and ``clock`` are seams for tests.
    """
    async with AsyncExitStack() as stack:
        look = Look(
            tenant, secrets, stack, transport, sleep, clock, selected or {}, filters=filters or {}, others=others or {}
        )
        async with beside() as group:
            dynamics, marketo = group.create_task(_dynamics(look)), group.create_task(_marketo(look))
        return [*dynamics.result(), *marketo.result()]


async def _dynamics(look: Look) -> list[CheckLine]:
    try:
        return await run(
            "Dynamics", [*seven(look), *dynamics_checks(look), *custom_checks(look), clock_check(look, "Dynamics", URL)]
        )
    finally:
        look.dynamics_done.set()


async def _marketo(look: Look) -> list[CheckLine]:
    return await run("Marketo", [*marketo_checks(look), clock_check(look, "Marketo", SIGN_IN)])


async def selected_before(tenant: str, url: str | None = None) -> Selected:
    """The columns that a tenant selected in the state store, without those that are parked; none where there is no
    store yet, which is not made for this."""
    if not _is_there(state_url(url)):
        return {}
    async with open_store(url) as store:
        body = await store.schemas.selection(tenant)
        if body is None:
            return {}
        parked = {(one.entity, one.attribute) for one in await store.schemas.parked(tenant)}
    found = selected_columns(Selection.model_validate_json(body))
    return {entity: frozenset(n for n in names if (entity, n) not in parked) for entity, names in found.items()}


async def filters_before(tenant: str, url: str | None = None) -> dict[str, str]:
    """The sync filters that a tenant's entities have by the state store, with their MetadataIds; none where there is no
    store yet."""
    if not _is_there(state_url(url)):
        return {}
    async with open_store(url) as store:
        body = await store.schemas.selection(tenant)
        snapshot = await store.schemas.snapshot(tenant, "dynamics")
    if body is None or snapshot is None:
        return {}
    return remembering(Selection.model_validate_json(body), DynamicsSchema.model_validate_json(snapshot)).filters


async def bound_before(tenant: str, url: str | None = None) -> dict[str, Binding]:
    """What the other tenants of the state store are bound to, where there is a store."""
    if not _is_there(state_url(url)):
        return {}
    async with open_store(url) as store:
        return await store.tenants.bindings(but=tenant)


def _is_there(url: sa.URL) -> bool:
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()
