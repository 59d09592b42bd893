"""A tenant file that was copied is refused; one that was renamed goes on with all that was known under its old name."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from crmsync.errors import BindingRefused, StateMismatch, TenantBusy
from crmsync.state.lifecycle import TenantState
from crmsync.state.tenantstore import Binding
from crmsync.tenants import Tenant
from tests.world import World


def named(world: World, name: str, **changes: Any) -> Tenant:
    """The tenant's file under another name."""
    return world.tenant.model_copy(update={"tenant": name, **changes})


async def connect_as(world: World, name: str, **choices: Any) -> Binding:
    """Enter credentials for the file of this name."""
    async with world.session(tenant=named(world, name)) as session:
        proof = await setup.validate_credentials(session)
        return await setup.save_credentials(session, proof, **choices)


async def cycle_of(world: World, name: str) -> Any:
    async with world.session(tenant=named(world, name)) as session:
        return await cycle(session, force=True)


async def test_a_copied_file_is_refused_with_the_name_of_the_other(connected: World) -> None:
    with pytest.raises(BindingRefused, match="bound to tenant 'contoso'") as refused:
        await connect_as(connected, "copy")

    assert "crmsync connect copy --rename contoso" in refused.value.remedy
    assert "delete copy.yaml" in refused.value.remedy
    assert (await (await connected.store()).tenants.get("copy")).state == TenantState.NEW


async def test_a_renamed_tenant_goes_on_where_it_was(connected: World) -> None:
    admin, store = await connected.admin(), await connected.store()
    [lead, *_] = await connected.rows("lead", "leadid", filter="new_synctomkto eq true")
    person = await connected.person(lead["leadid"])
    await (await connected.marketo()).delete_people([person["id"]])
    await connected.cycle()

    await connect_as(connected, "renamed", rename="contoso")
    await admin.update("leads", lead["leadid"], {"jobtitle": "Navigator"})
    report = await cycle_of(connected, "renamed")

    assert report.total.written == 0, "who was deleted in Marketo does not come again"
    assert await connected.people([lead["leadid"]]) == {}
    assert (await status(store, "contoso"))["renamed_to"] == "renamed"
    assert [move.why for move in await store.tenants.history("renamed")][-1] == "renamed from contoso"
    with pytest.raises(StateMismatch, match="renamed to 'renamed'") as refused:
        await connected.cycle()
    assert "crmsync deploy" in refused.value.remedy
    await connect_as(connected, "renamed", rename="contoso")
    with pytest.raises(BindingRefused, match="--rename renamed"):
        await connect_as(connected, "contoso")

    await connect_as(connected, "contoso", rename="renamed")
    assert (await connected.cycle()).total.written == 0
    assert (await status(store, "renamed"))["renamed_to"] == "contoso"


async def test_a_tenant_is_not_renamed_while_it_runs_nor_by_a_name_that_nobody_had(connected: World) -> None:
    async with connected.session(run="a cycle") as session, session.lease():
        with pytest.raises(TenantBusy, match="'a cycle'"):
            await connect_as(connected, "renamed", rename="contoso")

    with pytest.raises(StateMismatch, match="Nothing is known of a tenant 'contosso'") as refused:
        await connect_as(connected, "renamed", rename="contosso")
    assert "Name the old one: contoso" in refused.value.remedy
    assert (await connected.cycle()).total.written == 0


async def test_of_two_that_were_bound_to_the_same_before_the_first_goes_on(connected: World) -> None:
    """As older versions allowed: here the other's binding is made behind the product's back."""
    store = await connected.store()
    binding = (await store.tenants.get("contoso")).binding
    assert binding is not None
    await store.tenants.bind("copy", binding.model_copy(update={"subscription": "999-XYZ-999"}), run="r", why="bound")
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE tenants SET subscription = '{binding.subscription}'")

    assert (await connected.cycle()).total.written == 0
    with pytest.raises(BindingRefused, match="bound to tenant 'contoso'"):
        async with connected.session(tenant=named(connected, "copy")) as session:
            await setup.refresh_schema(session)

    with pytest.raises(StateMismatch, match="known of 'copy' already"):
        await connect_as(connected, "copy", rename="contoso")
    await connect_as(connected, "copy", rename="contoso", rebind=True)
    assert (await cycle_of(connected, "copy")).total.written == 0
