"""Columns from the definitions that a client sends: new ones, and changes of existing ones.

"Create and update column definitions using the Web API" (Power Apps developer documents); the ``Complex...`` types are
those of the ``CreateEntities`` action.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crmsync.sandbox.dataverse.columns import CHOICE_KINDS, SUPPORTED, Column, OptionSet
from crmsync.sandbox.dataverse.errors import bad_request, invalid_argument
from crmsync.sandbox.dataverse.options import NO_YES, Option

SCHEMA_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9]{1,7}_[A-Za-z0-9_]{1,93}$")
LANGUAGE = 1033
_NAMESPACE = "Microsoft.Dynamics.CRM."
_SIMPLE = ("String", "Memo", "Integer", "BigInt", "Decimal", "Double", "Money", "Boolean", "DateTime", "Picklist")
_KINDS = {f"{kind}AttributeMetadata": kind for kind in (*_SIMPLE, "MultiSelectPicklist", "Lookup", "Image", "File")} | {
    "UniqueIdentifierAttributeMetadata": "Uniqueidentifier"
}
_DEFAULT_FORMATS = {"String": "Text", "Memo": "TextArea", "Integer": "None", "DateTime": "DateAndTime"}
_DEFAULT_LENGTHS = {"String": 100, "Memo": 2000}
_LONGEST = {"String": 4000, "Memo": 1_048_576}
_DEFAULT_PRECISION = {"Decimal": 2, "Double": 2, "Money": 2}
_FINEST = {"Decimal": 10, "Double": 5, "Money": 4}
OptionSets = Mapping[str, OptionSet]


def check_schema_name(name: str) -> str:
    """A schema name must carry a publisher's prefix."""
    if not SCHEMA_NAME.match(name):
        raise bad_request(f"The schema name '{name}' must have a customization prefix.", "0x80044363")
    return name


def kind_of(body: Mapping[str, Any]) -> str:
    """The attribute type of a definition, by ``@odata.type``."""
    given = str(body.get("@odata.type", ""))
    kind = _KINDS.get(given.removeprefix("#").removeprefix(_NAMESPACE).removeprefix("Complex"))
    if kind is None:
        raise bad_request(f"An attribute of the type '{given}' cannot be created.")
    return kind


def new_columns(body: Mapping[str, Any], option_sets: OptionSets) -> list[Column]:
    """The columns that an attribute's definition makes: one, or two for money."""
    kind = kind_of(body)
    schema_name = check_schema_name(str(body.get("SchemaName") or ""))
    if kind in {"Lookup", "Uniqueidentifier"}:
        raise bad_request(f"A {kind.lower()} column is not created by itself.")
    options, global_options = new_options(kind, body, option_sets)
    lowest, highest = SUPPORTED.get(kind, (None, None))
    column = Column(
        name=schema_name.lower(),
        kind=kind,
        label=text_of(body.get("DisplayName")) or schema_name,
        schema_name=schema_name,
        max_length=body.get("MaxLength") or _DEFAULT_LENGTHS.get(kind),
        precision=body.get("Precision", _DEFAULT_PRECISION.get(kind)),
        minimum=body.get("MinValue", lowest),
        maximum=body.get("MaxValue", highest),
        format=value_of(body.get("FormatName")) or body.get("Format") or _DEFAULT_FORMATS.get(kind),
        behavior=(value_of(body.get("DateTimeBehavior")) or "UserLocal") if kind == "DateTime" else None,
        options=options,
        global_options=global_options,
        default=_default(kind, body),
        custom=True,
        primary_name=bool(body.get("IsPrimaryName", False)),
        required=value_of(body.get("RequiredLevel")) or "None",
        secured=bool(body.get("IsSecured", False)),
        metadata_id=str(uuid.uuid4()),
        description=text_of(body.get("Description")) or "",
    )
    _check(column)
    return [column] if kind != "Money" else [column, base_twin(column)]


def changed_column(column: Column, body: Mapping[str, Any]) -> Column:
    """``column`` with what a whole definition, put back, says of it; its type and name stay."""
    if body.get("@odata.type") and _KINDS.get(_plain_type(body)) not in {None, column.kind, _lookup(column)}:
        raise bad_request(f"The type of the attribute {column.name} cannot be changed.")
    for name, kept in (("LogicalName", column.name), ("SchemaName", column.schema_name)):
        if body.get(name, kept) != kept:
            raise bad_request(f"The {name} of the attribute {column.name} cannot be changed.")
    changed = replace(
        column,
        label=text_of(body.get("DisplayName")) or column.label,
        description=text_of(body.get("Description")) or column.description,
        required=value_of(body.get("RequiredLevel")) or column.required,
        secured=bool(body.get("IsSecured", column.secured)),
        max_length=body.get("MaxLength") or column.max_length if column.kind in _LONGEST else None,
        precision=body.get("Precision", column.precision),
        minimum=body.get("MinValue", column.minimum),
        maximum=body.get("MaxValue", column.maximum),
        format=value_of(body.get("FormatName")) or body.get("Format") or column.format,
        behavior=value_of(body.get("DateTimeBehavior")) or column.behavior,
        default=_default(column.kind, body) if "DefaultValue" in body or "DefaultFormValue" in body else column.default,
    )
    _check(changed)
    return changed


def _plain_type(body: Mapping[str, Any]) -> str:
    return str(body["@odata.type"]).removeprefix("#").removeprefix(_NAMESPACE).removeprefix("Complex")


def _lookup(column: Column) -> str:
    return "Lookup" if column.is_lookup else column.kind


def _default(kind: str, body: Mapping[str, Any]) -> Any:
    if kind == "Boolean":
        return body.get("DefaultValue")
    if kind in CHOICE_KINDS:
        value = body.get("DefaultFormValue")
        return None if value in {None, -1} else value
    return None


def _check(column: Column) -> None:
    longest, finest = _LONGEST.get(column.kind), _FINEST.get(column.kind)
    if longest is not None and not 1 <= (column.max_length or 0) <= longest:
        raise invalid_argument(f"MaxLength of {column.name} must be between 1 and {longest}.")
    if finest is not None and not 0 <= (column.precision or 0) <= finest:
        raise invalid_argument(f"Precision of {column.name} must be between 0 and {finest}.")
    if column.minimum is not None and column.maximum is not None:
        lowest, highest = SUPPORTED[column.kind]
        if column.minimum > column.maximum:
            raise invalid_argument(f"MinValue of {column.name} is above its MaxValue.")
        if column.minimum < lowest or column.maximum > highest:
            raise invalid_argument(f"The range of {column.name} must be within {lowest:.0f} and {highest:.0f}.")
    if column.required not in {"None", "SystemRequired", "ApplicationRequired", "Recommended"}:
        raise invalid_argument(f"'{column.required}' is not a required level.")


def base_twin(column: Column) -> Column:
    """The read-only amount in the base currency beside a money column."""
    return Column(
        name=f"{column.name}_base",
        kind="Money",
        label=f"{column.label} (Base)",
        schema_name=f"{column.schema_name}_Base",
        precision=column.precision,
        creatable=False,
        updatable=False,
        custom=True,
        metadata_id=str(uuid.uuid4()),
    )


def new_options(kind: str, body: Mapping[str, Any], option_sets: OptionSets) -> tuple[tuple[Option, ...], str | None]:
    """The options of a choice column, and the name of its global option set if it uses one."""
    bound = body.get("GlobalOptionSet@odata.bind")
    if bound:
        name = str(bound).partition("(")[2].rstrip(")")
        for one in option_sets.values():
            if name.strip("'") == one.metadata_id or name == f"Name='{one.name}'":
                return one.options, one.name
        raise bad_request(f"Could not find an option set with the specified name: {name}.")
    given = body.get("OptionSet") or {}
    if kind == "Boolean":
        yes, no = given.get("TrueOption"), given.get("FalseOption")
        if not yes or not no:
            return NO_YES, None
        return (Option(0, text_of(no.get("Label")) or "No"), Option(1, text_of(yes.get("Label")) or "Yes")), None
    if given.get("IsGlobal"):
        known = option_sets.get(str(given.get("Name")))
        return (known.options if known else listed_options(given)), given.get("Name")
    return listed_options(given), None


def listed_options(given: Mapping[str, Any]) -> tuple[Option, ...]:
    """``Options`` of an option set; one without a value gets the next free one of the customization prefix."""
    found: list[Option] = []
    for one in given.get("Options", []):
        value = one.get("Value")
        if value is None:
            value = max([99_999_999, *(option.value for option in found)]) + 1
        if value in {option.value for option in found}:
            raise invalid_argument(f"The option value {value} stands twice in the option set.")
        found.append(Option(int(value), text_of(one.get("Label")) or ""))
    return tuple(found)


def text_of(label: Mapping[str, Any] | None) -> str | None:
    """The English text of a label, or its first."""
    labels = (label or {}).get("LocalizedLabels") or []
    english = [one for one in labels if one.get("LanguageCode") == LANGUAGE]
    return (english or labels)[0]["Label"] if labels else None


def value_of(holder: Any) -> Any:
    """The value of a ``{"Value": ...}``."""
    return holder.get("Value") if isinstance(holder, Mapping) else None
