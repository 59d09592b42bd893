"""Tells what waits too long: a sync error that `crmsync errors` shows, until it is done.

A cycle works on all that is due before it ends, so what was there when it began and is there when it has ended was
tried in vain, or by nobody. After five intervals that is told, whoever was to tell it earlier. What is worked through
because it is much, in a cycle however long, has come since the cycle began or is gone by its end.

"The data path" (design): who waits more than a few cycles is told; invariant 5.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from crmsync.engine.session import Session
from crmsync.state.syncerrors import SyncError
from crmsync.state.waits import WAITING, Overdue

log = logging.getLogger("crmsync.engine")

CYCLES = 5
MOST = 1000
"""So many are sync errors at the same time; `status` counts all that waits."""

_WHAT = {
    "change": "{fields} changed in Marketo, and Dynamics has not got it yet",
    "creation": "The person is to be created in Dynamics",
    "again": "It is to be read once more, and written to Marketo",
    "delete": "It is gone from Dynamics, and Marketo has it still",
    "roles": "Its roles are to be written to Marketo",
    "heir": "Another record continues it, or it continues another one, and their people are not one yet",
}


async def tell_overdue(
    session: Session, began: datetime, entities: Sequence[str], left_out: Mapping[str, str]
) -> list[str]:
    """At the end of a cycle that began then: tell what of these entities waits too long, and the notes for its report.
    ``left_out`` are those of them that the cycle could not carry, and why."""
    waits, tenant = session.store.waits, session.name
    await waits.forget_errors(tenant)
    before = min(began, session.clock() - CYCLES * timedelta(minutes=session.tenant.interval_minutes))
    room = max(0, MOST - await waits.errors(tenant))
    found = await waits.overdue(tenant, before, entities, limit=room + 1)
    await waits.keep_errors(tenant, [_error(session, overdue, left_out) for overdue in found[:room]])
    if not found:
        return []
    number = f"{len(found):,}" if len(found) <= room else f"More than {room:,}"
    note = f"{number} newly wait longer than {CYCLES} cycles, since {found[0].since:%Y-%m-%d %H:%M} UTC: see the errors"
    log.warning("%s: %s", tenant, note)
    return [note]


async def forget_what_is_done(session: Session) -> None:
    """After any other run: what it has done is no sync error any more."""
    await session.store.waits.forget_errors(session.name)


def _error(session: Session, overdue: Overdue, left_out: Mapping[str, str]) -> SyncError:
    fields = ", ".join(f"'{name}'" for name in sorted(overdue.fields)) or "Something"
    what = _WHAT[overdue.kind].format(fields=fields)
    reason = f"{what}. It waits since {overdue.since:%Y-%m-%d %H:%M} UTC, longer than {CYCLES} cycles"
    if overdue.entity in left_out:
        reason += f"; {overdue.entity} is left out: {left_out[overdue.entity]}"
    elif overdue.kind in ("change", "creation") and not session.tenant.to_dynamics:
        reason += "; the tenant file says that nothing goes to Dynamics (to_dynamics)"
    else:
        reason += ", and no refusal is known"
    return SyncError(
        entity=overdue.entity,
        record_id=overdue.record_id,
        direction=overdue.direction,
        operation=overdue.kind,
        code=WAITING,
        reason=reason,
        remedy=_remedy(session, overdue, left_out),
    )


def _remedy(session: Session, overdue: Overdue, left_out: Mapping[str, str]) -> str:
    if overdue.entity in left_out:
        return f"Correct what keeps {overdue.entity} out; the next cycle carries it then."
    if overdue.kind in ("change", "creation"):
        if not session.tenant.to_dynamics:
            return "Set to_dynamics to true in the tenant file: until then the field is held back in both directions."
        return (
            f"Run: crmsync resync {session.name}, which reads both schemas anew. "
            "If it waits after that, open the record in both, and set the field in Dynamics by hand."
        )
    return f"Run: crmsync sync {session.name} --record {overdue.entity}:{overdue.record_id}"
