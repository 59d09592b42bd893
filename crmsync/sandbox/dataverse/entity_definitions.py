"""Custom tables from the definitions that a client sends.

"Create and update table definitions using the Web API" (Power Apps developer documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crmsync.sandbox.dataverse.attribute_definitions import check_schema_name, new_columns, text_of
from crmsync.sandbox.dataverse.column_groups import currency
from crmsync.sandbox.dataverse.columns import Column, Table, key
from crmsync.sandbox.dataverse.custom_tables import FIRST_TYPE_CODE, platform_columns
from crmsync.sandbox.dataverse.errors import bad_request
from crmsync.sandbox.dataverse.schema import Schema


def new_table(schema: Schema, body: Mapping[str, Any]) -> Table:
    """The table that a definition makes."""
    schema_name = check_schema_name(str(body.get("SchemaName") or ""))
    name = schema_name.lower()
    set_name = str(body.get("EntitySetName") or plural(name))
    if name in schema.tables or set_name in schema.sets:
        raise bad_request(f"An entity with the specified name {name} already exists.", "0x80060304")
    ownership = str(body.get("OwnershipType") or "UserOwned")
    if ownership not in {"UserOwned", "OrganizationOwned"} or body.get("IsActivity"):
        raise bad_request(f"An entity with the ownership '{ownership}' or an activity cannot be created here.")
    own = _own_columns(schema, name, body)
    columns = (replace(key(f"{name}id", text_of(body.get("DisplayName")) or schema_name), custom=False), *own)
    if any(column.kind == "Money" for column in own):
        columns += currency(name)
    columns += platform_columns(name, ownership)
    codes = (table.definition.type_code for table in schema.tables.values())
    label = text_of(body.get("DisplayName")) or schema_name
    return Table(
        name,
        schema_name,
        set_name,
        label,
        text_of(body.get("DisplayCollectionName")) or label,
        max(FIRST_TYPE_CODE, 1 + max(codes)),
        ownership,
        f"{name}id",
        next(column.name for column in own if column.primary_name),
        _with_new_ids(columns),
        tracked=bool(body.get("ChangeTrackingEnabled", False)),
        custom=True,
        metadata_id=str(uuid.uuid4()),
        description=text_of(body.get("Description")) or "",
    )


def _own_columns(schema: Schema, name: str, body: Mapping[str, Any]) -> tuple[Column, ...]:
    made = [column for one in body.get("Attributes") or [] for column in new_columns(one, schema.option_sets)]
    names = [column.name for column in made]
    if len(set(names)) < len(names):
        raise bad_request(f"An attribute stands twice in the definition of entity {name}.", "0x80047013")
    if sum(column.primary_name for column in made) != 1:
        raise bad_request(f"The entity {name} must have exactly one attribute with IsPrimaryName.")
    if next(column for column in made if column.primary_name).kind != "String":
        raise bad_request(f"The primary name attribute of the entity {name} must be a String.")
    return tuple(made)


def _with_new_ids(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(replace(column, metadata_id=column.metadata_id or str(uuid.uuid4())) for column in columns)


def plural(name: str) -> str:
    """The entity set of a logical name, as the platform forms it."""
    if name.endswith("y") and name[-2:-1] not in set("aeiou"):
        return f"{name[:-1]}ies"
    if name.endswith(("s", "x", "z", "ch", "sh")):
        return f"{name}es"
    return f"{name}s"
