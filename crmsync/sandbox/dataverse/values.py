"""Values of a request's body: checked against their columns and turned into what SQLite stores.

"Create a table row", "Web API navigation properties", "Column data types" (Power Apps developer documents) and the
validation entries of "Web service error codes".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from crmsync.sandbox.dataverse.columns import CHOICE_KINDS, Column
from crmsync.sandbox.dataverse.errors import (
    ODataError,
    bad_option,
    bad_request,
    invalid_argument,
    invalid_property,
    no_segment,
    out_of_range,
    payload_error,
    too_long,
)
from crmsync.sandbox.dataverse.literals import edm_type
from crmsync.sandbox.dataverse.messages import GUID, ROOT, parse_guid, parse_segment
from crmsync.sandbox.dataverse.schema import LiveTable, Schema

EARLIEST = datetime(1753, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)
MOST_CHOICES = 150
BIND = "@odata.bind"
FindRow = Callable[[str, str], str]
"""Entity set and key of a reference to the id of an existing row; raises when there is none."""


class Payload:
    """The columns that a body sets, as stored, and the tables it binds lookups to."""

    def __init__(
        self, schema: Schema, table: LiveTable, body: dict[str, Any], find: FindRow, *, creating: bool
    ) -> None:
        self._schema, self._table, self._find = schema, table, find
        self.values: dict[str, Any] = {}
        self.bound: set[str] = set()
        for name, value in body.items():
            if name.endswith(BIND):
                self._bind(name.removesuffix(BIND), value)
            elif "@" not in name:
                self._set(name, value, creating=creating)

    def _set(self, name: str, value: Any, *, creating: bool) -> None:
        column = self._table.columns.get(name)
        if name in self._table.navigations:
            if value is not None:
                raise payload_error(self._table.name, f"The property '{name}' cannot be set by a nested row here.")
            self._clear(self._table.navigations[name].column)
            return
        if name in self._table.properties and self._table.properties[name].is_lookup:
            raise bad_request(
                "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead."
            )
        if column is None or column.of or column.is_lookup:
            raise invalid_property(name, self._table.name)
        if not column.stored or not (column.creatable if creating else column.updatable):
            return
        self.values[name] = None if value is None else stored_value(self._table.name, column, value)

    def _clear(self, column: Column) -> None:
        self.values[column.name] = None
        if column.polymorphic:
            self.values[f"{column.name}type"] = None

    def _bind(self, name: str, value: Any) -> None:
        navigation = self._table.navigations.get(name)
        if navigation is None:
            raise invalid_property(name, self._table.name)
        column = navigation.column
        if value is None:
            self._clear(column)
            return
        if not column.updatable and not column.creatable:
            return
        set_name, key = reference(str(value))
        target = self._schema.sets.get(set_name)
        if target is None:
            raise no_segment(set_name)
        allowed = [one.target for one in column.references if one.navigation == name]
        if target.name not in allowed:
            raise payload_error(
                self._table.name,
                f"The property '{name}' cannot refer to a row of type 'Microsoft.Dynamics.CRM.{target.name}'.",
            )
        self.values[column.name] = self._find(set_name, key)
        self.bound.add(target.name)
        if column.polymorphic:
            self.values[f"{column.name}type"] = target.name


def reference(text: str) -> tuple[str, str]:
    """Entity set and key of ``/accounts(<guid>)``, ``accounts(<guid>)`` or an absolute URL."""
    path = unquote(text)
    path = re.sub(r"^https?://[^/]+", "", path)
    segment = parse_segment(ROOT.sub("", path).strip("/"))
    if segment.key is None:
        raise bad_request(f"Resource not found for the segment '{segment.name}'. A key is missing in '{text}'.")
    return segment.name, segment.key


def stored_value(entity: str, column: Column, value: Any) -> Any:
    """A value that is not null, checked and as stored."""
    if column.kind in CHOICE_KINDS:
        return _choice(entity, column, value)
    return _CHECKS[column.kind](entity, column, value)


def _mismatch(entity: str, column: Column, value: Any) -> ODataError:
    return payload_error(
        entity,
        f"Microsoft.OData.ODataException: Cannot convert the literal '{value}' to the expected type "
        f"'{edm_type(column)}'.",
    )


def _text(entity: str, column: Column, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _mismatch(entity, column, value)
    if column.max_length is not None and len(value.encode("utf-16-le")) // 2 > column.max_length:
        raise too_long(column.name, column.max_length)
    # Dataverse keeps no empty strings.
    return value or None


def _whole(entity: str, column: Column, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch(entity, column, value)
    _within(column, value)
    return value


def _number(entity: str, column: Column, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _mismatch(entity, column, value)
    _within(column, value)
    return round(float(value), 4 if column.kind == "Money" else column.precision or 10)


def _within(column: Column, value: float) -> None:
    low, high = column.minimum, column.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise out_of_range(column.name, value)


def _boolean(entity: str, column: Column, value: Any) -> int:
    if not isinstance(value, bool):
        raise _mismatch(entity, column, value)
    return int(value)


def _moment(entity: str, column: Column, value: Any) -> str:
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _mismatch(entity, column, value) from None
    if column.date_only:
        if len(value) != len("2024-05-01"):
            raise _mismatch(entity, column, value)
        aware = parsed.replace(tzinfo=UTC)
    elif len(value) <= len("2024-05-01"):
        raise _mismatch(entity, column, value)
    else:
        # The last hours of the year 9999 in the west are beyond what datetime holds, and beyond CrmDateTime anyway.
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if aware < EARLIEST:
        raise invalid_argument("DateTime is less than minumum value supported by CrmDateTime. Actual value: " + value)
    if aware > LATEST:
        raise invalid_argument(
            "DateTime is greater than maximum value supported by CrmDateTime. Actual value: " + value
        )
    return value if column.date_only else aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _choice(entity: str, column: Column, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mismatch(entity, column, value)
    allowed = [option.value for option in column.options]
    if value not in allowed:
        raise bad_option(entity, column.name, value, ",".join(map(str, allowed)))
    return value


def _choices(entity: str, column: Column, value: Any) -> str:
    if not isinstance(value, str):
        raise _mismatch(entity, column, value)
    parts = [part.strip() for part in value.split(",") if part.strip()]
    allowed = {str(option.value) for option in column.options}
    for part in parts:
        if part not in allowed:
            raise bad_option(entity, column.name, part, ",".join(sorted(allowed)))
    if len(parts) > MOST_CHOICES:
        raise out_of_range(column.name, value)
    return ",".join(sorted(dict.fromkeys(parts), key=int))


def _guid(entity: str, column: Column, value: Any) -> str:
    if not isinstance(value, str) or not GUID.match(value):
        raise _mismatch(entity, column, value)
    return parse_guid(value)


_CHECKS: dict[str, Callable[[str, Column, Any], Any]] = {
    "String": _text,
    "Memo": _text,
    "Integer": _whole,
    "BigInt": _whole,
    "Decimal": _number,
    "Double": _number,
    "Money": _number,
    "Boolean": _boolean,
    "DateTime": _moment,
    "MultiSelectPicklist": _choices,
    "Uniqueidentifier": _guid,
}
