"""Query functions about periods: the last or next so many weeks, this month, older than.

"Microsoft Dataverse Web API query functions" (Power Apps developer documents). Weeks begin on Sunday, days in UTC, as a
user with US English settings and the time zone UTC has them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.errors import bad_request
from crmsync.sandbox.dataverse.sources import Source

Build = Callable[[Source, Column, str, list[Any], datetime], str]
Period = tuple[datetime, datetime]
_MONTHS = {"Months": 1, "Years": 12}
_LENGTHS = {"Minutes": 1 / 1440, "Hours": 1 / 24, "Days": 1.0, "Weeks": 7.0}


def iso(when: datetime, column: Column) -> str:
    """A moment as the column stores it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d" if column.date_only else "%Y-%m-%dT%H:%M:%SZ")


def _shifted(now: datetime, unit: str, number: int) -> datetime:
    if unit in _LENGTHS:
        return now + timedelta(days=_LENGTHS[unit] * number)
    months = now.year * 12 + now.month - 1 + _MONTHS[unit] * number
    year, month = divmod(months, 12)
    last_day = (datetime(year + (month == 11), (month + 1) % 12 + 1, 1, tzinfo=UTC) - timedelta(days=1)).day
    return now.replace(year=year, month=month + 1, day=min(now.day, last_day))


def _number(values: list[Any]) -> int:
    if not values or not str(values[0]).isdigit():
        raise bad_request("The query function expects a whole number.")
    return int(values[0])


def _within(unit: str, direction: int) -> Build:
    def build(source: Source, column: Column, sql: str, values: list[Any], now: datetime) -> str:
        other = _shifted(now, unit, direction * _number(values))
        low, high = sorted((iso(other, column), iso(now, column)))
        return f"{sql} BETWEEN {source.bind(low)} AND {source.bind(high)}"

    return build


def _older(unit: str) -> Build:
    def build(source: Source, column: Column, sql: str, values: list[Any], now: datetime) -> str:
        return f"{sql} < {source.bind(iso(_shifted(now, unit, -_number(values)), column))}"

    return build


def _period(unit: str, offset: int) -> Build:
    """The calendar's week, month or year: this one (0), the last (-1), the next (1)."""

    def build(source: Source, column: Column, sql: str, _: list[Any], now: datetime) -> str:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if unit == "Weeks":
            begin = midnight - timedelta(days=(midnight.weekday() + 1) % 7)
        else:
            begin = midnight.replace(day=1, month=1 if unit == "Years" else midnight.month)
        first, end = _shifted(begin, unit, offset), _shifted(begin, unit, offset + 1)
        return f"{sql} >= {source.bind(iso(first, column))} AND {sql} < {source.bind(iso(end, column))}"

    return build


DATE_FUNCTIONS: dict[str, Build] = {
    **{f"LastX{unit}": _within(unit, -1) for unit in ("Hours", "Days", "Weeks", "Months", "Years")},
    **{f"NextX{unit}": _within(unit, 1) for unit in ("Hours", "Days", "Weeks", "Months", "Years")},
    **{f"OlderThanX{unit}": _older(unit) for unit in (*_LENGTHS, *_MONTHS)},
    **{f"This{unit[:-1]}": _period(unit, 0) for unit in ("Weeks", "Months", "Years")},
    **{f"Last{unit[:-1]}": _period(unit, -1) for unit in ("Weeks", "Months", "Years")},
    **{f"Next{unit[:-1]}": _period(unit, 1) for unit in ("Weeks", "Months", "Years")},
}
