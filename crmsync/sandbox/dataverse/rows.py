"""Rows as JSON: which columns a query selects, and how a row of SQLite becomes an object of the Web API.

``@odata.etag``, lookups as ``_x_value``, money with four decimals, annotations on request: "Select columns" and
"Web API properties" (Power Apps developer documents).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson

from crmsync.sandbox.dataverse.columns import CHOICE_KINDS, Column
from crmsync.sandbox.dataverse.errors import bad_request, no_property
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
LOOKUP_NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
Formatter = Callable[[Any], str]
_CURRENCY = "transactioncurrencyid"


def selected_columns(table: LiveTable, select: str | None) -> list[Column]:
    """The columns of ``$select`` in its order, the primary key first; all readable ones without it."""
    if not select:
        return list(table.properties.values())
    chosen = {table.primary_id: table.properties[table.primary_id]}
    for name in (part.strip() for part in select.split(",")):
        if name not in table.properties:
            raise no_property(name, table.name) if name else bad_request("Empty property name in $select.")
        chosen[name] = table.properties[name]
    currency = table.columns.get(_CURRENCY)
    if currency and any(column.kind == "Money" for column in chosen.values()):
        chosen.setdefault(currency.property_name, currency)
    return list(chosen.values())


class Annotations:
    """Which annotations ``odata.include-annotations`` asks for."""

    def __init__(self, wanted: str | None) -> None:
        self._patterns = [part.strip() for part in (wanted or "").split(",") if part.strip()]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def includes(self, name: str) -> bool:
        wanted = False
        for pattern in self._patterns:
            if fnmatch.fnmatchcase(name, pattern.removeprefix("-")):
                wanted = not pattern.startswith("-")
        return wanted


class RowShape:
    """The SQL expressions of a selection and the function that turns fetched rows into objects."""

    def __init__(
        self, source: Source, columns: Sequence[Column], annotations: Annotations, *, etag: bool = True
    ) -> None:
        self.source = source
        self.columns = columns
        self._annotations = annotations
        self.keys = ["@odata.etag"] if etag else []
        self.expressions = [f"'W/\"' || {source.sql('versionnumber')} || '\"'"] if etag else []
        self._booleans: list[str] = []
        self._amounts: list[str] = []
        self._notes: list[tuple[str, int, Formatter]] = []
        for column in columns:
            self._add(column)

    def _add(self, column: Column) -> None:
        name = column.property_name
        if column.kind == "Boolean":
            self._booleans.append(name)
        elif column.kind == "Money":
            self._amounts.append(name)
        self.keys.append(name)
        self.expressions.append(self.source.sql(column.name))
        if not self._annotations:
            return
        if column.is_lookup:
            self._annotate_lookup(column)
        elif self._annotations.includes(FORMATTED) and (formatter := _formatter(column)):
            self._notes.append((f"{name}@{FORMATTED}", len(self.keys) - 1, formatter))

    def _annotate_lookup(self, column: Column) -> None:
        """Name of the target, its table and the navigation property; a polymorphic lookup has several targets."""
        name = column.property_name
        targets = [one.target for one in column.references]
        kind = self.source.sql(f"{column.name}type") if column.polymorphic else f"'{targets[0]}'"
        present = f"{self.source.sql(column.name)} IS NOT NULL"
        if self._annotations.includes(FORMATTED):
            joined = [self.source.join_column(column, target) for target in targets]
            names = [one.sql(one.table.primary_name) for one in joined]
            self._extra(f"{name}@{FORMATTED}", f"coalesce({', '.join(names)}, NULL)")
        if self._annotations.includes(LOOKUP_NAVIGATION):
            cases = " ".join(f"WHEN '{one.target}' THEN '{one.navigation}'" for one in column.references)
            self._extra(f"{name}@{LOOKUP_NAVIGATION}", f"CASE WHEN {present} THEN CASE {kind} {cases} END END")
        if self._annotations.includes(LOOKUP_TABLE):
            self._extra(f"{name}@{LOOKUP_TABLE}", f"CASE WHEN {present} THEN {kind} END")

    def _extra(self, key: str, expression: str) -> None:
        self.keys.append(key)
        self.expressions.append(expression)

    def objects(self, rows: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Rows as JSON objects; null columns stay, null annotations do not."""
        keys = self.keys
        objects = [dict(zip(keys, row, strict=False)) for row in rows]
        if self._annotations:
            objects = [self._annotated(one) for one in objects]
        _convert(objects, self._booleans, bool)
        _convert(objects, self._amounts, _money)
        return objects

    def _annotated(self, one: dict[str, Any]) -> dict[str, Any]:
        notes = {self.keys[index]: (key, function) for key, index, function in self._notes}
        annotated: dict[str, Any] = {}
        for key, value in one.items():
            if value is None and "@" in key:
                continue
            annotated[key] = value
            if value is not None and key in notes:
                note, function = notes[key]
                annotated[note] = function(value)
        return annotated


def _convert(objects: list[dict[str, Any]], keys: list[str], function: Callable[[Any], Any]) -> None:
    for key in keys:
        for one in objects:
            if one[key] is not None:
                one[key] = function(one[key])


def _money(value: float) -> orjson.Fragment:
    return orjson.Fragment(f"{value:.4f}")


def _formatter(column: Column) -> Formatter | None:
    """How a value looks to a user with US English settings in UTC."""
    labels = {option.value: option.label for option in column.options}
    if column.kind in CHOICE_KINDS or column.kind == "Boolean":
        return lambda value: labels.get(int(value), str(value))
    if column.kind == "MultiSelectPicklist":
        return lambda value: "; ".join(labels.get(int(one), one) for one in str(value).split(","))
    if column.kind == "Money":
        return lambda value: f"${value:,.2f}"
    if column.kind == "DateTime":
        return _local_date if column.format == "DateOnly" else _local_moment
    if column.kind in {"Integer", "BigInt"}:
        return lambda value: f"{value:,}"
    if column.kind in {"Decimal", "Double"}:
        return lambda value: f"{value:,.{column.precision or 2}f}"
    return None


def _local_date(value: str) -> str:
    when = datetime.fromisoformat(value)
    return f"{when.month}/{when.day}/{when.year}"


def _local_moment(value: str) -> str:
    when = datetime.fromisoformat(value)
    return f"{_local_date(value)} {when.hour % 12 or 12}:{when:%M} {'AM' if when.hour < 12 else 'PM'}"
