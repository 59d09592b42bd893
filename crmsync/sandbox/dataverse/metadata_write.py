"""Schema changes: which change a method and a path below ``EntityDefinitions`` and its neighbours mean.

"Create and update column definitions using the Web API" and "Create and update table definitions using the Web API"
(Power Apps developer documents).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crmsync.sandbox.dataverse.alternate_keys import new_key
from crmsync.sandbox.dataverse.attribute_definitions import changed_column, new_columns, text_of
from crmsync.sandbox.dataverse.columns import AlternateKey, Column
from crmsync.sandbox.dataverse.entity_definitions import new_table
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, name_taken, not_allowed
from crmsync.sandbox.dataverse.field_security import check_securing
from crmsync.sandbox.dataverse.messages import Answer, Request, Segment
from crmsync.sandbox.dataverse.metadata import find_column, find_key, find_table
from crmsync.sandbox.dataverse.option_set_write import OPTION_ACTIONS, OptionSetWriter
from crmsync.sandbox.dataverse.relationship_write import RelationshipWriter
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.schema_changes import SchemaChanges
from crmsync.sandbox.dataverse.solutions import solution_of
from crmsync.sandbox.dataverse.store import DataverseStore

_PARTS = {"Attributes": "AttributeMetadata", "Keys": "EntityKeyMetadata"}
_SETS = {"EntityDefinitions", "RelationshipDefinitions", "GlobalOptionSetDefinitions"}


def changes_schema(request: Request) -> bool:
    """Whether a request that is no GET belongs here."""
    if not request.segments:
        return False
    name = request.segments[0].name
    return name in _SETS or (request.method == "POST" and name in {"CreateEntities", *OPTION_ACTIONS})


class MetadataWriter:
    """Answers one change of the schema. The change itself may take long."""

    def __init__(self, store: DataverseStore, request: Request) -> None:
        self._store, self._request = store, request
        self._changes = SchemaChanges(store)

    def answer(self) -> Answer:
        first, *rest = self._request.segments
        solution_of(self._store, self._request)  # a wrong name is told before anything changes
        if first.name == "CreateEntities":
            return self._create_entities()
        if first.name == "RelationshipDefinitions":
            return RelationshipWriter(self._store, self._request).answer(first)
        if first.name != "EntityDefinitions":
            return OptionSetWriter(self._store, self._request).answer(first)
        return self._entity_definitions(first, rest)

    def _entity_definitions(self, first: Segment, rest: list[Segment]) -> Answer:
        method = self._request.method
        if first.key is None:
            if method == "POST" and not rest:
                return self._create_entity()
            raise not_allowed("Operation not supported on EntityMetadata")
        table = find_table(self._store.schema, first.key)
        if not rest and method in {"PUT", "DELETE"}:
            return self._put_entity(table) if method == "PUT" else self._delete_entity(table)
        if rest and rest[0].name in _PARTS and len(rest) == 1:
            answer = self._part(table, rest[0], method)
            if answer is not None:
                return answer
        kind = _PARTS.get(rest[0].name, "EntityMetadata") if rest else "EntityMetadata"
        raise not_allowed(f"Operation not supported on {kind}")

    def _part(self, table: LiveTable, part: Segment, method: str) -> Answer | None:
        """A change of a column or a key."""
        if part.name == "Keys":
            if method == "POST" and part.key is None:
                return self._create_key(table)
            return self._delete_key(table, find_key(table, part.key)) if method == "DELETE" and part.key else None
        if method == "POST" and part.key is None:
            return self._create_attribute(table)
        if part.key is None or method not in {"PUT", "DELETE"}:
            return None
        column = find_column(table, part.key)
        return self._put_attribute(table, column) if method == "PUT" else self._delete_attribute(table, column)

    def _require(self, name: str, table: LiveTable | None = None) -> None:
        entity, code = (table.name, table.definition.type_code) if table else ("entity", 9800)
        self._request.caller.require(name, entity, code, depth="Global")

    def _where(self, table: LiveTable, below: str = "") -> Answer:
        where = f"{self._request.root}EntityDefinitions({table.definition.metadata_id}){below}"
        return Answer(204, {"OData-EntityId": where})

    # Tables

    def _create_entity(self) -> Answer:
        self._require("prvCreateEntity")
        definition = new_table(self._store.schema, self._request.json())
        return self._where(self._changes.create_table(definition))

    def _create_entities(self) -> Answer:
        """The action: several tables, none of them if one is wrong."""
        self._require("prvCreateEntity")
        bodies = self._request.json().get("Entities")
        if not isinstance(bodies, list) or not bodies:
            raise bad_request("The required parameter 'Entities' is missing.")
        definitions = [new_table(self._store.schema, body) for body in bodies]
        if len({one.name for one in definitions}) < len(definitions):
            raise bad_request("An entity stands twice in 'Entities'.")
        made = [self._changes.create_table(one) for one in definitions]
        context = f"{self._request.root}$metadata#Microsoft.Dynamics.CRM.CreateEntitiesResponse"
        return Answer.json({"@odata.context": context, "EntityIds": [one.definition.metadata_id for one in made]})

    def _put_entity(self, table: LiveTable) -> Answer:
        self._require("prvWriteEntity", table)
        body = self._request.json()
        if body.get("LogicalName", table.name) != table.name:
            raise bad_request("The logical name of an entity cannot be changed.")
        wanted = body.get("ChangeTrackingEnabled", table.tracked)
        if wanted and not table.definition.can_be_tracked:
            raise bad_request(f"Change tracking cannot be enabled for entity {table.name}.")
        if table.tracked and not wanted:
            raise bad_request(f"Change tracking cannot be disabled for entity {table.name}.")
        old = table.definition
        changed = replace(
            old,
            tracked=bool(wanted),
            label=text_of(body.get("DisplayName")) or old.label,
            plural_label=text_of(body.get("DisplayCollectionName")) or old.plural_label,
            description=text_of(body.get("Description")) or old.description,
        )
        if changed != old:
            self._changes.change_table(changed)
        return self._where(table)

    def _delete_entity(self, table: LiveTable) -> Answer:
        self._require("prvDeleteEntity", table)
        if not table.definition.custom:
            raise bad_request(f"The entity {table.name} cannot be deleted.", "0x80047007")
        self._changes.drop_table(table)
        return Answer()

    # Columns

    def _create_attribute(self, table: LiveTable) -> Answer:
        self._require("prvCreateAttribute", table)
        columns = [replace(one, primary_name=False) for one in new_columns(self._request.json(), self._option_sets())]
        for column in columns:
            check_securing(table, column)
            if column.name in table.columns:
                raise name_taken(column.name, table.name)
        for column in columns:
            self._changes.add_column(self._store.schema.tables[table.name], column)
        return self._where(table, f"/Attributes({columns[0].metadata_id})")

    def _option_sets(self) -> Any:
        return self._store.schema.option_sets

    def _put_attribute(self, table: LiveTable, column: Column) -> Answer:
        self._require("prvWriteAttribute", table)
        if column.of is not None:
            raise bad_request(f"The attribute {column.name} of entity {table.name} cannot be changed.", "0x80047007")
        changed = changed_column(column, self._request.json())
        check_securing(table, changed)
        if changed != column:
            self._changes.change_column(table, changed)
        return self._where(table, f"/Attributes({column.metadata_id})")

    def _delete_attribute(self, table: LiveTable, column: Column) -> Answer:
        self._require("prvDeleteAttribute", table)
        if not column.custom or column.of is not None or column.primary_name:
            raise bad_request(f"The attribute {column.name} of entity {table.name} cannot be deleted.", "0x80047007")
        if any(column.name in key.columns for key in table.definition.keys):
            raise _in_use(column.name, "a key")
        self._changes.drop_column(table, column)
        twin = table.columns.get(f"{column.name}_base")
        if column.kind == "Money" and twin:
            self._changes.drop_column(self._store.schema.tables[table.name], twin)
        return Answer()

    # Keys

    def _create_key(self, table: LiveTable) -> Answer:
        self._require("prvCreateEntity", table)
        key = new_key(table, self._request.json(), self._store.org.clock.time())
        self._changes.add_key(table, key)
        # Unlike a column's, the header names the table as the request did: Microsoft's client relies on it.
        where = f"{self._request.root}{self._request.path.rstrip('/')}({key.metadata_id})"
        return Answer(204, {"OData-EntityId": where})

    def _delete_key(self, table: LiveTable, key: AlternateKey) -> Answer:
        self._require("prvDeleteEntity", table)
        self._changes.drop_key(table, key)
        return Answer()


def _in_use(name: str, by: str) -> ODataError:
    message = f"The component {name} cannot be deleted because {by} depends on it."
    return bad_request(message, "0x8004F01F")
