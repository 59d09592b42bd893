"""Reads what custom entities need of both sides, and makes their custom objects in Marketo.

An approved type keeps its links and dedupe fields for ever, so all of it is in the plan before it is made. What Marketo
refuses leaves that one entity out; the rest goes on.
"""

from __future__ import annotations

import logging

from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.session import Session
from crmsync.errors import EntityMissing, FeatureMissing, PermissionMissing, RecordRefused, RequestRefused
from crmsync.fields.custom_links import leading, link_of, middles
from crmsync.fields.model import CustomObject, Selection
from crmsync.marketo.schema import CustomObjects, MarketoSchema, NewCustomObject
from crmsync.tenants import CustomEntity

log = logging.getLogger("crmsync.engine")

REFUSALS = (FeatureMissing, PermissionMissing, RecordRefused, RequestRefused)


async def read_custom_entities(session: Session, schema: DynamicsSchema) -> DynamicsSchema:
    """The schema with the tenant's custom entities, as far as the organization has and shows them."""
    for wanted in session.tenant.custom_entities:
        try:
            entity = await session.dynamics.entity(wanted.entity)
            schema = await with_middles(session.dynamics, schema.with_entities([entity]), entity, wanted)
        except (EntityMissing, PermissionMissing) as error:
            log.warning("%s: %s is left out: %s", session.name, wanted.entity, error)
    return schema


async def with_middles(
    dynamics: DynamicsClient, schema: DynamicsSchema, entity: Entity, wanted: CustomEntity
) -> DynamicsSchema:
    """The entities between this one and people or companies, where none is near enough."""
    if link_of(entity, {}, wanted.link) is not None:
        return schema
    found = dict(schema.beside)
    for name in middles(entity):
        if name in found:
            continue
        try:
            between = schema.entities.get(name) or await dynamics.entity(name)
        except (EntityMissing, PermissionMissing):
            continue
        if (kept := leading(between)).attributes:
            found[name] = kept
    return schema.model_copy(update={"beside": found})


async def with_custom_objects(session: Session, schema: MarketoSchema) -> MarketoSchema:
    """The schema with the custom object types, where the tenant has custom entities."""
    if not session.tenant.custom_entities:
        return schema
    try:
        types = await session.marketo.custom_object_types()
    except (FeatureMissing, PermissionMissing) as error:
        return schema.model_copy(update={"left_out": schema.left_out | {"custom_object": error.message}})
    return schema.model_copy(update={"custom_objects": types})


async def make_custom_objects(session: Session, selection: Selection) -> Selection:
    """Make what lacks in Marketo; the selection without what could not be made."""
    lacking = {name: one for name, one in selection.custom_objects.items() if one.make is not None}
    if not lacking:
        return selection
    types = await session.marketo.custom_object_types()
    for entity, custom in lacking.items():
        assert custom.make is not None
        try:
            await session.marketo.make_custom_object(_linked(custom.make, types))
        except REFUSALS as error:
            log.warning("%s: %s is left out: %s", session.name, entity, error)
            selection = _without(
                selection, entity, custom, types, f"Marketo refused its custom object: {error.message}"
            )
    return selection


def _linked(make: NewCustomObject, types: CustomObjects) -> NewCustomObject:
    """The same, with links by the names that Marketo lists for them; people's may differ from the REST name."""
    fields = []
    for field in make.fields:
        if field.related is not None:
            parent, name = field.related
            names = types.linkable.get(parent, {})
            told = next((names[one] for one in (name.lower(), _shown(name)) if one in names), name)
            field = field.model_copy(update={"related": (parent, told)})
        fields.append(field)
    return make.model_copy(update={"fields": tuple(fields)})


def _shown(name: str) -> str:
    return {"dynamicsId": "dynamics id"}.get(name, name.lower())


def _without(selection: Selection, entity: str, custom: CustomObject, types: CustomObjects, why: str) -> Selection:
    """Without the fields that could not be added, or without the entity when there is nothing to go on with."""
    there = types.types.get(custom.name.lower())
    assert custom.make is not None
    if there is None or not there.is_approved:
        return selection.without_entity(entity, why)
    refused = {field.name for field in custom.make.fields}
    gone = {one.attribute for one in selection.mappings[entity] if one.field in refused}
    return selection.without(entity, gone)
