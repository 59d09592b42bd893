"""Which rows a user's privileges reach: its business unit's, those of the units below, or all; and, however deep the
privilege is, its own, its teams' and those that are shared with it or with one of its teams.

"Security roles and privileges" (access levels) and "How access to a record is determined" (Power Platform
administration documents); every user of a business unit is a member of the unit's default team ("Manage teams").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmsync.sandbox.dataverse.errors import no_access
from crmsync.sandbox.dataverse.privileges import Caller, privilege
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row


@dataclass(frozen=True)
class Reach:
    """The rows within reach: those with one of ``values`` in ``column``, and those owned by, or shared for ``right``
    with, one of ``principals`` (the user and its teams)."""

    column: str
    values: list[str]
    principals: list[str]
    right: str


_BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT ? UNION SELECT businessunit.businessunitid FROM businessunit JOIN below ON parentbusinessunitid = below.id
) SELECT id FROM below
"""


def business_unit_of(store: DataverseStore, owner_id: str) -> str:
    """The business unit of a user or a team."""
    found = store.database.look(
        "SELECT businessunitid FROM systemuser WHERE systemuserid = ?1 "
        "UNION ALL SELECT businessunitid FROM team WHERE teamid = ?1",
        (owner_id,),
    )
    return str(found[0][0]) if found else store.ids.business_unit


def units_below(store: DataverseStore, unit: str) -> list[str]:
    """A business unit and all below it."""
    return [str(row[0]) for row in store.database.look(_BELOW, (unit,))]


def principals_of(store: DataverseStore, user_id: str) -> list[str]:
    """A user and the teams that it is a member of."""
    teams = store.database.look(
        "SELECT teamid FROM _team_member WHERE systemuserid = ?1 UNION SELECT teamid FROM team JOIN systemuser "
        "USING (businessunitid) WHERE isdefault = 1 AND systemuserid = ?1",
        (user_id,),
    )
    return [user_id, *[str(row[0]) for row in teams]]


def reach(store: DataverseStore, caller: Caller, table: LiveTable, right: str) -> Reach | None:
    """What the caller's privilege reaches in ``table``; None is every row. Tables of the whole organization have no
    smaller reach."""
    depth = caller.depths.get(privilege(right, table.definition.schema_name))
    owned = "ownerid" in table.stored
    column = "owningbusinessunit" if owned else "businessunitid"
    if depth == "Global" or column not in table.stored:
        return None
    principals = principals_of(store, caller.user_id) if owned else []
    if depth == "Basic" and owned:
        return Reach("ownerid", principals, principals, right)
    if depth == "Basic" and table.name == "systemuser":
        return Reach("systemuserid", [caller.user_id], [], right)
    unit = business_unit_of(store, caller.user_id)
    return Reach(column, units_below(store, unit) if depth == "Deep" else [unit], principals, right)


def visible_rows(store: DataverseStore, source: Source, caller: Caller) -> list[str]:
    """The condition that leaves only the rows that the caller may read; none when that is all."""
    within = reach(store, caller, source.table, "Read")
    if within is None:
        return []

    def among(expression: str, values: list[str]) -> str:
        return f"{expression} IN ({', '.join(source.bind(value) for value in values)})"

    conditions = [among(source.sql(within.column), within.values)]
    if within.principals:
        conditions.append(among(source.sql("ownerid"), within.principals))
        shared = among("principalid", within.principals)
        conditions.append(
            f"{source.sql(source.table.primary_id)} IN (SELECT id FROM _shared WHERE entity = "
            f"{source.bind(source.table.name)} AND instr(rights, '{within.right}Access') AND {shared})"
        )
    return [f"({' OR '.join(conditions)})"]


def require_row(store: DataverseStore, caller: Caller, table: LiveTable, row: Row | str, right: str) -> None:
    """Raise 403 unless the caller's privilege reaches this row (the row itself, or its id)."""
    within = reach(store, caller, table, right)
    if within is None:
        return
    record = store.get(table, row) if isinstance(row, str) else row
    if record is None or record[within.column] in within.values:
        return
    row_id = record[table.primary_id]
    if record.get("ownerid") not in within.principals and not _is_shared(store, table, row_id, within):
        raise no_access(caller.user_id, right, table.name, row_id)


def _is_shared(store: DataverseStore, table: LiveTable, row_id: str, within: Reach) -> bool:
    held = store.database.look(
        "SELECT principalid, rights FROM _shared WHERE entity = ? AND id = ?", (table.name, row_id)
    )
    return any(one in within.principals and f"{within.right}Access" in rights for one, rights in held)
