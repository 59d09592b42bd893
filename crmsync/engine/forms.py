"""Looks at what Marketo made of values that were just written to people: it may store them in its own way.

Text that is cut, trimmed or written in lower case, numbers that are rounded: nothing in Marketo's documents says that
it keeps what it gets ("Field types"), and an activity does not tell its author. So people are read once more before
the outcome of a write is recorded: what differs from what was sent is Marketo's own form of it, and neither a change
nor a difference; it is told, because something was lost. An opt-out has no other form: one that is not there is told by
its difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from crmsync.engine.back.fields import OPT_OUTS, PersonFields
from crmsync.engine.fingerprint import fingerprints
from crmsync.engine.session import Session
from crmsync.state.forms import Form

_LAST_OF_THE_BMP = 0xFFFF


class Written(NamedTuple):
    """What was sent of a person, by field."""

    marketo_id: int
    values: Mapping[str, Any]


async def note_forms(session: Session, fields: PersonFields, written: Mapping[str, Written]) -> list[str]:
    """Remember what Marketo made of these records' values. The answer is what is to be told."""
    may_differ = {name for name, mapping in fields.mappings.items() if mapping.attribute not in OPT_OUTS}
    names = sorted({name for one in written.values() for name in one.values if name in may_differ})
    if not names:
        return []
    entity = fields.entity.logical_name
    ids = [str(one.marketo_id) for one in written.values()]
    rows = {int(row["id"]): row for row in await session.marketo.people("id", ids, ["id", *names])}
    found: dict[str, dict[str, Form | None]] = {}
    lossy: Counter[str] = Counter()
    for record_id, (person, values) in written.items():
        row = rows.get(person)
        if row is None:
            continue  # deleted meanwhile, which its deletion tells
        forms = {
            name: _form(fields, name, value, row.get(name)) for name, value in values.items() if name in may_differ
        }
        lossy.update(name for name, form in forms.items() if form is not None)
        found[record_id] = forms
    await session.store.forms.put(session.name, entity, found)
    return [
        f"{entity}: Marketo stored '{name}' of {count} records in a form of its own; Dynamics keeps the original"
        for name, count in lossy.items()
    ]


def resembles(sent: Any, stored: Any) -> bool:
    """Whether a value may be what a service made of another one: the same letters and digits, or the first of them, or
    about the same number. Only for a request whose answer was lost: nobody looked at what became of it."""
    if isinstance(sent, int | float) and isinstance(stored, int | float):
        return math.isclose(sent, stored, rel_tol=0.001, abs_tol=0.01)
    if not isinstance(sent, str) or not isinstance(stored, str | None):
        return False
    left, right = _letters(sent), _letters(stored or "")
    return left == right or (bool(right) and left.startswith(right))


def _letters(text: str) -> str:
    return "".join(one for one in text.casefold() if one.isalnum() and ord(one) <= _LAST_OF_THE_BMP)


def _form(fields: PersonFields, name: str, sent: Any, stored: Any) -> Form | None:
    return None if fields.same(name, sent, stored) else Form(fingerprints([sent]), fields.mark(name, stored))
