"""Lets opt-outs that only Marketo has win, where nobody knows how they came about: a repair brings them to Dynamics.

What differs without a change being known of could be written over with what Dynamics holds. Not so an opt-out: a sync
never turns a "do not" into a "do" by its own authority (invariant 12). The ledger learns that Dynamics' value was the
one agreed on, so that the opt-out is a change made in Marketo, and waits like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crmsync.engine.back.fields import Ledger, PersonFields
from crmsync.engine.fingerprint import fingerprints
from crmsync.engine.session import Session
from crmsync.state.inbox import Landing, Waiting
from crmsync.state.records import Outcome


@dataclass(frozen=True)
class OptedOut:
    """A person whose ``fields`` are true in Marketo only; ``row`` is the record in Dynamics."""

    marketo_id: int
    fields: frozenset[str]
    row: dict[str, Any]


async def let_opt_outs_win(session: Session, fields: PersonFields, found: Mapping[str, OptedOut]) -> None:
    """Keep these opt-outs from being written over, and let them wait to be brought to Dynamics, by record id. Of a
    tenant that leaves Dynamics untouched they stay where they are."""
    if not found:
        return
    store, tenant, name = session.store, session.name, fields.entity.logical_name
    known = await store.records.known(tenant, name, list(found))
    sets = await store.records.field_sets(tenant, name)
    number = await store.records.field_set(tenant, name, fields.names)
    outcomes: list[Outcome] = []
    for record_id, before in known.items():
        if before.fingerprints is not None and before.field_set is not None:
            ledger = Ledger(fields.names, sets[before.field_set], before.fingerprints)
            for field in found[record_id].fields:
                ledger[field] = fingerprints([fields.sent(field, found[record_id].row)])
            agreed = {"field_set": number, "fingerprints": ledger.joined()}
            outcomes.append(Outcome(record_id, **{**before._asdict(), **agreed}))
    await store.inbox.land(tenant, name, Landing(outcomes=outcomes))
    if session.tenant.to_dynamics:
        rows = [
            Waiting(record_id, one.marketo_id, both)
            for record_id, one in found.items()
            if (both := one.fields & fields.mappings.keys())
        ]
        await store.inbox.wait(tenant, name, rows)
