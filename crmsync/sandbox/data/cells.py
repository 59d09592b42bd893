"""Reads the cells of a CSV export: one function for each column, by its attribute type.

"Column data types" (Power Apps developer documents) for the ranges; dates begin in 1753.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from crmsync.sandbox.dataverse.columns import LOOKUP_KINDS, Column

Parse = Callable[[str], Any]
_TRUE, _FALSE = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})
_EARLIEST = date(1753, 1, 1)


class CellWrong(ValueError):
    """What is wrong with a cell, as a sentence for whoever made the file."""


def parser(column: Column) -> Parse:
    """How to read this column's cells."""
    if column.kind in LOOKUP_KINDS or column.kind == "Uniqueidentifier":
        return _guid
    if column.kind == "DateTime":
        return _day if column.date_only else _moment
    makers: dict[str, Callable[[Column], Parse]] = {
        "String": _text,
        "Memo": _text,
        "Boolean": _yes_no,
        "Integer": _whole,
        "BigInt": _whole,
        "Decimal": _number,
        "Double": _number,
        "Money": _number,
        "Picklist": _option,
        "State": _option,
        "Status": _option,
        "MultiSelectPicklist": _options,
    }
    return makers.get(column.kind, _text)(column)


def target_parser(lookup: Column) -> Parse:
    """How to read which table a polymorphic lookup points to."""
    targets = {reference.target for reference in lookup.references}

    def parse(cell: str) -> str:
        if cell not in targets:
            raise CellWrong(f"give one of {', '.join(sorted(targets))}")
        return cell

    return parse


def _guid(cell: str) -> str:
    try:
        return str(uuid.UUID(cell.strip()))
    except ValueError:
        raise CellWrong("give a GUID such as 0f8fad5b-d9cb-469f-a165-70867728950e") from None


def _day(cell: str) -> str:
    try:
        day = date.fromisoformat(cell[:10])
    except ValueError:
        raise CellWrong("give a date such as 2024-05-31") from None
    if day < _EARLIEST:
        raise CellWrong("dates begin at 1753-01-01")
    return day.isoformat()


def _moment(cell: str) -> str:
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        raise CellWrong("give a date and time such as 2024-05-31T15:00:00Z") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment.date() < _EARLIEST:
        raise CellWrong("dates begin at 1753-01-01")
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _text(column: Column) -> Parse:
    def parse(cell: str) -> str:
        if column.max_length is not None and len(cell) > column.max_length:
            raise CellWrong(f"{len(cell)} characters; the column takes {column.max_length}")
        return cell

    return parse


def _yes_no(column: Column) -> Parse:
    labels = {option.label.lower(): bool(option.value) for option in column.options}

    def parse(cell: str) -> bool:
        word = cell.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        if word in labels:
            return labels[word]
        raise CellWrong("give true or false")

    return parse


def _whole(column: Column) -> Parse:
    return lambda cell: _in_range(column, cell, int, "a whole number")


def _number(column: Column) -> Parse:
    return lambda cell: _in_range(column, cell, float, "a number with a point, without grouping")


def _in_range(column: Column, cell: str, kind: type[int] | type[float], what: str) -> int | float:
    try:
        value = kind(cell)
    except ValueError:
        raise CellWrong(f"give {what}") from None
    low, high = column.minimum, column.maximum
    if value != value or (low is not None and value < low) or (high is not None and value > high):
        raise CellWrong(f"the column takes {low:g} to {high:g}")
    return value


def _option(column: Column) -> Parse:
    values = {str(option.value): option.value for option in column.options}
    values |= {option.label.lower(): option.value for option in column.options}

    def parse(cell: str) -> int:
        value = values.get(cell.strip().lower())
        if value is None:
            known = ", ".join(f"{option.value} ({option.label})" for option in column.options[:8])
            raise CellWrong(f"no option of this column; there are {known}{' ...' if len(column.options) > 8 else ''}")
        return value

    return parse


def _options(column: Column) -> Parse:
    one = _option(column)
    return lambda cell: sorted(one(part) for part in cell.replace(";", ",").split(","))
