"""Reads an entity's definition: its columns, and what only a cast to their type tells (options, lengths, formats).

Metadata answers are not paged. Type-specific properties need one call per type; only the types that the entity has are
asked for. Facts: "Query table definitions using the Web API" and "Column data types" (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from crmsync.dynamics.answers import COLUMNS, DEFINITION, DETAILS
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.pacing import together
from crmsync.dynamics.schema import LOOKUP_TYPES, Attribute, Entity

ENGLISH = 1033
STRONG = {"Consistency": "Strong"}
"""Past the half-minute caches: a column that has just been created or deleted is seen."""

_ENTITY = (
    "LogicalName,SchemaName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute,ObjectTypeCode,IsCustomEntity,"
    "ChangeTrackingEnabled,DisplayName"
)
_ATTRIBUTE = (
    "LogicalName,SchemaName,AttributeType,AttributeTypeName,AttributeOf,IsLogical,IsPrimaryId,IsPrimaryName,"
    "IsValidForRead,IsValidForCreate,IsValidForUpdate,IsSecured,IsCustomAttribute,SourceType,RequiredLevel,DisplayName,"
    "MetadataId"
)

Row = dict[str, Any]


def label(value: Row | None) -> str | None:
    """The English text of a label, else the user's own language, else any other, else None."""
    if not value:
        return None
    texts = value.get("LocalizedLabels") or []
    english = next((text for text in texts if text.get("LanguageCode") == ENGLISH), None)
    found = english or value.get("UserLocalizedLabel") or next(iter(texts), None)
    return (found.get("Label") or None) if found else None


def _value(managed: Any) -> Any:
    """What is in a ``{"Value": ...}``."""
    return managed.get("Value") if isinstance(managed, dict) else managed


def _labels(options: Iterable[Row | None]) -> Row:
    return {"options": {one["Value"]: label(one.get("Label")) or str(one["Value"]) for one in options if one}}


def _choices(row: Row) -> Row:
    found = row.get("OptionSet") or row.get("GlobalOptionSet") or {}
    return _labels(found.get("Options") or ())


def _two_options(row: Row) -> Row:
    found = row.get("OptionSet") or row.get("GlobalOptionSet") or {}
    return _labels((found.get("FalseOption"), found.get("TrueOption")))


def _lookup(row: Row) -> Row:
    return {"targets": tuple(row.get("Targets") or ())}


def _text(row: Row) -> Row:
    return {"max_length": row.get("MaxLength"), "format": _value(row.get("FormatName")) or _value(row.get("Format"))}


def _range(row: Row) -> Row:
    return {"min_value": row.get("MinValue"), "max_value": row.get("MaxValue")}


def _number(row: Row) -> Row:
    return {"precision": row.get("Precision"), **_range(row)}


def _whole_number(row: Row) -> Row:
    return {"format": _value(row.get("Format")), **_range(row)}


def _date_time(row: Row) -> Row:
    return {"format": _value(row.get("Format")), "behavior": _value(row.get("DateTimeBehavior"))}


@dataclass(frozen=True)
class Cast:
    """One call per type: which attribute types it serves, what it asks for, and what of an Attribute it fills."""

    name: str
    types: frozenset[str]
    select: str
    fill: Callable[[Row], Row]
    expand: str | None = None


_BOTH_SETS = "OptionSet($select=Options),GlobalOptionSet($select=Options)"
_TWO_OPTIONS = "OptionSet($select=TrueOption,FalseOption)"
_OPTION_SET = "OptionSet($select=Options)"
_RANGE = "LogicalName,MinValue,MaxValue"

CASTS: tuple[Cast, ...] = (
    Cast("Picklist", frozenset({"PicklistType"}), "LogicalName", _choices, _BOTH_SETS),
    Cast("MultiSelectPicklist", frozenset({"MultiSelectPicklistType"}), "LogicalName", _choices, _BOTH_SETS),
    Cast("State", frozenset({"StateType"}), "LogicalName", _choices, _OPTION_SET),
    Cast("Status", frozenset({"StatusType"}), "LogicalName", _choices, _OPTION_SET),
    Cast("Boolean", frozenset({"BooleanType"}), "LogicalName", _two_options, _TWO_OPTIONS),
    Cast("String", frozenset({"StringType"}), "LogicalName,MaxLength,FormatName", _text),
    Cast("Memo", frozenset({"MemoType"}), "LogicalName,MaxLength,Format", _text),
    Cast("Integer", frozenset({"IntegerType"}), f"{_RANGE},Format", _whole_number),
    Cast("BigInt", frozenset({"BigIntType"}), _RANGE, _range),
    Cast("Decimal", frozenset({"DecimalType"}), f"{_RANGE},Precision", _number),
    Cast("Double", frozenset({"DoubleType"}), f"{_RANGE},Precision", _number),
    Cast("Money", frozenset({"MoneyType"}), f"{_RANGE},Precision", _number),
    Cast("DateTime", frozenset({"DateTimeType"}), "LogicalName,Format,DateTimeBehavior", _date_time),
    Cast("Lookup", LOOKUP_TYPES, "LogicalName,Targets", _lookup),
)


async def read_entity(channel: Channel, logical_name: str) -> Entity:
    """The definition of an entity with all its attributes; raises ``EntityMissing``."""
    base = f"EntityDefinitions(LogicalName='{logical_name}')"
    questions = ((url(base, select=_ENTITY), DEFINITION), (url(f"{base}/Attributes", select=_ATTRIBUTE), COLUMNS))
    definition, columns = await together(
        channel.get(question, shape, entity=logical_name, headers=STRONG) for question, shape in questions
    )
    rows: list[Row] = columns["value"]
    present = {_value(row.get("AttributeTypeName")) for row in rows}
    casts = [cast for cast in CASTS if cast.types & present]
    details = await together(_cast(channel, base, cast, logical_name) for cast in casts)
    more = {name: filled for answer in details for name, filled in answer.items()}
    attributes = (attribute(row, more.get(row["LogicalName"], {})) for row in rows)
    return entity(definition, {one.logical_name: one for one in attributes})


async def _cast(channel: Channel, base: str, cast: Cast, logical_name: str) -> dict[str, Row]:
    path = f"{base}/Attributes/Microsoft.Dynamics.CRM.{cast.name}AttributeMetadata"
    asked = url(path, select=cast.select, expand=cast.expand)
    body = await channel.get(asked, DETAILS, entity=logical_name, headers=STRONG)
    return {row["LogicalName"]: cast.fill(row) for row in body["value"]}


def entity(row: Row, attributes: dict[str, Attribute]) -> Entity:
    """An EntityMetadata row with its attributes."""
    return Entity(
        logical_name=row["LogicalName"],
        schema_name=row.get("SchemaName") or row["LogicalName"],
        entity_set_name=row["EntitySetName"],
        primary_id=row["PrimaryIdAttribute"],
        primary_name=row.get("PrimaryNameAttribute"),
        display_name=label(row.get("DisplayName")) or row.get("SchemaName"),
        object_type_code=row.get("ObjectTypeCode"),
        is_custom=bool(row.get("IsCustomEntity")),
        change_tracking_enabled=bool(row.get("ChangeTrackingEnabled")),
        attributes=attributes,
    )


def attribute(row: Row, more: Row) -> Attribute:
    """An AttributeMetadata row, with what its cast told."""
    return Attribute(
        logical_name=row["LogicalName"],
        schema_name=row.get("SchemaName") or row["LogicalName"],
        metadata_id=row["MetadataId"],
        type=_value(row.get("AttributeTypeName")) or f"{row.get('AttributeType')}Type",
        display_name=label(row.get("DisplayName")) or row.get("SchemaName"),
        attribute_of=row.get("AttributeOf"),
        is_custom=bool(row.get("IsCustomAttribute")),
        is_logical=bool(row.get("IsLogical")),
        is_primary_id=bool(row.get("IsPrimaryId")),
        is_primary_name=bool(row.get("IsPrimaryName")),
        is_secured=bool(row.get("IsSecured")),
        valid_for_read=row.get("IsValidForRead") is not False,
        valid_for_create=row.get("IsValidForCreate") is not False,
        valid_for_update=row.get("IsValidForUpdate") is not False,
        source_type=row.get("SourceType"),
        required_level=_value(row.get("RequiredLevel")) or "None",
        **more,
    )
