"""What the product knows of an organization's schema: entities, their attributes and option labels.

Shapes follow "Query table definitions using the Web API" and "Column data types" (Power Apps developer documents);
``type`` is ``AttributeTypeName.Value``, because multi-select, image and file columns all say ``Virtual`` in
``AttributeType``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

LOOKUP_TYPES = frozenset({"LookupType", "CustomerType", "OwnerType"})

EARLIEST_DATE = datetime(1753, 1, 1, tzinfo=UTC)
LATEST_DATE = datetime(9999, 12, 30, 23, 59, 59, tzinfo=UTC)
"""The range of every date column: constants of the platform (MinSupportedValue and MaxSupportedValue of
DateTimeAttributeMetadata), which no column's own metadata tells."""


class Attribute(BaseModel):
    """One column of an entity.

    ``options`` maps option value to its English (1033) label, for choices, states, statuses, multi-selects and (0/1)
    two-option columns. ``format`` is FormatName or Format (``Email``, ``Url``, ``DateOnly`` ...), ``behavior`` the
    DateTimeBehavior. ``hidden``: column security kept the sync user from reading it when the snapshot was taken, so
    that it reads as empty, without an error. ``max_length`` counts UTF-16 units. ``min_value`` and ``max_value`` (both
    allowed) are those of Integer, BigInt, Decimal, Double and Money columns; None when the snapshot is older than
    crmsync's reading of them.
    """

    model_config = ConfigDict(frozen=True)

    logical_name: str
    schema_name: str
    metadata_id: str
    type: str
    display_name: str | None = None
    attribute_of: str | None = None
    is_custom: bool = False
    is_logical: bool = False
    is_primary_id: bool = False
    is_primary_name: bool = False
    is_secured: bool = False
    hidden: bool = False
    valid_for_read: bool = True
    valid_for_create: bool = True
    valid_for_update: bool = True
    source_type: int | None = None
    required_level: str = "None"
    max_length: int | None = None
    precision: int | None = None
    min_value: int | float | None = None
    max_value: int | float | None = None
    format: str | None = None
    behavior: str | None = None
    targets: tuple[str, ...] = ()
    options: dict[int, str] = Field(default_factory=dict)

    @property
    def is_lookup(self) -> bool:
        return self.type in LOOKUP_TYPES

    @property
    def kind(self) -> str:
        """Its type as an operator knows it: "Integer", "DateTime (DateOnly)"."""
        name = self.type.removesuffix("Type")
        return f"{name} ({self.behavior})" if self.behavior else name

    @property
    def select_name(self) -> str:
        """The name under which rows carry this column: lookups are selectable only as ``_name_value``."""
        return f"_{self.logical_name}_value" if self.is_lookup else self.logical_name

    @property
    def readable(self) -> bool:
        """Whether a data query may select it: valid for read, no shadow of another column, not a bare Virtual."""
        return self.valid_for_read and self.attribute_of is None and self.type != "VirtualType"


class Entity(BaseModel):
    """One entity (table) with its attributes by logical name."""

    model_config = ConfigDict(frozen=True)

    logical_name: str
    schema_name: str
    entity_set_name: str
    primary_id: str
    primary_name: str | None = None
    display_name: str | None = None
    object_type_code: int | None = None
    is_custom: bool = False
    change_tracking_enabled: bool = False
    attributes: dict[str, Attribute] = Field(default_factory=dict)

    def has(self, column: str | None) -> bool:
        """Whether there is a column of this name, as rows carry it or not."""
        name = (column or "").removeprefix("_").removesuffix("_value")
        return column in self.attributes or name in self.attributes


class DynamicsSchema(BaseModel):
    """A snapshot of the entities that crmsync syncs, by logical name; ``taken_at`` is UTC.

    ``beside`` are entities through which custom ones may lead to people or companies, with such lookups only. ``stamp``
    tells the service what of the definitions is known, so that it tells what has changed since.
    """

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    entities: dict[str, Entity]
    beside: dict[str, Entity] = {}
    stamp: str | None = None

    def hides(self, entity: str | None, column: str | None) -> bool:
        """Whether column security kept the sync user from reading this column."""
        found = self.entities.get(entity or "")
        return found is not None and (column or "") in found.attributes and found.attributes[column or ""].hidden

    def with_entities(self, entities: Iterable[Entity]) -> DynamicsSchema:
        """The same snapshot with these entities replaced."""
        return self.model_copy(update={"entities": self.entities | {one.logical_name: one for one in entities}})
