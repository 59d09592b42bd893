"""What a selection of fields is: which column goes to which Marketo field and how, and what has to be made first.

A ``Selection`` is stored as JSON and says all that the data path needs; nothing in it is looked up again in the map.

Field names and data types are those of Marketo's "Lead fields" and of the describe calls; keys follow "Sales Insight
for non-native CRM".
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel, ConfigDict

from crmsync.dynamics.schema import Entity
from crmsync.marketo.schema import NewCustomObject, NewPersonField, Target

ConvertKind = Literal[
    "text", "cut text", "email", "phone", "url",
    "boolean", "integer", "float", "currency", "number as text",
    "date", "datetime", "wall time", "zoned date",
    "label", "labels", "value",
    "guid", "owner", "company", "link", "constant",
    "amount", "close date", "closed", "won", "team",
]  # fmt: skip
"""How a value is converted. ``value`` sends an option's number, ``wall time`` a date and time that have no zone,
``zoned date`` the date that a moment is in a zone,
``owner`` and ``company`` the id of a record that must be in Marketo first, ``link`` the person or the company that a
custom object belongs to. Those of the last line follow from several
columns, or from a record beside the row (``crmsync.fields.derived``)."""

KEY_FIELDS: dict[Target, str] = {
    "person": "dynamicsId",
    "company": "externalCompanyId",
    "sales_person": "externalSalesPersonId",
    "opportunity": "externalOpportunityId",
    "custom_object": "dynamicsId",
}
"""The field that every upsert of an object is keyed by; it holds the Dynamics id in lower case."""

LINK_FIELDS = {"owner": "externalSalesPersonId", "company": "externalCompanyId"}

SYNC_FLAG = "new_synctomkto"
"""The column that keeps a record out of Marketo when it says No. It is read whenever it exists."""

OWNER_TEAM = "msOwnerTeam"
"""The person field that names the team that owns a record; users are owners by ``externalSalesPersonId``."""

ALWAYS_READ: dict[str, tuple[str, ...]] = {
    "lead": ("merged", "masterid", "statecode", "parentcontactid"),
    "contact": ("merged", "masterid", "statecode", "originatingleadid"),
    "opportunity": ("customerid", "parentcontactid", "createdon"),
    "connection": ("record1id", "record2id", "record2roleid", "statecode", "createdon"),
}
"""Columns from which follows who continues whom, and opportunity roles: read whatever is mapped."""

FIELD_LENGTH = 255
OBJECT_TEXT_LENGTH = 2000
"""Characters that a text field of a custom object holds; elsewhere it is bytes."""
TEXT_AREA_BYTES = 30_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Mapping(_Frozen):
    """One column of an entity and the Marketo field that it goes to.

    ``lossy`` says in advance what does not survive. ``max_length`` is what the field holds: characters, but bytes
    where ``data_type`` is ``text``. A ``constant`` has no attribute, only a ``value``; elsewhere ``value`` stands in
    for an empty one. ``also`` are further columns that the value follows from. ``zone`` is that of a ``zoned date``.
    """

    entity: str
    attribute: str
    target: Target
    field: str
    data_type: str
    convert: ConvertKind
    standard: bool
    lossy: str | None = None
    max_length: int | None = None
    value: str | bool | None = None
    also: tuple[str, ...] = ()
    zone: str | None = None

    @property
    def in_bytes(self) -> bool:
        """Whether ``max_length`` counts bytes."""
        return self.data_type == "text" and self.target != "custom_object"


class Middle(_Frozen):
    """The table between a custom entity and whom it belongs to: how it is read, and its lookup that leads there."""

    entity: str
    entity_set_name: str
    primary_id: str
    lookup: str


class CustomLink(_Frozen):
    """How a custom entity's record leads to the person or company that it belongs to: by its own lookup, or by that of
    the record which its lookup leads to."""

    to: Literal["person", "company"]
    lookup: str
    target: str
    middle: Middle | None = None

    @property
    def path(self) -> str:
        return self.lookup if self.middle is None else f"{self.lookup}.{self.middle.lookup}"


class CustomObject(_Frozen):
    """What a custom entity is in Marketo; ``make`` is what lacks there of it."""

    name: str
    link: CustomLink
    link_field: str
    make: NewCustomObject | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether its key was made for this selection, so that nothing in Marketo can carry one already."""
        return self.make is not None and any(field.is_dedupe for field in self.make.fields)


class WorksheetRow(_Frozen):
    """A field that only an administrator can make in Marketo, for one column."""

    object: Literal["person", "company", "opportunity"]
    display_name: str
    field: str
    data_type: str
    why: str
    entity: str
    attribute: str


class NotMapped(_Frozen):
    """A column that is not synced, and why."""

    entity: str
    attribute: str
    reason: str


class Selection(_Frozen):
    """The fields of one tenant. Entities stand in the order in which they are synced, mappings in that of the map.

    ``left_out`` are entities that the subscription does not take, and why. ``custom_objects`` are the custom entities
    among the mappings: those that lead to people through others stand behind these. ``filters`` are the entities that
    have a sync filter, with the MetadataId of its column: one that was there and is gone lets nothing pass.
    """

    mappings: dict[str, tuple[Mapping, ...]]
    to_create: tuple[NewPersonField, ...] = ()
    worksheet: tuple[WorksheetRow, ...] = ()
    not_mapped: tuple[NotMapped, ...] = ()
    left_out: dict[str, str] = {}
    custom_objects: dict[str, CustomObject] = {}
    filters: dict[str, str] = {}

    def select(self, entity: Entity) -> tuple[str, ...]:
        """Names for ``$select``, sorted, without the primary key; a column that is gone from ``entity`` is left out."""
        mappings = self.mappings.get(entity.logical_name, ())
        wanted = {name for mapping in mappings for name in (mapping.attribute, *mapping.also)}
        wanted |= {SYNC_FLAG, *ALWAYS_READ.get(entity.logical_name, ())}
        present = (entity.attributes[name] for name in wanted - {entity.primary_id} if name in entity.attributes)
        return tuple(sorted(attribute.select_name for attribute in present))

    def field_names(self, entity: str) -> tuple[str, ...]:
        """The Marketo fields that records of ``entity`` carry, the key first."""
        return tuple(mapping.field for mapping in self.mappings.get(entity, ()))

    def columns(self, entity: str) -> dict[str, str]:
        """The Dynamics column of each of these fields; none for a constant."""
        return {mapping.field: mapping.attribute for mapping in self.mappings.get(entity, ())}

    def without_entity(self, entity: str, why: str) -> Selection:
        """The same selection with this custom entity left out."""
        return self.model_copy(
            update={
                "mappings": {name: one for name, one in self.mappings.items() if name != entity},
                "custom_objects": {name: one for name, one in self.custom_objects.items() if name != entity},
                "left_out": self.left_out | {entity: why},
            }
        )

    def without(self, entity: str, attributes: Collection[str]) -> Selection:
        """The same selection with these columns no longer synced."""
        kept = tuple(one for one in self.mappings.get(entity, ()) if one.attribute not in attributes)
        return self.model_copy(update={"mappings": self.mappings | {entity: kept}})
