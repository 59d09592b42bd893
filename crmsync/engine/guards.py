"""Columns that crmsync goes by, though they are no field: the sync filter, and those from which follows who continues
whom, who takes part in an opportunity, and to whom a custom object belongs.

A guard that was there and cannot be read says nothing, and nothing is not "yes": the entity stops, the others go on. It
is read again as soon as the guard is; a filter that was removed on purpose is given up by ``resync --without-filter``.

"Create a Custom Dynamics Sync Filter" (Marketo's documents), "Column-level security" (Microsoft's).
"""

from __future__ import annotations

from typing import NamedTuple

from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.fields.model import ALWAYS_READ, SYNC_FLAG, Selection
from crmsync.fields.sync_filter import why_not_understood

_ELSEWHERE = {"opportunity": (("contact", "parentcustomerid"),)}
"""An opportunity whose customer is a contact belongs to that contact's company."""


def guards_of(name: str, selection: Selection) -> tuple[tuple[str, str], ...]:
    """Entity and column of each guard of an entity; some organizations lack some."""
    custom = selection.custom_objects.get(name)
    own = (SYNC_FLAG, *ALWAYS_READ.get(name, ()), *((custom.link.lookup,) if custom else ()))
    return (*((name, column) for column in own), *_ELSEWHERE.get(name, ()))


class Why(NamedTuple):
    """Why an entity stops, and what to do."""

    what: str
    remedy: str


def why_stopped(name: str, schema: DynamicsSchema, selection: Selection) -> str | None:
    """Why this entity cannot be carried, with what to do; None where each of its guards can be read."""
    why = why_no_filter(schema.entities[name], selection.filters.get(name)) or _why_hidden(name, schema, selection)
    return None if why is None else f"{why.what}. {why.remedy}"


def remembering(selection: Selection, schema: DynamicsSchema) -> Selection:
    """The selection with the sync filters of this snapshot; those that it knows itself stay as they are."""
    found = {
        name: column.metadata_id
        for name in selection.mappings
        if name in schema.entities and (column := schema.entities[name].attributes.get(SYNC_FLAG)) is not None
    }
    filters = found | selection.filters
    return selection if filters == selection.filters else selection.model_copy(update={"filters": filters})


def why_no_filter(entity: Entity, remembered: str | None) -> Why | None:
    """Why an entity's sync filter cannot be gone by; ``remembered`` is the MetadataId of the one that it had."""
    column, name = entity.attributes.get(SYNC_FLAG), entity.logical_name
    anyway = f"delete it and run resync --without-filter {name}"
    if column is None:
        give_up = f"Make the column again and run resync, or give the filter up: resync --without-filter {name}"
        return (
            Why(f"its sync filter {SYNC_FLAG} is gone, and with it whom it kept out", give_up) if remembered else None
        )
    if column.hidden:
        return Why(
            f"column security keeps the sync user from reading its sync filter {SYNC_FLAG}",
            f"Let a column security profile of the sync user read {name}.{SYNC_FLAG}, then run resync",
        )
    if (why := why_not_understood(column)) is not None:
        return Why(f"its sync filter {SYNC_FLAG} is not understood: {why}", f"Make it a Yes/No column, or {anyway}")
    if remembered is not None and remembered != column.metadata_id:
        what = f"its sync filter {SYNC_FLAG} was deleted and made again, without the values that it had"
        return Why(what, f"Set it, then run resync; or {anyway}")
    return None


def _why_hidden(name: str, schema: DynamicsSchema, selection: Selection) -> Why | None:
    hidden = [".".join(one) for one in guards_of(name, selection) if schema.hides(*one)]
    if not hidden:
        return None
    return Why(
        f"column security keeps the sync user from reading {', '.join(hidden)}, which tells what belongs together",
        f"Let a column security profile of the sync user read {', '.join(hidden)}, then run resync",
    )
