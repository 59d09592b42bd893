"""The way back: what Dataverse takes for a value that Marketo holds.

Value formats are those of "Create and update table rows using the Web API" and "Column data types" (Power Apps
developer documents).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crmsync.dynamics.schema import Attribute
from crmsync.fields.labels import Values
from crmsync.fields.model import FIELD_LENGTH, Mapping
from crmsync.fields.typemap import cuts
from crmsync.fields.values import Unfit, clean, day, guid, may_be_cut, number, truth, utc, wall_time, whole

Function = Callable[[Any], Any]

_SIMPLE: dict[str, Function] = {
    "boolean": truth,
    "integer": whole,
    "value": whole,
    "float": number,
    "currency": number,
    "date": day,
    "datetime": utc,
    "guid": guid,
    "owner": guid,
    "company": guid,
    "link": guid,
}
_WHOLE_TYPES = frozenset({"IntegerType", "BigIntType"})


def back_function(mapping: Mapping, attribute: Attribute) -> Function:
    """How one Marketo value becomes one of ``attribute``; never called with None or an empty string.

    The function raises ``Unfit`` when the value must not be written: an unknown label, a value that may have been cut
    on its way to Marketo, a text longer than the column.
    """
    if mapping.convert in _SIMPLE:
        return _SIMPLE[mapping.convert]
    if mapping.convert == "number as text":
        return whole if attribute.type in _WHOLE_TYPES else number
    if mapping.convert == "wall time":
        return _wall_time
    if mapping.convert in ("label", "labels"):
        return _whole_text(mapping, attribute, _option(mapping, attribute))
    return _whole_text(mapping, attribute, _text(attribute))


def _wall_time(value: str) -> str:
    return f"{wall_time(value)}Z"


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
        if text is not None and longest is not None and len(text) > longest:
            raise Unfit(f"the text is longer than the column's {longest} characters", "Shorten the text in Marketo.")
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
