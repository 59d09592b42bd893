"""Field Management > Change Type: a custom field takes another type, and values that do not fit it are deleted.

Marketo's documentation, "Salesforce Sync: Field Sync": data that does not match the new type is deleted. That no
activity tells of it, and that records do not count as updated, is assumed.
"""

# ruff: noqa: S608 (tables are names of this program, values are bound)
from __future__ import annotations

import contextlib
from typing import Any

import orjson

from crmsync.sandbox.marketo.database import Database
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import LENGTH, LENGTH_TYPES, Field, FieldTable

TABLES = {"person": "people", "company": "companies", "opportunity": "records"}


def change_type(database: Database, fields: FieldTable, target: str, field: Field, data_type: str) -> None:
    """Give a field another type, together with its values."""
    field.data_type = data_type
    field.length = LENGTH if data_type in LENGTH_TYPES else None
    for check in ("from_json", "from_text"):
        field.__dict__.pop(check, None)
    with database.transaction() as connection:
        fields.save(field)
        table = TABLES[target]
        of_kind = "kind = 'opportunity' AND" if table == "records" else ""
        rows = connection.execute(
            f"SELECT id, body FROM {table} WHERE {of_kind} json_extract(body, ?) IS NOT NULL", (f"$.{field.name}",)
        ).fetchall()
        changed = [(_with(field, orjson.loads(body)), number) for number, body in rows]
        connection.executemany(f"UPDATE {table} SET body = ? WHERE id = ?", changed)


def _with(field: Field, body: dict[str, Any]) -> str:
    value = body.pop(field.name)
    with contextlib.suppress(MarketoError):
        body[field.name] = field.from_text(str(value).lower() if value.__class__ is bool else str(value))
    return orjson.dumps(body).decode()
