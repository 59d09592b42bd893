"""The way back: what Dataverse takes for a value that Marketo holds.

Value formats are those of "Create and update table rows using the Web API", "Column data types" and "Behavior and
format of the date and time column" (Power Apps developer documents). Ranges and lengths are the column's own; texts are
counted in UTF-16 units, as Dataverse counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from crmsync.dynamics.schema import Attribute
from crmsync.fields.labels import Values
from crmsync.fields.model import FIELD_LENGTH, Mapping
from crmsync.fields.typemap import cuts
from crmsync.fields.values import (
    Unfit,
    clean,
    day,
    guid,
    may_be_cut,
    midnight_in,
    number,
    number_text,
    truth,
    utc,
    utf16_length,
    wall_time,
    whole,
)

Function = Callable[[Any], Any]

FIRST_DAY, LAST_DAY = "1753-01-01", "9999-12-30"
"""What a date and time column can hold ("DateTimeAttributeMetadata": MinSupportedValue, MaxSupportedValue)."""

_CORRECT_IT = "Correct the value in Marketo."

_SIMPLE: dict[str, Function] = {
    "boolean": truth,
    "value": whole,
    "guid": guid,
    "owner": guid,
    "company": guid,
    "link": guid,
}
_WHOLE_TYPES = frozenset({"IntegerType", "BigIntType"})
_NUMBERS = frozenset({"integer", "float", "currency", "number as text"})


def back_function(mapping: Mapping, attribute: Attribute) -> Function:
    """How one Marketo value becomes one of ``attribute``; never called with None or an empty string.

    The function raises ``Unfit`` when the value must not be written: an unknown label, a value that may have been cut
    on its way to Marketo, a text longer than the column, a number or a date that the column cannot hold.
    """
    if mapping.convert in _SIMPLE:
        return _SIMPLE[mapping.convert]
    if mapping.convert in _NUMBERS:
        is_whole = mapping.convert == "integer" or attribute.type in _WHOLE_TYPES
        return partial(_within, attribute, whole if is_whole else number)
    if mapping.convert == "date":
        return _midnight if _has_time(attribute) else _day
    if mapping.convert == "zoned date":
        return partial(
            _between_the_days, midnight_in(ZoneInfo(mapping.zone or "UTC")) if _has_time(attribute) else _day
        )
    if mapping.convert == "datetime":
        return partial(_between_the_days, utc)
    if mapping.convert == "wall time":
        return partial(_between_the_days, _wall_time)
    if mapping.convert in ("label", "labels"):
        return _whole_text(mapping, attribute, _option(mapping, attribute))
    return _whole_text(mapping, attribute, _text(attribute))


def _within(attribute: Attribute, function: Function, value: Any) -> Any:
    """A number that the column can hold."""
    found = function(value)
    low, high = attribute.min_value, attribute.max_value
    if (low is not None and found < low) or (high is not None and found > high):
        least, most = (number_text(limit) if limit is not None else "any" for limit in (low, high))
        raise Unfit(f"the number is not between {least} and {most}, as the column wants", _CORRECT_IT, unexplained=True)
    return found


def _has_time(attribute: Attribute) -> bool:
    """Whether the column stores a time of day, though it may show only the date."""
    return attribute.type == "DateTimeType" and attribute.behavior != "DateOnly"


def _day(value: str) -> str:
    found = day(value)
    try:
        date.fromisoformat(found or "")
    except ValueError:
        raise Unfit("this is no date", _CORRECT_IT) from None
    return str(_between_the_days(str, found))


def _midnight(value: str) -> str:
    return f"{_day(value)}T00:00:00Z"


def _wall_time(value: str) -> str:
    return f"{wall_time(value)}Z"


def _between_the_days(function: Function, value: Any) -> Any:
    """A date, with or without a time, that a column can hold."""
    found = function(value)
    if not FIRST_DAY <= found[: len(FIRST_DAY)] <= LAST_DAY:
        raise Unfit(f"Dynamics holds no dates before {FIRST_DAY} or after {LAST_DAY}", _CORRECT_IT)
    return found


def _option(mapping: Mapping, attribute: Attribute) -> Function:
    values = Values(attribute)
    if mapping.convert == "labels":
        return values.joined
    if attribute.type == "BooleanType":
        return lambda text: bool(values.one(text))
    return values.one


def _text(attribute: Attribute) -> Function:
    longest = attribute.max_length

    def convert(value: str) -> str | None:
        text = clean(value)
        if text is not None and longest is not None and utf16_length(text) > longest:
            raise Unfit(
                f"the text is longer than the column's {longest} characters",
                "Shorten the text in Marketo; a character outside of Unicode's first plane counts as two.",
                unexplained=True,
            )
        return text

    return convert


def _whole_text(mapping: Mapping, attribute: Attribute, function: Function) -> Function:
    """Refuses what may have been cut, where the mapping says that it cuts."""
    if not cuts(mapping, attribute):
        return function
    limit, in_bytes = mapping.max_length or FIELD_LENGTH, mapping.data_type == "text"

    def convert(value: str) -> Any:
        if may_be_cut(value, limit, in_bytes=in_bytes):
            raise Unfit(
                "the value may have been cut on its way to Marketo and must not replace the longer original",
                "Change the value in Dynamics.",
            )
        return function(value)

    return convert
