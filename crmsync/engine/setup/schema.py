"""Refresh Schema: read both schemas, keep them as snapshots, and tell what differs from the last ones.

"Edit Fields to Sync" (Marketo's documentation): the schema is refreshed before fields are selected.
"""

from __future__ import annotations

import logging

from pydantic import BaseModel

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.column_rights import as_seen
from crmsync.engine.custom.making import read_custom_entities, with_custom_objects
from crmsync.engine.guards import remembering
from crmsync.engine.session import Session
from crmsync.engine.setup.credentials import ensure_bound
from crmsync.errors import EntityMissing, PermissionMissing
from crmsync.fields import drift
from crmsync.fields.model import Selection
from crmsync.fields.otherwise import converted_otherwise
from crmsync.marketo.schema import MarketoSchema
from crmsync.state.lifecycle import TenantState
from crmsync.state.schemas import Side
from crmsync.tenants import OPTIONAL

log = logging.getLogger("crmsync.engine")


class SchemaRefresh(BaseModel):
    """Both schemas as they are now: how many fields each entity has, and what differs from the last snapshot."""

    entities: dict[str, int]
    person_fields: int
    first: bool
    difference: list[str]


async def refresh_schema(session: Session) -> SchemaRefresh:
    """Read both schemas, keep the snapshots, and tell what differs from the last ones."""
    await ensure_bound(session)
    async with session.lease():
        dynamics = await _read_entities(session)
        marketo = await with_custom_objects(session, await session.marketo.schema())
        old_dynamics, old_marketo = await snapshots(session)
        await _remember_filters(session, old_dynamics)
        difference: list[str] = []
        if old_dynamics is not None:
            difference += drift.difference(old_dynamics, dynamics).lines()
        if old_marketo is not None:
            difference += drift.difference(old_marketo, marketo).lines()
        await keep_snapshot(session, "dynamics", dynamics)
        await keep_snapshot(session, "marketo", marketo)
        await session.store.tenants.advance(
            session.name, TenantState.SCHEMA_REFRESHED, run=session.run, why="both schemas were read"
        )
    return SchemaRefresh(
        entities={name: len(entity.attributes) for name, entity in dynamics.entities.items()},
        person_fields=len(marketo.person.fields),
        first=old_dynamics is None,
        difference=difference,
    )


async def _read_entities(session: Session) -> DynamicsSchema:
    """The entities that the tenant wants; the optional ones as far as the organization has and shows them."""
    wanted = session.tenant.entities
    stamp = await session.dynamics.definitions_stamp([*wanted, *session.tenant.custom_names])
    schema = await session.dynamics.schema([name for name in wanted if name not in OPTIONAL])
    for name in wanted:
        if name in OPTIONAL:
            try:
                schema = schema.with_entities([await session.dynamics.entity(name)])
            except (EntityMissing, PermissionMissing) as error:
                log.warning("%s: %s is left out: %s", session.name, name, error)
    schema = await read_custom_entities(session, schema)
    return schema.with_entities(await as_seen(session.dynamics, schema.entities.values())).model_copy(
        update={"stamp": stamp}
    )


async def _remember_filters(session: Session, old: DynamicsSchema | None) -> None:
    """Keep in the selection which entities have a sync filter: the new snapshot may not have its column any more."""
    body = await session.store.schemas.selection(session.name)
    if old is not None and body is not None:
        selection = remembering(Selection.model_validate_json(body), old)
        await session.store.schemas.keep_selection(session.name, selection.model_dump_json())


async def snapshots(session: Session) -> tuple[DynamicsSchema | None, MarketoSchema | None]:
    """The newest snapshots of both schemas."""
    dynamics = await session.store.schemas.snapshot(session.name, "dynamics")
    marketo = await session.store.schemas.snapshot(session.name, "marketo")
    return (
        DynamicsSchema.model_validate_json(dynamics) if dynamics else None,
        MarketoSchema.model_validate_json(marketo) if marketo else None,
    )


async def keep_snapshot(session: Session, side: Side, schema: DynamicsSchema | MarketoSchema) -> None:
    """Keep a schema as the newest snapshot of its side; entities whose values Dynamics' new one converts otherwise are
    outdated from now on, until ``resync`` reads them again."""
    if isinstance(schema, DynamicsSchema):
        await _note_outdated(session, schema)
    content = schema.model_dump_json(exclude={"taken_at", "stamp"})
    await session.store.schemas.keep_snapshot(session.name, side, schema.model_dump_json(), content=content)


async def _note_outdated(session: Session, new: DynamicsSchema) -> None:
    old, _ = await snapshots(session)
    body = await session.store.schemas.selection(session.name)
    if old is None or body is None:
        return
    mappings = Selection.model_validate_json(body).mappings
    reasons = {
        name: "; ".join(dict.fromkeys(found))
        for name in mappings.keys() & old.entities.keys() & new.entities.keys()
        if (found := list(converted_otherwise(old.entities[name], new.entities[name], mappings[name])))
    }
    await session.store.checkpoints.set_outdated(session.name, reasons)
