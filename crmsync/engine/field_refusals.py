"""Writes refused records to Marketo without the fields for which they were refused (``crmsync.engine.refusals``).

All the refused records of a call are searched side by side: a round sends one part of each, 300 in a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crmsync.engine.back.fields import OPT_OUTS, Ledger
from crmsync.engine.fingerprint import NOTHING
from crmsync.engine.plan import Change
from crmsync.engine.refusals import Isolation
from crmsync.marketo.batches import MAX_RECORDS
from crmsync.marketo.codes import may_be_a_field
from crmsync.marketo.outcomes import Outcome as Answer

if TYPE_CHECKING:
    from crmsync.engine.load import Loader

_QUOTED = re.compile("[\"'‘“]([^\"'’”]*)[\"'’”]")


@dataclass
class Case:
    """One refused record: the search for its fields, and the last answer that wrote something of it."""

    change: Change
    search: Isolation[Answer]
    written: Answer | None = None


def may_be_saved(change: Change, answer: Answer) -> bool:
    """Whether the record may be taken without some of its fields."""
    return answer.status == "skipped" and may_be_a_field(answer.code) and len(change.sent) > 0


class FieldRefusals:
    """The refused records of one entity; ``columns`` are those of the field set's fields, in its order."""

    def __init__(self, loader: Loader, columns: Mapping[str, str]) -> None:
        self._loader = loader
        self._names = tuple(columns)
        self._opt_outs = frozenset(name for name, column in columns.items() if column in OPT_OUTS)

    async def save(self, changes: Sequence[Change], answers: Sequence[Answer], action: str) -> list[Answer]:
        """Write what can be written of these records. The answer of each is that of the last part that was written, or
        the refusal where nothing was; ``Change.refused`` holds what was not."""
        cases = [Case(change, self._search(change, answer)) for change, answer in zip(changes, answers, strict=True)]
        while open_cases := [case for case in cases if case.search.part is not None]:
            for start in range(0, len(open_cases), MAX_RECORDS):
                await self._round(open_cases[start : start + MAX_RECORDS], action)
        return [self._outcome(case, answer) for case, answer in zip(cases, answers, strict=True)]

    def _search(self, change: Change, answer: Answer) -> Isolation[Answer]:
        sent = list(change.sent)
        return Isolation(sent, answer, first=self._opt_outs, named=named_fields(answer.reason, change.sent))

    async def _round(self, cases: Sequence[Case], action: str) -> None:
        parts = [{name: case.change.payload[name] for name in case.search.part or ()} for case in cases]
        answers = await self._loader.send_part(
            [case.change for case in cases],
            parts,
            action,
            [self._once_written(case, part) for case, part in zip(cases, parts, strict=True)],
        )
        for case, part, answer in zip(cases, parts, answers, strict=True):
            if answer.status in {"created", "updated"}:
                case.search.took()
                created = case.written is not None and case.written.status == "created"
                case.written = case.written if created else answer
            elif may_be_a_field(answer.code):
                case.search.refuse(answer, named_fields(answer.reason, part | case.change.sent))
            else:
                case.search.give_up(answer)

    def _once_written(self, case: Case, part: Mapping[str, Any]) -> bytes:
        change = case.change
        ledger = Ledger(self._names, self._names, change.before or NOTHING * len(self._names))
        new = Ledger(self._names, self._names, change.fingerprints)
        for name in (*case.search.accepted, *part):
            ledger[name] = new[name]
        return ledger.joined()

    def _outcome(self, case: Case, refusal: Answer) -> Answer:
        if case.written is None:
            return refusal
        change = case.change
        ledger = Ledger(self._names, self._names, change.fingerprints)
        before = Ledger(self._names, self._names, change.before or NOTHING * len(self._names))
        change.refused = {name: (answer, ledger[name].hex()) for name, answer in case.search.refused.items()}
        for name in change.refused:
            ledger[name] = before[name]
        change.fingerprints = ledger.joined()
        return case.written


def named_fields(reason: str | None, values: Mapping[str, Any]) -> set[str]:
    """The fields that a refusal names: by their names, or the one field that has the value it names."""
    quoted = _QUOTED.findall(reason or "")
    named = {name for name in quoted if name in values}
    if named:
        return named
    texts = {text.lower() for text in quoted if text}
    having = {name for name, value in values.items() if value is not None and str(value).lower() in texts}
    return having if len(having) == 1 else set()
