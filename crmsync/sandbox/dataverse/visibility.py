"""Which rows a user's privileges reach: its own, its business unit's, those of the units below, or all.

"Security roles and privileges" (access levels) and "How access to a record is determined" (Power Platform
administration documents).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.sandbox.dataverse.errors import no_access
from crmsync.sandbox.dataverse.privileges import Caller, privilege
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source

if TYPE_CHECKING:
    from crmsync.sandbox.dataverse.store import DataverseStore, Row

Reach = tuple[str, list[str]] | None
"""A column and the values it has in the rows within reach; None: every row is."""

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


def reach(store: DataverseStore, caller: Caller, table: LiveTable, depth: str | None) -> Reach:
    """What a privilege of that depth reaches in ``table``. Tables of the whole organization have no smaller reach."""
    owned = "ownerid" in table.stored
    column = "owningbusinessunit" if owned else "businessunitid"
    if depth == "Global" or column not in table.stored:
        return None
    if depth == "Basic" and owned:
        return "ownerid", [caller.user_id]
    if depth == "Basic" and table.name == "systemuser":
        return "systemuserid", [caller.user_id]
    unit = business_unit_of(store, caller.user_id)
    return column, units_below(store, unit) if depth == "Deep" else [unit]


def visible_rows(store: DataverseStore, source: Source, caller: Caller) -> list[str]:
    """The condition that leaves only the rows that the caller may read; none when that is all."""
    name = privilege("Read", source.table.definition.schema_name)
    within = reach(store, caller, source.table, caller.depths.get(name))
    if within is None:
        return []
    column, values = within
    return [f"{source.sql(column)} IN ({', '.join(source.bind(value) for value in values)})"]


def require_row(store: DataverseStore, caller: Caller, table: LiveTable, row: Row | str, right: str) -> None:
    """Raise 403 unless the caller's privilege reaches this row (the row itself, or its id)."""
    within = reach(store, caller, table, caller.depths.get(privilege(right, table.definition.schema_name)))
    if within is None:
        return
    record = store.get(table, row) if isinstance(row, str) else row
    column, values = within
    if record is not None and record[column] not in values:
        raise no_access(caller.user_id, right, table.name, record[table.primary_id])
