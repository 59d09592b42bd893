"""Security roles and business units: every business unit has its own copy of a role; who may change and assign them.

A role lives at the business unit where it was made (its root); the units below have copies with the same privileges.
A user takes the copy of its own business unit.

"Security roles and privileges", "Business units" (Power Platform administration documents), AddPrivilegesRole,
ReplacePrivilegesRole, RemovePrivilegeRole, RetrieveRolePrivilegesRole (Dataverse Web API reference).
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.errors import ODataError, bad_request, invalid_argument, no_row, not_allowed
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid, parse_parameters
from crmsync.sandbox.dataverse.privileges import DEPTHS, Caller, privileges_of
from crmsync.sandbox.dataverse.rules import TableRules
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.visibility import business_unit_of, units_below

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row

Held = list[tuple[str, str]]
"""Privilege ids and depths."""


def create_role(store: DataverseStore, role: Row) -> None:
    """A role, and its copies in the business units below."""
    unit = role["businessunitid"]
    store.insert_many("role", [{**role, "parentrootroleid": role["roleid"]}])
    for below in units_below(store, unit):
        if below != unit:
            _copy(store, role, below)


def _copy(store: DataverseStore, role: Row, unit: str) -> None:
    root = role.get("parentrootroleid") or role["roleid"]
    kept = {name: role.get(name) for name in ("name", "ismanaged", "solutionid")}
    copy = {**kept, "roleid": str(uuid.uuid4()), "businessunitid": unit, "parentrootroleid": root}
    store.insert_many("role", [{**copy, "parentroleid": role["roleid"]}])
    held = "INSERT INTO _role_privilege SELECT ?, privilegeid, depth FROM _role_privilege WHERE roleid = ?"
    store.database.write(held, (copy["roleid"], root))


def copies_of(store: DataverseStore, role_id: str) -> list[str]:
    """A root role and its copies."""
    sql = "SELECT roleid FROM role WHERE parentrootroleid = ?"
    return [str(row[0]) for row in store.database.look(sql, (role_id,))]


def set_privileges(store: DataverseStore, role_id: str, held: Held, *, replace: bool = False) -> None:
    """Give privileges to a root role and its copies."""
    for one in copies_of(store, role_id):
        if replace:
            store.database.write("DELETE FROM _role_privilege WHERE roleid = ?", (one,))
        rows = [(one, privilege, depth) for privilege, depth in held]
        store.database.writer.executemany("INSERT OR REPLACE INTO _role_privilege VALUES (?, ?, ?)", rows)


def delete_role(store: DataverseStore, role_id: str) -> None:
    """Remove a root role, its copies and their assignments."""
    table = store.schema.tables["role"]
    for one in copies_of(store, role_id):
        store.database.write("DELETE FROM _role_privilege WHERE roleid = ?", (one,))
        store.database.write("DELETE FROM _user_role WHERE roleid = ?", (one,))
        store.database.write("DELETE FROM solutioncomponent WHERE objectid = ?", (one,))
        store.delete(table, one)


class RoleRules(TableRules):
    """Names are unique in a business unit; copies follow their root."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not values.get("name") or not values.get("businessunitid"):
            raise invalid_argument("A role needs a name and a business unit.")
        taken = "SELECT 1 FROM role WHERE name = ? AND businessunitid = ?"
        if store.database.look(taken, (values["name"], values["businessunitid"])):
            raise ODataError(
                400, "0x80044150", f"A role with the name {values['name']} exists already in this business unit."
            )
        values["parentrootroleid"] = values["roleid"]

    def after_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        for unit in units_below(store, values["businessunitid"]):
            if unit != values["businessunitid"]:
                _copy(store, values, unit)

    def before_update(self, store: DataverseStore, request: Request, current: Row, changes: Row) -> None:
        _require_root(current)
        _refuse_administrator(store, current["roleid"])
        if changes.get("businessunitid", current["businessunitid"]) != current["businessunitid"]:
            raise invalid_argument("The business unit of a role cannot be changed.")
        if "name" in changes:
            for one in copies_of(store, current["roleid"]):
                store.update(store.schema.tables["role"], one, {"name": changes["name"]})

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        _require_root(current)
        _refuse_administrator(store, current["roleid"])
        if current["ismanaged"]:
            raise not_allowed("A managed role is deleted with its solution.", "0x80040227")
        delete_role(store, current["roleid"])
        return True


class BusinessUnitRules(TableRules):
    """A new business unit gets a copy of every role of its parent."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not values.get("name") or not values.get("parentbusinessunitid"):
            raise invalid_argument("A business unit needs a name and a parent business unit.")

    def after_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        table = store.schema.tables["role"]
        parents = "SELECT roleid FROM role WHERE businessunitid = ?"
        for (role_id,) in store.database.look(parents, (values["parentbusinessunitid"],)):
            role = store.get(table, role_id)
            if role is not None:
                _copy(store, role, values["businessunitid"])

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        unit = current["businessunitid"]
        users = "SELECT 1 FROM systemuser WHERE businessunitid = ? LIMIT 1"
        if unit == store.ids.business_unit or not current["isdisabled"]:
            raise not_allowed("Only a disabled business unit can be deleted, and never the root.", "0x8004023B")
        if store.database.look(users, (unit,)) or len(units_below(store, unit)) > 1:
            raise not_allowed("The business unit still has users or business units below it.", "0x80040227")
        for (role_id,) in store.database.look("SELECT roleid FROM role WHERE businessunitid = ?", (unit,)):
            store.database.write("DELETE FROM _role_privilege WHERE roleid = ?", (role_id,))
            store.delete(store.schema.tables["role"], role_id)
        return False


def _require_root(role: Row) -> None:
    if role["parentrootroleid"] not in {None, role["roleid"]}:
        raise invalid_argument("An inherited role is changed at its root role, in the business unit above.")


def _refuse_administrator(store: DataverseStore, role_id: str) -> None:
    if role_id == store.ids.administrator_role:
        raise not_allowed("The System Administrator role cannot be changed or deleted.", "0x8004023B")


def check_assignment(store: DataverseStore, request: Request, user_id: str, role_id: str) -> None:
    """Refuse to give or take a role: without the right to, or when it is another business unit's copy."""
    caller = request.caller
    caller.require("prvAssignRole", "role", 1036)
    unit = store.database.look("SELECT businessunitid FROM role WHERE roleid = ?", (role_id,))[0][0]
    if request.method == "DELETE":
        return
    if unit != business_unit_of(store, user_id):
        raise invalid_argument("The business unit of the role is not the business unit of the user.")
    _require_as_much(store, caller, role_id)


def _require_as_much(store: DataverseStore, caller: Caller, role_id: str) -> None:
    """Nobody gives away more than it holds itself."""
    held = "SELECT name, depth FROM _role_privilege JOIN privilege USING (privilegeid) WHERE roleid = ?"
    for name, depth in store.database.look(held, (role_id,)):
        caller.require(name, "role", 1036, depth=depth)


def refuse_privilege_link() -> None:
    """Privileges of a role have actions of their own."""
    raise bad_request("The privileges of a role are changed by its actions: AddPrivilegesRole, RemovePrivilegeRole.")


# Functions and actions


def add_privileges_role(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Give privileges to a role, or make them deeper."""
    _changeable(store, table, row_id, request)
    set_privileges(store, row_id, _given(store, request))
    return Answer()


def replace_privileges_role(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Give a role these privileges and no others."""
    _changeable(store, table, row_id, request)
    set_privileges(store, row_id, _given(store, request), replace=True)
    return Answer()


def remove_privilege_role(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Take one privilege from a role."""
    _changeable(store, table, row_id, request)
    privilege = parse_guid(str(request.json().get("PrivilegeId", "")))
    for one in copies_of(store, row_id):
        store.database.write("DELETE FROM _role_privilege WHERE roleid = ? AND privilegeid = ?", (one, privilege))
    return Answer()


def _changeable(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> None:
    request.caller.require("prvWriteRole", table.name, table.definition.type_code)
    role = store.get(table, row_id)
    if role is None:
        raise no_row(table.name, row_id)
    _require_root(role)
    _refuse_administrator(store, row_id)


def _given(store: DataverseStore, request: Request) -> Held:
    """The privileges that a body names; none deeper than they can be, nor than the caller's own."""
    columns = ", ".join(f"canbe{depth.lower()}" for depth in DEPTHS)
    found = store.database.look(f"SELECT privilegeid, name, {columns} FROM privilege")
    known = {row[0]: (row[1], dict(zip(DEPTHS, row[2:], strict=True))) for row in found}
    held = []
    for one in request.json().get("Privileges", []):
        privilege, depth = parse_guid(str(one.get("PrivilegeId", ""))), one.get("Depth")
        if privilege not in known:
            raise no_row("privilege", privilege)
        name, possible = known[privilege]
        if depth not in DEPTHS:
            raise bad_request(f"The depth '{depth}' is not one of {', '.join(DEPTHS)}.")
        if not possible[depth]:
            raise invalid_argument(f"The privilege {name} cannot have the depth {depth}.")
        request.caller.require(name, "role", 1036, depth=depth)
        held.append((privilege, depth))
    return held


def role_privileges(store: DataverseStore, role_id: str) -> list[dict[str, Any]]:
    """A role's privileges as complex type ``RolePrivilege``."""
    unit = store.database.look("SELECT businessunitid FROM role WHERE roleid = ?", (role_id,))
    if not unit:
        raise no_row("role", role_id)
    held = "SELECT depth, privilegeid, name FROM _role_privilege JOIN privilege USING (privilegeid) WHERE roleid = ?"
    return [
        {"Depth": depth, "PrivilegeId": privilege, "BusinessUnitId": unit[0][0], "PrivilegeName": name}
        for depth, privilege, name in store.database.look(held, (role_id,))
    ]


def retrieve_role_privileges_role(store: DataverseStore, request: Request) -> Answer:
    """``RetrieveRolePrivilegesRole(RoleId=...)``."""
    request.caller.require("prvReadRole", "role", 1036)
    role_id = parse_parameters(request, request.segments[0].key).get("RoleId", "")
    return _answer(request, "RetrieveRolePrivilegesRoleResponse", role_privileges(store, parse_guid(role_id)))


def retrieve_user_privileges(store: DataverseStore, table: LiveTable, row_id: str, request: Request) -> Answer:
    """Every privilege of a user through its roles, with its depth."""
    if store.get(table, row_id) is None:
        raise no_row(table.name, row_id)
    if row_id != request.caller.user_id:
        request.caller.require("prvReadUser", table.name, table.definition.type_code, depth="Global")
    held = privileges_of(store, row_id)
    ids = dict(store.database.look("SELECT name, privilegeid FROM privilege"))
    unit = business_unit_of(store, row_id)
    rows = [
        {"Depth": depth, "PrivilegeId": ids[name], "BusinessUnitId": unit, "PrivilegeName": name}
        for name, depth in held.items()
    ]
    return _answer(request, "RetrieveUserPrivilegesResponse", rows)


def _answer(request: Request, name: str, rows: list[dict[str, Any]]) -> Answer:
    context = f"{request.root}$metadata#Microsoft.Dynamics.CRM.{name}"
    return Answer.json({"@odata.context": context, "RolePrivileges": rows})
