"""Where a tenant stands: moves, bindings, and the audit log that shows them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from crmsync.errors import BindingRefused, LeaseLost, StateMismatch
from crmsync.state.lifecycle import TenantState
from crmsync.state.records import Outcome
from crmsync.state.sql import now
from crmsync.state.store import Store
from crmsync.state.tables import LEDGER, UtcTime, audit, metadata, runs
from crmsync.state.tenantstore import Binding

CONTOSO = Binding(
    organization_id="0b0c0d0e-0000-4000-8000-000000000001",
    organization_name="Contoso",
    organization_url="https://contoso.crm.dynamics.com",
    sync_user_id="0b0c0d0e-0000-4000-8000-000000000002",
    subscription="123-ABC-456",
)
FABRIKAM = CONTOSO.model_copy(update={"organization_id": "f" * 36, "organization_name": "Fabrikam"})


async def test_a_tenant_nobody_has_seen_is_new(store: Store) -> None:
    row = await store.tenants.get("contoso")

    assert row.state == TenantState.NEW
    assert row.binding is None


async def test_every_move_is_a_row_of_the_audit_log(store: Store) -> None:
    await store.tenants.bind("contoso", CONTOSO, run="run 1", why="bound")
    await store.tenants.advance("contoso", TenantState.SCHEMA_REFRESHED, run="run 1", why="read")
    await store.tenants.advance("contoso", TenantState.FIELDS_SELECTED, run="run 2", why="selected")

    history = await store.tenants.history("contoso")

    assert [(one.from_state, one.to_state, one.run) for one in history] == [
        ("new", "credentials_saved", "run 1"),
        ("credentials_saved", "schema_refreshed", "run 1"),
        ("schema_refreshed", "fields_selected", "run 2"),
    ]
    assert history[0].at.tzinfo is not None


async def test_advancing_to_a_step_that_was_reached_keeps_the_tenant_where_it_is(store: Store) -> None:
    await store.tenants.bind("contoso", CONTOSO, run="r", why="bound")
    await store.tenants.advance("contoso", TenantState.SCHEMA_REFRESHED, run="r", why="read")

    await store.tenants.bind("contoso", CONTOSO, run="r", why="bound again")
    await store.tenants.advance("contoso", TenantState.CREDENTIALS_SAVED, run="r", why="again")

    assert (await store.tenants.get("contoso")).state == TenantState.SCHEMA_REFRESHED


async def test_a_step_cannot_be_left_out(store: Store) -> None:
    with pytest.raises(StateMismatch, match="'new' and cannot become 'syncing'") as refused:
        await store.tenants.move("contoso", TenantState.SYNCING, run="r", why="hurry")

    assert "connect" in refused.value.remedy


async def test_a_stopped_tenant_keeps_its_reason_until_it_goes_on(store: Store) -> None:
    await store.tenants.bind("contoso", CONTOSO, run="r", why="bound")
    for step in (TenantState.SCHEMA_REFRESHED, TenantState.FIELDS_SELECTED, TenantState.FIRST_SYNC):
        await store.tenants.move("contoso", step, run="r", why="on")

    await store.tenants.move("contoso", TenantState.STOPPED, run="r", why="error", reason="the secret expired")
    assert (await store.tenants.get("contoso")).reason == "the secret expired"

    await store.tenants.move("contoso", TenantState.FIRST_SYNC, run="r", why="enabled")
    assert (await store.tenants.get("contoso")).reason is None


async def test_rebinding_forgets_what_was_known_of_the_old_organization(store: Store) -> None:
    await store.tenants.bind("contoso", CONTOSO, run="r", why="bound")
    await store.records.land("contoso", "lead", [Outcome("a" * 36, "synced", True, 1, None, None, None, None, 1)])

    await store.tenants.rebind("contoso", FABRIKAM, run="r", why="rebound")

    row = await store.tenants.get("contoso")
    assert row.binding == FABRIKAM
    assert row.state == TenantState.CREDENTIALS_SAVED
    assert await store.records.known("contoso", "lead", ["a" * 36]) == {}
    assert (await store.tenants.history("contoso"))[-1].why == "rebound"


async def test_of_two_tenants_that_are_bound_to_the_same_at_once_one_is(store: Store) -> None:
    done = await asyncio.gather(
        *(store.tenants.bind(name, CONTOSO, run="r", why="bound") for name in ("contoso", "copy")),
        return_exceptions=True,
    )

    [refused] = [one for one in done if one is not None]
    assert isinstance(refused, BindingRefused)
    assert await store.tenants.first_bound(CONTOSO) not in (None, refused.tenant)


def a_row(table: sa.Table, tenant: str) -> dict[str, Any]:
    """Any row of this table that its tenant may have."""
    values: dict[type, Any] = {str: "x", int: 1, bool: True, float: 1.0, bytes: b"x", list: [], dict: {}}
    return {
        column.name: now() if isinstance(column.type, UtcTime) else values[column.type.python_type]
        for column in table.c
        if not (column.primary_key and column.autoincrement is True)
    } | {"tenant": tenant}


async def fill(store: Store, tenant: str) -> None:
    """One row of the tenant in every table that has any."""
    async with store.engine.begin() as connection:
        for table in (*LEDGER, runs):
            await connection.execute(sa.insert(table), [a_row(table, tenant)])


async def tables_of(store: Store, tenant: str) -> set[str]:
    async with store.engine.connect() as connection:
        return {
            table.name
            for table in metadata.sorted_tables
            if "tenant" in table.c
            and await connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.tenant == tenant))
        }


async def test_a_renamed_tenant_takes_every_table_along_but_the_lease(store: Store) -> None:
    await store.tenants.bind("old", CONTOSO, run="r", why="bound")
    await fill(store, "old")
    lease = await store.leases.take("old", "r")
    assert lease is not None

    await store.tenants.rename("old", "new", lease, run="r", why="renamed from old")

    every = {table.name for table in metadata.sorted_tables if "tenant" in table.c}
    assert await tables_of(store, "new") == every - {"leases"}
    assert await tables_of(store, "old") == {"tenants", "audit", "leases"}
    assert (await store.tenants.get("old")).renamed_to == "new"
    assert [move.why for move in await store.tenants.history("new")] == ["bound", "renamed from old"]

    await store.leases.give_back(lease)
    with pytest.raises(LeaseLost):
        await store.tenants.rename("old", "other", lease, run="r", why="late")


async def test_a_name_under_which_something_is_known_is_taken_only_when_that_may_be_forgotten(store: Store) -> None:
    await store.tenants.bind("old", CONTOSO, run="r", why="bound")
    await fill(store, "new")
    lease = await store.leases.take("old", "r")
    assert lease is not None

    with pytest.raises(StateMismatch, match="known of 'new' already") as refused:
        await store.tenants.rename("old", "new", lease, run="r", why="renamed")
    assert "--rename old --rebind" in refused.value.remedy
    await store.tenants.rename("old", "new", lease, run="r", why="renamed", forgetting=True)

    assert (await store.tenants.get("new")).binding == CONTOSO
    assert await tables_of(store, "new") == {"tenants", audit.name, runs.name}
