"""Prepares an organization for the sync: the two prerequisite steps of Marketo's documents, with an administrator's
credentials that are used once and kept nowhere.

A step is data: it looks at what is there and says what it would change. Planning only looks; preparing does what the
looks say, in order; so a second time there is nothing to do. What each step does is in ``solution`` (step 1)
and ``user`` (step 2).

"Step 1 of 3: Install the Marketo Solution", "Step 2 of 3: Set up Sync User" (Marketo's documents).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.pacing import Sleep
from crmsync.dynamics.setup_import import Tell
from crmsync.engine.names import FILTERABLE, check_names, filterable_names
from crmsync.engine.prepare import solution, user
from crmsync.engine.prepare.report import Choices, StepName, StepReport
from crmsync.engine.prepare.stage import Found, Stage, Step
from crmsync.errors import ApplicationUserMissing, CredentialsRefused, CrmsyncError, OperatorMustAct, PermissionMissing
from crmsync.secrets import SecretStore
from crmsync.tenants import Tenant

STEPS: tuple[Step, ...] = (*solution.STEPS, *user.STEPS)
"""All steps, in order. They are undone in the opposite one."""

ADMINISTRATOR = (
    "Give the client id and secret of an application whose application user has the security role System Administrator "
    "in this organization (Power Platform admin center > Environments > Settings > Application users). It is needed "
    "once, not stored, and may be deleted afterwards."
)


async def prepare(
    tenant: Tenant,
    secrets: SecretStore,
    *,
    admin_client_id: str,
    admin_secret: SecretStr,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    plan: bool = False,
    undo: Sequence[StepName] = (),
    tell: Tell = lambda line: None,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> list[StepReport]:
    """Prepare the organization, or with ``plan`` only say what would be done; or ``undo`` these steps.

    Can be repeated: what is there is kept. ``tell`` hears what takes long; ``transport`` and ``sleep`` are seams for
    tests. Raises the error that names what stands against it; what was done before it stays.
    """
    check_names(choices.sync_filter, filterable_names(tenant), tenant=tenant.tenant, which=FILTERABLE)
    connection = tenant.dynamics.model_copy(update={"client_id": admin_client_id})
    client = DynamicsClient(
        connection,
        ClientSecret(value=admin_secret),
        tenant=tenant.tenant,
        ca_path=tenant.ca_path,
        transport=transport,
        sleep=sleep,
    )
    async with client:
        stage = Stage(tenant, secrets, client, choices, sleep=sleep, tell=tell, transport=transport)
        async with _as_administrator():
            await client.who_am_i()
        async with _with_privileges():
            if undo:
                return [await _undo(stage, step, plan=plan) for step in reversed(STEPS) if step.name in undo]
            return [await _do(stage, step, plan=plan) for step in STEPS]


async def _do(stage: Stage, step: Step, *, plan: bool) -> StepReport:
    return await _carry_out(step, await step.look(stage), plan=plan, done="changed")


async def _undo(stage: Stage, step: Step, *, plan: bool) -> StepReport:
    if step.undo is None:
        return StepReport(step=step.name, title=step.title, status="cannot be undone", there=step.why_no_undo)
    return await _carry_out(step, await step.undo(stage), plan=plan, done="undone")


async def _carry_out(step: Step, found: Found, *, plan: bool, done: str) -> StepReport:
    report = StepReport(step=step.name, title=step.title, status="nothing to do", there=found.there)
    if found.changes:
        report.status = "would change" if plan else ("undone" if done == "undone" else "changed")
    for change in found.changes:
        told = None if plan else await change.apply()
        report.changes.append(told or change.text)
    return report


@asynccontextmanager
async def _as_administrator() -> AsyncIterator[None]:
    """The sign-in's errors speak of the sync user's application; here it is the administrator's."""
    try:
        yield
    except (CredentialsRefused, ApplicationUserMissing, PermissionMissing) as error:
        raise _about_administrator(error) from error


@asynccontextmanager
async def _with_privileges() -> AsyncIterator[None]:
    try:
        yield
    except PermissionMissing as error:
        raise _about_administrator(error) from error


def _about_administrator(error: OperatorMustAct) -> CrmsyncError:
    return type(error)(
        f"The administrator's application: {error.message}",
        remedy=ADMINISTRATOR,
        tenant=error.tenant,
        entity=error.entity,
        code=error.code,
        status=error.status,
        request_id=error.request_id,
    )
