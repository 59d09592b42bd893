"""Security roles: the role of the sync user, what it holds, and whose it is.

A role lives in a business unit, and each unit below has its own copy; a user takes the copy of its own unit.

"Security roles and privileges", AddPrivilegesRole, RetrieveRolePrivilegesRole, "Associate and disassociate table rows
using the Web API" (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crmsync.dynamics import rows
from crmsync.dynamics.answers import done
from crmsync.dynamics.channel import ROOT, Channel, url
from crmsync.dynamics.setup_answers import PRIVILEGE_IDS, ROLE_PRIVILEGES, ROLES, UNITS
from crmsync.errors import OperatorMustAct


@dataclass(frozen=True)
class Role:
    """A role, or the copy of one in a business unit."""

    id: str
    name: str
    managed: bool


@dataclass(frozen=True)
class BusinessUnit:
    """A business unit; the root one has no parent."""

    id: str
    name: str


async def root_unit(channel: Channel) -> BusinessUnit:
    """The business unit above all others."""
    return (await _units(channel, "_parentbusinessunitid_value eq null"))[0]


async def unit_named(channel: Channel, name: str) -> BusinessUnit:
    """The business unit of this name; raises ``OperatorMustAct``."""
    found = await _units(channel, f"name eq '{_quoted(name)}'")
    if not found:
        raise OperatorMustAct(
            f"The organization has no business unit '{name}'",
            remedy="Name one as Power Platform admin center > Environments > Settings > Business units shows it.",
            tenant=channel.tenant,
        )
    return found[0]


async def _units(channel: Channel, wanted: str) -> list[BusinessUnit]:
    body = await channel.get(url("businessunits", select="name", filter=wanted), UNITS, entity="businessunit")
    return [BusinessUnit(row["businessunitid"], row["name"]) for row in body["value"]]


async def find_role(channel: Channel, name: str, unit_id: str) -> Role | None:
    """The role of this name in a business unit."""
    wanted = f"name eq '{_quoted(name)}' and _businessunitid_value eq {unit_id}"
    body = await channel.get(url("roles", select="roleid,name,ismanaged", filter=wanted), ROLES, entity="role")
    return _role(body["value"][0]) if body["value"] else None


async def roles_of(channel: Channel, user_id: str) -> list[Role]:
    """The roles that are assigned to a user itself (teams may give more)."""
    path = url(f"systemusers({user_id})/systemuserroles_association", select="roleid,name,ismanaged")
    return [_role(row) for row in (await channel.get(path, ROLES, entity="role"))["value"]]


def _role(row: dict[str, Any]) -> Role:
    return Role(str(row["roleid"]).lower(), row["name"], managed=bool(row.get("ismanaged")))


async def create_role(channel: Channel, name: str, unit_id: str, *, headers: Mapping[str, str]) -> str:
    """A role without privileges; its id."""
    body = {"name": name, "businessunitid@odata.bind": f"/businessunits({unit_id})"}
    return await rows.create(channel, "roles", body, headers=headers)


async def delete_role(channel: Channel, role_id: str) -> None:
    """Delete a role with all its copies; whoever had it has it no more."""
    await rows.delete(channel, "roles", role_id)


async def held(channel: Channel, role_id: str) -> dict[str, str]:
    """The depth of each privilege that a role holds, by name."""
    body = await channel.get(f"RetrieveRolePrivilegesRole(RoleId={role_id})", ROLE_PRIVILEGES, entity="role")
    return {row["PrivilegeName"]: row["Depth"] for row in body["RolePrivileges"]}


async def privilege_ids(channel: Channel, names: Iterable[str]) -> dict[str, str]:
    """The ids of those of these privileges that the organization knows."""
    wanted = " or ".join(f"name eq '{name}'" for name in names)
    body = await channel.get(url("privileges", select="name", filter=wanted), PRIVILEGE_IDS, entity="privilege")
    return {row["name"]: row["privilegeid"] for row in body["value"]}


async def add_privileges(channel: Channel, role_id: str, ids: Iterable[str], depth: str) -> None:
    """Give a root role privileges; its copies get them too."""
    given = [{"PrivilegeId": one, "Depth": depth} for one in ids]
    path = f"roles({role_id})/Microsoft.Dynamics.CRM.AddPrivilegesRole"
    await channel.send("POST", path, entity="role", json={"Privileges": given}, read=done)


async def assign(channel: Channel, user_id: str, role_id: str) -> None:
    """Give a user a role of its own business unit."""
    link = {"@odata.id": f"{channel.origin}{ROOT}roles({role_id})"}
    path = f"{_roles_link(user_id)}/$ref"
    await channel.send("POST", path, entity="role", json=link, repeatable=False, read=done)


async def unassign(channel: Channel, user_id: str, role_id: str) -> None:
    """Take a role from a user."""
    where = f"{_roles_link(user_id)}/$ref?$id={channel.origin}{ROOT}roles({role_id})"
    await channel.send("DELETE", where, entity="role", read=done)


def _roles_link(user_id: str) -> str:
    return f"systemusers({user_id})/systemuserroles_association"


def _quoted(text: str) -> str:
    return text.replace("'", "''")
