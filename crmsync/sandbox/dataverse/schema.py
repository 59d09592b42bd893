"""The organization's live schema: tables, columns, shadows and navigation properties, found by every name they have.

Columns come and go while the sandbox runs; ``stamp`` counts the changes. Shadow columns (``AttributeOf``) are derived.

"Query table definitions using the Web API", "Web API navigation properties" (Power Apps developer documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from crmsync.sandbox.dataverse.columns import CHOICE_KINDS, Column, Reference, Table, text

NAMES = uuid.UUID("6f0b2f9e-5d1c-4c3a-9a52-7b1f0a2f6c11")
"""Namespace of the metadata ids of standard tables and columns."""


@dataclass(frozen=True)
class Navigation:
    """A single-valued navigation property: ``target`` is the table that ``column`` of ``table`` points to."""

    name: str
    table: str
    column: Column
    target: str
    schema_name: str


@dataclass(frozen=True)
class Collection:
    """A collection-valued navigation property: rows of ``target`` whose ``column`` points here, or a link table."""

    name: str
    target: str
    column: str | None = None
    column_type: str | None = None
    link: tuple[str, str, str] | None = None


USER_ROLES = {
    "systemuser": Collection("systemuserroles_association", "role", link=("_user_role", "systemuserid", "roleid")),
    "role": Collection("systemuserroles_association", "systemuser", link=("_user_role", "roleid", "systemuserid")),
}


class LiveTable:
    """One table as it is now. Immutable: a schema change puts a new one in its place."""

    def __init__(self, definition: Table) -> None:
        table_id = definition.metadata_id or str(uuid.uuid5(NAMES, definition.name))
        columns = (_identified(column, definition) for column in definition.columns)
        self.definition = replace(definition, columns=tuple(columns), metadata_id=table_id)
        self.name = definition.name
        self.set_name = definition.set_name
        self.primary_id = definition.primary_id
        self.primary_name = definition.primary_name
        self.tracked = definition.tracked

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every column by logical name, shadows included."""
        own = self.definition.columns
        named = {column.name: column for column in own}
        for column in own:
            for shadow in shadows(column):
                named.setdefault(shadow.name, _identified(shadow, self.definition))
        return named

    @cached_property
    def properties(self) -> dict[str, Column]:
        """What ``$select`` takes, by property name."""
        return {column.property_name: column for column in self.definition.columns if column.selectable}

    @cached_property
    def stored(self) -> dict[str, Column]:
        """The columns that SQLite holds, by logical name."""
        return {column.name: column for column in self.definition.columns if column.stored}

    @cached_property
    def sql_names(self) -> list[str]:
        """The columns of its table in SQLite; a polymorphic lookup has its target's name beside it."""
        columns = self.stored.values()
        return [name for one in columns for name in ([one.name, f"{one.name}type"] if one.polymorphic else [one.name])]

    @cached_property
    def navigations(self) -> dict[str, Navigation]:
        """Single-valued navigation properties by name; a polymorphic one (owner) stands for its first target."""
        found: dict[str, Navigation] = {}
        for column in self.definition.columns:
            for one in column.references:
                found.setdefault(
                    one.navigation, Navigation(one.navigation, self.name, column, one.target, one.schema_name)
                )
        return found

    def reference(self, column: Column, target: str) -> Reference | None:
        return next((one for one in column.references if one.target == target), None)


def _identified(column: Column, table: Table) -> Column:
    metadata_id = column.metadata_id or str(uuid.uuid5(NAMES, f"{table.name}.{column.name}"))
    schema_name = column.schema_name or (column.name if column.custom else column.name.capitalize())
    return replace(column, metadata_id=metadata_id, schema_name=schema_name)


def shadows(column: Column) -> tuple[Column, ...]:
    """The columns that Dataverse adds beside ``column``: names of choices and lookups, types of polymorphic lookups."""
    read_only: dict[str, Any] = {"of": column.name, "creatable": False, "updatable": False, "custom": column.custom}
    if column.kind in CHOICE_KINDS or column.kind in {"Boolean", "MultiSelectPicklist"}:
        return (Column(f"{column.name}name", "Virtual", f"{column.label} Name", **read_only),)
    if column.kind == "Image":
        return (
            text(f"{column.name}_url", f"{column.label} URL", 200, "Url", **read_only),
            Column(f"{column.name}_timestamp", "BigInt", f"{column.label} Timestamp", **read_only),
        )
    if not column.is_lookup:
        return ()
    names = (
        text(f"{column.name}name", f"{column.label} Name", 160, **read_only),
        text(f"{column.name}yominame", f"{column.label} Yomi Name", 160, **read_only),
    )
    if column.kind in {"Customer", "Owner"} or column.polymorphic:
        return (*names, Column(f"{column.name}type", "EntityName", f"{column.label} Type", **read_only))
    return names


class Schema:
    """All tables, by logical name and by entity set name."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self.stamp = 1
        self.tables: dict[str, LiveTable] = {}
        for table in tables:
            self.put(table)

    def put(self, definition: Table) -> LiveTable:
        """Take in a new or changed table."""
        live = LiveTable(definition)
        self.tables[live.name] = live
        self.sets = {table.set_name: table for table in self.tables.values()}
        self.stamp += 1
        return live

    def add_column(self, table: str, column: Column) -> LiveTable:
        old = self.tables[table].definition
        return self.put(replace(old, columns=(*old.columns, column)))

    def drop_column(self, table: str, name: str) -> LiveTable:
        old = self.tables[table].definition
        return self.put(replace(old, columns=tuple(column for column in old.columns if column.name != name)))

    def collections(self, table: str) -> dict[str, Collection]:
        """Collection-valued navigation properties of a table: the other end of every lookup to it."""
        found: dict[str, Collection] = {}
        for other in self.tables.values():
            for column in other.definition.columns:
                for one in column.references:
                    if one.target == table:
                        kind = f"{column.name}type" if column.polymorphic else None
                        found[one.schema_name] = Collection(one.schema_name, other.name, column.name, kind)
        if table in USER_ROLES:
            found[USER_ROLES[table].name] = USER_ROLES[table]
        return found
