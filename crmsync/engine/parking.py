"""Goes on without a field that does not work any more: it is parked.

Dynamics answers a read of a column that is gone with an error, or lets the delta link expire (change tracking, "Expiry
and other reasons for a full sync"). Marketo refuses what names a field that it does not show (1006, "Error Codes"), a
whole call or record by record, and values that are not of a field's type (1001, 1003), without naming the field. A
column that column security hides reads as empty. All that does not work is parked at once, read from metadata and
describe; ``resync`` takes up again what works again.
"""

from __future__ import annotations

from typing import NamedTuple

from crmsync.dynamics.privileges import READ_TEAM
from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.column_rights import as_seen
from crmsync.engine.custom.making import with_custom_objects
from crmsync.engine.guards import remembering
from crmsync.engine.session import Session
from crmsync.engine.setup import keep_snapshot, park_vanished, saved_selection, snapshots
from crmsync.errors import ChangeTrackingExpired, ColumnHidden, ColumnMissing, FeatureMissing
from crmsync.fields.hidden import Unfit, is_needed, unfit, without_fields
from crmsync.fields.model import OWNER_TEAM, Selection
from crmsync.marketo.errors import FIELD_NOT_FOUND
from crmsync.marketo.schema import MarketoSchema
from crmsync.state.schemas import Parked


class Now(NamedTuple):
    """What is selected, both schemas as they are now, and what of the selection does not work by them."""

    selection: Selection | None
    dynamics: DynamicsSchema | None
    marketo: MarketoSchema
    gone: list[Unfit]


def is_hidden_field(change: Exception) -> bool:
    """Whether Marketo does not take a field any more, or Dynamics hides its column."""
    return isinstance(change, ColumnHidden) or (isinstance(change, ColumnMissing) and change.code == FIELD_NOT_FOUND)


def type_refused(tenant: str, entity: str, reason: str | None) -> ColumnMissing:
    """That Marketo does not take values of this entity's fields, because a type has changed on either side."""
    return ColumnMissing(
        f"Marketo refused values for the type of a field: {reason}", tenant=tenant, entity=entity, code=FIELD_NOT_FOUND
    )


async def works_now(session: Session, named: str | None = None, entity: str | None = None) -> Now:
    """Look at Marketo's fields as they are now, without the one that was ``named`` in a refusal, and at the columns of
    one ``entity`` of Dynamics."""
    selection = await saved_selection(session)
    dynamics, _ = await snapshots(session)
    selection = remembering(selection, dynamics) if selection and dynamics else selection
    if dynamics is not None and entity is not None:
        dynamics = await with_metadata(session, dynamics, entity)
    marketo = await with_custom_objects(session, await session.marketo.schema())
    marketo = marketo.without(named) if named else marketo
    gone = list(unfit(selection, dynamics, marketo)) if selection and dynamics else []
    return Now(selection, dynamics, marketo, gone)


async def with_metadata(session: Session, schema: DynamicsSchema, name: str) -> DynamicsSchema:
    """The schema with this entity, and what others need of its columns, as it is now. Columns that are gone stay: the
    read that fails for lack of them parks them."""
    found = await session.dynamics.entity(name)
    kept = schema.entities[name].attributes | found.attributes
    return schema.with_entities(await as_seen(session.dynamics, [found.model_copy(update={"attributes": kept})]))


async def park_hidden(session: Session, refusal: ColumnMissing) -> tuple[DynamicsSchema, Selection, list[str]]:
    """Park what Marketo does not take any more, or Dynamics hides; schema and selection without it, and what to tell.

    Raises the refusal where all that was selected works, and ``FeatureMissing`` where there is no syncing without what
    does not.
    """
    is_secured = isinstance(refusal, ColumnHidden)
    now = await works_now(session, None if is_secured else refusal.column, refusal.entity)
    if not now.gone and not (is_secured and now.dynamics and now.dynamics.hides(refusal.entity, refusal.column)):
        raise refusal
    return await park(session, now)


async def park(session: Session, now: Now) -> tuple[DynamicsSchema, Selection, list[str]]:
    """Keep both schemas, park what does not work, and go on with the selection without it."""
    assert now.selection is not None
    assert now.dynamics is not None
    if needed := [one for one in now.gone if is_needed(one.mapping)]:
        raise FeatureMissing(
            f"Marketo cannot be given {', '.join(sorted({one.mapping.field for one in needed}))} any more, "
            f"which crmsync cannot do without: {needed[0].reason}",
            remedy="Unhide it, or change its type back, in Admin > Field Management, then run connect again.",
            tenant=session.name,
            code=FIELD_NOT_FOUND,
        )
    await keep_snapshot(session, "dynamics", now.dynamics)
    await keep_snapshot(session, "marketo", now.marketo)
    await park_vanished(session)
    fields = {(one.mapping.entity, one.mapping.field): one.reason for one in now.gone}
    selection = without_fields(now.selection, fields)
    await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
    notes = [f"{mapping.entity}.{mapping.attribute} is parked: {reason}" for mapping, reason in now.gone]
    return now.dynamics, selection, notes


async def park_deleted(
    session: Session,
    name: str,
    shape: tuple[DynamicsSchema, Selection],
    change: ChangeTrackingExpired | ColumnMissing,
) -> tuple[DynamicsSchema, Selection, list[str]]:
    """The delta link of this entity does not serve any more: see which columns are gone, park them, and let it be read
    anew. Schema and selection without them, and what to tell; raises the change where nothing is gone that was read.
    """
    schema, selection = shape
    [entity] = await as_seen(session.dynamics, [await session.dynamics.entity(name)])
    if isinstance(change, ColumnMissing):
        entity = _without(entity, change.column)
    if isinstance(change, ColumnMissing) and selection.select(schema.entities[name]) == selection.select(entity):
        raise change
    schema = schema.with_entities([entity])
    await keep_snapshot(session, "dynamics", schema)
    mapped = {mapping.attribute for mapping in selection.mappings.get(name, ()) if mapping.attribute}
    selection = selection.without(name, mapped - entity.attributes.keys())
    parked = await park_vanished(session)
    for field in parked:
        selection = selection.without(field.entity, {field.attribute})
    await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
    current = await session.store.checkpoints.get(session.name, name)
    if current is not None:
        stale = current.model_copy(update={"selection_digest": "expired"})
        await session.store.checkpoints.put(session.name, stale)
    notes = [
        f"{field.entity}.{field.attribute}: its field '{field.marketo_field}' is parked: {field.reason}"
        for field in parked
    ]
    since = f" from {current.moved_at:%Y-%m-%d %H:%M} UTC" if current is not None and current.moved_at else ""
    return schema, selection, notes or [f"{name}: the delta link{since} has expired; everything is read once more"]


async def park_team_names(session: Session, selection: Selection, why: str) -> list[str]:
    """Tell that the names of teams cannot be read, so that they stay in Marketo as they are; what to tell. ``resync``
    reads these entities again."""
    store, tenant = session.store, session.name
    known = {(one.entity, one.attribute) for one in await store.schemas.parked(tenant) if one.reviewed_at is None}
    remedy = f"give the sync user's role {READ_TEAM} at organization level, then run resync"
    parked = [
        Parked(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason=f"the names of teams cannot be read: {why}; Marketo's field is kept. To go on, {remedy}",
        )
        for mappings in selection.mappings.values()
        for mapping in mappings
        if mapping.field == OWNER_TEAM and (mapping.entity, mapping.attribute) not in known
    ]
    await store.schemas.park(tenant, parked)
    await store.checkpoints.set_outdated(tenant, {one.entity: "the names of teams could not be read" for one in parked})
    return [f"{one.entity}: its field '{one.marketo_field}' is parked: {one.reason}" for one in parked]


def _without(entity: Entity, column: str | None) -> Entity:
    """The entity without a column that metadata, cached for a while, may still show."""
    gone = {column, (column or "").removeprefix("_").removesuffix("_value")}
    kept = {name: attribute for name, attribute in entity.attributes.items() if name not in gone}
    return entity.model_copy(update={"attributes": kept})
