"""Selected fields that do not work any more: Marketo does not show them, a type has changed on either side, or column
security hides the column from the sync user.

What describe tells of is what is there: "Describe is the primary source of truth for whether fields are available for
use" ("Leads", Marketo REST API). A field that was created over the API can be hidden and shown again, never deleted; an
administrator can change the type of a custom field, and in Dynamics make a column again with another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as ReadOnlyDict
from typing import NamedTuple

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.fields.model import KEY_FIELDS, Mapping, NotMapped, Selection
from crmsync.fields.typemap import carries, holds
from crmsync.marketo.schema import Field, MarketoSchema, Target

REASON = "Marketo does not show the field any more: it is hidden or removed there; the column in Dynamics is kept"
SECURED = "column security keeps the sync user from reading it: "
"""How the reason begins where the column reads as empty, whatever is in it."""

RETYPED = "a type has changed: "
"""How the reason begins where the field and the column are there, but do not fit each other as they were selected."""

Key = tuple[str, str]
"""An entity and a Marketo field."""


class Unfit(NamedTuple):
    """A mapping that does not work any more, and why."""

    mapping: Mapping
    reason: str


def is_shown(marketo: MarketoSchema, target: Target, field: str) -> bool:
    """Whether this field is there. Of objects that are not in the snapshot, nothing is said."""
    return not _is_known(marketo, target) or _field(marketo, target, field) is not None


def hidden(selection: Selection, marketo: MarketoSchema) -> Iterator[Mapping]:
    """The mappings whose field is not there."""
    for mappings in selection.mappings.values():
        yield from (one for one in mappings if not is_shown(marketo, one.target, one.field))


def unfit(selection: Selection, dynamics: DynamicsSchema, marketo: MarketoSchema) -> Iterator[Unfit]:
    """The mappings whose field is not there, or does not take what is sent, or whose column has other values than the
    mapping converts, or cannot be read. Columns that are gone are not among them."""
    for mapping in (mapping for mappings in selection.mappings.values() for mapping in mappings):
        if not is_shown(marketo, mapping.target, mapping.field):
            yield Unfit(mapping, REASON)
        elif secured := hidden_columns(mapping, dynamics):
            yield Unfit(mapping, why_secured(secured))
        elif (why := _why_retyped(mapping, dynamics, marketo)) is not None:
            yield Unfit(mapping, f"{RETYPED}{why}; run resync")


def hidden_columns(mapping: Mapping, dynamics: DynamicsSchema) -> list[str]:
    """The columns of a mapping that the sync user may not read. Without the link of a custom object it is no field that
    is lacking: the whole entity stops."""
    if mapping.convert == "link":
        return []
    entity = dynamics.entities.get(mapping.entity)
    columns = entity.attributes if entity else {}
    return [name for name in (mapping.attribute, *mapping.also) if name in columns and columns[name].hidden]


def why_secured(columns: Iterable[str]) -> str:
    """The reason for which a field of these columns is parked, with what brings it back."""
    names = ", ".join(columns)
    return f"{SECURED}Marketo's field is kept. Let a column security profile of the sync user read {names}, run resync"


def _why_retyped(mapping: Mapping, dynamics: DynamicsSchema, marketo: MarketoSchema) -> str | None:
    if _is_known(marketo, mapping.target) and (field := _field(marketo, mapping.target, mapping.field)) is not None:
        if not holds(field, mapping):
            size = f" of {field.length} characters" if field.data_type == mapping.data_type and field.length else ""
            return f"Marketo's field {mapping.field} is {field.data_type}{size} now, but was {mapping.data_type}"
        if not (field.updateable or is_needed(mapping)):
            return f"Marketo's field {mapping.field} is read-only now"
    entity = dynamics.entities.get(mapping.entity)
    attribute = entity.attributes.get(mapping.attribute) if entity else None
    if attribute is not None and not carries(attribute, mapping):
        return f"the column {mapping.attribute} is {attribute.kind} now, whose values {mapping.field} cannot take"
    return None


def _is_known(marketo: MarketoSchema, target: Target) -> bool:
    return target != "custom_object" and getattr(marketo, target) is not None


def _field(marketo: MarketoSchema, target: Target, name: str) -> Field | None:
    """Company fields are fields of people, too."""
    found = marketo.of(target).fields.get(name)
    return marketo.company.fields.get(name) if found is None and target == "person" else found


def is_needed(mapping: Mapping) -> bool:
    """Whether there is no syncing without this field: the key, and what crmsync fills itself."""
    return not mapping.attribute or mapping.field in KEY_FIELDS.values()


def without_fields(selection: Selection, fields: ReadOnlyDict[Key, str]) -> Selection:
    """The same selection without these fields, which are told of as not mapped with their reason, and are not made
    anew."""
    left = [
        mapping
        for mappings in selection.mappings.values()
        for mapping in mappings
        if (mapping.entity, mapping.field) in fields and not is_needed(mapping)
    ]
    names = {mapping.field for mapping in left}
    return selection.model_copy(
        update={
            "mappings": {
                entity: tuple(mapping for mapping in mappings if mapping not in left)
                for entity, mappings in selection.mappings.items()
            },
            "to_create": tuple(field for field in selection.to_create if field.name not in names),
            "not_mapped": (*selection.not_mapped, *_told(left, fields)),
        }
    )


def _told(left: Iterable[Mapping], fields: ReadOnlyDict[Key, str]) -> Iterator[NotMapped]:
    for mapping in left:
        reason = f"{mapping.field}: {fields[mapping.entity, mapping.field]}"
        yield NotMapped(entity=mapping.entity, attribute=mapping.attribute, reason=reason)
