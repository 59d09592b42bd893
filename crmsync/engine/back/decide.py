"""One field of one record, seen from both sides: who changed it since both agreed, and whose value it gets.

Pure. Different fields of one record merge, because each is decided alone. The same field: by the tenant's rules, which
start as Marketo's native sync has them (lead: Marketo, contact: Dynamics; "Field Sync"). An opt-out wins every
collision: a sync never turns a "do not" into a "do" by its own authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from crmsync.engine.back.fields import OPT_OUTS, PersonFields
from crmsync.engine.fingerprint import fingerprints
from crmsync.errors import RecordRefused
from crmsync.state.collisions import Side
from crmsync.state.forms import Form
from crmsync.tenants import Conflicts

Move = Literal["nothing", "agreed", "to dynamics", "to marketo"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about one field. ``rule`` is told when both sides had changed it: a collision."""

    field: str
    move: Move
    dynamics: Any
    marketo: Any
    rule: str | None = None

    @property
    def winner(self) -> Side:
        return "marketo" if self.move == "to dynamics" else "dynamics"


def rules_of_nothing(conflicts: Conflicts, fields: Mapping[str, PersonFields]) -> list[str]:
    """What to tell of rules for columns that do not go both ways, so that there is never anything to decide."""
    notes = []
    for name in sorted(conflicts.fields):
        entity, _, attribute = name.partition(".")
        mine = fields.get(entity)
        if mine is not None and all(one.attribute != attribute for one in mine.mappings.values()):
            told = {mine.attribute(field).logical_name: why for field, why in mine.told.items()}
            why = told.get(attribute, "it is not synced")
            notes.append(f"The rule for {name} under 'conflicts' in the tenant file decides nothing: {why}; remove it")
    return notes


def decide(
    fields: PersonFields,
    conflicts: Conflicts,
    field: str,
    agreed: bytes,
    row: dict[str, Any],
    marketo: Any,
    form: Form | None = None,
) -> Decision:
    """Decide about ``field``: ``agreed`` is the fingerprint of what both held, ``form`` what Marketo made of it,
    ``row`` Dynamics' row as it is now."""
    mapping = fields.mappings[field]
    here = fields.unchanged(field, agreed, marketo, form)
    try:
        dynamics = fields.sent(field, row)
    except RecordRefused:
        # What Dynamics holds cannot be sent at all: Marketo's change, if there is one, mends it.
        return Decision(field, "nothing" if here else "to dynamics", None, marketo)
    there = fingerprints([dynamics]) == agreed
    if here:
        return Decision(field, "nothing" if there else "to marketo", dynamics, marketo)
    if fields.same(field, dynamics, marketo):
        return Decision(field, "agreed", dynamics, marketo)
    if there:
        return Decision(field, "to dynamics", dynamics, marketo)
    winner, rule = conflicts.rule(fields.entity.logical_name, mapping.attribute)
    if mapping.attribute in OPT_OUTS:
        winner, rule = ("dynamics" if row.get(mapping.attribute) is True else "marketo"), "opt-out"
    return Decision(field, "to dynamics" if winner == "marketo" else "to marketo", dynamics, marketo, rule)
