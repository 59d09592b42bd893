"""What changed in a schema since it was last read, told column by column.

A column that was deleted and made again under its old name is told as both, because its values are new: it has another
MetadataId ("Query schema definitions", Power Apps developer documents). Shadow columns are not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, overload

from pydantic import BaseModel, ConfigDict

from crmsync.dynamics.schema import Attribute, DynamicsSchema, Entity
from crmsync.marketo.schema import MarketoSchema, ObjectSchema

What = Literal["added", "deleted", "changed"]


class Change(BaseModel):
    """One difference. ``attribute`` is None when a whole entity came or went; ``aspect`` says what of it changed."""

    model_config = ConfigDict(frozen=True)

    entity: str
    attribute: str | None
    what: What
    aspect: str = ""
    text: str

    def __str__(self) -> str:
        return f"{self.entity}: {self.text}"


class SchemaDifference(BaseModel):
    """The differences between two snapshots, entity by entity."""

    model_config = ConfigDict(frozen=True)

    changes: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.changes

    def lines(self) -> list[str]:
        """One line a difference, to be read in a log."""
        return [str(change) for change in self.changes]

    def deleted(self, entity: str) -> frozenset[str]:
        """The columns or fields of ``entity`` that are gone (also those made again)."""
        return frozenset(
            change.attribute
            for change in self.changes
            if change.entity == entity and change.what == "deleted" and change.attribute is not None
        )


@overload
def difference(old: DynamicsSchema, new: DynamicsSchema) -> SchemaDifference: ...
@overload
def difference(old: MarketoSchema, new: MarketoSchema) -> SchemaDifference: ...
def difference(old: DynamicsSchema | MarketoSchema, new: DynamicsSchema | MarketoSchema) -> SchemaDifference:
    """What is different in ``new``, of two snapshots of the same side."""
    if isinstance(old, DynamicsSchema) and isinstance(new, DynamicsSchema):
        return SchemaDifference(changes=tuple(_entities(old.entities, new.entities)))
    if isinstance(old, MarketoSchema) and isinstance(new, MarketoSchema):
        return SchemaDifference(changes=tuple(_objects(old, new)))
    raise TypeError("compare two snapshots of the same side")


def _entities(old: Mapping[str, Entity], new: Mapping[str, Entity]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Change(entity=name, attribute=None, what="deleted", text="the entity was deleted")
        elif name not in old:
            text = f"new entity with {len(_own(new[name]))} columns"
            yield Change(entity=name, attribute=None, what="added", text=text)
        else:
            yield from _columns(name, old[name], new[name])


def _own(entity: Entity) -> dict[str, Attribute]:
    return {name: attribute for name, attribute in entity.attributes.items() if attribute.attribute_of is None}


def _columns(entity: str, old: Entity, new: Entity) -> Iterator[Change]:
    if old.change_tracking_enabled != new.change_tracking_enabled:
        state = "on" if new.change_tracking_enabled else "off"
        text = f"change tracking was switched {state}"
        yield Change(entity=entity, attribute=None, what="changed", aspect="change tracking", text=text)
    before, after = _own(old), _own(new)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        remade = was is not None and now is not None and was.metadata_id != now.metadata_id
        if was is not None and (now is None or remade):
            text = f"column {name} was deleted"
            yield Change(entity=entity, attribute=name, what="deleted", text=text)
        if now is not None and (was is None or remade):
            text = f"new column {name} ({_described(now)})"
            yield Change(entity=entity, attribute=name, what="added", text=text)
        elif was is not None and now is not None:
            yield from _aspects(entity, was, now)


def _described(attribute: Attribute) -> str:
    kind = _kind(attribute.type)
    return f"{kind}, '{attribute.display_name}'" if attribute.display_name else kind


def _kind(data_type: str) -> str:
    return data_type.removesuffix("Type").lower()


def _aspects(entity: str, was: Attribute, now: Attribute) -> Iterator[Change]:
    name = now.logical_name
    aspects: tuple[tuple[str, object, object], ...] = (
        ("type", _kind(was.type), _kind(now.type)),
        ("format", was.format, now.format),
        ("behavior", was.behavior, now.behavior),
        ("maximum length", was.max_length, now.max_length),
        ("precision", was.precision, now.precision),
        *_limits(was, now),
        ("label", was.display_name, now.display_name),
        ("targets", ", ".join(was.targets), ", ".join(now.targets)),
        ("readable", _yes_or_no(was.readable), _yes_or_no(now.readable)),
        ("column security", _yes_or_no(was.is_secured), _yes_or_no(now.is_secured)),
        ("hidden from the sync user", _yes_or_no(was.hidden), _yes_or_no(now.hidden)),
    )
    for aspect, before, after in aspects:
        if before != after:
            text = f"{aspect} of {name} changed from {_shown(before)} to {_shown(after)}"
            yield Change(entity=entity, attribute=name, what="changed", aspect=aspect, text=text)
    for text in _options(name, was.options, now.options):
        yield Change(entity=entity, attribute=name, what="changed", aspect="options", text=text)


def _limits(was: Attribute, now: Attribute) -> Iterator[tuple[str, object, object]]:
    """Every number column has limits, so a snapshot without them was taken by a version that did not read them."""
    for aspect, before, after in (
        ("minimum", was.min_value, now.min_value),
        ("maximum", was.max_value, now.max_value),
    ):
        if before is not None and after is not None:
            yield aspect, before, after


def _shown(value: object) -> object:
    return "none" if value is None or value == "" else value


def _options(name: str, was: Mapping[int, str], now: Mapping[int, str]) -> Iterator[str]:
    for value in sorted(was.keys() | now.keys()):
        if value not in now:
            yield f"option {value} '{was[value]}' of {name} was removed"
        elif value not in was:
            yield f"new option {value} '{now[value]}' of {name}"
        elif was[value] != now[value]:
            yield f"option {value} of {name} was renamed from '{was[value]}' to '{now[value]}'"


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _objects(old: MarketoSchema, new: MarketoSchema) -> Iterator[Change]:
    for attribute in ("person", "company", "sales_person", "opportunity", "opportunity_role"):
        name = attribute.replace("_", " ")
        was, now = getattr(old, attribute), getattr(new, attribute)
        if was is not None and now is not None:
            yield from _object(name, was, now)
        elif now is not None:
            yield Change(
                entity=name, attribute=None, what="added", text=f"it is there now, with {len(now.fields)} fields"
            )
        elif was is not None:
            yield Change(
                entity=name, attribute=None, what="deleted", text=f"it is gone: {new.left_out.get(attribute, '')}"
            )


def _object(name: str, old: ObjectSchema, new: ObjectSchema) -> Iterator[Change]:
    for field in sorted(old.fields.keys() | new.fields.keys()):
        was, now = old.fields.get(field), new.fields.get(field)
        if now is None:
            yield Change(entity=name, attribute=field, what="deleted", text=f"field {field} was deleted")
        elif was is None:
            text = f"new field {field} ({now.data_type}, '{now.display_name}')"
            yield Change(entity=name, attribute=field, what="added", text=text)
        else:
            aspects: tuple[tuple[str, object, object], ...] = (
                ("type", was.data_type, now.data_type),
                ("length", was.length, now.length),
                ("display name", was.display_name, now.display_name),
                ("writable", _yes_or_no(was.updateable), _yes_or_no(now.updateable)),
                ("native CRM sync", _yes_or_no(was.crm_managed), _yes_or_no(now.crm_managed)),
            )
            for aspect, before, after in aspects:
                if before != after:
                    text = f"{aspect} of {field} changed from {_shown(before)} to {_shown(after)}"
                    yield Change(entity=name, attribute=field, what="changed", aspect=aspect, text=text)
