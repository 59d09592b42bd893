"""Select Fields to Sync: choose the fields, make the missing ones in Marketo, park those whose column vanished.

"Step 3 of 3: Connect Marketo and Dynamics", "Editing Fields to Sync Before Deleting Them in Dynamics" (Marketo's
documentation).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.fields import OPT_OUTS
from crmsync.engine.custom.making import make_custom_objects, with_custom_objects
from crmsync.engine.destination import PERSON_KEY, TARGETS
from crmsync.engine.session import Session
from crmsync.engine.setup.credentials import ensure_bound
from crmsync.engine.setup.schema import keep_snapshot, snapshots
from crmsync.errors import OperatorMustAct, RequestRefused, StateMismatch
from crmsync.fields.columns import LEFT_OUT
from crmsync.fields.hidden import REASON, RETYPED, SECURED, Unfit, hidden, is_needed, is_shown, unfit, without_fields
from crmsync.fields.model import SYNC_FLAG, Selection
from crmsync.fields.naming import check_rules
from crmsync.fields.selection import select_fields as choose_fields
from crmsync.fields.sync_filter import why_not_understood
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
    check_rules(session.tenant.conflicts, dynamics, await _once_there(session))
    known = await _readable_again(session, dynamics)
    choice = session.tenant.fields.including(known)
    custom = [one.including(known.get(one.entity, ())) for one in session.tenant.custom_entities]
    planned = choose_fields(dynamics, marketo, choice, custom)
    return without_fields(planned, dict.fromkeys(await _hidden_fields(session, marketo), REASON))


async def _once_there(session: Session) -> set[tuple[str, str]]:
    """Columns that were synced before, by entity: their names are not misspelt, wherever the columns are now."""
    selected, parked = await saved_selection(session), await session.store.schemas.parked(session.name)
    before = [mapping for mappings in selected.mappings.values() for mapping in mappings] if selected else []
    found = {(mapping.entity, name) for mapping in before for name in (mapping.attribute, *mapping.also)}
    return found | {(one.entity, one.attribute) for one in parked}


async def _readable_again(session: Session, dynamics: DynamicsSchema) -> dict[str, list[str]]:
    """The secured columns, by entity, that were selected before and that the sync user may read: they stay, or come
    back. Another one is selected only where the tenant file names it."""
    before = await _once_there(session)
    return {
        name: found
        for name, entity in dynamics.entities.items()
        if (found := [
            column.logical_name
            for column in entity.attributes.values()
            if column.is_secured and not column.hidden and (name, column.logical_name) in before
        ])
    }  # fmt: skip


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


async def select_fields(session: Session, *, without_filter: Collection[str] = ()) -> Selection:
    """Select the fields, create the missing person fields and custom objects in Marketo, and park those whose column
    vanished. The sync filters of the entities in ``without_filter`` are given up.

    A created field can never be deleted again: look at ``plan_fields`` first. Raises ``FieldBudgetExceeded``, and
    ``OperatorMustAct`` for a filter that is there.
    """
    await ensure_bound(session)
    async with session.lease():
        selection = await plan_fields(session)
        filters = await _filters(session, selection, without_filter)
        await _create_fields(session, selection)
        selection = await make_custom_objects(session, selection)
        selection = selection.model_copy(update={"filters": filters})
        await park_vanished(session, selection)
        await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
        await session.store.tenants.advance(
            session.name, TenantState.FIELDS_SELECTED, run=session.run, why="the fields were selected"
        )
    return selection


async def _filters(session: Session, planned: Selection, without: Collection[str]) -> dict[str, str]:
    """The sync filters from now on: those that can be read and understood, and those that cannot and were there. An
    entity whose filter is another one, or none any more, is to be read again."""
    dynamics, _ = await snapshots(session)
    saved = await saved_selection(session)
    before = saved.filters if saved else {}
    assert dynamics is not None  # the fields were planned from it
    filters = dict(before)
    for name in planned.mappings:
        column = dynamics.entities[name].attributes.get(SYNC_FLAG)
        if name in without and column is not None:
            raise OperatorMustAct(
                f"{name} has a sync filter: the column {SYNC_FLAG} is there",
                tenant=session.name,
                entity=name,
                remedy=f"Delete the column in Dynamics first, or leave out --without-filter {name}.",
            )
        if name in without:
            filters.pop(name, None)
        elif column is not None and not column.hidden and why_not_understood(column) is None:
            filters[name] = column.metadata_id
    if saved is not None:
        reasons = {
            name: f"its sync filter {SYNC_FLAG} was {'made again' if name in filters else 'given up'}"
            for name, column_id in before.items()
            if filters.get(name) != column_id
        }
        await session.store.checkpoints.set_outdated(session.name, reasons)
    return filters


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


async def park_vanished(session: Session, planned: Selection | None = None) -> list[Parked]:
    """Park every field of the saved selection that does not work any more by the newest snapshots: its column or its
    field is gone, or a type has changed. With ``planned``, the selection that takes its place, take back what is in it
    again, and say of the rest why it is not."""
    before = await saved_selection(session)
    dynamics, marketo = await snapshots(session)
    assert dynamics is not None  # callers have just kept one
    store, name = session.store.schemas, session.name
    known = {(one.entity, one.attribute): one for one in await store.parked(name)}
    found = [*_vanished(before, dynamics), *(unfit(before, dynamics, marketo) if marketo else ())] if before else []
    gone = {
        (mapping.entity, mapping.attribute): Parked(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason=reason,
        )
        for mapping, reason in found
        if not is_needed(mapping) and (mapping.entity, mapping.attribute) not in known
    }
    for one in gone.values():
        if one.reason.startswith(RETYPED) or one.attribute in OPT_OUTS:
            # Nobody hears of an opt-out that is made meanwhile: it is looked for once the field is back.
            await session.store.records.distrust(name, one.entity, [one.marketo_field])
    if planned is not None:
        review = _Review(planned, dynamics, marketo)
        back = [key for key, one in known.items() if review.takes_back(one)]
        await store.unpark(name, back)
        again = {entity: f"its column {attribute} is synced again" for entity, attribute in back}
        await session.store.checkpoints.set_outdated(name, again)
        await store.park(name, [review.explained(one) for one in known.values() if not review.takes_back(one)])
        gone = {key: review.explained(one) for key, one in gone.items() if not review.takes_back(one)}
    await store.park(name, gone.values())
    await session.store.errors.forget_parked(name, [(one.entity, one.marketo_field) for one in gone.values()])
    for one in gone.values():
        log.warning("%s: %s.%s is parked: %s", name, one.entity, one.attribute, one.reason)
    return list(gone.values())


def _vanished(selection: Selection, dynamics: DynamicsSchema) -> Iterator[Unfit]:
    for mapping in (mapping for mappings in selection.mappings.values() for mapping in mappings):
        entity = dynamics.entities.get(mapping.entity)
        if mapping.attribute and entity is not None and mapping.attribute not in entity.attributes:
            yield Unfit(mapping, "the column was deleted in Dynamics; the Marketo field is kept")


class _Review:
    """What a new selection makes of parked fields."""

    def __init__(self, planned: Selection, dynamics: DynamicsSchema, marketo: MarketoSchema | None) -> None:
        self._dynamics, self._marketo = dynamics, marketo
        self._reasons = {(one.entity, one.attribute): one.reason for one in planned.not_mapped}
        self._mapped = {
            (mapping.entity, mapping.attribute) for mappings in planned.mappings.values() for mapping in mappings
        }

    def takes_back(self, one: Parked) -> bool:
        """Whether column and field are there again; one whose type has changed must be selected, too, or be left out
        on purpose."""
        entity, key = self._dynamics.entities.get(one.entity), (one.entity, one.attribute)
        if entity is None or one.attribute not in entity.attributes or entity.attributes[one.attribute].hidden:
            return False
        if self._marketo is not None and not _is_shown(self._marketo, one):
            return False
        told = one.reason.startswith((RETYPED, SECURED))
        return not told or key in self._mapped or self._reasons.get(key) == LEFT_OUT

    def explained(self, one: Parked) -> Parked:
        """A field whose type has changed with the reason for which it is not selected anew."""
        why = self._reasons.get((one.entity, one.attribute))
        return one.model_copy(update={"reason": f"{RETYPED}{why}"}) if why and one.reason.startswith(RETYPED) else one
