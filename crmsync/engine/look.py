"""Looks whether a tenant has anything to do: one request to Dynamics for all entities, three calls to Marketo.

The look is the beginning of a cycle. Where nothing changed it is the whole of it; otherwise the cycle goes on from the
pages that were read here. The same request tells whose organization answered, so that one that was restored from, or
copied over by, another is noticed before anything of it is believed.

"Execute batch operations using the Web API" and "Use change tracking to synchronize data with external systems"
(Microsoft's documents); the budget of an idle cycle is that of Adobe's white paper on CRM synchronization.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crmsync.dynamics.definition_changes import DefinitionChanges
from crmsync.dynamics.tracking import ChangePage, Modified
from crmsync.engine import renames
from crmsync.engine.back.streams import PERSON_ENTITIES, Glimpse, glimpse
from crmsync.engine.chosen import Choice, choice, chosen_fields, due_again
from crmsync.engine.destination import ROLE
from crmsync.engine.participants import LOOKUP_TYPES
from crmsync.engine.rights import DAILY, changed_since_seen
from crmsync.engine.session import Session
from crmsync.engine.setup import organization_replaced
from crmsync.errors import RecordRefused, RequestRefused, TransportFailed
from crmsync.state.checkpoints import Checkpoint
from crmsync.tenants import ENTITIES

log = logging.getLogger("crmsync.engine")

Rows = Mapping[str, tuple[Sequence[dict[str, Any]], bool]]
"""The first rows of tables, and whether there are more."""


@dataclass(frozen=True)
class Look:
    """What a look found: the first page of changes by entity, ``seen`` of Marketo's activities, and whether the cycle
    can end here. ``moved`` are the checkpoints as they stand then, ``definitions`` tell whose have changed. With
    ``renamed`` teams or connection roles may have other names."""

    began: datetime
    is_idle: bool
    pages: dict[str, ChangePage] = field(default_factory=dict)
    moved: tuple[Checkpoint, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    seen: Glimpse | None = None
    definitions: DefinitionChanges | None = None
    renamed: bool = False


@dataclass(frozen=True)
class Again:
    """The first page of changes of each entity that is not in the middle of them, and of Marketo's activities, and
    whose definitions have changed."""

    pages: dict[str, ChangePage]
    seen: Glimpse | None
    definitions: DefinitionChanges | None


async def look(session: Session) -> Look:
    """Ask the store and Dynamics, and Marketo only when these are quiet: a cycle that has something to do asks it
    itself. Raises ``BindingRefused`` when another organization answers, asked twice."""
    began = session.clock()
    chosen = await choice(session)
    checkpoints = await _with_delta_link(session, chosen.digests)
    asked = await renames.questions(session, chosen.named)
    pages, definitions, modified = await _first_pages(session, checkpoints, chosen, asked)
    definitions = await _with_rights(session, chosen, definitions)
    renamed = await renames.are_renamed(session, modified)
    if renamed or (definitions is not None and definitions.entities):
        return Look(began, False, pages, definitions=definitions, renamed=renamed)
    if pages.keys() < chosen.digests.keys() or not all(page.is_idle for page in pages.values()):
        return Look(began, False, pages)
    if await _is_left_over(session, chosen.digests):
        return Look(began, False, pages)
    written = await session.store.records.parents_written(session.name)
    for checkpoint in checkpoints.values():
        if await due_again(session, checkpoint, written):
            return Look(began, False, pages)
    seen = await glimpse(session, chosen.watched) if session.tenant.to_dynamics else None
    if seen is not None and not seen.is_idle:
        return Look(began, False, pages, seen=seen)
    moved = [
        one.model_copy(update={"delta_link": pages[name].delta_link or one.delta_link, "parents_met": written})
        for name, one in checkpoints.items()
    ]
    return Look(began, True, pages, tuple(moved), chosen.left_out, seen)


async def look_again(session: Session) -> Again:
    """Ask both sides while a cycle is at work: what changed since they were asked last, where that is not known."""
    chosen = await choice(session)
    checkpoints = await _with_delta_link(session, chosen.digests)
    pages, definitions, _ = await _first_pages(session, checkpoints, chosen)
    seen = await glimpse(session, chosen.watched) if session.tenant.to_dynamics else None
    return Again(pages, seen, definitions)


async def _with_rights(session: Session, chosen: Choice, changed: DefinitionChanges | None) -> DefinitionChanges | None:
    """Once a day, look at the sync user's rights: what these change of an entity is read like another definition."""
    tenants, now = session.store.tenants, session.clock()
    seen_at = (await tenants.get(session.name)).rights_seen_at
    if seen_at is not None and now - seen_at < DAILY:
        return changed
    entities = await changed_since_seen(session.dynamics, *await chosen_fields(session), session.tenant)
    if not entities:
        await tenants.saw_rights(session.name, now)
        return changed
    known = changed or DefinitionChanges(frozenset(), chosen.stamp)
    return DefinitionChanges(known.entities | entities, known.stamp)


async def _is_left_over(session: Session, carried: Container[str]) -> bool:
    """Whether an earlier run left something to do: requests without an answer, marks, roles to be tried again; changes
    in Marketo that wait, people whose number is not known."""
    store, tenant = session.store, session.name
    marked = {name for name, _ in await store.pending.counts(tenant)}
    if await store.flights.all(tenant) or any(name in carried for name in marked):
        return True
    if await store.errors.due(tenant, ROLE, limit=1):
        return True
    if not session.tenant.to_dynamics:
        return False
    return await store.inbox.is_due(tenant) or any(
        [await store.people.without_marketo_id(tenant, name, limit=1) for name in PERSON_ENTITIES]
    )


async def _with_delta_link(session: Session, digests: Mapping[str, str]) -> dict[str, Checkpoint]:
    """The entities that are read to the end, with the fields that are selected now."""
    checkpoints = await session.store.checkpoints.all(session.name)
    return {
        name: one
        for name in digests
        if (one := checkpoints.get(name)) is not None
        and one.read_done
        and one.delta_link
        and not one.next_link
        and one.selection_digest == digests[name]
    }


async def _first_pages(
    session: Session, checkpoints: dict[str, Checkpoint], chosen: Choice, asked: Sequence[Modified] = ()
) -> tuple[dict[str, ChangePage], DefinitionChanges | None, Rows]:
    links = {name: one.delta_link for name, one in checkpoints.items() if one.delta_link}
    if not links:
        return {}, None, {}
    typed = {*LOOKUP_TYPES, *(links.keys() - set(ENTITIES))}
    try:
        found = await session.dynamics.glance(links, typed, stamp=chosen.stamp, also=chosen.stopped, modified=asked)
    except (RecordRefused, RequestRefused) as refusal:
        log.warning("%s: Dynamics took no batch, so each entity is asked alone: %s", session.name, refusal.message)
        return {}, None, {one.entity.logical_name: ([], True) for one in asked}
    bound = (await session.store.tenants.get(session.name)).binding
    if found.organization_id and bound is not None and found.organization_id != bound.organization_id.lower():
        again = (await session.dynamics.who_am_i()).organization_id
        if again == found.organization_id:
            raise organization_replaced(session, bound, again)
        raise TransportFailed(
            f"Dynamics told of two organizations at {bound.organization_url}, one after the other", tenant=session.name
        )
    return found.pages, found.definitions, found.modified
