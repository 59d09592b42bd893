"""The checklist: looks at both sides of a tenant, changes nothing, and says what to do about each red line.

The lines build on each other: what depends on a red line is not run. Nothing has to be saved before, and no token is
shared with the sync, so a corrected secret shows at once.

The Dynamics lines are those of "Validate Microsoft Dynamics Sync" (Marketo's documents), as far as they concern a sync
without a solution in Dynamics; change tracking and privileges at organization level are what "Use change tracking to
synchronize data with external systems" (Microsoft's documents) asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import httpx

from crmsync.dynamics.client import DynamicsClient, WhoAmI
from crmsync.engine.report import CheckLine
from crmsync.engine.session import dynamics_credential
from crmsync.errors import (
    ApplicationUserMissing,
    ChangeTrackingOff,
    CredentialsRefused,
    CrmsyncError,
    NativeSyncOn,
    PermissionMissing,
    QuotaExhausted,
)
from crmsync.marketo.calls import READ_WRITE_OPPORTUNITY
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.quota import next_midnight
from crmsync.secrets import SecretStore
from crmsync.tenants import OPTIONAL, Tenant

READ_PRIVILEGES = {
    "systemuser": "prvReadUser",
    "account": "prvReadAccount",
    "lead": "prvReadLead",
    "contact": "prvReadContact",
    "opportunity": "prvReadOpportunity",
    "connection": "prvReadConnection",
}

SIGN_IN = "Entra sign-in"
ANSWERS = "Organization answers"
MARKETO_SIGN_IN = "Marketo sign-in"
MARKETO_PERMISSIONS = "Marketo permissions"


@dataclass(frozen=True)
class Check:
    """One line to be: ``look`` gives what was found, or raises the error that makes the line red."""

    name: str
    proves: str
    look: Callable[[], Awaitable[str]]
    needs: str | None = None


async def validate(
    tenant: Tenant,
    secrets: SecretStore,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[CheckLine]:
    """Run the checklist. Red lines are in the result; nothing is raised for them. ``transport`` and ``sleep`` are
    seams for tests."""
    async with AsyncExitStack() as stack:
        look = _Look(tenant, secrets, stack, transport, sleep)
        dynamics, marketo = await asyncio.gather(
            run("Dynamics", dynamics_checks(look)), run("Marketo", marketo_checks(look))
        )
        return [*dynamics, *marketo]


async def run(side: Literal["Dynamics", "Marketo"], checks: list[Check]) -> list[CheckLine]:
    """Each check in turn; one that needs a line which is not green is not run."""
    lines: dict[str, CheckLine] = {}
    for check in checks:
        line = CheckLine(name=check.name, side=side, status="not run", proves=check.proves)
        lines[check.name] = line
        if check.needs is not None and lines[check.needs].status != "green":
            line.found = f"waits for '{check.needs}'"
            continue
        try:
            line.found = await check.look()
            line.status = "green"
        except CrmsyncError as error:
            line.status, line.found = "red", error.message
            line.remedy = error.remedy or "Try again in a few minutes; if it stays, report it with this line's text."
    return list(lines.values())


def dynamics_checks(look: _Look) -> list[Check]:
    """The lines of the Dynamics side, in order."""
    checks = [
        Check(SIGN_IN, "Entra tenant, client id and secret (or certificate) belong together.", look.sign_in),
        Check(ANSWERS, "The URL is an organization's, which has an application user for us.", look.answers, SIGN_IN),
        Check("Organization", "This is the organization that will be synced.", look.organization, ANSWERS),
        Check("Sync user", "The user that reads is the one that the tenant file means.", look.sync_user, ANSWERS),
    ]
    for entity in look.tenant.entities:
        may_read = f"Privilege to read {entity}"
        checks += [
            Check(may_read, f"Every {entity} of the organization can be read.", look.privilege(entity), ANSWERS),
            Check(
                f"Change tracking of {entity}",
                f"What changes in {entity} can be followed.",
                look.change_tracking(entity),
                may_read,
            ),
        ]
    return checks


def marketo_checks(look: _Look) -> list[Check]:
    """The lines of the Marketo side, in order."""
    return [
        Check(MARKETO_SIGN_IN, "Base URL, client id and secret belong together.", look.marketo_sign_in),
        Check(MARKETO_PERMISSIONS, "The API user may do what the sync does.", look.permissions, MARKETO_SIGN_IN),
        Check(
            "Native sync is off",
            "No other CRM sync owns companies and sales persons.",
            look.native_sync,
            MARKETO_PERMISSIONS,
        ),
        Check("Quota left today", "There are calls left for today.", look.quota, MARKETO_SIGN_IN),
    ]


@dataclass
class _Look:
    """What the checks look with, and what earlier ones found for later ones."""

    tenant: Tenant
    secrets: SecretStore
    stack: AsyncExitStack
    transport: httpx.AsyncBaseTransport | None
    sleep: Callable[[float], Awaitable[None]]
    _dynamics: DynamicsClient | None = None
    _marketo: MarketoClient | None = None
    _who: WhoAmI | None = None
    _depths: dict[str, str] | None = field(default=None)

    @property
    def dynamics(self) -> DynamicsClient:
        assert self._dynamics is not None  # made by sign_in, which every other line needs
        return self._dynamics

    @property
    def marketo(self) -> MarketoClient:
        assert self._marketo is not None
        return self._marketo

    @property
    def user_id(self) -> str:
        assert self._who is not None  # found by answers
        return self._who.user_id

    async def sign_in(self) -> str:
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
        await client.sign_in()
        return f"client id {connection.client_id} in Entra tenant {connection.entra_tenant_id}"

    async def answers(self) -> str:
        self._who = await self.dynamics.who_am_i()
        return f"{self.tenant.dynamics.organization_url}, user {self._who.user_id}"

    async def organization(self) -> str:
        found = await self.dynamics.organization()
        days = found.change_tracking_expires_in_days
        kept = f"; changes can be asked for {days} days back" if days is not None else ""
        return f"{found.name} ({found.id}){kept}"

    async def sync_user(self) -> str:
        user = await self.dynamics.user(self.user_id)
        expected = self.tenant.dynamics.sync_user_email
        if user.is_disabled:
            raise ApplicationUserMissing(
                f"The user '{user.full_name}' is disabled",
                remedy="Enable it: Power Platform admin center > Environments > Settings > Application users.",
            )
        if expected and (user.email or "").lower() != expected.lower():
            raise CredentialsRefused(
                f"The credentials belong to '{user.email or user.full_name}', the tenant file names '{expected}'",
                remedy="Give the client id of that user's application, or correct 'sync_user_email'.",
            )
        return f"{user.full_name} <{user.email}>" if user.email else user.full_name

    def privilege(self, entity: str) -> Callable[[], Awaitable[str]]:
        async def look() -> str:
            if self._depths is None:
                self._depths = await self.dynamics.privilege_depths(self.user_id)
            name = READ_PRIVILEGES[entity]
            depth = self._depths.get(name)
            if depth == "Global":
                return f"{name} at organization level"
            raise PermissionMissing(
                f"{name} reaches {_REACH[depth]} only" if depth else f"{name} is missing",
                remedy=f"Give the application user's security role '{name}' at organization level (Power Platform "
                "admin center > Settings > Security roles; the full green circle)." + _or_without(entity),
            )

        return look

    def change_tracking(self, entity: str) -> Callable[[], Awaitable[str]]:
        async def look() -> str:
            definition = await self.dynamics.entity(entity)
            if not definition.change_tracking_enabled:
                table = definition.display_name or entity
                raise ChangeTrackingOff(
                    f"Change tracking is not enabled for {entity}",
                    remedy=f"Enable it: make.powerapps.com > Tables > {table} > Properties > Advanced options > "
                    "Track changes; then publish." + _or_without(entity),
                )
            # The first page of a first read is the proof: it is what the sync does, and it changes nothing.
            pages = self.dynamics.changes(definition, [definition.primary_id], page_size=1)
            async with aclosing(pages):
                page = await anext(pages)
            return "on, and a first read works" if page.records else "on; there are no records yet"

        return look

    async def marketo_sign_in(self) -> str:
        marketo, name = self.tenant.marketo, self.tenant.tenant
        secret = await self.secrets.get(marketo.client_secret, tenant=name, purpose="Marketo client secret")
        client = MarketoClient(
            marketo,
            secret,
            tenant=name,
            quota=self.tenant.quota,
            ca_path=self.tenant.ca_path,
            transport=self.transport,
            sleep=self.sleep,
        )
        self._marketo = await self.stack.enter_async_context(client)
        return f"API user {await client.identity()} of {marketo.subscription}"

    async def permissions(self) -> str:
        found = await self.marketo.permissions()
        if "opportunity" not in self.tenant.entities:
            found.pop(READ_WRITE_OPPORTUNITY, None)
        missing = [name for name, given in found.items() if not given]
        if missing:
            names = ", ".join(missing)
            raise PermissionMissing(
                f"Missing: {names}",
                remedy=f"Tick {names} for the API user's role: Admin > Users & Roles > Roles > Access API.",
            )
        return ", ".join(found)

    async def native_sync(self) -> str:
        if await self.marketo.native_sync_is_on():
            raise NativeSyncOn("Marketo's own CRM sync is on in this subscription")
        return "off"

    async def quota(self) -> str:
        used, ours = await self.marketo.usage_today(), self.tenant.quota.marketo_calls_per_day
        if used >= ours:
            until = next_midnight(datetime.now(UTC))
            raise QuotaExhausted(
                f"{used} of our {ours} calls are used up",
                until=until,
                remedy=f"Wait until {until:%Y-%m-%d %H:%M} UTC, or raise 'marketo_calls_per_day' in the tenant file.",
            )
        return f"{ours - used} of our {ours} calls"


_REACH = {"Basic": "the user's own records", "Local": "its business unit", "Deep": "its business unit and those below"}


def _or_without(entity: str) -> str:
    """The other way out, for an entity that the rest does without."""
    if entity not in OPTIONAL:
        return ""
    return f" Or leave {entity} out ('entities' in the tenant file): until then the sync goes on without it."
