"""What a change takes away: values are cleared, opt-outs taken back, or values are given another one.

Towards Marketo that is told by what was last agreed on. Of a field whose type has changed that counts, too: a column
that was made anew holds nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from crmsync.engine.back.fields import OPT_OUTS, PersonFields
from crmsync.engine.fingerprint import NEVER_AGREED, NOTHING, WIDTH, fingerprints
from crmsync.state.brakes import Loss, LossKind
from crmsync.state.records import DISTRUSTED
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO

if TYPE_CHECKING:
    from crmsync.engine.back.decide import Decision
    from crmsync.engine.back.work import Work
    from crmsync.engine.plan import Change

_TRUE = fingerprints([True])


class Lost(NamedTuple):
    """The fields of one record that had a value: those that are ``cleared``, those that are no opt-out any more, and
    those that are given another value."""

    cleared: frozenset[str]
    taken_back: frozenset[str]
    overwritten: frozenset[str]


def lost(
    old_names: Sequence[str], old: bytes, new_names: Sequence[str], new: bytes, opt_outs: Collection[str]
) -> Lost | None:
    """What a record loses by these marks; None where it is nothing."""
    had = {
        name.removeprefix(DISTRUSTED): mark
        for at, name in enumerate(old_names)
        if (mark := old[at * WIDTH : (at + 1) * WIDTH]) != NOTHING and mark != NEVER_AGREED
    }
    cleared, taken_back, overwritten = set[str](), set[str](), set[str]()
    for at, name in enumerate(new_names):
        before, now = had.get(name), new[at * WIDTH : (at + 1) * WIDTH]
        if before is None or before == now:
            continue
        if name not in opt_outs:
            (cleared if now == NOTHING else overwritten).add(name)
        elif before == _TRUE:
            taken_back.add(name)
    if not (cleared or taken_back or overwritten):
        return None
    return Lost(frozenset(cleared), frozenset(taken_back), frozenset(overwritten))


def with_cleared(found: Lost | None, fields: Collection[str]) -> Lost | None:
    """The same, and these fields are cleared as well."""
    if not fields:
        return found
    before = found or Lost(frozenset(), frozenset(), frozenset())
    return before._replace(cleared=before.cleared | frozenset(fields))


def by_loss(entity: str, changes: Iterable[Change]) -> dict[Loss, list[str]]:
    """The records of these changes by what they lose, as far as it is sent at all."""
    found: dict[Loss, list[str]] = defaultdict(list)
    for change in changes:
        if change.lost is None:
            continue
        sent = change.sent
        for name in change.lost.cleared & sent.keys():
            found[Loss(entity, "clear", TO_MARKETO, name)].append(change.record_id)
        for name in change.lost.taken_back & sent.keys():
            found[Loss(entity, "opt-out", TO_MARKETO, name)].append(change.record_id)
        for name in change.lost.overwritten & sent.keys():
            found[Loss(entity, "overwrite", TO_MARKETO, name)].append(change.record_id)
    return found


def decided(works: Iterable[Work], fields: PersonFields) -> dict[Loss, list[str]]:
    """The records of these works by what they lose, on the side that each decision writes to."""
    found: dict[Loss, list[str]] = defaultdict(list)
    for work in works:
        for decision in work.decisions:
            if (loss := loss_of(work, decision, fields)) is not None:
                found[loss].append(work.record_id)
    return found


def loss_of(work: Work, decision: Decision, fields: PersonFields) -> Loss | None:
    """What is lost by one decision, as far as it is written now."""
    if decision.move == "to dynamics" and decision.field in work.values:
        direction, attribute = TO_DYNAMICS, fields.attribute(decision.field)
        had, gets = work.row.get(attribute.select_name), work.values[decision.field]
    elif decision.move == "to marketo":
        direction, attribute = TO_MARKETO, fields.attribute(decision.field)
        had, gets = decision.marketo, decision.dynamics
    else:
        return None
    if had in (None, ""):
        return None
    kind: LossKind | None = "clear" if gets in (None, "") else "overwrite"
    if attribute.logical_name in OPT_OUTS:
        kind = "opt-out" if had is True and gets is not True else None
    return None if kind is None else Loss(fields.entity.logical_name, kind, direction, decision.field)
