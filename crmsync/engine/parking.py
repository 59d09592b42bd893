"""Goes on without a field whose column was deleted in Dynamics, or that was hidden or removed in Marketo: it is parked.

Dynamics answers a read of a column that is gone with an error, or lets the delta link expire (change tracking, "Expiry
and other reasons for a full sync"). Marketo refuses what names a field that it does not show (1006, "Error Codes"), a
whole call or record by record. All that is gone is parked at once, read from metadata and describe; ``resync`` takes up
again what is there again.
"""

from __future__ import annotations

from crmsync.dynamics.schema import DynamicsSchema, Entity
from crmsync.engine.custom.making import with_custom_objects
from crmsync.engine.session import Session
from crmsync.engine.setup import keep_snapshot, park_vanished, saved_selection
from crmsync.errors import ChangeTrackingExpired, ColumnMissing, FeatureMissing
from crmsync.fields.hidden import hidden, is_needed, without_fields
from crmsync.fields.model import Mapping, Selection
from crmsync.marketo.errors import FIELD_NOT_FOUND
from crmsync.marketo.schema import MarketoSchema


def is_hidden_field(change: Exception) -> bool:
    """Whether Marketo says that it does not know a field."""
    return isinstance(change, ColumnMissing) and change.code == FIELD_NOT_FOUND


async def hidden_now(
    session: Session, named: str | None = None
) -> tuple[Selection | None, MarketoSchema, list[Mapping]]:
    """What is selected, Marketo's schema as it is now, and what of the selection it does not show, or has refused."""
    selection = await saved_selection(session)
    marketo = await with_custom_objects(session, await session.marketo.schema())
    marketo = marketo.without(named) if named else marketo
    return selection, marketo, list(hidden(selection, marketo)) if selection else []


async def park_hidden(session: Session, refusal: ColumnMissing) -> tuple[Selection, list[str]]:
    """Park what Marketo does not show any more; the selection without it, and what to tell.

    Raises the refusal where nothing is gone that was selected, and ``FeatureMissing`` where there is no syncing
    without it.
    """
    selection, marketo, gone = await hidden_now(session, refusal.column)
    if selection is None or not gone:
        raise refusal
    if needed := sorted({one.field for one in gone if is_needed(one)}):
        raise FeatureMissing(
            f"Marketo does not show {', '.join(needed)} any more, which crmsync cannot do without",
            remedy="Unhide it in Admin > Field Management, then run connect again.",
            tenant=session.name,
            code=refusal.code,
        )
    await keep_snapshot(session, "marketo", marketo)
    await park_vanished(session)
    selection = without_fields(selection, {(one.entity, one.field) for one in gone})
    await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
    notes = [
        f"{one.entity}.{one.attribute}: Marketo does not show its field '{one.field}' any more: it is parked"
        for one in gone
    ]
    return selection, notes


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
    entity = await session.dynamics.entity(name)
    if isinstance(change, ColumnMissing):
        entity = _without(entity, change.column)
    if isinstance(change, ColumnMissing) and selection.select(schema.entities[name]) == selection.select(entity):
        raise change
    schema = schema.with_entities([entity])
    await keep_snapshot(session, "dynamics", schema)
    mapped = {mapping.attribute for mapping in selection.mappings.get(name, ()) if mapping.attribute}
    selection = selection.without(name, mapped - entity.attributes.keys())
    parked = await park_vanished(session)
    await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
    current = await session.store.checkpoints.get(session.name, name)
    if current is not None:
        stale = current.model_copy(update={"selection_digest": "expired"})
        await session.store.checkpoints.put(session.name, stale)
    notes = [
        f"{field.entity}.{field.attribute} was deleted in Dynamics: its field '{field.marketo_field}' is parked"
        for field in parked
    ]
    return schema, selection, notes or [f"{name}: the delta link has expired; everything is read once more"]


def _without(entity: Entity, column: str | None) -> Entity:
    """The entity without a column that metadata, cached for a while, may still show."""
    gone = {column, (column or "").removeprefix("_").removesuffix("_value")}
    kept = {name: attribute for name, attribute in entity.attributes.items() if name not in gone}
    return entity.model_copy(update={"attributes": kept})
