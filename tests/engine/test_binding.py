"""A tenant is bound to its organization and subscription; what leads elsewhere is refused and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from crmsync.engine import setup
from crmsync.engine.session import utc_now
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from crmsync.errors import (
    ApplicationUserMissing,
    BindingRefused,
    CredentialsRefused,
    CrmsyncError,
    EntraTenantUnknown,
    NativeSyncOn,
    OrganizationUrlWrong,
)
from crmsync.sandbox.server import SandboxThread
from crmsync.secrets import SecretSource
from crmsync.state.lifecycle import TenantState
from crmsync.state.tenantstore import TenantRow
from crmsync.tenants import Tenant
from tests.world import World, small_sandbox

PROBE = {"/rest/v1/companies.json"}
"""An update of a company that cannot exist: how Marketo tells whether its native sync is on."""


def with_dynamics(tenant: Tenant, **changes: object) -> Tenant:
    return tenant.model_copy(update={"dynamics": tenant.dynamics.model_copy(update=changes)})


async def refusal(world: World, tenant: Tenant) -> CrmsyncError:
    async with world.session(tenant=tenant) as session:
        with pytest.raises(CrmsyncError) as refused:
            await setup.validate_credentials(session)
    assert refused.value.remedy
    assert set(await world.written()) <= PROBE
    assert (await (await world.store()).tenants.get("contoso")).state == TenantState.NEW
    return refused.value


async def test_a_wrong_secret(contoso: World) -> None:
    (contoso.ready.tenants_folder / "wrong").write_text("not-the-secret")
    tenant = with_dynamics(contoso.tenant, client_secret=SecretSource(file=Path("wrong")))

    error = await refusal(contoso, tenant)

    assert isinstance(error, CredentialsRefused)
    assert "not-the-secret" not in str(error)


async def test_an_unknown_entra_tenant(contoso: World) -> None:
    tenant = with_dynamics(contoso.tenant, entra_tenant_id="99999999-9999-4999-8999-999999999999")

    assert isinstance(await refusal(contoso, tenant), EntraTenantUnknown)


async def test_a_wrong_organization_url(contoso: World) -> None:
    elsewhere = contoso.tenant.marketo.base_url

    assert isinstance(
        await refusal(contoso, with_dynamics(contoso.tenant, organization_url=elsewhere)), OrganizationUrlWrong
    )


async def test_no_application_user(contoso: World) -> None:
    admin = await contoso.admin()
    [user] = await contoso.rows(
        "systemuser", "systemuserid", filter=f"applicationid eq {contoso.facts['dynamics']['client_id']}"
    )
    await admin.delete("systemusers", user["systemuserid"])

    assert isinstance(await refusal(contoso, contoso.tenant), ApplicationUserMissing)


async def test_native_sync_on(contoso: World) -> None:
    await contoso.post("switches", {"tenant": "contoso", "native_sync": True})

    error = await refusal(contoso, contoso.tenant)

    assert isinstance(error, NativeSyncOn)


async def test_another_organization_for_a_bound_tenant(tmp_path: Path) -> None:
    options = small_sandbox(tmp_path / "ready.json", tenants=("contoso", "fabrikam"))
    with SandboxThread(options) as ready:
        contoso = World(ready, f"sqlite:///{tmp_path}/state.db")
        fabrikam = World(ready, contoso.state_url, "fabrikam")
        await contoso.connect()
        moved = fabrikam.tenant.model_copy(update={"tenant": "contoso"})

        async with contoso.session(tenant=moved) as session:
            proof = await setup.validate_credentials(session)
            with pytest.raises(BindingRefused, match="bound to organization") as refused:
                await setup.save_credentials(session, proof)
            with pytest.raises(BindingRefused):
                await setup.refresh_schema(session)

        assert "--rebind" in refused.value.remedy
        assert set(await fabrikam.written()) <= PROBE

        async with contoso.session(tenant=moved) as session:
            await setup.save_credentials(session, proof, rebind=True)
        row = await (await contoso.store()).tenants.get("contoso")
        assert row.binding is not None
        assert row.binding.organization_id == fabrikam.facts["dynamics"]["organization_id"]
        assert row.state == TenantState.CREDENTIALS_SAVED
        await fabrikam.close()
        await contoso.close()


async def test_a_subscription_takes_one_organization(tmp_path: Path) -> None:
    options = small_sandbox(tmp_path / "ready.json", tenants=("contoso", "fabrikam"))
    with SandboxThread(options) as ready:
        contoso = World(ready, f"sqlite:///{tmp_path}/state.db")
        fabrikam = World(ready, contoso.state_url, "fabrikam")
        await contoso.prepare()
        shared = fabrikam.tenant.model_copy(update={"marketo": contoso.tenant.marketo})

        async with fabrikam.session(tenant=shared) as session:
            proof = await setup.validate_credentials(session)
            with pytest.raises(BindingRefused, match="tenant 'contoso'"):
                await setup.save_credentials(session, proof)
        await fabrikam.close()
        await contoso.close()


def later(minutes: float) -> Callable[[], datetime]:
    """The clock of a run that begins some minutes from now."""
    return lambda: utc_now() + timedelta(minutes=minutes)


async def failed_cycle(world: World, tenant: Tenant, minutes: float) -> TenantRow:
    """What the store knows after a cycle at this time that failed for a wrong secret."""
    async with world.session(tenant=tenant) as session:
        session.clock = later(minutes)
        with pytest.raises(CredentialsRefused):
            await cycle(session, force=True)
        return await session.store.tenants.get("contoso")


@pytest.fixture
def broken(connected: World) -> Tenant:
    """The tenant with a secret that is wrong."""
    (connected.ready.tenants_folder / "wrong").write_text("not-the-secret")
    return with_dynamics(connected.tenant, client_secret=SecretSource(file=Path("wrong")))


async def test_a_secret_that_stops_working_stops_the_tenant_with_its_reason(connected: World, broken: Tenant) -> None:
    await failed_cycle(connected, broken, 0)
    row = await failed_cycle(connected, broken, 5)

    assert row.state == TenantState.STOPPED
    assert row.reason is not None
    assert "not-the-secret" not in row.reason
    assert row.doubt is None

    report = await connected.connect()
    assert report.skipped == "the first sync is done already"
    assert (await connected.cycle()).total.written == 0


async def test_one_refusal_is_no_verdict(connected: World, broken: Tenant) -> None:
    row = await failed_cycle(connected, broken, 0)
    first = row.doubted_at
    assert (row.state, row.doubt) == (TenantState.SYNCING, "CredentialsRefused")

    row = await failed_cycle(connected, broken, 2)

    assert (row.state, row.doubted_at) == (TenantState.SYNCING, first)
    told = await status(await connected.store(), "contoso")
    assert told["doubt"]["error"] == "CredentialsRefused"
    assert "client secret is wrong" in told["doubt"]["reason"]
    assert "not-the-secret" not in str(told)


async def test_a_cycle_that_ends_well_takes_a_doubt_back(connected: World, broken: Tenant) -> None:
    await failed_cycle(connected, broken, 0)
    await connected.cycle()
    assert (await status(await connected.store(), "contoso"))["doubt"] is None

    assert (await failed_cycle(connected, broken, 10)).state == TenantState.SYNCING


async def test_another_error_is_another_doubt(connected: World, broken: Tenant) -> None:
    await failed_cycle(connected, broken, 0)
    admin, client_id = await connected.admin(), connected.facts["dynamics"]["client_id"]
    [user] = await connected.rows("systemuser", "systemuserid", filter=f"applicationid eq {client_id}")
    await admin.delete("systemusers", user["systemuserid"])

    async with connected.session() as session:
        session.clock = later(10)
        with pytest.raises(ApplicationUserMissing):
            await cycle(session, force=True)

    row = await (await connected.store()).tenants.get("contoso")
    assert (row.state, row.doubt) == (TenantState.SYNCING, "ApplicationUserMissing")
