"""The sync filter ``new_synctomkto``: whether a record's own column keeps it out of Marketo.

Marketo's "Create a Custom Dynamics Sync Filter" wants a two-option column, of which only an explicit No stops a record.
A choice whose options are called yes and no, and a text that says so, are understood as well; a column of another kind
is not, and a filter that is not understood lets nothing pass.
"""

from __future__ import annotations

from typing import Any

from crmsync.dynamics.schema import Attribute, Entity
from crmsync.errors import RecordRefused
from crmsync.fields.model import SYNC_FLAG

SAYS = {"yes": True, "true": True, "no": False, "false": False}
"""What the labels of a choice and the words of a text mean, whatever their case."""

UNCLEAR = "sync filter"
"""The code of a record's refusal whose filter says neither yes nor no."""

_TEXTS = ("StringType", "MemoType")

Row = dict[str, Any]


def says_no(entity: Entity, row: Row) -> bool:
    """Whether the record is to stay out of Marketo; raises ``RecordRefused`` where its filter says neither."""
    value = row.get(SYNC_FLAG)
    if value is None or (attribute := entity.attributes.get(SYNC_FLAG)) is None:
        return False
    if attribute.type == "BooleanType" and isinstance(value, bool):
        return not value
    meant = _meant(attribute, value)
    if meant is None:
        raise RecordRefused(
            f"The sync filter {SYNC_FLAG} says {value!r}, which is neither yes nor no",
            remedy=f"Set {SYNC_FLAG} of the record to Yes or No; until then it stays as it is in Marketo.",
            entity=entity.logical_name,
            record=str(row.get(entity.primary_id) or "").lower() or None,
            code=UNCLEAR,
        )
    return not meant


def keeps_out(entity: Entity, row: Row) -> bool:
    """Whether the record is to stay out of Marketo; what says neither stays out."""
    try:
        return says_no(entity, row)
    except RecordRefused:
        return True


def yes_of(entity: Entity) -> Any:
    """The value that says Yes in the filter of this entity; None where there is no filter, or no such value."""
    attribute = entity.attributes.get(SYNC_FLAG)
    if attribute is None or attribute.type == "BooleanType":
        return None if attribute is None else True
    if attribute.type in _TEXTS:
        return "Yes"
    return next((value for value, label in attribute.options.items() if _word(label) is True), None)


def why_not_understood(attribute: Attribute) -> str | None:
    """Why a column cannot be a sync filter; None where it can."""
    if attribute.type in _TEXTS:
        return None
    if attribute.type == "BooleanType":
        if _word(attribute.options.get(1)) is False or _word(attribute.options.get(0)) is True:
            return "its labels say the opposite of its values"
        return None
    if attribute.type != "PicklistType":
        return f"it is a column of the type {attribute.kind}, which says neither yes nor no"
    other = [label for label in attribute.options.values() if _word(label) is None]
    if other or not any(_word(label) is False for label in attribute.options.values()):
        names = ", ".join(repr(label) for label in other) or "none of its options"
        return f"it is a choice whose options are to be called Yes and No, and {names} says " + (
            "neither" if other else "No"
        )
    return None


def _meant(attribute: Attribute, value: Any) -> bool | None:
    if attribute.type in _TEXTS:
        return _word(value) if isinstance(value, str) else None
    return _word(attribute.options.get(value)) if isinstance(value, int) and not isinstance(value, bool) else None


def _word(text: str | None) -> bool | None:
    return SAYS.get(text.strip().lower()) if text else None
