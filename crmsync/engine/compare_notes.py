"""What a comparison says beside the records: what keeps fields or a whole direction from being carried.

A parked field is compared by nobody, so with one the sides are not in step. The rest makes no difference to whether the
values are equal now: a tenant that is stopped or disabled, a direction that is not read, a column that Dynamics lets
nobody write. They say why they may soon not be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.catchup import Gap
from crmsync.engine.back.streams import NOT_READ, person_fields
from crmsync.engine.chosen import chosen_fields
from crmsync.engine.column_rights import changed_rights
from crmsync.engine.comparison import Comparison
from crmsync.engine.parking import with_metadata
from crmsync.engine.report import ParkedField
from crmsync.engine.session import Session
from crmsync.fields.hidden import hidden_columns, is_needed, why_secured, without_fields
from crmsync.fields.model import Selection
from crmsync.state.lifecycle import TenantState


async def as_far_as_seen(session: Session, result: Comparison) -> tuple[DynamicsSchema, Selection]:
    """What is compared where nothing is written: schema and selection without the fields that column security hides by
    now, which are told as the next cycle will park them."""
    schema, selection = await chosen_fields(session)
    for name in sorted(await changed_rights(session.dynamics, schema, selection)):
        schema = await with_metadata(session, schema, name)
    hidden = {
        (mapping.entity, mapping.field): (mapping, why_secured(columns))
        for mappings in selection.mappings.values()
        for mapping in mappings
        if (columns := hidden_columns(mapping, schema)) and not is_needed(mapping)
    }
    result.parked += [
        ParkedField(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason=reason,
        )
        for mapping, reason in hidden.values()
    ]
    return schema, without_fields(selection, {key: reason for key, (_, reason) in hidden.items()})


async def say(
    session: Session, schema: DynamicsSchema, selection: Selection, entities: Sequence[str], result: Comparison
) -> None:
    """Put into the result what concerns the entities that were compared."""
    parked = await session.store.schemas.parked(session.name)
    result.parked += [
        ParkedField(**one.model_dump(exclude={"reviewed_at"}))
        for one in parked
        if one.reviewed_at is None and one.entity in entities
    ]
    row = await session.store.tenants.get(session.name)
    if row.state in {TenantState.STOPPED, TenantState.DISABLED}:
        result.notes.append(f"The sync is {row.state}: {row.reason}. What changes from now on is not carried.")
    people = {name: one for name, one in person_fields(schema, selection).items() if name in entities}
    if people and not session.tenant.to_dynamics:
        result.notes.append("Nothing goes to Dynamics (to_dynamics: false): what is changed in Marketo differs.")
    elif people:
        result.notes += await _not_read(session)
        if (gap := Gap.of(await session.store.inbox.watermarks(session.name))) is not None:
            result.notes.append(f"{gap} is being caught up with by the cycles.")
    for name, fields in people.items():
        for field in fields.two_way:
            if fields.attribute(field).is_secured and field in result.entities[name].fields:
                column = fields.attribute(field).logical_name
                result.notes.append(
                    f"{name}.{column} is secured: what is changed in Marketo's '{field}' may have to wait there."
                )


async def _not_read(session: Session) -> list[str]:
    """What the last run said of activities that it could not read."""
    last = await session.store.runs.last(session.name)
    report = json.loads(last.report) if last is not None and last.report else {}
    return [note for note in report.get("notes", []) if note.startswith(NOT_READ)]
