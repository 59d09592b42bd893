"""Which Marketo data type holds which Dataverse column, how values are converted, and what is lost.

Each row lists what a column fits into: the first type is what crmsync makes when no field exists, the others are
accepted when a field of that type is there already.

Types are those of "Column data types" and "Behavior and format of the date and time column" (Power Apps developer
documents), and of "Lead fields" (Marketo REST API); that floats have 32 bits is community knowledge ("Marketo
Currency Fields Are Horribly Broken").
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from crmsync.dynamics.schema import Attribute
from crmsync.fields.model import FIELD_LENGTH, OBJECT_TEXT_LENGTH, TEXT_AREA_BYTES, ConvertKind, Mapping
from crmsync.marketo.schema import Field

LOGICAL_NAME_LENGTH = 128


class Fit(NamedTuple):
    """One way to keep a column's values in Marketo."""

    data_type: str
    convert: ConvertKind
    lossy: str | None = None
    max_length: int | None = None
    zone: str | None = None


_FLOAT = "kept as a 32-bit float: about 7 significant digits"
_MONEY = f"the currency is not kept, and the amount is {_FLOAT}"
_BIG = "kept as a 32-bit float: whole numbers above 16,777,216 lose digits"
_EMAIL = "a record whose address is not ASCII is refused"
_LABEL = "an option renamed in Dynamics keeps its old label in Marketo until its record changes or a resync"
_FRACTION = "fractions of a second are dropped"
_MIDNIGHT = (
    "a date goes as the moment of its midnight where it was picked, so Marketo may show the day before or after; "
    "name a 'time_zone' under 'fields' in the tenant file to send dates"
)
_STAYS_A_MOMENT = (
    "a date goes as the moment of its midnight where it was picked, because the field is a datetime; to send dates, "
    "change its type to date in Admin > Field Management and run resync, or rename sends it to another field"
)
_EASTERN = "a date picked in a time zone east of the 'time_zone' is the day before"
WORDED_BEFORE = {
    _LABEL: "an option renamed in Dynamics keeps its old label in Marketo until its record changes",
    _MIDNIGHT: _FRACTION,
}
"""Losses that were told in other words when selections were saved and read by: the same conversion."""
_NULL = "no value reads back as false"

_ANY_TEXT = (Fit("string", "text"), Fit("text", "text"))
_TEXT = (*_ANY_TEXT, Fit("email", "email", _EMAIL), Fit("phone", "phone"), Fit("url", "url"))
_LABELLED = (Fit("string", "label", _LABEL), Fit("text", "label", _LABEL), Fit("integer", "value"))
_FLOATING = (Fit("float", "float", _FLOAT), Fit("currency", "float", _FLOAT), Fit("string", "number as text"))
_WHOLE = (Fit("integer", "integer"), Fit("score", "integer"), Fit("percent", "integer"))
_GUID = (Fit("string", "guid"), Fit("text", "guid"))
_DATE = (Fit("date", "date"), Fit("string", "date"))

TYPE_TABLE: dict[str, tuple[Fit, ...]] = {
    "StringType": _TEXT,
    "StringType Email": (Fit("email", "email", _EMAIL), *_ANY_TEXT),
    "StringType Phone": (Fit("phone", "phone"), *_ANY_TEXT),
    "StringType Url": (Fit("url", "url"), *_ANY_TEXT),
    "MemoType": (Fit("text", "text"), Fit("string", "text")),
    "BooleanType": (
        Fit("boolean", "boolean", _NULL),
        Fit("string", "label", _LABEL),
    ),
    "IntegerType": (
        *_WHOLE,
        Fit("string", "number as text"),
        Fit("float", "integer", _BIG),
        Fit("currency", "integer", _BIG),
    ),
    "BigIntType": (Fit("integer", "integer"), Fit("string", "number as text")),
    "DecimalType": _FLOATING,
    "DoubleType": _FLOATING,
    "MoneyType": (
        Fit("currency", "currency", _MONEY),
        Fit("float", "currency", _MONEY),
        Fit("string", "number as text", "the currency is not kept"),
    ),
    "DateTimeType UserLocal": (Fit("datetime", "datetime", _FRACTION), Fit("string", "datetime", _FRACTION)),
    "DateTimeType UserLocal date": (Fit("datetime", "datetime", _MIDNIGHT), Fit("string", "datetime", _MIDNIGHT)),
    "DateTimeType UserLocal date, with a time_zone": (
        Fit("date", "zoned date", _EASTERN),
        Fit("string", "zoned date", _EASTERN),
        Fit("datetime", "datetime", _STAYS_A_MOMENT),
    ),
    "DateTimeType DateOnly": _DATE,
    "DateTimeType TimeZoneIndependent": (Fit("string", "wall time"), Fit("text", "wall time")),
    "DateTimeType TimeZoneIndependent date": tuple(
        fit._replace(lossy="a time of day, should there be one, is dropped") for fit in _DATE
    ),
    "PicklistType": _LABELLED,
    "StateType": _LABELLED,
    "StatusType": _LABELLED,
    "MultiSelectPicklistType": (Fit("string", "labels", _LABEL), Fit("text", "labels", _LABEL)),
    "LookupType": _GUID,
    "CustomerType": tuple(fit._replace(lossy="whether it is an account or a contact is not kept") for fit in _GUID),
    "OwnerType": tuple(fit._replace(lossy="whether it is a user or a team is not kept") for fit in _GUID),
    "UniqueidentifierType": _GUID,
    "EntityNameType": _ANY_TEXT,
}

UNMAPPED: dict[str, str] = {
    "PartyListType": "a party list is a collection of records, not a value",
    "FileType": "Marketo keeps no files",
    "ImageType": "Marketo keeps no images",
    "ManagedPropertyType": "a managed property is a setting of the solution, not data",
    "CalendarRulesType": "calendar rules are a collection of records, not a value",
    "VirtualType": "a virtual column has no value of its own",
}
"""Types that are never synced, and why."""

OBJECT_TYPES = frozenset(
    {"string", "boolean", "integer", "float", "email", "currency", "date", "datetime", "phone", "text"}
)
"""What a field of a custom object can be, beside a link ("Custom Object Fields")."""
_LONG_FORMATS = frozenset({"TextArea", "RichText", "Json"})

_CUTTABLE = frozenset({"text", "phone", "url", "label", "labels"})
_LINKS = frozenset({"owner", "company", "link"})
_TAKEN = frozenset((fit.data_type, fit.convert) for fits in TYPE_TABLE.values() for fit in fits)
_CONVERTED = frozenset(convert for _, convert in _TAKEN) | {"cut text"}
_WRITTEN_AS_TEXT = _CONVERTED - {"boolean", "integer", "float", "currency", "value"}


def row(attribute: Attribute, zone: str | None = None) -> tuple[Fit, ...]:
    """What a column fits into, best first; empty for the types in ``UNMAPPED`` and unknown ones. ``zone`` is the time
    zone in which dates are meant that Dynamics keeps as moments."""
    key = attribute.type
    if key == "DateTimeType":
        key = f"{key} {attribute.behavior or 'UserLocal'}"
        if attribute.format == "DateOnly" and attribute.behavior != "DateOnly":
            key += " date"
        if zone is not None and keeps_midnights(attribute):
            return tuple(
                fit._replace(zone=zone) if fit.convert == "zoned date" else fit
                for fit in TYPE_TABLE[f"{key}, with a time_zone"]
            )
    elif f"{key} {attribute.format}" in TYPE_TABLE:
        key = f"{key} {attribute.format}"
    return TYPE_TABLE.get(key, ())


def keeps_midnights(attribute: Attribute) -> bool:
    """Whether a column shows dates, but keeps the moment of each one's midnight in the zone of the user who picked it
    ("Behavior and format of the date and time column")."""
    return (attribute.type, attribute.behavior or "UserLocal", attribute.format) == (
        "DateTimeType",
        "UserLocal",
        "DateOnly",
    )


def preferred(attribute: Attribute, zone: str | None = None) -> Fit | None:
    """What crmsync would make for a column, or None for a type that is never synced."""
    fits = row(attribute, zone)
    return _measured(fits[0], attribute, None) if fits else None


def fitting(attribute: Attribute, data_type: str, field: Field | None = None, *, zone: str | None = None) -> Fit | None:
    """How a column's values are kept in a field of ``data_type`` (an existing one where ``field`` is given)."""
    found = next((fit for fit in row(attribute, zone) if fit.data_type == data_type), None)
    return _measured(found, attribute, field) if found else None


def carries(attribute: Attribute, mapping: Mapping) -> bool:
    """Whether the values of a column are still of the type that the mapping converts."""
    if mapping.convert in _LINKS:
        return attribute.is_lookup
    if mapping.convert not in _CONVERTED:
        return True  # it is told by the table of the platform, not by the column's type
    return any(
        (fit.data_type, fit.convert) == (mapping.data_type, _plain(mapping.convert))
        for fit in row(attribute, mapping.zone)
    )


def holds(field: Field, mapping: Mapping) -> bool:
    """Whether Marketo's field, as it is now, takes what the mapping sends."""
    if field.data_type != mapping.data_type:
        taken = (field.data_type, _plain(mapping.convert)) in _TAKEN
        if not (taken or (field.data_type in ("string", "text") and mapping.convert in _WRITTEN_AS_TEXT)):
            return False
    if mapping.max_length is None:
        return True
    room = TEXT_AREA_BYTES if field.data_type == "text" else field.length or FIELD_LENGTH
    if field.data_type == "text" and not mapping.in_bytes:
        room //= 4
    return room >= mapping.max_length


def _plain(convert: ConvertKind) -> ConvertKind:
    return "text" if convert == "cut text" else convert


def of_object(attribute: Attribute, data_type: str | None = None, *, zone: str | None = None) -> Fit | None:
    """How a column is kept in a field of a custom object: one of ``data_type``, or the one to make. None: not at all.

    A text holds 2,000 characters there, so what may be longer than a string becomes one.
    """
    fits = [one for one in row(attribute, zone) if one.data_type in OBJECT_TYPES and data_type in (None, one.data_type)]
    measured = [_measured_object(one, attribute) for one in fits]
    if not measured:
        return None
    best, text = measured[0], next((one for one in measured if one.data_type == "text"), None)
    is_long = attribute.format in _LONG_FORMATS or (
        best.convert in (*_CUTTABLE, "cut text") and _characters(best, attribute) > FIELD_LENGTH
    )
    return text if text is not None and best.data_type == "string" and is_long else best


def _measured_object(fit: Fit, attribute: Attribute) -> Fit:
    limit = {"text": OBJECT_TEXT_LENGTH, "string": FIELD_LENGTH, "email": FIELD_LENGTH, "phone": FIELD_LENGTH}
    fit = fit._replace(max_length=limit.get(fit.data_type))
    losses, convert = [fit.lossy, *_losses(fit, attribute)], fit.convert
    if fit.max_length is not None and convert in _CUTTABLE and _characters(fit, attribute) > fit.max_length:
        losses.append(f"cut to {fit.max_length:,} characters")
        convert = "cut text" if convert == "text" else convert
    return fit._replace(convert=convert, lossy="; ".join(filter(None, losses)) or None)


def why_unmapped(attribute: Attribute) -> str:
    """The reason for which a column of a type without a row is not synced."""
    return UNMAPPED.get(attribute.type, f"Marketo has no type for {attribute.type}")


def _measured(fit: Fit, attribute: Attribute, field: Field | None) -> Fit:
    """The fit with the field's length, and with all that is lost of this very column."""
    fit = fit._replace(max_length=_limit(fit, field))
    losses = [fit.lossy, *_losses(fit, attribute)]
    convert = fit.convert
    if cuts(fit, attribute):
        losses.append(f"cut to {fit.max_length:,} {'bytes' if fit.data_type == 'text' else 'characters'}")
        convert = "cut text" if convert == "text" else convert
    return fit._replace(convert=convert, lossy="; ".join(filter(None, losses)) or None)


def _limit(fit: Fit, field: Field | None) -> int | None:
    if fit.data_type == "text":
        return TEXT_AREA_BYTES
    if fit.data_type in ("string", "email", "phone", "url"):
        return (field.length if field is not None else None) or FIELD_LENGTH
    return None


def cuts(fit: Fit | Mapping, attribute: Attribute) -> bool:
    """Whether a column can hold more than the field does, so that values are cut."""
    if fit.convert == "cut text":
        return True
    return fit.convert in _CUTTABLE and fit.max_length is not None and _longest(fit, attribute) > fit.max_length


def _longest(fit: Fit | Mapping, attribute: Attribute) -> float:
    """The length of the longest value that a column can have in Marketo: characters, or bytes in a text area."""
    in_bytes = fit.in_bytes if isinstance(fit, Mapping) else fit.data_type == "text"
    return _characters(fit, attribute) * (4 if in_bytes else 1)


def _characters(fit: Fit | Mapping, attribute: Attribute) -> float:
    labels = [len(label) for label in attribute.options.values()]
    if fit.convert == "label":
        return max(labels, default=0)
    if fit.convert == "labels":
        return sum(labels) + max(len(labels) - 1, 0)
    if attribute.type == "EntityNameType":
        return LOGICAL_NAME_LENGTH
    return attribute.max_length if attribute.max_length is not None else float("inf")


def _losses(fit: Fit, attribute: Attribute) -> list[str]:
    losses = []
    if fit.convert in ("label", "labels"):
        twice = sorted(label for label, count in Counter(attribute.options.values()).items() if count > 1)
        if twice:
            losses.append(f"several options are called '{twice[0]}' and cannot be told apart")
    if fit.convert == "labels":
        parted = sorted(label for label in attribute.options.values() if ";" in label)
        if parted:
            losses.append(f"the label '{parted[0]}' holds the separator ';'")
    if attribute.source_type in (1, 2):
        losses.append("calculated in Dynamics: a new result alone may not be noticed until the record changes")
    return losses
