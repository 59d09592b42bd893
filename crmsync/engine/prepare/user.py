"""Step 2 of ``prepare``: the sync user, its role, Marketo's record that names it, and publishing.

"Step 2 of 3: Set up Sync User" (Marketo's documents); "Manage application users" (Microsoft's documents) for the time
that a new user takes until it may sign in.
"""

from __future__ import annotations

from crmsync.dynamics import setup_import, setup_roles, setup_users
from crmsync.dynamics.privileges import ROLE
from crmsync.dynamics.setup_users import ApplicationUser
from crmsync.engine.prepare.stage import Change, Found, Stage, Step
from crmsync.errors import ApplicationUserMissing, CredentialsRefused, OperatorMustAct, SecretMissing

LONGEST_WAIT = 10 * 60.0
"""Seconds that a new application user is waited for."""
BETWEEN_LOOKS = 10.0
NO_MEMBER = "0x80072560"


async def look_at_user(stage: Stage) -> Found:
    """The application user of the tenant file's client id: there, enabled, in the right business unit."""
    user = await setup_users.find_user(stage.channel, stage.client_id)
    named = stage.choices.business_unit
    if user is not None and not user.deleted:
        return Found(f"It is there: {_described(stage, user)}", await _corrections(stage, user, named))
    unit = await (setup_roles.unit_named(stage.channel, named) if named else setup_roles.root_unit(stage.channel))

    async def create() -> str:
        if user is not None:
            await setup_users.delete_user(stage.channel, user.id)
        await setup_users.create_user(stage.channel, stage.client_id, unit.id)
        made = await setup_users.find_user(stage.channel, stage.client_id)
        assert made is not None  # it was made a moment ago
        return f"Made {_described(stage, made)} in business unit '{unit.name}'"

    there = "It was deleted, but its client id is still taken" if user else "It is not there"
    first = "Purge it, and make" if user else "Make"
    text = f"{first} an application user for client id {stage.client_id} in business unit '{unit.name}'"
    return Found(there, (Change(text, create),))


async def _corrections(stage: Stage, user: ApplicationUser, unit_name: str | None) -> tuple[Change, ...]:
    changes: list[Change] = []
    if user.disabled:

        async def enable() -> None:
            await setup_users.enable_user(stage.channel, user.id)

        changes.append(Change("Enable it", enable))
    if unit_name is not None:
        unit = await setup_roles.unit_named(stage.channel, unit_name)

        async def move() -> None:
            await setup_users.move_user(stage.channel, user.id, unit.id)

        if unit.id.lower() != user.unit_id:
            changes.append(Change(f"Move it to business unit '{unit.name}'; it loses its roles by that", move))
    return tuple(changes)


def _described(stage: Stage, user: ApplicationUser) -> str:
    """The user with its e-mail, which Marketo's screens call the username."""
    text = f"'{user.name}', e-mail {user.email or 'none'} (this is the username)"
    expected = stage.tenant.dynamics.sync_user_email
    if expected and expected.lower() != user.email.lower():
        text += f"; the tenant file says '{expected}': correct 'sync_user_email' there"
    return text


async def undo_user(stage: Stage) -> Found:
    """Delete the user for good, so that its client id is free again."""
    user = await setup_users.find_user(stage.channel, stage.client_id)
    if user is None:
        return Found("It is not there")

    async def delete() -> None:
        if not user.deleted:
            await setup_users.delete_user(stage.channel, user.id)
        if await setup_users.find_user(stage.channel, stage.client_id) is not None:
            await setup_users.delete_user(stage.channel, user.id)

    return Found(f"It is there: '{user.name}'", (Change("Delete it for good", delete),))


async def look_at_assignment(stage: Stage) -> Found:
    """The copy of the role in the user's business unit is the user's."""
    user = await setup_users.find_user(stage.channel, stage.client_id)

    async def assign() -> str:
        now = await setup_users.find_user(stage.channel, stage.client_id)
        role = await setup_roles.find_role(stage.channel, ROLE, now.unit_id) if now else None
        if now is None or role is None:
            raise OperatorMustAct(
                f"There is no role '{ROLE}' to assign, or nobody to have it",
                remedy="Give the solution file that holds the role, or run prepare without a file: it makes the role.",
                tenant=stage.channel.tenant,
            )
        await setup_roles.assign(stage.channel, now.id, role.id)
        return f"Assigned '{ROLE}' to '{now.name}'; {await _signs_in(stage)}"

    change = Change(f"Assign '{ROLE}' to the sync user", assign)
    if user is None or user.deleted:
        return Found("The sync user is not there yet", (change,))
    held = await setup_roles.roles_of(stage.channel, user.id)
    names = ", ".join(f"'{role.name}'" for role in held) or "no role"
    if any(role.name == ROLE for role in held):
        return Found(f"The sync user has {names}")
    return Found(f"The sync user has {names}", (change,))


async def _signs_in(stage: Stage) -> str:
    """Wait until Dynamics lets the sync user in: a new one is refused for a while."""
    try:
        client = await stage.sync_client()
    except SecretMissing as error:
        return f"its sign-in was not tried: {error.message}"
    waited = 0.0
    async with client as dynamics:
        while True:
            try:
                await dynamics.who_am_i()
                return "it signs in"
            except CredentialsRefused as error:
                return f"it cannot sign in: {error.message}"
            except ApplicationUserMissing as error:
                if error.code != NO_MEMBER or waited >= LONGEST_WAIT:
                    raise
            stage.tell("Waiting until Dynamics lets the new user in")
            await stage.sleep(BETWEEN_LOOKS)
            waited += BETWEEN_LOOKS


async def undo_assignment(stage: Stage) -> Found:
    """Take the role from the user."""
    user = await setup_users.find_user(stage.channel, stage.client_id)
    if user is None or user.deleted:
        return Found("The sync user is not there")
    role = next((one for one in await setup_roles.roles_of(stage.channel, user.id) if one.name == ROLE), None)
    if role is None:
        return Found("The sync user does not have it")

    async def take() -> None:
        await setup_roles.unassign(stage.channel, user.id, role.id)

    return Found("The sync user has it", (Change(f"Take '{ROLE}' from '{user.name}'", take),))


async def look_at_config(stage: Stage) -> Found:
    """Marketo Config > Default > Marketo User, where Marketo's solution is."""
    user = await setup_users.find_user(stage.channel, stage.client_id)
    table = await setup_users.find_config(stage.channel)

    async def name() -> str | None:
        found = await setup_users.find_config(stage.channel)
        record = await setup_users.read_config(stage.channel, found) if found else None
        now = await setup_users.find_user(stage.channel, stage.client_id)
        if record is None or now is None:
            return "Not done: Marketo Config has no record. Open it once in Dynamics (Settings > Marketo Config)"
        await setup_users.name_user(stage.channel, record, now.id)
        return None

    change = Change("Let Marketo Config > Default > Marketo User be the sync user", name)
    if table is None:
        if stage.to_import:
            return Found("It comes with the solution", (change,))
        return Found("Marketo's solution is not there, so there is no Marketo Config to fill in")
    record = await setup_users.read_config(stage.channel, table)
    if record is None:
        return Found("Marketo Config has no record yet: open it once in Dynamics (Settings > Marketo Config)")
    if user is not None and record.user_id == user.id:
        return Found("Marketo Config names the sync user")
    stage.publish_everything = True
    return Found(f"Marketo Config names {'another user' if record.user_id else 'nobody'}", (change,))


async def undo_config(stage: Stage) -> Found:
    """Let the record name nobody."""
    table = await setup_users.find_config(stage.channel)
    record = await setup_users.read_config(stage.channel, table) if table else None
    if record is None or record.user_id is None:
        return Found("Marketo Config names nobody, or is not there")

    async def clear() -> None:
        await setup_users.name_user(stage.channel, record, None)

    return Found("Marketo Config names a user", (Change("Let it name nobody", clear),))


async def look_at_publishing(stage: Stage) -> Found:
    """Publish what earlier steps changed."""

    async def everything() -> None:
        await setup_import.publish_all(stage.channel, sleep=stage.sleep, tell=stage.tell)

    async def some() -> None:
        await setup_import.publish(stage.channel, sorted(stage.to_publish), sleep=stage.sleep, tell=stage.tell)

    if stage.publish_everything:
        return Found("There are changes to publish", (Change("Publish all customizations", everything),))
    if stage.to_publish:
        return Found("There are changes to publish", (Change(f"Publish {', '.join(sorted(stage.to_publish))}", some),))
    return Found("Nothing was changed that has to be published")


STEPS: tuple[Step, ...] = (
    Step("sync-user", "Sync user", look_at_user, undo_user),
    Step("role-assignment", "Role of the sync user", look_at_assignment, undo_assignment),
    Step("marketo-config", "Marketo Config", look_at_config, undo_config),
    Step("publish", "Publishing", look_at_publishing, why_no_undo="Nothing stays of it that could be undone"),
)
