"""A field that was hidden or removed in Marketo is parked, as one whose column was deleted in Dynamics is.

Marketo refuses what names such a field (1006, "Error Codes"), a whole call or record by record. Which fields are gone
is read from describe, so that all of them are parked at once; ``resync`` takes up again what is shown again.
"""

from __future__ import annotations

from crmsync.engine.custom.making import with_custom_objects
from crmsync.engine.session import Session
from crmsync.engine.setup import keep_snapshot, park_vanished, saved_selection
from crmsync.errors import ColumnMissing, FeatureMissing
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
