"""Literals of ``$filter`` as values that SQLite compares, by the type of the column they stand against.

"Filter rows" (Power Apps developer documents) and the OData 4.0 ABNF of primitive literals.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from odata_query import ast

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.errors import ODataError, bad_request

EDM_TYPES = {
    "String": "Edm.String",
    "Memo": "Edm.String",
    "MultiSelectPicklist": "Edm.String",
    "EntityName": "Edm.String",
    "Integer": "Edm.Int32",
    "BigInt": "Edm.Int64",
    "Picklist": "Edm.Int32",
    "State": "Edm.Int32",
    "Status": "Edm.Int32",
    "Decimal": "Edm.Decimal",
    "Money": "Edm.Decimal",
    "Double": "Edm.Double",
    "Boolean": "Edm.Boolean",
    "Uniqueidentifier": "Edm.Guid",
    "Lookup": "Edm.Guid",
    "Customer": "Edm.Guid",
    "Owner": "Edm.Guid",
}
_LITERAL_TYPES: dict[type, str] = {
    ast.String: "Edm.String",
    ast.Integer: "Edm.Int32",
    ast.Float: "Edm.Double",
    ast.Boolean: "Edm.Boolean",
    ast.GUID: "Edm.Guid",
    ast.Date: "Edm.Date",
    ast.DateTime: "Edm.DateTimeOffset",
}
_NUMBERS = {"Edm.Int32", "Edm.Int64", "Edm.Decimal", "Edm.Double"}


def edm_type(column: Column) -> str:
    """The Entity Data Model type of a column."""
    if column.kind == "DateTime":
        return "Edm.Date" if column.date_only else "Edm.DateTimeOffset"
    return EDM_TYPES[column.kind]


def incompatible(left: str, right: str, operator: str) -> ODataError:
    return bad_request(
        f"A binary operator with incompatible types was detected. Found operand types '{left}' and '{right}' for "
        f"operator kind '{operator}'."
    )


def value_for(column: Column, literal: Any, operator: str) -> Any:
    """The literal as a value for ``column``; raises the service's error when the types do not fit."""
    wanted, given = edm_type(column), _LITERAL_TYPES.get(type(literal), "Edm.Untyped")
    if wanted in _NUMBERS and given in _NUMBERS:
        return literal.py_val
    if wanted == "Edm.DateTimeOffset" and given in {"Edm.DateTimeOffset", "Edm.Date"}:
        return moment(literal.val)
    if wanted == "Edm.Date" and given in {"Edm.Date", "Edm.DateTimeOffset"}:
        return str(literal.val)[:10]
    if wanted != given:
        raise incompatible(wanted, given, operator)
    return {"Edm.Guid": str.lower, "Edm.Boolean": _boolean}.get(wanted, str)(literal.val)


def _boolean(text: str) -> int:
    return int(text.lower() == "true")


def moment(text: str) -> str:
    """An ISO 8601 date or date-time as rows store it, in UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'.") from None
    aware = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return aware.strftime("%Y-%m-%dT%H:%M:%SZ")
