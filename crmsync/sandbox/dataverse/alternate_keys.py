"""Alternate keys: their definitions, and finding a row by one.

"Define alternate keys" and "Use an alternate key to reference a record" (Power Apps developer documents). An index is
built while nobody waits: with typical latency it takes a few seconds of the sandbox's clock until a key is Active.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from crmsync.sandbox.dataverse.attribute_definitions import check_schema_name, text_of
from crmsync.sandbox.dataverse.columns import AlternateKey, Column
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import bad_request, invalid_argument, name_taken, no_row_with_key, no_such_key
from crmsync.sandbox.dataverse.messages import GUID, parse_guid
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.values import stored_value

MOST_KEYS, MOST_COLUMNS, MOST_BYTES = 10, 16, 900
_KINDS = {"Decimal", "Integer", "String", "DateTime", "Lookup", "Picklist"}
_BUILDING, _WAITING = 4.0, 1.0
_PAIR = re.compile(r"(\w+)\s*=\s*('(?:[^']|'')*'|[^,]+)")


def new_key(table: LiveTable, body: dict[str, Any], now: float) -> AlternateKey:
    """The key that a definition makes; raises when the table cannot have it."""
    schema_name = check_schema_name(str(body.get("SchemaName") or ""))
    names = body.get("KeyAttributes") or []
    if any(key.name == schema_name.lower() for key in table.definition.keys):
        raise name_taken(schema_name.lower(), table.name)
    if len(table.definition.keys) >= MOST_KEYS:
        raise invalid_argument(f"The entity {table.name} has {MOST_KEYS} keys already.")
    if not 1 <= len(names) <= MOST_COLUMNS or len(set(names)) < len(names):
        raise invalid_argument(f"A key has between 1 and {MOST_COLUMNS} different attributes.")
    columns = [_key_column(table, name) for name in names]
    if sum(2 * (column.max_length or 8) for column in columns) > MOST_BYTES:
        raise invalid_argument(f"The attributes of the key are longer than {MOST_BYTES} bytes together.")
    if {frozenset(names)} & {frozenset(key.columns) for key in table.definition.keys}:
        raise invalid_argument("There is a key with these attributes already.")
    label = text_of(body.get("DisplayName")) or schema_name
    return AlternateKey(schema_name, tuple(names), str(uuid.uuid4()), label, now)


def _key_column(table: LiveTable, name: str) -> Column:
    column = table.stored.get(name)
    if column is None:
        raise bad_request(f"Could not find an attribute with the specified name: {name}.")
    if column.kind not in _KINDS or column.secured:
        raise invalid_argument(f"The attribute {name} cannot be part of a key.")
    return column


def key_status(store: DataverseStore, key: AlternateKey) -> str:
    """Pending, InProgress, Active or Failed."""
    age = store.org.clock.time() - key.made
    if store.org.limits.latency == "typical" and age < _WAITING + _BUILDING:
        return "Pending" if age < _WAITING else "InProgress"
    return "Failed" if key.failed else "Active"


def key_values(store: DataverseStore, table: LiveTable, text: str) -> dict[str, Any]:
    """The columns and stored values of ``new_ext='A-17',new_number=5``; raises unless they are an active key."""
    pairs = _PAIR.findall(text)
    if not pairs:
        raise bad_request(f"Unrecognized 'Edm.Guid' literal '{text}' at '0' in '{text}'.")
    columns: dict[str, tuple[Column, str]] = {}
    for name, literal in pairs:
        column = table.properties.get(name)
        if column is None:
            raise no_such_key(table.name)
        columns[column.name] = (column, literal.strip())
    named = set(columns)
    if not any(named == set(key.columns) and key_status(store, key) == "Active" for key in table.definition.keys):
        raise no_such_key(table.name)
    return {name: _stored(table, column, literal) for name, (column, literal) in columns.items()}


def _stored(table: LiveTable, column: Column, literal: str) -> Any:
    value: Any = literal[1:-1].replace("''", "'") if literal.startswith("'") else literal
    if column.is_lookup:
        return parse_guid(value)
    try:
        if column.kind in {"Integer", "Picklist"}:
            value = int(value)
        elif column.kind == "Decimal":
            value = float(value)
    except ValueError:
        raise bad_request(f"The key value '{value}' of {column.name} is malformed.") from None
    return stored_value(table.name, column, value)


def find_by_key(store: DataverseStore, table: LiveTable, values: dict[str, Any]) -> str | None:
    """The id of the row with these key values."""
    tests = " AND ".join(f"{quoted(name)} = ?" for name in values)
    sql = f"SELECT {quoted(table.primary_id)} FROM {quoted(table.name)} WHERE {tests}"
    found = store.database.look(sql, list(values.values()))
    return str(found[0][0]) if found else None


def find_id(store: DataverseStore, table: LiveTable, key: str) -> str:
    """The row id that a key stands for: a GUID, ``leadid=<guid>``, or the columns of an alternate key."""
    primary = primary_key(table, key)
    if primary is not None:
        return primary
    found = find_by_key(store, table, key_values(store, table, key))
    if found is None:
        raise no_row_with_key()
    return found


def primary_key(table: LiveTable, key: str) -> str | None:
    """The GUID of a key that is the primary one."""
    if GUID.match(key):
        return parse_guid(key)
    name, equals, value = key.partition("=")
    return parse_guid(value) if equals and name.strip() == table.primary_id else None
