"""What became of each record of a write: one ``Outcome`` a record, in the order of the input.

Source: "Error Codes" (record level) and "Lead Database". Leads answer in input order without ``seq``; other objects
carry ``seq``. Records fail or succeed independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from crmsync.errors import CrmsyncError, TransportFailed
from crmsync.marketo.calls import Call

Status = Literal["created", "updated", "skipped", "deleted"]


@dataclass(frozen=True)
class Outcome:
    """One record's outcome. ``code`` and ``reason`` are Marketo's when the record was skipped."""

    status: Status
    id: int | str | None = None
    code: str | None = None
    reason: str | None = None

    @property
    def is_written(self) -> bool:
        return self.status != "skipped"


def read_outcomes(result: Sequence[dict[str, Any]], expected: int, call: Call, *, tenant: str) -> list[Outcome]:
    """The outcomes of ``expected`` records; an answer that leaves some out is as good as none."""
    rows: list[dict[str, Any] | None] = [None] * expected
    for position, row in enumerate(result):
        place = row.get("seq", position)
        if isinstance(place, int) and 0 <= place < expected:
            rows[place] = row
    answered = [row for row in rows if row is not None]
    if len(answered) != expected:
        raise TransportFailed(
            f"Marketo answered {call.method} {call.path} with {len(answered)} outcomes for {expected} records",
            remedy="Nothing for now: the records are looked up in Marketo and sent again where needed.",
            tenant=tenant,
        )
    return [_outcome(row) for row in answered]


def refused(error: CrmsyncError) -> Outcome:
    """The outcome of a record that Marketo, or we, refused with ``error``."""
    return Outcome("skipped", code=error.code, reason=error.message)


def _outcome(row: dict[str, Any]) -> Outcome:
    reasons = row.get("reasons") or row.get("reason") or []
    first = reasons[0] if isinstance(reasons, list) and reasons else reasons if isinstance(reasons, dict) else {}
    code = first.get("code")
    return Outcome(
        status=cast(Status, row.get("status", "skipped")),
        id=row.get("id", row.get("marketoGUID", row.get("name"))),
        code=None if code is None else str(code),
        reason=first.get("message"),
    )
