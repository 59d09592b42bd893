"""``Merge``: one account, contact or lead becomes part of another; the loser stays as an inactive row that says so.

"Merge table rows using the Web API" (Power Apps developer documents) and "Merge data" (Power Platform documents).
"""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.dataverse.database import is_indexed, quoted
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, no_row
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore, Row
from crmsync.sandbox.dataverse.writing import Writer

MERGED = ("account", "contact", "lead")
LOSER_STATE = {"account": (1, 2), "contact": (1, 2), "lead": (2, 7)}
"""State and status reason of the loser; for leads the documents are silent."""
_NOT_CHILDREN = {"masterid", "originatingleadid"}


def merge(store: DataverseStore, request: Request) -> Answer:
    """``POST Merge``."""
    body = request.json()
    table = _table(store, body.get("Target"))
    if table is not _table(store, body.get("Subordinate")):
        raise bad_request("Target and Subordinate must be of the same type.")
    master_id, loser_id = (_row_id(table, body[name]) for name in ("Target", "Subordinate"))
    if master_id == loser_id:
        raise ODataError(400, "0x80045305", "The master and subordinate records are identical.")
    master, loser = _active(store, table, master_id), _active(store, table, loser_id)
    _check_rights(request, table)
    if table.name == "account" and _is_above(store, table, loser_id, master):
        raise ODataError(400, "0x80045300", "Merge would create a cyclic parent relationship.")
    _check_parents(table, body, master, loser)
    content = {name: value for name, value in (body.get("UpdateContent") or {}).items() if name != table.primary_id}
    if any("@" not in name or name.endswith("@odata.bind") for name in content):
        Writer(store, table, request).update_row(master_id, content)
    else:
        store.update(table, master_id, {"modifiedby": request.caller.user_id})
    _move_children(store, table, loser_id, master_id)
    state, status = LOSER_STATE[table.name]
    lost = {"merged": 1, "masterid": master_id, "statecode": state, "statuscode": status}
    store.update(table, loser_id, {**lost, "modifiedby": request.caller.user_id})
    return Answer()


def _table(store: DataverseStore, given: Any) -> LiveTable:
    name = str((given or {}).get("@odata.type", "")).removeprefix("#").removeprefix(NAMESPACE)
    if name not in MERGED:
        raise bad_request(f"Merge needs Target and Subordinate with '@odata.type', one of {', '.join(MERGED)}.")
    return store.schema.tables[name]


def _row_id(table: LiveTable, given: dict[str, Any]) -> str:
    return parse_guid(str(given.get(table.primary_id) or ""))


def _active(store: DataverseStore, table: LiveTable, row_id: str) -> Row:
    row = store.get(table, row_id)
    if row is None:
        raise no_row(table.name, row_id)
    if row["statecode"] != 0:
        raise ODataError(400, "0x80045304", "Merge is not allowed: one of the records is inactive.")
    return row


def _check_rights(request: Request, table: LiveTable) -> None:
    held = request.caller.depths
    needed = [f"prv{right}{table.definition.schema_name}" for right in ("Write", "Append", "AppendTo")]
    if any(name not in held for name in needed) or "prvMerge" not in held:
        raise ODataError(403, "0x80045301", "The user does not have the rights to merge these records.")


def _check_parents(table: LiveTable, body: dict[str, Any], master: Row, loser: Row) -> None:
    """With ``PerformParentingChecks`` both must have the same parent."""
    column = {"account": "parentaccountid", "contact": "parentcustomerid"}.get(table.name)
    if body.get("PerformParentingChecks") and column and master[column] != loser[column]:
        raise ODataError(400, "0x80045303", "The parents of the two records are different.")


def _is_above(store: DataverseStore, table: LiveTable, above: str, row: Row) -> bool:
    """Whether a row has ``above`` among its parents."""
    seen: set[str] = set()
    parent = row.get("parentaccountid")
    while parent and parent not in seen:
        if parent == above:
            return True
        seen.add(parent)
        parent = (store.get(table, parent) or {}).get("parentaccountid")
    return False


def _move_children(store: DataverseStore, table: LiveTable, loser: str, master: str) -> None:
    """Rows that belong to the loser belong to the master; each of them changes."""
    for one in store.schema.collections(table.name).values():
        other = store.schema.tables[one.target]
        column = other.stored.get(one.column or "")
        if column is None or not is_indexed(column) or column.name in _NOT_CHILDREN:
            continue
        kind = f" AND {quoted(one.column_type)} = '{table.name}'" if one.column_type else ""
        sql = f"SELECT {quoted(other.primary_id)} FROM {quoted(other.name)} WHERE {quoted(column.name)} = ?{kind}"
        for (child,) in store.database.look(sql, (loser,)):
            if child != master:
                store.update(other, child, {column.name: master})
