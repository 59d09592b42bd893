"""Our own checks of the Marketo side, of which Marketo's "Validate Sync Setup" says nothing.

"Authentication", "Lead fields" (100 custom fields over the API), "Usage" (Marketo REST API).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.listed import find
from crmsync.engine.checks.look import Look
from crmsync.engine.checks.running import Check
from crmsync.errors import (
    FieldBudgetExceeded,
    NativeSyncOn,
    OperatorMustAct,
    PermissionMissing,
    QuotaExhausted,
    TenantFileWrong,
)
from crmsync.fields.selection import select_fields
from crmsync.marketo.calls import (
    CUSTOM_OBJECT_PERMISSIONS,
    NEEDED_PERMISSIONS,
    READ_ACTIVITY,
    READ_WRITE_COMPANY,
    READ_WRITE_OPPORTUNITY,
)
from crmsync.marketo.quota import next_midnight
from crmsync.marketo.schema import CREATION_LIMIT

SIGN_IN = "Marketo sign-in"
NATIVE_SYNC = "Native sync is off"
QUOTA = "Quota left today"
BUDGET = "Custom-field budget left"
LIST = "Static list of 'create_in_dynamics'"
SKEW_ALLOWED = 300.0
"""Seconds. Tokens are good from their service's clock on, and what changed is asked for by it."""


def marketo_checks(look: Look) -> list[Check]:
    """The lines, in order."""
    signed_in = (SIGN_IN,)
    optional = {
        READ_WRITE_OPPORTUNITY: "opportunity" in look.tenant.entities,
        READ_ACTIVITY: look.tenant.to_dynamics,
    }
    permissions = [name for name in NEEDED_PERMISSIONS if optional.get(name, True)]
    permissions += CUSTOM_OBJECT_PERMISSIONS if look.tenant.custom_entities else ()
    needed = tuple(_permission(name) for name in permissions)
    return [
        Check(SIGN_IN, "Base URL, client id and secret belong together.", partial(sign_in, look)),
        *(
            Check(
                _permission(name), "The API user may do what the sync does.", partial(permission, look, name), signed_in
            )
            for name in permissions
        ),
        Check(
            NATIVE_SYNC,
            "No other CRM sync owns companies and sales persons.",
            partial(native_sync, look),
            (SIGN_IN, _permission(READ_WRITE_COMPANY)),
        ),
        Check(QUOTA, "There are calls left for today.", partial(quota, look), signed_in),
        Check(
            BUDGET,
            f"The fields to be made fit into the {CREATION_LIMIT} that the API may make.",
            partial(budget, look),
            (SIGN_IN, *needed, NATIVE_SYNC),
        ),
        *(
            [Check(LIST, "Its members are created in Dynamics.", partial(static_list, look), signed_in)]
            if look.tenant.create_in_dynamics
            else []
        ),
    ]


def clock_check(look: Look, service: str, needs: str) -> Check:
    """The line of one service's clock."""
    return Check(
        f"Clock of {service}",
        "This machine and the service agree on the time.",
        partial(clock, look, service),
        (needs,),
    )


def _permission(name: str) -> str:
    return f"Marketo permission {name}"


async def sign_in(look: Look) -> str:
    client = await look.open_marketo()
    user = await client.identity()
    look.note_clock("Marketo", client.server_time)
    return f"API user {user} of {look.tenant.marketo.subscription}"


async def permission(look: Look, name: str) -> str:
    if not look.permissions:
        wanted = bool(look.tenant.custom_entities)
        look.permissions = await look.marketo.permissions(custom_objects=wanted)
    if look.permissions[name]:
        return "given"
    raise PermissionMissing(
        f"{name} is missing",
        remedy=f"Tick '{name}' for the API user's role: Admin > Users & Roles > Roles > Access API.",
    )


async def native_sync(look: Look) -> str:
    if await look.marketo.native_sync_is_on():
        raise NativeSyncOn("Marketo's own CRM sync is on in this subscription")
    return "off"


async def quota(look: Look) -> str:
    used, ours = await look.marketo.usage_today(), look.tenant.quota.marketo_calls_per_day
    if used >= ours:
        until = next_midnight(datetime.now(UTC))
        raise QuotaExhausted(
            f"{used} of our {ours} calls are used up",
            until=until,
            remedy=f"Wait until {until:%Y-%m-%d %H:%M} UTC, or raise 'marketo_calls_per_day' in the tenant file.",
        )
    return f"{ours - used} of our {ours} calls"


async def budget(look: Look) -> str:
    """What is left, and what the tenant's fields need of it as far as the Dynamics side could be read."""
    marketo = await look.marketo.schema()
    left = CREATION_LIMIT - marketo.api_created_fields
    await look.dynamics_done.wait()
    if look.entities.keys() < set(look.tenant.entities) - {"connection"}:
        return f"{left} of {CREATION_LIMIT}; how many are needed is not known yet"
    dynamics = DynamicsSchema(taken_at=look.clock(), entities=look.entities)
    try:
        needed = len(select_fields(dynamics, marketo, look.tenant.fields).to_create)
    except TenantFileWrong:
        return f"{left} of {CREATION_LIMIT}; how many are needed is not known before the tenant file is corrected"
    except FieldBudgetExceeded as error:
        raise FieldBudgetExceeded(error.message, remedy=error.remedy) from None
    return f"{left} of {CREATION_LIMIT}, and {needed} are needed"


async def static_list(look: Look) -> str:
    assert look.tenant.create_in_dynamics is not None  # else there is no such line
    number, note = await find(look.marketo, look.tenant.create_in_dynamics.list)
    if note is not None:
        found, _, remedy = note.partition(". ")
        raise OperatorMustAct(found, remedy=remedy)
    return f"list {number}"


async def clock(look: Look, service: str) -> str:
    if service not in look.clocks:
        return f"{service} does not tell its time"
    theirs, ours = look.clocks[service]
    apart = (ours - theirs).total_seconds()
    if abs(apart) > SKEW_ALLOWED:
        raise OperatorMustAct(
            f"This machine's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} {service}'s",
            remedy="Set this machine's clock by a time server (NTP).",
        )
    return f"{abs(apart):.0f} s apart"
