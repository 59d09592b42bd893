"""The default field map of ``default_map.yaml`` as typed data.

The map is from "Microsoft Dynamics: default field mapping" (Marketo documents); names of Marketo's own fields are
from "Standard fields" (Marketo REST API).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from crmsync.fields.model import LINK_FIELDS, ConvertKind
from crmsync.marketo.schema import CREATABLE_TYPES, Target


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SystemField(_Strict):
    """A field that every record carries: its ``key``, or a ``constant`` by entity."""

    key: bool = False
    constant: dict[str, str | bool] = Field(default_factory=dict)
    create: str | None = None
    display: str = ""

    @property
    def data_type(self) -> str:
        return self.create or "string"


class MapEntry(_Strict):
    """One column of the map; the members are explained at the top of ``default_map.yaml``."""

    field: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    create: str | None = None
    admin: str | None = None
    display: str = ""
    link: Literal["owner", "company"] | None = None
    left_out: str | None = None
    unless: str | None = None
    lossy: str | None = None
    empty: str | None = None

    @model_validator(mode="after")
    def _possible(self) -> MapEntry:
        if bool(self.field) == bool(self.link):
            raise ValueError("give either a field or a link")
        if self.create and self.create not in CREATABLE_TYPES:
            raise ValueError(f"Marketo's API creates no {self.create} fields: use admin")
        if (self.create or self.admin) and not self.display:
            raise ValueError("a field that has to be made needs a display name")
        return self

    @property
    def link_field(self) -> str | None:
        return LINK_FIELDS[self.link] if self.link else None


class DerivedField(_Strict):
    """A field whose value follows from several columns, or from a record that a column names."""

    how: ConvertKind
    columns: tuple[str, ...]
    data_type: str
    create: bool = False
    display: str = ""
    lossy: str | None = None


class EntityMap(_Strict):
    """The columns of one entity. ``same_as`` takes over another entity's columns, but those in ``without``."""

    target: Target
    same_as: str | None = None
    without: tuple[str, ...] = ()
    attributes: dict[str, MapEntry]
    derived: dict[str, DerivedField] = Field(default_factory=dict)


class DefaultMap(_Strict):
    """The whole map."""

    system: dict[Target, dict[str, SystemField]]
    entities: dict[str, EntityMap]

    @model_validator(mode="after")
    def _only_people_are_created(self) -> DefaultMap:
        for name, entity in self.entities.items():
            made = [column for column, entry in entity.attributes.items() if entry.create]
            if made and entity.target != "person":
                raise ValueError(f"{name}: only person fields can be created: {', '.join(made)}")
        return self

    def attributes(self, entity: str) -> dict[str, MapEntry]:
        """The columns of an entity, with those of the entity that it is the same as."""
        if entity not in self.entities:
            return {}
        own = self.entities[entity]
        if own.same_as is None:
            return own.attributes
        shared = self.entities[own.same_as].attributes
        return {name: entry for name, entry in shared.items() if name not in own.without} | own.attributes

    def derived(self, entity: str) -> dict[str, DerivedField]:
        """The fields of an entity that follow from several columns."""
        own = self.entities[entity]
        return (self.entities[own.same_as].derived if own.same_as else {}) | own.derived


def read_map(text: str) -> DefaultMap:
    """A map from YAML; raises pydantic's ``ValidationError`` where it says something that cannot be."""
    return DefaultMap.model_validate(yaml.safe_load(text))


@cache
def default_map() -> DefaultMap:
    """The map that comes with crmsync."""
    return read_map(files("crmsync.fields").joinpath("default_map.yaml").read_text(encoding="utf-8"))
