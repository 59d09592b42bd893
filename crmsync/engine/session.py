"""A session: one tenant, opened. Both clients, the store, and the lease that makes it the only writer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from crmsync.dynamics.auth import ClientCertificate, ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.engine.beside import beside
from crmsync.engine.brake import Brake
from crmsync.engine.keeper import Clearance, Keeper
from crmsync.errors import TenantBusy
from crmsync.marketo.client import MarketoClient
from crmsync.secrets import SecretStore
from crmsync.state.fence import held
from crmsync.state.leases import Lease
from crmsync.state.store import Store, open_store
from crmsync.tenants import DynamicsConnection, Tenant


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Session:
    """One tenant with its clients and the store. ``run`` names the flow run in the audit log; ``sleep``, ``clock`` and
    ``keeper_sleep`` (the lease's) are seams for tests. ``memo`` keeps what was read of the store and still holds, for a
    session of many cycles. ``clearance`` is what the clients' calls pass, ``brake`` the one of the run at work."""

    tenant: Tenant
    store: Store
    dynamics: DynamicsClient
    marketo: MarketoClient
    run: str
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], datetime] = utc_now
    memo: dict[str, Any] = field(default_factory=dict, repr=False)
    keeper_sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clearance: Clearance = field(default_factory=Clearance, repr=False)
    brake: Brake = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.brake = Brake(self.store, self.tenant)

    @property
    def name(self) -> str:
        return self.tenant.tenant

    async def new_brake(self, *, allow: bool, command: str) -> None:
        """The brake of a run that begins; ``command`` is what an operator runs to ``allow`` what it holds."""
        self.brake = Brake(self.store, self.tenant, allowed=allow, command=command)
        await self.brake.open()

    @asynccontextmanager
    async def lease(self, *, patience: float = 0) -> AsyncIterator[None]:
        """Be the only writer of this tenant; entering twice is allowed. Raises ``TenantBusy`` when another run still
        is after ``patience`` seconds. What is inside ends with ``LeaseLost`` when another run takes over."""
        if self.clearance.keeper is not None:
            yield
            return
        lease, asked_at = await self._taken(patience)
        self.clearance.keeper = keeper = Keeper(self.store.leases, lease, asked_at=asked_at, sleep=self.keeper_sleep)
        try:
            async with beside() as group:
                keeping = group.create_task(keeper.keep())
                with held(self.name, lease.holder, lease.token):
                    yield
                keeping.cancel()
        finally:
            self.clearance.keeper = None
            await keeper.close()
            await self.store.leases.give_back(lease)

    async def _taken(self, patience: float) -> tuple[Lease, float]:
        """The lease, and since when it surely lasts."""
        until = self.clock() + timedelta(seconds=patience)
        while True:
            asked_at = time.monotonic()
            if (lease := await self.store.leases.take(self.name, self.run, sleep=self.sleep)) is not None:
                return lease, asked_at
            if self.clock() >= until:
                raise await self.busy(self.name)
            await self.sleep(1)

    async def busy(self, tenant: str) -> TenantBusy:
        """The error that says who holds a tenant."""
        other = await self.store.leases.get(tenant)
        if other is None:
            return TenantBusy("Another run has just held the tenant", tenant=tenant)
        return TenantBusy(
            f"Run '{other.run}' on {other.host} (process {other.process}) holds the tenant since "
            f"{other.acquired_at:%Y-%m-%d %H:%M:%S} UTC; its lease lasts until {other.expires_at:%H:%M:%S} UTC",
            tenant=tenant,
        )


@asynccontextmanager
async def open_session(
    tenant: Tenant, secrets: SecretStore, *, run: str, state_url: str | None = None, store: Store | None = None
) -> AsyncIterator[Session]:
    """Open a tenant: look its secrets up, connect both clients and the store. No call is made yet. A ``store`` that is
    open already, for many tenants, is left open.

    Raises ``SecretMissing`` or, for the store, ``OperatorMustAct``.
    """
    name, marketo = tenant.tenant, tenant.marketo
    credential = await dynamics_credential(tenant.dynamics, secrets, tenant=name)
    secret = await secrets.get(marketo.client_secret, tenant=name, purpose="Marketo client secret")
    clearance = Clearance()
    async with AsyncExitStack() as stack:
        if store is None:
            store = await stack.enter_async_context(open_store(state_url))
        dynamics = await stack.enter_async_context(
            DynamicsClient(
                tenant.dynamics,
                credential,
                tenant=name,
                ca_path=tenant.ca_path,
                concurrent=tenant.quota.dynamics_concurrent_requests,
                clearance=clearance,
            )
        )
        client = await stack.enter_async_context(
            MarketoClient(marketo, secret, tenant=name, quota=tenant.quota, ca_path=tenant.ca_path, clearance=clearance)
        )
        yield Session(tenant=tenant, store=store, dynamics=dynamics, marketo=client, run=run, clearance=clearance)


async def dynamics_credential(
    connection: DynamicsConnection, secrets: SecretStore, *, tenant: str
) -> ClientSecret | ClientCertificate:
    """The client secret or the certificate, whichever the tenant file names."""
    if connection.certificate is not None:
        key: SecretStr = await secrets.get(
            connection.certificate.private_key, tenant=tenant, purpose="private key of the Entra certificate"
        )
        return ClientCertificate(private_key=key, thumbprint=connection.certificate.thumbprint)
    assert connection.client_secret is not None  # the model demands one of the two
    secret = await secrets.get(connection.client_secret, tenant=tenant, purpose="Entra client secret")
    return ClientSecret(value=secret)
