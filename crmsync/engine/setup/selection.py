"""Select Fields to Sync: choose the fields, make the missing ones in Marketo, park those whose column vanished.

"Step 3 of 3: Connect Marketo and Dynamics", "Editing Fields to Sync Before Deleting Them in Dynamics" (Marketo's
documentation).
"""

from __future__ import annotations

import logging

from crmsync.engine.custom.making import make_custom_objects, with_custom_objects
from crmsync.engine.destination import PERSON_KEY, TARGETS
from crmsync.engine.session import Session
from crmsync.engine.setup.credentials import ensure_bound
from crmsync.engine.setup.schema import keep_snapshot, snapshots
from crmsync.errors import RequestRefused, StateMismatch
from crmsync.fields.hidden import REASON, hidden, is_needed, is_shown, without_fields
from crmsync.fields.model import Selection
from crmsync.fields.selection import select_fields as choose_fields
from crmsync.marketo.schema import MarketoSchema
from crmsync.state.lifecycle import TenantState
from crmsync.state.schemas import Parked

log = logging.getLogger("crmsync.engine")


async def plan_fields(session: Session) -> Selection:
    """What ``select_fields`` would select and create; writes nothing."""
    dynamics, marketo = await snapshots(session)
    if dynamics is None or marketo is None:
        raise StateMismatch(
            "The schema was never read", tenant=session.name, remedy=f"Run: crmsync connect {session.name}"
        )
    planned = choose_fields(dynamics, marketo, session.tenant.fields, session.tenant.custom_entities)
    return without_fields(planned, await _hidden_fields(session, marketo))


async def _hidden_fields(session: Session, marketo: MarketoSchema) -> set[tuple[str, str]]:
    """The fields that were selected and that Marketo does not show: not to be made anew, they may be shown again."""
    selected = await saved_selection(session)
    found = {(one.entity, one.field) for one in hidden(selected, marketo)} if selected else set()
    for one in await session.store.schemas.parked(session.name):
        if not _is_shown(marketo, one):
            found.add((one.entity, one.marketo_field))
    return found


def _is_shown(marketo: MarketoSchema, parked: Parked) -> bool:
    target = TARGETS.get(parked.entity)
    return target is None or is_shown(marketo, target, parked.marketo_field)


async def select_fields(session: Session) -> Selection:
    """Select the fields, create the missing person fields and custom objects in Marketo, and park those whose column
    vanished.

    A created field can never be deleted again: look at ``plan_fields`` first. Raises ``FieldBudgetExceeded``.
    """
    await ensure_bound(session)
    async with session.lease():
        selection = await plan_fields(session)
        await _create_fields(session, selection)
        selection = await make_custom_objects(session, selection)
        await park_vanished(session)
        await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
        await session.store.tenants.advance(
            session.name, TenantState.FIELDS_SELECTED, run=session.run, why="the fields were selected"
        )
    return selection


async def _create_fields(session: Session, selection: Selection) -> None:
    if not selection.to_create:
        return
    outcomes = await session.marketo.create_person_fields(selection.to_create)
    refused = {name: outcome for name, outcome in outcomes.items() if outcome.status == "skipped"}
    if PERSON_KEY in outcomes and PERSON_KEY not in refused:
        await session.store.tenants.set_key_is_fresh(session.name)
    marketo = await with_custom_objects(session, await session.marketo.schema())
    await keep_snapshot(session, "marketo", marketo)
    missing = [field.name for field in selection.to_create if field.name not in marketo.person.fields]
    if missing:
        reasons = "; ".join(f"{name}: {outcome.reason}" for name, outcome in refused.items()) or "no reason was given"
        raise RequestRefused(
            f"Marketo did not create {', '.join(missing)} ({reasons})",
            tenant=session.name,
            remedy="Leave these columns out ('fields: exclude' in the tenant file), or name other Marketo fields "
            "for them ('fields: rename'), and run connect again.",
        )


async def saved_selection(session: Session) -> Selection | None:
    """The selection that was saved last."""
    body = await session.store.schemas.selection(session.name)
    return Selection.model_validate_json(body) if body else None


async def park_vanished(session: Session) -> list[Parked]:
    """Park every field of the saved selection whose column, or whose field in Marketo, is not in the newest snapshot;
    take back those that are there again."""
    before = await saved_selection(session)
    dynamics, marketo = await snapshots(session)
    assert dynamics is not None  # callers have just kept one
    known = await session.store.schemas.parked(session.name)
    parked = {(one.entity, one.attribute) for one in known}
    back = {
        (one.entity, one.attribute)
        for one in known
        if one.entity in dynamics.entities
        and one.attribute in dynamics.entities[one.entity].attributes
        and (marketo is None or _is_shown(marketo, one))
    }
    await session.store.schemas.unpark(session.name, back)
    gone = [
        Parked(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason="the column was deleted in Dynamics; the Marketo field is kept",
        )
        for mappings in (before.mappings.values() if before else ())
        for mapping in mappings
        if mapping.attribute
        and mapping.entity in dynamics.entities
        and mapping.attribute not in dynamics.entities[mapping.entity].attributes
        and (mapping.entity, mapping.attribute) not in parked
    ]
    seen = parked | {(one.entity, one.attribute) for one in gone}
    gone += [
        Parked(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason=REASON,
        )
        for mapping in (hidden(before, marketo) if before and marketo else ())
        if not is_needed(mapping) and (mapping.entity, mapping.attribute) not in seen
    ]
    await session.store.schemas.park(session.name, gone)
    for one in gone:
        log.warning("%s: %s.%s is parked: %s", session.name, one.entity, one.attribute, one.reason)
    return gone
