"""The seven checks of Marketo's "Validate Sync Setup", in their order and with their names.

Where Marketo's own solution is not installed, the last four look at what stands for it here, and say so: the solution
``crmsync``, change tracking, and the user that crmsync writes as.

"Validate Microsoft Dynamics Sync", "Fix Dynamics Validation Sync Issues" (Marketo's documents).
"""

from __future__ import annotations

from functools import partial

from crmsync.dynamics import setup_solutions, setup_tables, setup_users
from crmsync.dynamics.client import DynamicsClient, WhoAmI
from crmsync.dynamics.privileges import ROLE, needs, shortfall
from crmsync.dynamics.probe import probe
from crmsync.dynamics.setup_roles import roles_of
from crmsync.engine.checks.look import Look
from crmsync.engine.checks.running import Check
from crmsync.errors import (
    ApplicationUserMissing,
    ChangeTrackingOff,
    CredentialsRefused,
    OperatorMustAct,
    PermissionMissing,
    SolutionRefused,
)
from crmsync.tenants import OPTIONAL

URL = "URL is valid"
CREDENTIALS = "Username and password are valid"
ASSIGNED_ROLE = f"Sync user is assigned to the {ROLE} role"
SOLUTION = "Marketo solution is properly installed"
STEPS = "All steps in the solution are enabled"
ASSIGNED = "Sync user is assigned to the Marketo solution"
MATCHES = "Sync user matches username and password"

NOT_MARKETOS = "Marketo's own solution is not installed"
SHOWN = 5


def seven(look: Look) -> list[Check]:
    """The seven lines."""
    return [
        Check(URL, "A Dataverse organization answers at the URL in the tenant file.", partial(url, look)),
        Check(
            CREDENTIALS,
            "Entra tenant, client id and secret belong together, and the organization knows them as the sync user.",
            partial(credentials, look),
            (URL,),
        ),
        Check(ASSIGNED_ROLE, "The sync user has rights in the organization.", partial(role, look), (CREDENTIALS,)),
        Check(SOLUTION, "What the sync needs in Dynamics is installed.", partial(solution, look), (ASSIGNED_ROLE,)),
        Check(STEPS, "Dynamics notes the changes that are to be synced.", partial(steps, look), (SOLUTION,)),
        Check(ASSIGNED, "It is known whom writes into Dynamics come from.", partial(assigned, look), (SOLUTION,)),
        Check(
            MATCHES,
            "Our own writes can be told from other people's: they are not brought back.",
            partial(matches, look),
            (ASSIGNED,),
        ),
    ]


async def url(look: Look) -> str:
    connection = look.tenant.dynamics
    sign = await probe(
        connection.organization_url,
        tenant=look.tenant.tenant,
        ca_path=look.tenant.ca_path,
        transport=look.transport,
        sleep=look.sleep,
    )
    look.note_clock("Dynamics", sign.server_time)
    belongs = f" of Entra tenant {sign.entra_tenant}" if sign.entra_tenant else ""
    return f"{connection.organization_url} is a Dataverse organization{belongs}"


async def credentials(look: Look) -> str:
    client = await look.open_dynamics()
    await client.sign_in()
    look.who = await _who_am_i(look, client)
    try:
        user = look.user = await client.user(look.who.user_id)
    except PermissionMissing:
        return f"user {look.who.user_id}; without prvReadUser its e-mail cannot be compared"
    expected = look.tenant.dynamics.sync_user_email
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


async def _who_am_i(look: Look, client: DynamicsClient) -> WhoAmI:
    try:
        return await client.who_am_i()
    except ApplicationUserMissing as error:
        error.remedy = f"Run 'crmsync prepare {look.tenant.tenant}'; or by hand: {error.remedy}"
        raise


async def role(look: Look) -> str:
    look.depths = await look.dynamics.privilege_depths(look.user_id)
    wanted = [one.name for one in needs(look.tenant) if one.right != "look"]
    complete = not any(shortfall(look.depths, name) for name in wanted)
    try:
        names = [one.name for one in await roles_of(look.dynamics.channel, look.user_id)]
    except PermissionMissing as error:
        if look.depths.keys() & set(wanted):
            return f"its roles cannot be listed ({error.message}), but it has rights: see the lines below"
        names = []
    if ROLE in names:
        return f"assigned, with {len(look.depths)} privileges"
    held = ", ".join(f"'{name}'" for name in names) or "no role"
    if complete:
        return f"it has {held}, which holds every privilege that the sync needs"
    raise PermissionMissing(
        f"The sync user has {held}",
        remedy=f"Run 'crmsync prepare {look.tenant.tenant}', or assign the role '{ROLE}' (Power Platform admin center "
        "> Environments > Settings > Application users > Edit security roles); also check the app's admin consent.",
    )


async def solution(look: Look) -> str:
    found = await setup_solutions.find_solutions(look.dynamics.channel, setup_solutions.OURS)
    marketos = next((one for one in found if one.is_marketos), None)
    look.solution = marketos or next(iter(found), None)
    if look.solution is None:
        raise SolutionRefused(
            "Neither Marketo's solution nor crmsync's own set is installed",
            remedy=f"Run 'crmsync prepare {look.tenant.tenant}', with Marketo's solution file if you want to use that. "
            "What was prepared by hand is kept; the sync itself needs the role and change tracking, not the solution.",
        )
    return str(look.solution) if marketos else f"{NOT_MARKETOS}; crmsync's own set is: {look.solution}"


async def steps(look: Look) -> str:
    assert look.solution is not None  # found by the line that this one needs
    if not look.solution.is_marketos:
        return await _tracking(look)
    found = await setup_solutions.steps(look.dynamics.channel, look.solution.id)
    off = sorted(name for name, enabled in found.items() if not enabled)
    if off:
        more = f" and {len(off) - SHOWN} more" if len(off) > SHOWN else ""
        raise OperatorMustAct(
            f"{len(off)} of {len(found)} steps are disabled: {', '.join(off[:SHOWN])}{more}",
            remedy="Enable them: Settings > Solutions > Marketo's > SDK Message Processing Steps > Activate; or import "
            "the solution again with its SDK message processing steps enabled.",
        )
    return f"all {len(found)} are enabled"


async def _tracking(look: Look) -> str:
    found = await setup_tables.tracking_of(look.dynamics.channel, look.tenant.entities, optional=OPTIONAL)
    look.untracked = frozenset(one.entity for one in found if not one.on)
    if look.untracked:
        off = [one for one in found if not one.on]
        raise ChangeTrackingOff(
            f"{NOT_MARKETOS}; crmsync needs change tracking instead, which is off for "
            f"{', '.join(one.entity for one in off)}",
            remedy=f"Run 'crmsync prepare {look.tenant.tenant}', or enable it: make.powerapps.com > Tables > "
            f"{', '.join(one.name for one in off)} > Properties > Advanced options > Track changes; then publish.",
        )
    on = ", ".join(one.entity for one in found)
    return f"{NOT_MARKETOS}; crmsync needs change tracking instead, which is on for {on}"


async def assigned(look: Look) -> str:
    assert look.solution is not None
    if not look.solution.is_marketos:
        user = look.user
        named = f"'{user.full_name}' <{user.email or 'no e-mail'}>" if user else look.user_id
        return f"{NOT_MARKETOS}; crmsync's own writes come from {named}"
    table = await setup_users.find_config(look.dynamics.channel)
    record = await setup_users.read_config(look.dynamics.channel, table) if table else None
    if record is None or record.user_id is None:
        missing = "Marketo Config is not there" if table is None else "Marketo Config names no user"
        raise OperatorMustAct(
            missing,
            remedy=f"Run 'crmsync prepare {look.tenant.tenant}', or fill in Settings > Marketo Config > Default > "
            "Marketo User, save, and publish all customizations.",
        )
    look.config_user = record.user_id
    return f"Marketo Config names user {record.user_id}"


async def matches(look: Look) -> str:
    assert look.solution is not None
    if look.solution.is_marketos:
        found, what = look.config_user, "Marketo Config names another user than the one whose credentials were given"
    else:
        client_id = look.tenant.dynamics.client_id.lower()
        application = (look.user.application_id or "").lower() if look.user else client_id
        found = look.user_id if application == client_id else None
        what = "The user that answers is not the application user of the tenant file's client id"
    if found != look.user_id:
        raise OperatorMustAct(
            f"{what}: {found or 'nobody'} instead of {look.user_id}",
            remedy=f"Run 'crmsync prepare {look.tenant.tenant}', or put the right user into Settings > Marketo Config "
            "> Default > Marketo User.",
        )
    told = "" if look.solution.is_marketos else f"{NOT_MARKETOS}; "
    return f"{told}it is the user whose credentials were given"
