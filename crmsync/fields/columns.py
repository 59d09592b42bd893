"""Which columns of an entity are asked for: the default map, the custom columns, and the tenant file's choice.

That shadow and virtual columns cannot be selected is from "Query schema definitions", that a secured column without
permission reads as empty from "Column-level security" (Power Apps documents).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crmsync.dynamics.schema import Attribute, Entity
from crmsync.fields.catalogue import DefaultMap, MapEntry
from crmsync.fields.model import SYNC_FLAG, NotMapped
from crmsync.fields.naming import display_name
from crmsync.fields.typemap import UNMAPPED
from crmsync.marketo.schema import Target
from crmsync.tenants import FieldChoice, MappedName

ALWAYS_OF_CUSTOM = ("statecode", "statuscode", "createdon")
"""Columns of the platform that every custom object gets: a smart list wants to leave out what is inactive."""


LEFT_OUT = "left out by the tenant file"

HIDDEN = "column security keeps the sync user from reading it: it reads as empty and would clear the field"


class Wanted(NamedTuple):
    """A column that is to be synced. ``entry`` is its place in the default map, ``renamed`` the tenant's own field."""

    entity: str
    target: Target
    attribute: Attribute
    entry: MapEntry | None
    renamed: str | None

    @property
    def label(self) -> str:
        """The display name of a field to be made for it."""
        mapped = self.entry.display if self.entry else ""
        return mapped or display_name(self.attribute.display_name, self.attribute.logical_name)


class _Choice(NamedTuple):
    """The tenant file's choice for one entity; ``named`` are the columns that it asks for by name."""

    entity: str
    target: Target
    named: frozenset[str]
    excluded: frozenset[str]
    renames: Mapping[str, str]
    custom: bool


def columns(entity: Entity, name: MappedName, default: DefaultMap, choice: FieldChoice) -> Iterator[Wanted | NotMapped]:
    """The columns to be synced, in the order of the map and then of the alphabet, and those left out on purpose."""
    renames = choice.rename.get(name, {})
    mine = _Choice(
        entity=name,
        target=default.entities[name].target,
        named=frozenset(choice.include.get(name, ())) | renames.keys(),
        excluded=frozenset(choice.exclude.get(name, ())),
        renames=renames,
        custom=choice.custom == "all",
    )
    entries = default.attributes(name)
    for logical, entry in entries.items():
        attribute = entity.attributes.get(logical)
        if entry.unless not in entity.attributes or logical in mine.named:
            yield _told(logical, attribute, entry, _why_not_standard(logical, attribute, entry, mine), mine)
    for logical in sorted(entity.attributes.keys() - entries.keys() - {entity.primary_id}):
        attribute = entity.attributes[logical]
        if logical in mine.named or logical in mine.excluded or (attribute.is_custom and not attribute.attribute_of):
            yield _told(logical, attribute, None, _why_not_custom(attribute, entity, mine), mine)


def _told(
    logical: str, attribute: Attribute | None, entry: MapEntry | None, reason: str | None, mine: _Choice
) -> Wanted | NotMapped:
    if reason is None and attribute is not None:
        return Wanted(mine.entity, mine.target, attribute, entry, mine.renames.get(logical))
    return NotMapped(entity=mine.entity, attribute=logical, reason=reason or "")


def custom_columns(entity: Entity, named: frozenset[str], excluded: frozenset[str]) -> Iterator[Attribute | NotMapped]:
    """The columns of a custom entity to be synced, its name first: its own, its state, when it was made, and those in
    ``named``; and its own that are left out, with the reason."""
    mine = _Choice(entity.logical_name, "custom_object", named, excluded, {}, custom=True)
    for logical in sorted(entity.attributes, key=lambda name: (name != entity.primary_name, name)):
        attribute = entity.attributes[logical]
        wanted = attribute.is_custom and not attribute.attribute_of
        if logical == entity.primary_id or not (wanted or logical in {*ALWAYS_OF_CUSTOM, *named, *excluded}):
            continue
        reason = _why_not_custom(attribute, entity, mine)
        yield attribute if reason is None else NotMapped(entity=entity.logical_name, attribute=logical, reason=reason)


def _why_not_standard(logical: str, attribute: Attribute | None, entry: MapEntry, mine: _Choice) -> str | None:
    if logical in mine.excluded:
        return LEFT_OUT
    if attribute is None:
        return "the organization has no such column"
    if entry.left_out and logical not in mine.named:
        return entry.left_out
    return _why_unreadable(attribute, mine)


def _why_not_custom(attribute: Attribute, entity: Entity, mine: _Choice) -> str | None:
    if attribute.logical_name in mine.excluded:
        return LEFT_OUT
    if attribute.logical_name not in mine.named:
        if attribute.logical_name == SYNC_FLAG:
            return "it decides whether a record is synced, and is read for that in any case"
        if not mine.custom:
            return "the tenant file leaves custom columns out (custom: none)"
        if _is_base_twin(attribute, entity):
            amount = attribute.logical_name.removesuffix("_base")
            return f"{amount} again, in the organization's base currency; include it if you need it"
    return _why_unreadable(attribute, mine)


def _why_unreadable(attribute: Attribute, mine: _Choice) -> str | None:
    if attribute.type in UNMAPPED:
        return UNMAPPED[attribute.type]
    if attribute.attribute_of:
        return f"a shadow of {attribute.attribute_of}, which is the column to choose"
    if not attribute.readable:
        return "the Web API does not let it be read"
    if attribute.hidden:
        return HIDDEN
    if attribute.is_secured and attribute.logical_name not in mine.named:
        return (
            "column security: without permission it reads as empty and would clear the field; "
            "include it once the sync user may read it"
        )
    return None


def _is_base_twin(attribute: Attribute, entity: Entity) -> bool:
    twin = entity.attributes.get(attribute.logical_name.removesuffix("_base"))
    return (
        attribute.type == "MoneyType"
        and attribute.logical_name.endswith("_base")
        and twin is not None
        and twin.type == "MoneyType"
    )
