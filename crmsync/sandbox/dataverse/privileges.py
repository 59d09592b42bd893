"""Security roles: which privileges exist, which a user holds through its roles and how deep, and the check of one.

"Security roles and privileges" and "Privileges by category" (Power Platform administration documents): privilege
names follow the schema name of the table, but the user table's are ``prvReadUser`` and so on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crmsync.sandbox.dataverse.columns import Table
from crmsync.sandbox.dataverse.entities import TABLES
from crmsync.sandbox.dataverse.errors import missing_privilege
from crmsync.sandbox.dataverse.schema import NAMES

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore

RIGHTS = ("Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share")
DEPTHS = ("Basic", "Local", "Deep", "Global")
_SPECIAL_NAMES = {"SystemUser": "User", "FieldPermission": "FieldSecurityProfile", "SolutionComponent": "Solution"}
CUSTOMIZATION = (
    "prvReadEntity",
    "prvWriteEntity",
    "prvCreateEntity",
    "prvDeleteEntity",
    "prvReadAttribute",
    "prvWriteAttribute",
    "prvCreateAttribute",
    "prvDeleteAttribute",
    "prvReadRelationship",
    "prvReadOptionSet",
    "prvReadCustomization",
    "prvPublishCustomization",
    "prvImportCustomization",
    "prvReadPrivilege",
    "prvActOnBehalfOfAnotherUser",
    "prvReadOrganization",
    "prvMerge",
)


def privilege(right: str, schema_name: str) -> str:
    """The name of a table's privilege: ``prvReadLead``."""
    return f"prv{right}{_SPECIAL_NAMES.get(schema_name, schema_name)}"


def privilege_id(name: str) -> str:
    return str(uuid.uuid5(NAMES, name))


def table_privileges(table: Table) -> dict[str, tuple[str, ...]]:
    """The names of a table's privileges, and how deep each can be: owned rows to any depth, others all or none."""
    depths = ("Global",) if table.ownership in {"None", "OrganizationOwned"} else DEPTHS
    return {privilege(right, table.schema_name): depths for right in RIGHTS}


def privilege_rows(privileges: Mapping[str, tuple[str, ...]]) -> list[dict[str, object]]:
    """The rows of the privilege table for these names."""
    return [
        {"privilegeid": privilege_id(name), "name": name, **{f"canbe{one.lower()}": one in depths for one in DEPTHS}}
        for name, depths in privileges.items()
    ]


PRIVILEGE_DEPTHS: dict[str, tuple[str, ...]] = {
    name: depths for table in reversed(TABLES) for name, depths in table_privileges(table).items()
} | dict.fromkeys(CUSTOMIZATION, ("Global",))
"""Every privilege of a new organization, and the depths that it can be given with."""
PRIVILEGES: tuple[str, ...] = tuple(
    dict.fromkeys([*(privilege(right, table.schema_name) for table in TABLES for right in RIGHTS), *CUSTOMIZATION])
)
SYNC_ROLE_PRIVILEGES: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *(privilege("Read", table.schema_name) for table in TABLES),
            *(
                privilege(right, name)
                for name in ("Lead", "Contact", "Account")
                for right in RIGHTS
                if right != "Delete"
            ),
            *(privilege(right, "SystemUser") for right in ("Append", "AppendTo")),
            privilege("AppendTo", "TransactionCurrency"),
            *(name for name in CUSTOMIZATION if name.startswith("prvRead")),
        ]
    )
)


@dataclass(frozen=True)
class Caller:
    """The user behind a request, the depth of each privilege it holds, and the secured columns that it may not use.

    ``may_not`` holds the columns by what is forbidden (read, create, update) and by table.
    """

    user_id: str
    depths: dict[str, str]
    roles: int = 1
    may_not: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)

    def require(self, name: str, entity: str, type_code: int, *, depth: str = "Basic") -> None:
        """Raise 403 unless the caller holds ``name``, at least that deep."""
        held = self.depths.get(name)
        if held is None or DEPTHS.index(held) < DEPTHS.index(depth):
            holds = (self.roles, len(self.depths))
            raise missing_privilege(self.user_id, holds, name, privilege_id(name), type_code, entity)


_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextmanager
def acting(caller: Caller) -> Iterator[None]:
    """Inside the block, rows are read as ``caller`` sees them."""
    token = _CALLER.set(caller)
    try:
        yield
    finally:
        _CALLER.reset(token)


def current_user() -> str:
    """The id of the user who acts; nobody's outside of a request."""
    caller = _CALLER.get()
    return caller.user_id if caller else ""


def hidden_columns(table: str) -> frozenset[str]:
    """The secured columns of a table that the user behind the current operation may not read."""
    caller = _CALLER.get()
    return frozenset() if caller is None else caller.may_not.get("read", {}).get(table, frozenset())


def privileges_of(store: DataverseStore, user_id: str) -> dict[str, str]:
    """The depth of every privilege of a user, the deepest of all its roles."""
    rows = store.database.read(
        "SELECT privilege.name, _role_privilege.depth FROM _user_role JOIN _role_privilege USING (roleid) "
        "JOIN privilege USING (privilegeid) WHERE _user_role.systemuserid = ?",
        (user_id,),
    )
    deepest: dict[str, str] = {}
    for name, depth in rows:
        if name not in deepest or DEPTHS.index(depth) > DEPTHS.index(deepest[name]):
            deepest[name] = depth
    return deepest
