"""What the checks look with: both clients, and what earlier checks found for later ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from crmsync.dynamics.client import DynamicsClient, SystemUser, WhoAmI
from crmsync.dynamics.pacing import Sleep
from crmsync.dynamics.schema import Entity
from crmsync.dynamics.setup_solutions import Solution
from crmsync.engine.session import dynamics_credential
from crmsync.fields.model import CustomLink
from crmsync.marketo.client import MarketoClient
from crmsync.secrets import SecretStore
from crmsync.state.tenantstore import Binding
from crmsync.tenants import Tenant


@dataclass
class Look:
    """One run of the checklist. ``selected`` are the columns that were selected before, by entity, ``filters`` the
    sync filters that there were, with their MetadataIds, ``others`` the bindings of the other tenants."""

    tenant: Tenant
    secrets: SecretStore
    stack: AsyncExitStack
    transport: httpx.AsyncBaseTransport | None
    sleep: Sleep
    clock: Callable[[], datetime]
    selected: Mapping[str, frozenset[str]]
    filters: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Binding] = field(default_factory=dict)
    who: WhoAmI | None = None
    user: SystemUser | None = None
    depths: Mapping[str, str] = field(default_factory=dict)
    solution: Solution | None = None
    config_user: str | None = None
    untracked: frozenset[str] = frozenset()
    entities: dict[str, Entity] = field(default_factory=dict)
    custom: dict[str, tuple[Entity, CustomLink]] = field(default_factory=dict)
    """Custom entities, and how they lead to whom they belong to."""
    clocks: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """A service's clock and ours at the same moment, by service."""
    permissions: Mapping[str, bool] = field(default_factory=dict)
    dynamics_done: asyncio.Event = field(default_factory=asyncio.Event)
    _dynamics: DynamicsClient | None = None
    _marketo: MarketoClient | None = None

    @property
    def dynamics(self) -> DynamicsClient:
        assert self._dynamics is not None  # opened by the check of the credentials, which every later one needs
        return self._dynamics

    @property
    def marketo(self) -> MarketoClient:
        assert self._marketo is not None
        return self._marketo

    @property
    def user_id(self) -> str:
        assert self.who is not None
        return self.who.user_id

    async def open_dynamics(self) -> DynamicsClient:
        """A client that shares no token with the sync."""
        connection, name = self.tenant.dynamics, self.tenant.tenant
        client = DynamicsClient(
            connection,
            await dynamics_credential(connection, self.secrets, tenant=name),
            tenant=name,
            ca_path=self.tenant.ca_path,
            concurrent=self.tenant.quota.dynamics_concurrent_requests,
            transport=self.transport,
            sleep=self.sleep,
        )
        self._dynamics = await self.stack.enter_async_context(client)
        return client

    async def open_marketo(self) -> MarketoClient:
        """A client that shares no token with the sync."""
        marketo, name = self.tenant.marketo, self.tenant.tenant
        client = MarketoClient(
            marketo,
            await self.secrets.get(marketo.client_secret, tenant=name, purpose="Marketo client secret"),
            tenant=name,
            quota=self.tenant.quota,
            ca_path=self.tenant.ca_path,
            transport=self.transport,
            sleep=self.sleep,
        )
        self._marketo = await self.stack.enter_async_context(client)
        return client

    def note_clock(self, service: str, at: datetime | None) -> None:
        """Remember what a service's clock says now."""
        if at is not None:
            self.clocks[service] = (at, self.clock())
