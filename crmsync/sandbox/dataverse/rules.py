"""What is special about writes to some tables of the platform, as hooks around the ordinary write of a row.

``Writer`` asks for the rules of its table; most tables have none. The rules themselves stand beside their subject:
``roles``, ``users``, ``solutions``, ``field_security``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.dataverse.messages import Request

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row


class TableRules:
    """Hooks around the writes of one table; these do nothing."""

    def before_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        """Complete or refuse the values of a new row."""

    def after_create(self, store: DataverseStore, request: Request, values: Row) -> None:
        """Follow up on a new row."""

    def before_update(self, store: DataverseStore, request: Request, current: Row, changes: Row) -> None:
        """Complete or refuse the changes of a row."""

    def after_update(self, store: DataverseStore, request: Request, current: Row, changes: Row) -> None:
        """Follow up on a changed row."""

    def delete(self, store: DataverseStore, request: Request, current: Row) -> bool:
        """Refuse or prepare a deletion; True when it is done already."""
        return False


_NONE = TableRules()


def rules_of(table: str) -> TableRules:
    """The rules of a table."""
    return _rules().get(table, _NONE)


def check_link(store: DataverseStore, request: Request, relationship: str, rows: dict[str, Any]) -> None:
    """Refuse to link or unlink two rows (by table) of a many-to-many relationship, if it may not be."""
    from crmsync.sandbox.dataverse.roles import check_assignment, refuse_privilege_link

    if relationship == "systemuserroles_association":
        check_assignment(store, request, rows["systemuser"], rows["role"])
    elif relationship == "roleprivileges_association":
        refuse_privilege_link()


@cache
def _rules() -> dict[str, TableRules]:
    # Imported late: the rules read and write rows themselves.
    from crmsync.sandbox.dataverse import connections, field_security, roles, solutions, users

    return {
        "connection": connections.ConnectionRules(),
        "businessunit": roles.BusinessUnitRules(),
        "role": roles.RoleRules(),
        "systemuser": users.UserRules(),
        "solution": solutions.SolutionRules(),
        "publisher": solutions.PublisherRules(),
        "fieldpermission": field_security.PermissionRules(),
    }
