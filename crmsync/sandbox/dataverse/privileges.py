"""Security roles: which privileges exist, which a user holds through its roles and how deep, and the check of one.

"Security roles and privileges" and "Privileges by category" (Power Platform administration documents): privilege
names follow the schema name of the table, but the user table's are ``prvReadUser`` and so on.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmsync.sandbox.dataverse.entities import TABLES
from crmsync.sandbox.dataverse.errors import missing_privilege
from crmsync.sandbox.dataverse.schema import NAMES

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore

RIGHTS = ("Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share")
DEPTHS = ("Basic", "Local", "Deep", "Global")
_SPECIAL_NAMES = {"SystemUser": "User"}
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
    "prvReadPrivilege",
    "prvActOnBehalfOfAnotherUser",
    "prvReadOrganization",
)


def privilege(right: str, schema_name: str) -> str:
    """The name of a table's privilege: ``prvReadLead``."""
    return f"prv{right}{_SPECIAL_NAMES.get(schema_name, schema_name)}"


def privilege_id(name: str) -> str:
    return str(uuid.uuid5(NAMES, name))


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
    """The user behind a request and the depth of each privilege it holds."""

    user_id: str
    depths: dict[str, str]

    def require(self, name: str, entity: str, type_code: int, *, depth: str = "Basic") -> None:
        """Raise 403 unless the caller holds ``name``, at least that deep."""
        held = self.depths.get(name)
        if held is None or DEPTHS.index(held) < DEPTHS.index(depth):
            raise missing_privilege(self.user_id, name, privilege_id(name), type_code, entity)


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
