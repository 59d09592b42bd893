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

from crmsync.sandbox.dataverse.columns import CHOICE_KINDS, Column, Link, OptionSet, Reference, Table, text
from crmsync.sandbox.dataverse.history import History

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


def _both_ways(name: str, link: str, one: tuple[str, str], other: tuple[str, str]) -> dict[str, list[Collection]]:
    """A many-to-many relationship, by the table it is seen from. ``one`` and ``other``: table, column in ``link``."""
    return {
        one[0]: [Collection(name, other[0], link=(link, one[1], other[1]))],
        other[0]: [Collection(name, one[0], link=(link, other[1], one[1]))],
    }


_LINKS = (
    _both_ways("systemuserroles_association", "_user_role", ("systemuser", "systemuserid"), ("role", "roleid")),
    _both_ways("roleprivileges_association", "_role_privilege", ("role", "roleid"), ("privilege", "privilegeid")),
    _both_ways(
        "systemuserprofiles_association",
        "_user_profile",
        ("systemuser", "systemuserid"),
        ("fieldsecurityprofile", "fieldsecurityprofileid"),
    ),
    _both_ways("teammembership_association", "_team_member", ("team", "teamid"), ("systemuser", "systemuserid")),
)
LINKS = {table: [one for link in _LINKS for one in link.get(table, [])] for link in _LINKS for table in link}
"""The many-to-many relationships of the platform, by table."""


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
    """All tables, by logical name and by entity set name; many-to-many relationships; global option sets.

    ``stamp`` counts the changes, and ``history`` remembers the stamp of each.
    """

    def __init__(
        self,
        tables: Iterable[Table],
        links: Iterable[Link] = (),
        option_sets: Iterable[OptionSet] = (),
        history: History | None = None,
    ) -> None:
        self.history = history or History()
        self.tables: dict[str, LiveTable] = {table.name: LiveTable(table) for table in tables}
        self.links: dict[str, Link] = {link.schema_name: link for link in links}
        self.option_sets: dict[str, OptionSet] = _used_option_sets(self.tables.values())
        self.option_sets |= {one.name: one for one in option_sets}
        self._refresh()

    @property
    def stamp(self) -> int:
        return self.history.stamp

    def _refresh(self) -> None:
        self.sets = {table.set_name: table for table in self.tables.values()}
        self._collections: dict[str, dict[str, Collection]] = {}
        self.secured = frozenset(
            (table.name, column.name)
            for table in self.tables.values()
            for column in table.definition.columns
            if column.secured
        )

    def put(self, definition: Table) -> LiveTable:
        """Take in a new or changed table."""
        live = LiveTable(definition)
        self.history.note(self.tables.get(live.name), live)
        self.tables[live.name] = live
        self._refresh()
        return live

    def drop(self, name: str) -> LiveTable:
        """Forget a table."""
        gone = self.tables.pop(name)
        self.history.note(gone, None)
        self._refresh()
        return gone

    def add_column(self, table: str, column: Column) -> LiveTable:
        old = self.tables[table].definition
        return self.put(replace(old, columns=(*old.columns, column)))

    def drop_column(self, table: str, name: str) -> LiveTable:
        old = self.tables[table].definition
        return self.put(replace(old, columns=tuple(column for column in old.columns if column.name != name)))

    def change_column(self, table: str, changed: Column) -> LiveTable:
        """Put a changed column in the place of the one with its name."""
        old = self.tables[table].definition
        columns = tuple(changed if column.name == changed.name else column for column in old.columns)
        return self.put(replace(old, columns=columns))

    def put_link(self, link: Link) -> None:
        self.links[link.schema_name] = link
        self.history.touch(link.metadata_id)
        self._refresh()

    def drop_link(self, link: Link) -> None:
        del self.links[link.schema_name]
        self.history.forget(link.metadata_id, "Relationship")
        self._refresh()

    def put_option_set(self, one: OptionSet) -> None:
        self.option_sets[one.name] = one
        self.history.touch(one.metadata_id)

    def drop_option_set(self, one: OptionSet) -> None:
        del self.option_sets[one.name]
        self.history.forget(one.metadata_id, "OptionSet")

    def collections(self, table: str) -> dict[str, Collection]:
        """Collection-valued navigation properties of a table: the other end of every lookup to it."""
        if table not in self._collections:
            self._collections[table] = self._find_collections(table)
        return self._collections[table]

    def _find_collections(self, table: str) -> dict[str, Collection]:
        found: dict[str, Collection] = {}
        for other in self.tables.values():
            for column in other.definition.columns:
                for one in column.references:
                    if one.target == table:
                        kind = f"{column.name}type" if column.polymorphic else None
                        found[one.schema_name] = Collection(one.schema_name, other.name, column.name, kind)
        for link in self.links.values():
            for here, there in ((0, 1), (1, 0)):
                if link.entities[here] == table:
                    sides = (link.intersect, f"id{here}", f"id{there}")
                    found[link.navigations[here]] = Collection(link.navigations[here], link.entities[there], link=sides)
        found |= {one.name: one for one in LINKS.get(table, [])}
        return found


def _used_option_sets(tables: Iterable[LiveTable]) -> dict[str, OptionSet]:
    """The global option sets that columns use."""
    found: dict[str, OptionSet] = {}
    for table in tables:
        for column in table.definition.columns:
            if column.global_options:
                name = column.global_options
                metadata_id = str(uuid.uuid5(NAMES, f"optionset.{name}"))
                found[name] = OptionSet(name, column.label, column.options, metadata_id, custom=column.custom)
    return found
