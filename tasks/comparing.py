"""Compares both sides of a tenant: how many records differ, which fields, and what was repaired.

Adobe's white paper on CRM synchronization, "Retention": after a long gap compare instead of replaying.
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.engine import compare
from crmsync.engine.comparison import Comparison, in_words
from tasks.markdown import section, table
from tasks.policy import HOUR, MINUTE, step
from tasks.syncing import progress_shown
from tasks.telling import counted, say, show
from tasks.tenant import TenantName, session_of

COMPARE_MINUTES = 24 * HOUR / MINUTE
"""Marketo gives 300 people a call: ten million are as many calls as a day's share."""


@step(minutes=COMPARE_MINUTES)
async def compare_sides(
    tenant: TenantName, repair: bool = False, entities: Sequence[str] = (), allow: bool = False
) -> Comparison:
    """Read everything from both sides; write what differs only when asked to."""
    async with session_of(tenant) as session, progress_shown() as progress:
        found = await compare.compare(session, repair=repair, entities=entities, progress=progress, allow=allow)
    head = ("Entity", "Read", "Filtered", "Equal", "Missing", "Differing", "Vanished", "Surplus", "Twice", "Waiting",
            "Refused", "Repaired")  # fmt: skip
    rows = [(name, *(getattr(one, column.lower()) for column in head[1:])) for name, one in found.entities.items()]
    fields = [(name, field, n) for name, one in found.entities.items() for field, n in sorted(one.fields.items())]
    records = [(one.entity, one.record_id, one.category, in_words(one)) for one in found.differences]
    parked = [(one.entity, one.attribute, one.reason) for one in found.parked]
    text = section("In step" if found.in_step else "Out of step", table(head, rows))
    text += section("Not compared", table(("Entity", "Why"), list(found.left_out.items())))
    text += section("Parked fields", table(("Entity", "Column", "Why"), parked))
    text += section("Fields that are not equal", table(("Entity", "Marketo field", "Records"), fields))
    text += section("Records", table(("Entity", "Record", "Category", "What"), records))
    text += section("Notes", "\n".join(f"- {note}" for note in found.notes))
    await show(tenant, "differences", text)
    say(told(found))
    return found


def told(found: Comparison) -> str:
    """A comparison in one line."""
    read = counted(sum(one.read for one in found.entities.values()), "record")
    repaired = sum(one.repaired for one in found.entities.values())
    left = sum(one.open for one in found.entities.values())
    if found.in_step:
        return f"In step: {read} compared" + (f", {repaired:,} repaired" if repaired else "")
    kinds = ("missing", "differing", "vanished", "surplus", "twice", "waiting", "refused", "repaired")
    totals = {kind: sum(getattr(one, kind) for one in found.entities.values()) for kind in kinds}
    counts = ", ".join(f"{number:,} {kind}" for kind, number in totals.items() if number)
    uncompared = [*found.left_out, *(f"{one.entity}.{one.attribute}" for one in found.parked)]
    kept_out = f"; not compared: {', '.join(uncompared)}" if uncompared else ""
    return f"Out of step: {left:,} of {read} are not equal" + (f" ({counts})" if counts else "") + kept_out
