"""Tenants of a sandbox in which nothing is prepared, and an administrator who prepares and breaks them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from crmsync.dynamics.channel import url
from crmsync.engine.checks import validate
from crmsync.engine.prepare.preparing import prepare
from crmsync.engine.prepare.report import Choices, StepReport
from crmsync.engine.report import CheckLine
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.tenants import Tenant
from tests.sandbox.solutions import marketo_solution
from tests.world import World, small_sandbox

IF_ANY = {"If-Match": "*"}
TINY = Counts(leads=3, contacts=4, accounts=2)


def unprepared_sandbox(folder: Path, **changes: Any) -> SandboxOptions:
    return small_sandbox(folder / "ready.json", counts=TINY, unprepared=True, **changes)


async def prepared(world: World, choices: Choices | None = None, **how: Any) -> list[StepReport]:
    """Run ``prepare`` as the sandbox's administrator."""
    app = world.facts["dynamics"]["administrator"]
    return await prepare(
        world.tenant,
        world.secrets,
        admin_client_id=app["client_id"],
        admin_secret=SecretStr(app["client_secret"]),
        choices=choices or Choices(),
        **how,
    )


def marketos_file(folder: Path, **changes: Any) -> Path:
    """A file like Marketo's solution."""
    path = folder / "MarketoSolution.zip"
    path.write_bytes(marketo_solution(**changes))
    return path


async def checked(world: World, tenant: Tenant | None = None, **how: Any) -> dict[str, CheckLine]:
    """The checklist's lines by name."""
    return {line.name: line for line in await validate(tenant or world.tenant, world.secrets, **how)}


def red(lines: dict[str, CheckLine]) -> list[str]:
    return [name for name, line in lines.items() if line.status == "red"]


def with_dynamics(tenant: Tenant, **changes: Any) -> Tenant:
    return tenant.model_copy(update={"dynamics": tenant.dynamics.model_copy(update=changes)})


async def rows(world: World, path: str, **options: str) -> list[dict[str, Any]]:
    """Rows as the administrator reads them."""
    channel = (await world.admin()).channel
    found: list[dict[str, Any]] = (await channel.get(url(path, **options)))["value"]
    return found


async def send(world: World, method: str, path: str, body: Any = None, **headers: str) -> None:
    """One request of the administrator's."""
    channel = (await world.admin()).channel
    await channel.send(method, path, json=body, headers=headers)


async def user_id(world: World) -> str:
    client_id = world.tenant.dynamics.client_id
    (found,) = await rows(world, "systemusers", select="systemuserid", filter=f"applicationid eq {client_id}")
    return str(found["systemuserid"])


async def role_id(world: World) -> str:
    """The sync user's role; business units below the root have copies of it."""
    found = await rows(world, "roles", select="_parentrootroleid_value", filter="name eq 'Marketo Sync User'")
    return str(next(one["roleid"] for one in found if one["_parentrootroleid_value"] in (None, one["roleid"])))


async def take_privilege(world: World, name: str) -> None:
    """Remove a privilege from the role."""
    (found,) = await rows(world, "privileges", select="name", filter=f"name eq '{name}'")
    action = f"roles({await role_id(world)})/Microsoft.Dynamics.CRM.RemovePrivilegeRole"
    await send(world, "POST", action, {"PrivilegeId": found["privilegeid"]})


async def lower_privilege(world: World, name: str, depth: str) -> None:
    """Give a privilege of the role another depth."""
    (found,) = await rows(world, "privileges", select="name", filter=f"name eq '{name}'")
    action = f"roles({await role_id(world)})/Microsoft.Dynamics.CRM.AddPrivilegesRole"
    await send(world, "POST", action, {"Privileges": [{"PrivilegeId": found["privilegeid"], "Depth": depth}]})


async def custom_column(world: World, entity: str) -> str:
    """A custom text column that ``prepare`` did not make."""
    wanted = "IsCustomAttribute eq true and AttributeType eq Microsoft.Dynamics.CRM.AttributeTypeCode'String'"
    found = await rows(
        world, f"EntityDefinitions(LogicalName='{entity}')/Attributes", select="LogicalName", filter=wanted
    )
    return str(next(row["LogicalName"] for row in found if row["LogicalName"].startswith(("new_", "cr_"))))


async def secure(world: World, entity: str, column: str, *, secured: bool = True) -> None:
    """Switch column security on or off for a column."""
    path = f"EntityDefinitions(LogicalName='{entity}')/Attributes(LogicalName='{column}')"
    definition = await (await world.admin()).channel.get(path)
    await send(world, "PUT", path, definition | {"IsSecured": secured}, **{"MSCRM.MergeLabels": "true"})


Break = Callable[[World], Awaitable[None]]
