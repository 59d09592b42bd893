"""Column security: which secured columns a user may read, create and update, and which columns can be secured.

Without read permission a secured column is null, without an error. Who has the System Administrator role may all.

"Column-level security" and "Column security with code" (Power Apps developer documents).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, invalid_argument, secured_column
from crmsync.sandbox.dataverse.messages import Request
from crmsync.sandbox.dataverse.privileges import Caller
from crmsync.sandbox.dataverse.rules import TableRules
from crmsync.sandbox.dataverse.schema import LiveTable

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row

ALLOWED = 4
_REFUSALS = {"create": "0x8004F502", "update": "0x8004F507"}
_NEVER = frozenset({"State", "Status", "Owner", "Virtual", "Image", "File", "EntityName"})


def forbidden_columns(store: DataverseStore, user_id: str) -> dict[str, dict[str, frozenset[str]]]:
    """What a user may not do with secured columns: by action, then by table."""
    secured = store.schema.secured
    if not secured or is_administrator(store, user_id):
        return {}
    permitted = store.database.read(
        "SELECT entityname, attributelogicalname, max(canread), max(cancreate), max(canupdate) FROM fieldpermission "
        "JOIN _user_profile USING (fieldsecurityprofileid) WHERE systemuserid = ? GROUP BY 1, 2",
        (user_id,),
    )
    forbidden: dict[str, dict[str, frozenset[str]]] = {}
    for place, action in enumerate(("read", "create", "update"), 2):
        allowed = {(row[0], row[1]) for row in permitted if row[place] == ALLOWED}
        for table, column in secured - allowed:
            tables = forbidden.setdefault(action, {})
            tables[table] = tables.get(table, frozenset()) | {column}
    return forbidden


def is_administrator(store: DataverseStore, user_id: str) -> bool:
    """Whether a user has the System Administrator role (any business unit's copy)."""
    sql = "SELECT 1 FROM _user_role JOIN role USING (roleid) WHERE systemuserid = ? AND parentrootroleid = ?"
    return bool(store.database.look(sql, (user_id, store.ids.administrator_role)))


def require_write(caller: Caller, table: LiveTable, values: Mapping[str, Any], *, creating: bool) -> None:
    """Refuse values for secured columns that the caller may not write."""
    action = "create" if creating else "update"
    forbidden = caller.may_not.get(action, {}).get(table.name, frozenset())
    for name in values:
        if name in forbidden and (not creating or values[name] is not None):
            label = table.columns[name].label
            raise secured_column(_REFUSALS[action], caller.user_id, action, label, table.definition.label)


class PermissionRules(TableRules):
    """Permissions are for columns that are secured."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        if not values.get("fieldsecurityprofileid"):
            raise invalid_argument("A field permission needs a field security profile.")
        table = store.schema.tables.get(str(values.get("entityname")))
        column = table.columns.get(str(values.get("attributelogicalname"))) if table else None
        if column is None or not column.secured:
            message = (
                "One or more fields are not enabled for field level security. Field level security is not enabled "
                "until you publish the customizations."
            )
            raise ODataError(400, "0x8004F508", message)


def can_be_secured(column: Column) -> bool:
    """Whether the platform lets a column be secured."""
    return (
        column.of is None
        and not column.primary
        and column.kind not in _NEVER
        and (column.creatable or column.updatable)
        and column.required != "SystemRequired"
    )


def check_securing(table: LiveTable, column: Column) -> None:
    """Refuse the definition of a column that is to be secured and cannot be."""
    if column.secured and not can_be_secured(column):
        raise bad_request(f"The attribute {column.name} of entity {table.name} cannot be secured.")
