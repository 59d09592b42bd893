"""Fields that follow from several columns of a record: amount and close date, closed and won.

"Opportunities" and Adobe's white paper on CRM synchronization: amount is the estimated value while an opportunity is
open and the actual one after closing; closed and won are set consistently, Lost being closed only. The states are those
of the opportunity table reference (0 Open, 1 Won, 2 Lost).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crmsync.fields.model import Mapping
from crmsync.fields.values import day

OPEN, WON = 0, 1

Row = dict[str, Any]


def derived_function(mapping: Mapping) -> Callable[[Row], Any] | None:
    """How the field follows from a row, or None for one that follows from a single value."""
    expected, actual = mapping.attribute, (*mapping.also, "")[0]
    match mapping.convert:
        case "amount":
            return lambda row: row.get(expected if _is_open(row) else actual)
        case "close date":
            return lambda row: _day(row.get(expected if _is_open(row) else actual))
        case "closed":
            return lambda row: not _is_open(row)
        case "won":
            return lambda row: row.get("statecode") == WON
        case "team":
            return lambda row: None  # the engine names the team, which is another record
    return None


def _is_open(row: Row) -> bool:
    return row.get("statecode") in {None, OPEN}


def _day(value: str | None) -> str | None:
    return day(value) if value else None
