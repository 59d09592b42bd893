"""Relationships as the Web API describes them, of one table or of the whole schema.

"Query schema definitions" and the OneToMany- and ManyToManyRelationshipMetadata references (Power Apps developer
documents).
"""

from __future__ import annotations

import re
from typing import Any

from crmsync.sandbox.dataverse.columns import Column, Link, Reference
from crmsync.sandbox.dataverse.errors import ODataError
from crmsync.sandbox.dataverse.history import relationship_id
from crmsync.sandbox.dataverse.messages import GUID
from crmsync.sandbox.dataverse.metadata_json import NAMESPACE, metadata_id
from crmsync.sandbox.dataverse.schema import LINKS, LiveTable, Schema

Object = dict[str, Any]


def one_to_many_json(table: LiveTable, column: Column, target: LiveTable, reference: Reference) -> Object:
    """A one-to-many relationship, seen from either end; an owner lookup has one, to ``owner``."""
    owner = column.kind == "Owner"
    return {
        "@odata.type": f"#{NAMESPACE}OneToManyRelationshipMetadata",
        "MetadataId": relationship_id(reference.schema_name, table.name, target.name),
        "HasChanged": None,
        "SchemaName": reference.schema_name,
        "RelationshipType": "OneToManyRelationship",
        "IsCustomRelationship": column.custom,
        "IsManaged": not column.custom,
        "IsValidForAdvancedFind": True,
        "ReferencingEntity": table.name,
        "ReferencingAttribute": column.name,
        "ReferencingEntityNavigationPropertyName": reference.navigation,
        "ReferencedEntity": "owner" if owner else target.name,
        "ReferencedAttribute": "ownerid" if owner else target.primary_id,
        "ReferencedEntityNavigationPropertyName": reference.schema_name,
        "CascadeConfiguration": {"Assign": "NoCascade", "Delete": reference.on_delete, "Merge": "NoCascade"},
    }


def _many_to_many_json(name: str, key: str, sides: tuple[Object, Object], intersect: str, *, custom: bool) -> Object:
    one = {
        "@odata.type": f"#{NAMESPACE}ManyToManyRelationshipMetadata",
        "MetadataId": key,
        "HasChanged": None,
        "SchemaName": name,
        "RelationshipType": "ManyToManyRelationship",
        "IsCustomRelationship": custom,
        "IsManaged": not custom,
        "IsValidForAdvancedFind": True,
        "IntersectEntityName": intersect,
    }
    for number, side in enumerate(sides, 1):
        one |= {f"Entity{number}{part}": value for part, value in side.items()}
    return one


def _side(schema: Schema, table: str, navigation: str) -> Object:
    attribute = schema.tables[table].primary_id if table in schema.tables else f"{table}id"
    return {"LogicalName": table, "IntersectAttribute": attribute, "NavigationPropertyName": navigation}


def _link_json(schema: Schema, link: Link) -> Object:
    first, second = (_side(schema, link.entities[n], link.navigations[n]) for n in (0, 1))
    return _many_to_many_json(link.schema_name, link.metadata_id, (first, second), link.intersect, custom=True)


def many_to_one(schema: Schema, table: LiveTable) -> list[Object]:
    """The relationships of the table's own lookups."""
    found: dict[str, Object] = {}
    for column in table.definition.columns:
        for one in column.references:
            name = f"{one.schema_name}.{one.navigation}"
            found.setdefault(name, one_to_many_json(table, column, schema.tables[one.target], one))
    return list(found.values())


def one_to_many(schema: Schema, table: LiveTable) -> list[Object]:
    """The relationships of other tables' lookups to this one."""
    return [
        one
        for other in schema.tables.values()
        for one in many_to_one(schema, other)
        if one["ReferencedEntity"] == table.name
    ]


def many_to_many(schema: Schema, table: LiveTable | None = None) -> list[Object]:
    """The many-to-many relationships of a table, or all: the platform's and the organization's own."""
    found: dict[str, Object] = {}
    for name, collections in LINKS.items():
        for one in collections:
            if one.name not in found and name in schema.tables and one.target in schema.tables and one.link:
                first, second = _side(schema, name, one.name), _side(schema, one.target, one.name)
                key = metadata_id("relationship", one.name)
                intersect = one.link[0].replace("_", "")
                found[one.name] = _many_to_many_json(one.name, key, (first, second), intersect, custom=False)
    found |= {link.schema_name: _link_json(schema, link) for link in schema.links.values()}
    if table is None:
        return list(found.values())
    ends = ("Entity1LogicalName", "Entity2LogicalName")
    return [one for one in found.values() if table.name in {one[end] for end in ends}]


def relationships(schema: Schema) -> list[Object]:
    """Every relationship of the schema."""
    lookups = [one for table in schema.tables.values() for one in many_to_one(schema, table)]
    return lookups + many_to_many(schema)


def find_relationship(schema: Schema, key: str) -> Object:
    """One relationship by MetadataId or by ``SchemaName='...'``."""
    named = re.fullmatch(r"\s*SchemaName\s*=\s*'([^']*)'\s*", key)
    wanted = key.strip("{}").lower() if GUID.match(key) else None
    for one in relationships(schema):
        if (named and one["SchemaName"] == named[1]) or one["MetadataId"] == wanted:
            return one
    raise ODataError(404, "0x80060888", f"Could not find a relationship with the specified name: {key}.")
