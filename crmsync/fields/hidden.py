"""Fields that Marketo does not show any more, because an administrator has hidden or removed them.

What describe tells of is what is there: "Describe is the primary source of truth for whether fields are available for
use" ("Leads", Marketo REST API). A field that was created over the API can be hidden and shown again, never deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from crmsync.fields.model import KEY_FIELDS, Mapping, NotMapped, Selection
from crmsync.marketo.schema import MarketoSchema, Target

REASON = "Marketo does not show the field any more: it is hidden or removed there; the column in Dynamics is kept"

Key = tuple[str, str]
"""An entity and a Marketo field."""


def is_shown(marketo: MarketoSchema, target: Target, field: str) -> bool:
    """Whether this field is there; company fields are fields of people, too. Of objects that are not in the snapshot,
    nothing is said."""
    if target == "custom_object" or (found := getattr(marketo, target)) is None:
        return True
    return field in found.fields or (target == "person" and field in marketo.company.fields)


def hidden(selection: Selection, marketo: MarketoSchema) -> Iterator[Mapping]:
    """The mappings whose field is not there."""
    for mappings in selection.mappings.values():
        yield from (one for one in mappings if not is_shown(marketo, one.target, one.field))


def is_needed(mapping: Mapping) -> bool:
    """Whether there is no syncing without this field: the key, and what crmsync fills itself."""
    return not mapping.attribute or mapping.field in KEY_FIELDS.values()


def without_fields(selection: Selection, fields: Collection[Key]) -> Selection:
    """The same selection without these fields, which are told of as not mapped, and are not made anew."""
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
            "not_mapped": (*selection.not_mapped, *_told(left)),
        }
    )


def _told(left: Iterable[Mapping]) -> Iterator[NotMapped]:
    for mapping in left:
        yield NotMapped(entity=mapping.entity, attribute=mapping.attribute, reason=f"{mapping.field}: {REASON}")
