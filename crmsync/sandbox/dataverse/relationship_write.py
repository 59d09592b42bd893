"""``RelationshipDefinitions``: creates and deletes relationships; a one-to-many one makes its lookup column.

"Create and update table relationships using the Web API" (Power Apps developer documents).
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from crmsync.sandbox.dataverse.attribute_definitions import check_schema_name, text_of, value_of
from crmsync.sandbox.dataverse.columns import Column, Link, Reference
from crmsync.sandbox.dataverse.errors import bad_request, name_taken, not_allowed
from crmsync.sandbox.dataverse.history import relationship_id
from crmsync.sandbox.dataverse.messages import Answer, Request, Segment
from crmsync.sandbox.dataverse.relationships import find_relationship, relationships
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.schema_changes import SchemaChanges
from crmsync.sandbox.dataverse.store import DataverseStore

_NAME = re.compile(r"^[A-Za-z]\w{1,99}$")
_DELETE_BEHAVIOURS = {"RemoveLink", "Restrict", "Cascade", "NoCascade"}


class RelationshipWriter:
    """Answers one change below ``RelationshipDefinitions``."""

    def __init__(self, store: DataverseStore, request: Request) -> None:
        self._store, self._request = store, request
        self._changes = SchemaChanges(store)

    def answer(self, first: Segment) -> Answer:
        method, only = self._request.method, len(self._request.segments) == 1
        if method == "POST" and first.key is None and only:
            return self._create()
        if method == "DELETE" and first.key is not None and only:
            return self._delete(first.key)
        raise not_allowed("Operation not supported on RelationshipMetadataBase")

    def _create(self) -> Answer:
        body = self._request.json()
        kind = str(body.get("@odata.type", "")).rpartition(".")[2]
        schema_name = str(body.get("SchemaName") or "")
        if not _NAME.match(schema_name):
            raise bad_request(f"The schema name '{schema_name}' of the relationship is not valid.", "0x80044363")
        if any(one["SchemaName"].lower() == schema_name.lower() for one in relationships(self._store.schema)):
            raise bad_request(f"A relationship with the specified name {schema_name} already exists.", "0x80047013")
        if kind == "OneToManyRelationshipMetadata":
            made = self._one_to_many(body, schema_name)
        elif kind == "ManyToManyRelationshipMetadata":
            made = self._many_to_many(body, schema_name)
        else:
            raise bad_request(f"A relationship of the type '{body.get('@odata.type')}' cannot be created.")
        return Answer(204, {"OData-EntityId": f"{self._request.root}RelationshipDefinitions({made})"})

    def _table(self, name: Any) -> LiveTable:
        table = self._store.schema.tables.get(str(name))
        if table is None:
            raise bad_request(f"Could not find an entity with the specified name: {name}.")
        return table

    def _require(self, name: str, table: LiveTable) -> None:
        self._request.caller.require(name, table.name, table.definition.type_code, depth="Global")

    def _one_to_many(self, body: dict[str, Any], schema_name: str) -> str:
        table, target = self._table(body.get("ReferencingEntity")), self._table(body.get("ReferencedEntity"))
        if body.get("ReferencedAttribute", target.primary_id) != target.primary_id:
            raise bad_request(f"The referenced attribute must be the primary key {target.primary_id}.")
        self._require("prvCreateAttribute", table)
        column = _lookup_column(body, schema_name, target.name)
        if column.name in table.columns:
            raise name_taken(column.name, table.name)
        self._changes.add_column(table, column)
        return relationship_id(schema_name, table.name, target.name)

    def _many_to_many(self, body: dict[str, Any], schema_name: str) -> str:
        first, second = self._table(body.get("Entity1LogicalName")), self._table(body.get("Entity2LogicalName"))
        intersect = str(body.get("IntersectEntityName") or schema_name).lower()
        taken = {*self._store.schema.tables, *(one.intersect for one in self._store.schema.links.values())}
        if intersect in taken:
            raise bad_request(f"An entity with the specified name {intersect} already exists.", "0x80060304")
        self._require("prvCreateEntity", first)
        own = schema_name if first is not second else f"{schema_name}_Referencing"
        navigations = (
            str(body.get("Entity1NavigationPropertyName") or own),
            str(body.get("Entity2NavigationPropertyName") or schema_name),
        )
        link = Link(schema_name, (first.name, second.name), navigations, intersect, str(uuid.uuid4()))
        self._changes.add_link(link)
        return link.metadata_id

    def _delete(self, key: str) -> Answer:
        one = find_relationship(self._store.schema, key)
        if not one["IsCustomRelationship"]:
            raise bad_request(f"The relationship {one['SchemaName']} cannot be deleted.", "0x80047007")
        if one["RelationshipType"] == "ManyToManyRelationship":
            link = self._store.schema.links[one["SchemaName"]]
            self._require("prvDeleteEntity", self._store.schema.tables[link.entities[0]])
            self._changes.drop_link(link)
            return Answer()
        table = self._store.schema.tables[one["ReferencingEntity"]]
        self._require("prvDeleteAttribute", table)
        self._changes.drop_column(table, table.columns[one["ReferencingAttribute"]])
        return Answer()


def _lookup_column(body: dict[str, Any], relationship: str, target: str) -> Column:
    """The lookup that a relationship makes; its navigation property has schema-name casing."""
    lookup = body.get("Lookup") or {}
    schema_name = check_schema_name(str(lookup.get("SchemaName") or ""))
    navigation = str(body.get("ReferencingEntityNavigationPropertyName") or schema_name)
    behaviour = (body.get("CascadeConfiguration") or {}).get("Delete", "RemoveLink")
    if behaviour not in _DELETE_BEHAVIOURS:
        raise bad_request(f"'{behaviour}' is not a cascade behaviour.")
    return Column(
        name=schema_name.lower(),
        kind="Lookup",
        label=text_of(lookup.get("DisplayName")) or schema_name,
        schema_name=schema_name,
        references=(Reference(target, navigation, relationship, behaviour),),
        custom=True,
        required=value_of(lookup.get("RequiredLevel")) or "None",
        metadata_id=str(uuid.uuid4()),
        description=text_of(lookup.get("Description")) or "",
    )
