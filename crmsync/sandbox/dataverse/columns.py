"""What a table and a column are, and short constructors for each attribute type.

``kind`` is ``AttributeTypeName`` without its ``Type``: "Column data types" (Power Apps developer documents).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crmsync.sandbox.dataverse.options import NO_YES, Option

LOOKUP_KINDS = frozenset({"Lookup", "Customer", "Owner"})
CHOICE_KINDS = frozenset({"Picklist", "State", "Status"})
NOT_STORED = frozenset({"Virtual", "Image", "File"})


@dataclass(frozen=True)
class Reference:
    """One relationship of a lookup: the table it points to and the names of both navigation properties.

    ``on_delete``: what happens to the row when the row it points to is deleted.
    """

    target: str
    navigation: str
    schema_name: str
    on_delete: str = "RemoveLink"


@dataclass(frozen=True)
class Column:
    """One attribute. ``of`` is AttributeOf: a shadow that data queries cannot select."""

    name: str
    kind: str
    label: str
    schema_name: str = ""
    max_length: int | None = None
    precision: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    format: str | None = None
    behavior: str | None = None
    options: tuple[Option, ...] = ()
    global_options: str | None = None
    default: Any = None
    references: tuple[Reference, ...] = ()
    of: str | None = None
    primary: bool = False
    primary_name: bool = False
    readable: bool = True
    creatable: bool = True
    updatable: bool = True
    logical: bool = False
    custom: bool = False
    secured: bool = False
    required: str = "None"
    metadata_id: str = ""
    description: str = ""

    @property
    def is_lookup(self) -> bool:
        return self.kind in LOOKUP_KINDS

    @property
    def stored(self) -> bool:
        """Whether the table in SQLite has a column for it."""
        return self.kind not in NOT_STORED and self.of is None

    @property
    def polymorphic(self) -> bool:
        return len(self.references) > 1

    @property
    def property_name(self) -> str:
        """Its name in rows, ``$select`` and ``$filter``."""
        return f"_{self.name}_value" if self.is_lookup else self.name

    @property
    def selectable(self) -> bool:
        return self.readable and self.of is None and self.kind not in {"Virtual", "Image", "File"}

    @property
    def date_only(self) -> bool:
        return self.kind == "DateTime" and self.behavior == "DateOnly"


@dataclass(frozen=True)
class AlternateKey:
    """Columns that identify a row. ``made`` is when its index was ordered; ``failed``: there were duplicates."""

    schema_name: str
    columns: tuple[str, ...]
    metadata_id: str
    label: str = ""
    made: float = 0.0
    failed: bool = False

    @property
    def name(self) -> str:
        return self.schema_name.lower()


@dataclass(frozen=True)
class Link:
    """A many-to-many relationship: pairs of ids in a table of their own."""

    schema_name: str
    entities: tuple[str, str]
    navigations: tuple[str, str]
    intersect: str
    metadata_id: str


@dataclass(frozen=True)
class OptionSet:
    """A global option set."""

    name: str
    label: str
    options: tuple[Option, ...]
    metadata_id: str
    custom: bool = True


@dataclass(frozen=True)
class Table:
    """One entity and its columns, in order."""

    name: str
    schema_name: str
    set_name: str
    label: str
    plural_label: str
    type_code: int
    ownership: str
    primary_id: str
    primary_name: str
    columns: tuple[Column, ...]
    tracked: bool = False
    can_be_tracked: bool = True
    custom: bool = False
    metadata_id: str = ""
    keys: tuple[AlternateKey, ...] = ()
    description: str = ""


def key(name: str, label: str) -> Column:
    return Column(name, "Uniqueidentifier", label, primary=True, updatable=False, required="SystemRequired")


def guid(name: str, label: str, **more: Any) -> Column:
    return Column(name, "Uniqueidentifier", label, **more)


def text(name: str, label: str, length: int = 100, form: str = "Text", **more: Any) -> Column:
    return Column(name, "String", label, max_length=length, format=form, **more)


def email(name: str, label: str, length: int = 100, **more: Any) -> Column:
    return text(name, label, length, "Email", **more)


def phone(name: str, label: str, length: int = 50, **more: Any) -> Column:
    return text(name, label, length, "Phone", **more)


def url(name: str, label: str, length: int = 200, **more: Any) -> Column:
    return text(name, label, length, "Url", **more)


def memo(name: str, label: str, length: int = 2000, **more: Any) -> Column:
    return Column(name, "Memo", label, max_length=length, format="TextArea", **more)


SUPPORTED: dict[str, tuple[float, float]] = {
    "Integer": (-(2**31), 2**31 - 1),
    "BigInt": (-(2**63), 2**63 - 1),
    "Decimal": (-1e11, 1e11),
    "Double": (-1e11, 1e11),
    "Money": (-922337203685477.0, 922337203685477.0),
}
"""The range that a type supports, which is a column's own unless its definition narrows it: MinSupportedValue and
MaxSupportedValue of its AttributeMetadata."""


def integer(name: str, label: str, low: int = -(2**31), high: int = 2**31 - 1, **more: Any) -> Column:
    return Column(name, "Integer", label, minimum=low, maximum=high, format="None", **more)


def bigint(name: str, label: str, **more: Any) -> Column:
    low, high = SUPPORTED["BigInt"]
    return Column(name, "BigInt", label, minimum=low, maximum=high, **more)


def decimal(name: str, label: str, precision: int = 2, **more: Any) -> Column:
    low, high = SUPPORTED["Decimal"]
    return Column(name, "Decimal", label, precision=precision, minimum=low, maximum=high, **more)


def double(name: str, label: str, precision: int = 5, low: float = -1e11, high: float = 1e11, **more: Any) -> Column:
    return Column(name, "Double", label, precision=precision, minimum=low, maximum=high, **more)


def money(name: str, label: str, **more: Any) -> tuple[Column, Column]:
    """A money column and its read-only twin in the base currency."""
    low, high = SUPPORTED["Money"]
    limits = {"precision": 2, "minimum": low, "maximum": high}
    base = Column(f"{name}_base", "Money", f"{label} (Base)", creatable=False, updatable=False, **limits, **more)  # type: ignore[arg-type]
    return Column(name, "Money", label, **limits, **more), base  # type: ignore[arg-type]


def yes_no(
    name: str, label: str, options: tuple[Option, ...] = NO_YES, *, default: bool | None = False, **more: Any
) -> Column:
    return Column(name, "Boolean", label, options=options, default=default, **more)


def moment(name: str, label: str, behavior: str = "UserLocal", **more: Any) -> Column:
    return Column(name, "DateTime", label, format="DateAndTime", behavior=behavior, **more)


def date(name: str, label: str, **more: Any) -> Column:
    return Column(name, "DateTime", label, format="DateOnly", behavior="DateOnly", **more)


def choice(name: str, label: str, options: tuple[Option, ...], **more: Any) -> Column:
    return Column(name, "Picklist", label, options=options, **more)


def choices(name: str, label: str, options: tuple[Option, ...], **more: Any) -> Column:
    return Column(name, "MultiSelectPicklist", label, options=options, **more)


def lookup(name: str, label: str, *references: Reference, kind: str = "Lookup", **more: Any) -> Column:
    return Column(name, kind, label, references=references, **more)


def system(column: Column) -> Column:
    """The same column, kept by the platform: writes to it are ignored."""
    return replace(column, creatable=False, updatable=False)
