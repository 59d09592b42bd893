"""``CreateMultiple``, ``UpdateMultiple``, ``UpsertMultiple`` on standard tables, all or nothing; ``BulkDelete``.

"Use bulk operation messages" and the BulkDelete action reference (Power Apps developer documents). Which tables support
the messages is a row of ``sdkmessagefilters``.
"""

from __future__ import annotations

import uuid
from typing import Any

from crmsync.sandbox.dataverse.alternate_keys import find_id, key_values, primary_key
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import bad_request, no_row, not_implemented, payload_error
from crmsync.sandbox.dataverse.messages import Answer, Request, parse_guid
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE
from crmsync.sandbox.dataverse.privileges import privilege
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.values import reference
from crmsync.sandbox.dataverse.writing import Writer

MULTIPLE = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple", "DeleteMultiple")
_SUPPORT = (
    "SELECT 1 FROM sdkmessagefilter JOIN sdkmessage USING (sdkmessageid) "
    "WHERE sdkmessage.name = ? AND primaryobjecttypecode = ?"
)


def answer_multiple(store: DataverseStore, table: LiveTable, action: str, request: Request) -> Answer:
    """``POST leads/Microsoft.Dynamics.CRM.CreateMultiple`` and its siblings, in the transaction around the request."""
    if action == "DeleteMultiple":
        raise not_implemented("DeleteMultiple has not yet been implemented.")
    if not table.definition.custom and not store.database.look(_SUPPORT, (action, table.name)):
        raise bad_request(f"The entity {table.name} does not support the message {action}.", "0x80040800")
    targets = request.json().get("Targets")
    if not isinstance(targets, list) or not targets:
        raise bad_request("The required parameter 'Targets' must be a collection of entities that is not empty.")
    writer = Writer(store, table, request)
    for target in targets:
        _check_type(table, target)
    if action == "CreateMultiple":
        ids = [writer.create_row(target) for target in targets]
        context = f"{request.root}$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"
        return Answer.json({"@odata.context": context, "Ids": ids})
    for target in targets:
        row_id, key = _identity(store, table, target)
        if action == "UpsertMultiple":
            writer.upsert_row(target, row_id, key)
        elif row_id is not None:
            writer.update_row(row_id, target)
        else:
            writer.update_row(find_id(store, table, reference(target["@odata.id"])[1]), target)
    return Answer()


def _check_type(table: LiveTable, target: Any) -> None:
    kind = target.get("@odata.type") if isinstance(target, dict) else None
    if kind is None or str(kind).removeprefix("#") != f"{NAMESPACE}{table.name}":
        raise payload_error(table.name, f"Each target needs the property '@odata.type' with '{NAMESPACE}{table.name}'.")


def _identity(
    store: DataverseStore, table: LiveTable, target: dict[str, Any]
) -> tuple[str | None, dict[str, Any] | None]:
    """The row id of a target, or the values of its alternate key."""
    if table.primary_id in target:
        return parse_guid(str(target[table.primary_id])), None
    if "@odata.id" in target:
        set_name, key = reference(str(target["@odata.id"]))
        if set_name != table.set_name:
            raise payload_error(table.name, f"'{target['@odata.id']}' is no row of {table.set_name}.")
        row_id = primary_key(table, key)
        return (row_id, None) if row_id else (None, key_values(store, table, key))
    raise payload_error(table.name, f"A target needs '{table.primary_id}' or '@odata.id'.")


def bulk_delete(store: DataverseStore, request: Request) -> Answer:
    """Deletes what the queries find. The job is done before the answer comes; its id is that of a system job."""
    body = request.json()
    queries = body.get("QuerySet")
    if not isinstance(queries, list) or not queries or not body.get("JobName"):
        raise bad_request("The required parameters 'JobName' and 'QuerySet' are missing.")
    deleted = sum(_delete_found(store, request, query) for query in queries)
    job_id = str(uuid.uuid4())
    job = {"asyncoperationid": job_id, "name": body["JobName"], "statecode": 3, "statuscode": 30, "operationtype": 13}
    message = f"{deleted} records deleted."
    store.insert_many("asyncoperation", [{**job, "message": message, "createdby": request.caller.user_id}])
    return Answer.json(
        {"@odata.context": f"{request.root}$metadata#Microsoft.Dynamics.CRM.BulkDeleteResponse", "JobId": job_id}
    )


def _delete_found(store: DataverseStore, request: Request, query: dict[str, Any]) -> int:
    table = store.schema.tables.get(str(query.get("EntityName")))
    if table is None:
        raise bad_request(f"The entity with a name = '{query.get('EntityName')}' was not found in the MetadataCache.")
    name = privilege("Delete", table.definition.schema_name)
    request.caller.require(name, table.name, table.definition.type_code)
    condition, values = _criteria(table, query.get("Criteria") or {})
    sql = f"SELECT {quoted(table.primary_id)} FROM {quoted(table.name)} WHERE {condition}"
    ids = [row[0] for row in store.database.look(sql, values)]
    for row_id in ids:
        current = store.get(table, row_id)
        if current is None:
            raise no_row(table.name, row_id)
        Writer(store, table, request).delete_row(current)
    return len(ids)


_OPERATORS = {"Equal": "=", "NotEqual": "<>", "LessThan": "<", "LessEqual": "<=", "GreaterThan": ">"} | {
    "GreaterEqual": ">=",
    "In": "IN",
    "NotIn": "NOT IN",
}


def _criteria(table: LiveTable, criteria: dict[str, Any]) -> tuple[str, list[Any]]:
    """The condition of a FilterExpression, and its values."""
    parts, values = [], []
    for one in criteria.get("Conditions") or []:
        column = table.stored.get(str(one.get("AttributeName")))
        operator = _OPERATORS.get(str(one.get("Operator")))
        if column is None or operator is None:
            raise bad_request(f"The condition on '{one.get('AttributeName')}' is not supported.")
        given = [_plain(column.kind, value) for value in one.get("Values") or []]
        marks = ", ".join("?" * len(given))
        parts.append(f"{quoted(column.name)} {operator} ({marks})")
        values += given
    for inner in criteria.get("Filters") or []:
        condition, more = _criteria(table, inner)
        parts.append(condition)
        values += more
    joined = " OR " if criteria.get("FilterOperator") == "Or" else " AND "
    return (f"({joined.join(parts)})" if parts else "1"), values


def _plain(kind: str, value: Any) -> Any:
    plain = value.get("Value") if isinstance(value, dict) else value
    return parse_guid(str(plain)) if kind in {"Uniqueidentifier", "Lookup", "Customer", "Owner"} else plain
