"""Schema changes: create and delete a column, switch change tracking on for a table.

"Create and update column definitions using the Web API" and "Create and update table definitions using the Web API"
(Power Apps developer documents).
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from crmsync.sandbox.dataverse.columns import Column, Reference
from crmsync.sandbox.dataverse.errors import bad_request, name_taken, not_allowed
from crmsync.sandbox.dataverse.messages import Answer, Request
from crmsync.sandbox.dataverse.metadata import find_column, find_table
from crmsync.sandbox.dataverse.metadata_json import metadata_id
from crmsync.sandbox.dataverse.options import NO_YES, Option
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore

_KINDS = {
    "StringAttributeMetadata": "String",
    "MemoAttributeMetadata": "Memo",
    "IntegerAttributeMetadata": "Integer",
    "BigIntAttributeMetadata": "BigInt",
    "DecimalAttributeMetadata": "Decimal",
    "DoubleAttributeMetadata": "Double",
    "MoneyAttributeMetadata": "Money",
    "BooleanAttributeMetadata": "Boolean",
    "DateTimeAttributeMetadata": "DateTime",
    "PicklistAttributeMetadata": "Picklist",
    "MultiSelectPicklistAttributeMetadata": "MultiSelectPicklist",
    "LookupAttributeMetadata": "Lookup",
}
_DEFAULT_FORMATS = {"String": "Text", "Memo": "TextArea", "Integer": "None", "DateTime": "DateAndTime"}
_DEFAULT_PRECISION = {"Decimal": 2, "Double": 2, "Money": 2}
_SCHEMA_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9]{1,7}_[A-Za-z0-9_]{1,93}$")


class MetadataWriter:
    """Answers one change below ``EntityDefinitions``. ``prepare`` checks; the change itself may take long."""

    def __init__(self, store: DataverseStore, request: Request) -> None:
        self._store, self._request = store, request

    def answer(self) -> Answer:
        first, *rest = self._request.segments
        if first.key is None:
            raise not_allowed("Operation not supported on EntityMetadata")
        table = find_table(self._store.schema, first.key)
        method = self._request.method
        if not rest and method == "PUT":
            return self._put_entity(table)
        if len(rest) == 1 and rest[0].name == "Attributes":
            if method == "POST" and rest[0].key is None:
                return self._create_attribute(table)
            if method == "DELETE" and rest[0].key is not None:
                return self._delete_attribute(table, rest[0].key)
        raise not_allowed(
            "Operation not supported on EntityMetadata" if not rest else "Operation not supported on AttributeMetadata"
        )

    def _require(self, name: str, table: LiveTable) -> None:
        self._request.caller.require(name, table.name, table.definition.type_code, depth="Global")

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
        if wanted and not table.tracked:
            self._store.enable_tracking(table)
        return Answer(204, {"OData-EntityId": f"{self._request.root}EntityDefinitions({table.definition.metadata_id})"})

    def _create_attribute(self, table: LiveTable) -> Answer:
        self._require("prvCreateAttribute", table)
        columns = new_columns(table, self._request.json())
        for column in columns:
            if column.name in table.columns:
                raise name_taken(column.name, table.name)
        for column in columns:
            self._store.add_column(self._store.schema.tables[table.name], column)
        entity, attribute = table.definition.metadata_id, columns[0].metadata_id
        where = f"{self._request.root}EntityDefinitions({entity})/Attributes({attribute})"
        return Answer(204, {"OData-EntityId": where})

    def _delete_attribute(self, table: LiveTable, key: str) -> Answer:
        self._require("prvDeleteAttribute", table)
        column = find_column(table, key)
        if not column.custom or column.of is not None:
            raise bad_request(f"The attribute {column.name} of entity {table.name} cannot be deleted.", "0x80047007")
        self._store.drop_column(table, column)
        twin = table.columns.get(f"{column.name}_base")
        if column.kind == "Money" and twin:
            self._store.drop_column(self._store.schema.tables[table.name], twin)
        return Answer()


def new_columns(table: LiveTable, body: dict[str, Any]) -> list[Column]:
    """The columns that an attribute's definition makes: one, or two for money."""
    kind = _KINDS.get(str(body.get("@odata.type", "")).removeprefix("#").removeprefix("Microsoft.Dynamics.CRM."))
    if kind is None:
        raise bad_request(f"An attribute of the type '{body.get('@odata.type')}' cannot be created.")
    schema_name = str(body.get("SchemaName") or "")
    if not _SCHEMA_NAME.match(schema_name):
        raise bad_request(f"The schema name '{schema_name}' must have a customization prefix.", "0x80044363")
    if kind == "Lookup":
        raise bad_request("A lookup column is created with its relationship, not by itself.")
    options, global_options = _options(kind, body)
    column = Column(
        name=schema_name.lower(),
        kind=kind,
        label=_label(body.get("DisplayName")) or schema_name,
        schema_name=schema_name,
        max_length=body.get("MaxLength", 100) if kind in {"String", "Memo"} else None,
        precision=body.get("Precision", _DEFAULT_PRECISION.get(kind)),
        minimum=body.get("MinValue"),
        maximum=body.get("MaxValue"),
        format=_value(body.get("FormatName")) or body.get("Format") or _DEFAULT_FORMATS.get(kind),
        behavior=(_value(body.get("DateTimeBehavior")) or "UserLocal") if kind == "DateTime" else None,
        options=options,
        global_options=global_options,
        default=body.get("DefaultValue"),
        custom=True,
        required=_value(body.get("RequiredLevel")) or "None",
        secured=bool(body.get("IsSecured", False)),
        metadata_id=str(uuid.uuid4()),
    )
    if kind != "Money":
        return [column]
    return [column, base_twin(column)]


def base_twin(column: Column) -> Column:
    """The read-only amount in the base currency beside a money column."""
    return Column(
        name=f"{column.name}_base",
        kind="Money",
        label=f"{column.label} (Base)",
        schema_name=f"{column.schema_name}_Base",
        precision=column.precision,
        creatable=False,
        updatable=False,
        custom=True,
        metadata_id=str(uuid.uuid4()),
    )


def _options(kind: str, body: dict[str, Any]) -> tuple[tuple[Option, ...], str | None]:
    given = body.get("OptionSet") or {}
    if kind == "Boolean":
        yes, no = given.get("TrueOption"), given.get("FalseOption")
        if not yes or not no:
            return NO_YES, None
        return (Option(0, _label(no.get("Label")) or "No"), Option(1, _label(yes.get("Label")) or "Yes")), None
    options = tuple(Option(int(one["Value"]), _label(one.get("Label")) or "") for one in given.get("Options", []))
    return options, given.get("Name") if given.get("IsGlobal") else None


def _label(label: dict[str, Any] | None) -> str | None:
    labels = (label or {}).get("LocalizedLabels") or []
    return labels[0]["Label"] if labels else None


def _value(holder: dict[str, Any] | None) -> str | None:
    return (holder or {}).get("Value")


def lookup_column(schema_name: str, target: str, label: str, relationship: str) -> Column:
    """A custom lookup, as creating a relationship makes it; its navigation property has schema-name casing."""
    return Column(
        name=schema_name.lower(),
        kind="Lookup",
        label=label,
        schema_name=schema_name,
        references=(Reference(target, schema_name, relationship),),
        custom=True,
        metadata_id=str(uuid.uuid4()),
    )


def create_relationship(store: DataverseStore, request: Request) -> Answer:
    """``POST RelationshipDefinitions`` with a one-to-many relationship: makes its lookup column."""
    body = request.json()
    if not str(body.get("@odata.type", "")).endswith("OneToManyRelationshipMetadata"):
        raise bad_request(f"A relationship of the type '{body.get('@odata.type')}' cannot be created.")
    tables = store.schema.tables
    referencing, referenced = str(body.get("ReferencingEntity")), str(body.get("ReferencedEntity"))
    for name in (referencing, referenced):
        if name not in tables:
            raise bad_request(f"Could not find an entity with the specified name: {name}.")
    table, lookup = tables[referencing], body.get("Lookup") or {}
    schema_name = str(lookup.get("SchemaName") or "")
    if not _SCHEMA_NAME.match(schema_name):
        raise bad_request(f"The schema name '{schema_name}' must have a customization prefix.", "0x80044363")
    if schema_name.lower() in table.columns:
        raise name_taken(schema_name.lower(), table.name)
    request.caller.require("prvCreateAttribute", table.name, table.definition.type_code, depth="Global")
    label = _label(lookup.get("DisplayName")) or schema_name
    column = lookup_column(schema_name, referenced, label, str(body.get("SchemaName") or schema_name))
    store.add_column(table, column)
    where = f"{request.root}RelationshipDefinitions({metadata_id('relationship', str(body.get('SchemaName')))})"
    return Answer(204, {"OData-EntityId": where})
