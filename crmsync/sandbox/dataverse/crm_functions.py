"""Query functions of ``$filter`` in the ``Microsoft.Dynamics.CRM`` namespace.

They take named parameters and JSON arrays, which OData's own grammar does not know, so they are cut out of the text
before it is parsed and stand in it as a name.

"Microsoft Dataverse Web API query functions" (Power Apps developer documents).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from odata_query import ast

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.date_functions import DATE_FUNCTIONS, Build
from crmsync.sandbox.dataverse.errors import bad_request
from crmsync.sandbox.dataverse.literals import edm_type, moment, value_for
from crmsync.sandbox.dataverse.privileges import current_user
from crmsync.sandbox.dataverse.sources import Source

_STRING = r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\""
_CALL = re.compile(rf"{_STRING}|Microsoft\.Dynamics\.CRM\.(\w+)\(((?:{_STRING}|[^'\"()])*)\)")
_PARAMETER = re.compile(rf"(\w+)\s*=\s*(\[(?:{_STRING}|[^\]'\"])*\]|{_STRING}|[^,]+)")


@dataclass(frozen=True)
class CrmFunction:
    """A call: function name, the column it is about, and its other parameters."""

    name: str
    column: str
    values: list[Any] = field(default_factory=list)


def extract_functions(text: str) -> tuple[str, dict[str, CrmFunction]]:
    """The filter with each call replaced by a name, and the calls by those names."""
    found: dict[str, CrmFunction] = {}

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        placeholder = f"crm_function_{len(found)}"
        found[placeholder] = _call(match[1], match[2])
        return placeholder

    return _CALL.sub(replace, text), found


def _call(name: str, arguments: str) -> CrmFunction:
    parameters = {key: _literal(value.strip()) for key, value in _PARAMETER.findall(arguments)}
    column = parameters.get("PropertyName")
    if name not in _FUNCTIONS or not isinstance(column, str):
        raise bad_request(f"An unknown function with name 'Microsoft.Dynamics.CRM.{name}' was found.")
    values = parameters.get("PropertyValues", parameters.get("PropertyValue", []))
    return CrmFunction(name, column, values if isinstance(values, list) else [values])


def _literal(text: str) -> Any:
    if text.startswith("["):
        try:
            return orjson.loads(text if '"' in text or "'" not in text else text.replace("'", '"'))
        except orjson.JSONDecodeError:
            raise bad_request(f"The collection '{text}' is malformed.") from None
    if text.startswith(("'", '"')):
        return text[1:-1].replace("''", "'")
    return text


def crm_condition(call: CrmFunction, source: Source, now: str) -> str:
    """The SQL condition of a call."""
    known = source.table.columns.get(call.column)
    # A lookup goes by its logical name here, unlike everywhere else; its property name is taken too.
    column, sql = source.column(known.property_name if known and known.is_lookup else call.column)
    return _FUNCTIONS[call.name](source, column, sql, call.values, datetime.fromisoformat(now))


def stored_text(column: Column, value: Any) -> Any:
    """A function's value (always written as text) for ``column``."""
    text = str(value)
    kind = edm_type(column)
    if kind == "Edm.String":
        return text
    if kind == "Edm.DateTimeOffset":
        return moment(text)
    if kind == "Edm.Date":
        return text[:10]
    literals = {"Edm.Guid": ast.GUID, "Edm.Boolean": ast.Boolean, "Edm.Decimal": ast.Float, "Edm.Double": ast.Float}
    try:
        return value_for(column, literals.get(kind, ast.Integer)(text), "Equal")
    except ValueError:
        raise bad_request(f"The value '{text}' cannot be converted to '{kind}'.") from None


def _in(source: Source, column: Column, sql: str, values: list[Any], _: datetime) -> str:
    marks = ", ".join(source.bind(stored_text(column, value)) for value in values)
    return f"{sql} IN ({marks})"


def _not_in(source: Source, column: Column, sql: str, values: list[Any], now: datetime) -> str:
    return f"NOT ({_in(source, column, sql, values, now)})"


def _between(source: Source, column: Column, sql: str, values: list[Any], _: datetime) -> str:
    if len(values) != 2:
        raise bad_request("The query function 'Between' expects two values.")
    low, high = (source.bind(stored_text(column, value)) for value in values)
    return f"{sql} BETWEEN {low} AND {high}"


def _not_between(source: Source, column: Column, sql: str, values: list[Any], now: datetime) -> str:
    return f"NOT ({_between(source, column, sql, values, now)})"


def _day(operator: str) -> Build:
    def build(source: Source, column: Column, sql: str, values: list[Any], _: datetime) -> str:
        return f"substr({sql}, 1, 10) {operator} {source.bind(str(values[0])[:10])}"

    return build


def _fixed_days(days: int) -> Build:
    def build(source: Source, column: Column, sql: str, _: list[Any], now: datetime) -> str:
        day = (now + timedelta(days=days)).strftime("%Y-%m-%d")
        return f"substr({sql}, 1, 10) = {source.bind(day)}"

    return build


def _user(operator: str) -> Build:
    def build(source: Source, column: Column, sql: str, _: list[Any], now: datetime) -> str:
        return f"{sql} {operator} {source.bind(current_user())}"

    return build


def _contain_values(source: Source, column: Column, sql: str, values: list[Any], _: datetime) -> str:
    if column.kind != "MultiSelectPicklist":
        raise bad_request(f"The query function 'ContainValues' cannot be used with '{column.name}'.")
    tests = (f"',' || {sql} || ',' LIKE {source.bind(f'%,{int(value)},%')}" for value in values)
    return f"({' OR '.join(tests)})"


def _no_values(source: Source, column: Column, sql: str, values: list[Any], now: datetime) -> str:
    return f"NOT coalesce({_contain_values(source, column, sql, values, now)}, 0)"


_FUNCTIONS: dict[str, Build] = {
    "In": _in,
    "NotIn": _not_in,
    "Between": _between,
    "NotBetween": _not_between,
    "On": _day("="),
    "NotOn": _day("<>"),
    "OnOrAfter": _day(">="),
    "OnOrBefore": _day("<="),
    **DATE_FUNCTIONS,
    "Today": _fixed_days(0),
    "Yesterday": _fixed_days(-1),
    "Tomorrow": _fixed_days(1),
    "EqualUserId": _user("="),
    "NotEqualUserId": _user("<>"),
    "ContainValues": _contain_values,
    "DoesNotContainValues": _no_values,
}
