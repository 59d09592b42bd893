"""``EntityDefinitions``: reading tables, columns, relationships, keys and option sets.

"Query table definitions using the Web API" and "Query schema definitions" (Power Apps developer documents).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from crmsync.sandbox.dataverse.alternate_keys import key_status
from crmsync.sandbox.dataverse.columns import AlternateKey, Column
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, no_segment
from crmsync.sandbox.dataverse.messages import GUID, Answer, Request, Segment
from crmsync.sandbox.dataverse.metadata_json import (
    NAMESPACE,
    OPTION_KINDS,
    attribute_json,
    class_name,
    entity_json,
    global_option_set_json,
    key_json,
    option_set_json,
    specific_json,
)
from crmsync.sandbox.dataverse.metadata_query import (
    Object,
    expansions,
    metadata_filter,
    no_metadata_property,
    pick,
)
from crmsync.sandbox.dataverse.option_set_write import find_option_set
from crmsync.sandbox.dataverse.relationships import (
    find_relationship,
    many_to_many,
    many_to_one,
    one_to_many,
    relationships,
)
from crmsync.sandbox.dataverse.schema import LiveTable, Schema
from crmsync.sandbox.dataverse.store import DataverseStore

ENTITY = "EntityMetadata"
_CASTS = {
    *(f"{kind}AttributeMetadata" for kind in ("String", "Memo", "Integer", "BigInt", "Decimal", "Double", "Money")),
    *(f"{kind}AttributeMetadata" for kind in ("Boolean", "DateTime", "Picklist", "State", "Status", "Lookup")),
    *(f"{kind}AttributeMetadata" for kind in ("MultiSelectPicklist", "UniqueIdentifier", "EntityName", "Image")),
    *(f"{kind}AttributeMetadata" for kind in ("File", "ManagedProperty")),
}
_RELATIONSHIPS = {
    "ManyToOneRelationships": "OneToManyRelationshipMetadata",
    "OneToManyRelationships": "OneToManyRelationshipMetadata",
    "ManyToManyRelationships": "ManyToManyRelationshipMetadata",
}
_LISTS = ("Attributes", "ManyToOneRelationships", "OneToManyRelationships", "ManyToManyRelationships", "Keys")


def no_definition(what: str, name: str) -> ODataError:
    """A key that no definition has: 404 with the general code."""
    return ODataError(404, "0x80060888", f"Could not find {what} with the specified name: {name}.")


def find_table(schema: Schema, key: str) -> LiveTable:
    """A table by ``LogicalName='lead'`` or by MetadataId."""
    name = _logical_name(key)
    for table in schema.tables.values():
        if table.name == name or (GUID.match(key) and table.definition.metadata_id == key.strip("{}").lower()):
            return table
    raise no_definition("an entity", name or key)


def find_column(table: LiveTable, key: str) -> Column:
    """A column by ``LogicalName='subject'`` or by MetadataId."""
    name = _logical_name(key)
    for column in table.columns.values():
        if column.name == name or (GUID.match(key) and column.metadata_id == key.strip("{}").lower()):
            return column
    raise no_definition("an attribute", name or key)


def _logical_name(key: str) -> str | None:
    match = re.fullmatch(r"\s*LogicalName\s*=\s*'([^']*)'\s*", key)
    return match[1] if match else None


def find_key(table: LiveTable, key: str) -> AlternateKey:
    """An alternate key by ``LogicalName='new_extkey'`` or by MetadataId."""
    name = _logical_name(key)
    for one in table.definition.keys:
        if one.name == name or (GUID.match(key) and one.metadata_id == key.strip("{}").lower()):
            return one
    raise no_definition("a key", name or key)


class MetadataReader:
    """Answers one GET below ``EntityDefinitions`` and its neighbours."""

    def __init__(self, store: DataverseStore, request: Request) -> None:
        self._store, self._schema, self._request = store, store.schema, request
        self._options = request.query
        for name in request.query:
            if name.startswith("$") and name not in {"$select", "$filter", "$expand", "$count"}:
                raise bad_request(f"The query parameter {name} is not supported.")

    def answer(self) -> Answer:
        first, *rest = self._request.segments
        if first.name == "GlobalOptionSetDefinitions":
            return self._global_option_sets(first, rest)
        if first.name == "RelationshipDefinitions":
            return self._relationship_definitions(first, rest)
        if first.key is None:
            if rest:
                raise no_segment(rest[0].name)
            return self._list(self._entities(self._options), "EntityDefinitions")
        table = find_table(self._schema, first.key)
        if not rest:
            one = self._entity(table, self._options.get("$select"), expansions(self._options.get("$expand")))
            return self._one(one, "EntityDefinitions/$entity")
        return self._below(table, rest)

    def _below(self, table: LiveTable, segments: list[Segment]) -> Answer:
        part, *rest = segments
        where = f"EntityDefinitions('{table.name}')/{part.name}"
        if part.name not in _LISTS:
            raise no_segment(part.name)
        if part.name == "Keys" and part.key is not None:
            one = key_json(table, found := find_key(table, part.key), key_status(self._store, found))
            return self._one(pick(one, self._options.get("$select"), "EntityKeyMetadata"), f"{where}/$entity")
        if part.name != "Attributes":
            return self._list(self._related(table, part.name, self._options), where)
        cast = rest.pop(0).name.removeprefix(NAMESPACE) if rest and rest[0].name.startswith(NAMESPACE) else None
        if cast is not None and cast not in _CASTS:
            raise bad_request(f"The cast to '{NAMESPACE}{cast}' is not allowed.")
        if part.key is not None:
            column = find_column(table, part.key)
            if cast not in {None, class_name(column)}:
                raise no_definition(f"a {cast}", column.name)
            if rest and rest[0].name in {"OptionSet", "GlobalOptionSet"} and cast:
                return self._one(
                    _option_set(table, column, rest[0].name, self._options) or {}, f"{where}/OptionSet/$entity"
                )
            return self._one(self._attribute(table, column, self._options, cast), f"{where}/$entity")
        return self._list(self._attributes(table, self._options, cast), where)

    # Objects

    def _entities(self, options: Mapping[str, str]) -> list[Object]:
        matches = metadata_filter(options.get("$filter"), ENTITY)
        expands = expansions(options.get("$expand"))
        tables = [table for table in self._schema.tables.values() if matches(entity_json(table))]
        return [self._entity(table, options.get("$select"), expands) for table in tables]

    def _entity(self, table: LiveTable, select: str | None, expands: dict[str, dict[str, str]]) -> Object:
        one = pick(entity_json(table), select, ENTITY)
        for name, options in expands.items():
            if name not in _LISTS:
                raise no_metadata_property(name, ENTITY)
            one[name] = (
                self._attributes(table, options, None) if name == "Attributes" else self._related(table, name, options)
            )
        return one

    def _attributes(self, table: LiveTable, options: Mapping[str, str], cast: str | None) -> list[Object]:
        matches = metadata_filter(options.get("$filter"), cast or "AttributeMetadata")
        found = []
        for column in table.columns.values():
            if cast is not None and class_name(column) != cast:
                continue
            full = attribute_json(table, column) | (specific_json(column) if cast else {})
            if matches(full):
                found.append(self._attribute(table, column, options, cast))
        return found

    def _attribute(self, table: LiveTable, column: Column, options: Mapping[str, str], cast: str | None) -> Object:
        """One column. Properties of its own type can be selected only after a cast, but come without ``$select``."""
        select = options.get("$select")
        full = attribute_json(table, column)
        if cast or not select:
            full |= specific_json(column)
        typed = {} if cast else {"@odata.type": f"#{NAMESPACE}{class_name(column)}"}
        one = pick(typed | full, select, cast or "AttributeMetadata")
        for name, inner in expansions(options.get("$expand")).items():
            if cast is None or column.kind not in OPTION_KINDS or name not in {"OptionSet", "GlobalOptionSet"}:
                raise no_metadata_property(name, cast or "AttributeMetadata")
            one[name] = _option_set(table, column, name, inner)
        return one

    def _related(self, table: LiveTable, name: str, options: Mapping[str, str]) -> list[Object]:
        makers: dict[str, Callable[[], list[Object]]] = {
            "ManyToOneRelationships": lambda: many_to_one(self._schema, table),
            "OneToManyRelationships": lambda: one_to_many(self._schema, table),
            "ManyToManyRelationships": lambda: many_to_many(self._schema, table),
            "Keys": lambda: [key_json(table, key, key_status(self._store, key)) for key in table.definition.keys],
        }
        kind = _RELATIONSHIPS.get(name, "EntityKeyMetadata")
        # Of one type all, so they need not say which.
        found = [{key: one[key] for key in one if key != "@odata.type"} for one in makers[name]()]
        return _chosen(found, options, kind)

    def _global_option_sets(self, first: Segment, rest: list[Segment]) -> Answer:
        if rest and not rest[0].name.startswith(NAMESPACE):
            raise no_segment(rest[0].name)
        if first.key is None:
            named = [global_option_set_json(one) for one in self._schema.option_sets.values()]
            return self._list(_chosen(named, self._options, "OptionSetMetadata"), "GlobalOptionSetDefinitions")
        one = global_option_set_json(find_option_set(self._schema, first.key))
        picked = pick(one, self._options.get("$select"), "OptionSetMetadata")
        return self._one(picked, "GlobalOptionSetDefinitions/$entity")

    def _relationship_definitions(self, first: Segment, rest: list[Segment]) -> Answer:
        cast = rest[0].name.removeprefix(NAMESPACE) if rest else None
        if cast not in {None, *_RELATIONSHIPS.values()} or len(rest) > 1:
            raise no_segment(rest[-1].name)
        kind = cast or "RelationshipMetadataBase"
        if first.key is not None:
            one = find_relationship(self._schema, first.key)
            picked = pick(one, self._options.get("$select"), kind)
            return self._one(picked, "RelationshipDefinitions/$entity")
        found = [one for one in relationships(self._schema) if cast is None or one["@odata.type"].endswith(cast)]
        return self._list(_chosen(found, self._options, kind), "RelationshipDefinitions")

    # Answers

    def _list(self, objects: list[Object], where: str) -> Answer:
        body: dict[str, Any] = {"@odata.context": f"{self._request.root}$metadata#{where}"}
        if self._options.get("$count") == "true":
            body["@odata.count"] = len(objects)
        return Answer.json(body | {"value": objects})

    def _one(self, one: Object, where: str) -> Answer:
        return Answer.json({"@odata.context": f"{self._request.root}$metadata#{where}", **one})


def _chosen(found: list[Object], options: Mapping[str, str], kind: str) -> list[Object]:
    """What ``$filter`` lets through, with what ``$select`` names."""
    matches = metadata_filter(options.get("$filter"), kind)
    return [pick(one, options.get("$select"), kind) for one in found if matches(one)]


def option_set_of(table: LiveTable, column: Column) -> Object:
    """A column's option set, global or its own."""
    return option_set_json(table, column)


def _option_set(table: LiveTable, column: Column, name: str, options: Mapping[str, str]) -> Object | None:
    if name == "GlobalOptionSet" and column.global_options is None:
        return None
    return pick(option_set_json(table, column), options.get("$select"), "OptionSetMetadata")
