"""Where a tenant stands: moves, bindings, and the audit log that shows them."""

from __future__ import annotations

import pytest

from crmsync.errors import StateMismatch
from crmsync.state.lifecycle import TenantState
from crmsync.state.records import Outcome
from crmsync.state.store import Store
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
