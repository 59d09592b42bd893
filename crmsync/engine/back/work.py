"""One record whose changes in Marketo wait: what was decided of its fields, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crmsync.engine.back.decide import Decision
from crmsync.engine.back.fields import Ledger
from crmsync.errors import CrmsyncError
from crmsync.state.inbox import Waiting
from crmsync.state.records import Known


@dataclass
class Work:
    """One record on its way to Dynamics. ``row`` is what Dynamics held when it was decided, ``etag`` its version.

    ``values`` go to Dynamics, by Marketo field. Of these ``settled`` are written (or need no write), ``refused`` were
    not taken, each with its error. ``kept`` were refused before with the value that they still have, and are tried
    again at that moment. ``whole`` is an error of the record itself; ``retry`` is the next attempt of what was refused.
    """

    waiting: Waiting
    known: Known
    ledger: Ledger
    row: dict[str, Any]
    etag: str
    decisions: list[Decision] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    refused: dict[str, CrmsyncError] = field(default_factory=dict)
    kept: dict[str, datetime | None] = field(default_factory=dict)
    whole: CrmsyncError | None = None
    retry: datetime | None = None
    written: bool = False

    @property
    def record_id(self) -> str:
        return self.waiting.record_id

    @property
    def left(self) -> frozenset[str]:
        """The fields that still wait."""
        return self.waiting.fields - self.settled

    def moves(self, move: str) -> list[Decision]:
        return [decision for decision in self.decisions if decision.move == move]

    @property
    def again_at(self) -> datetime | None:
        """When to try again: at once, unless all that is left was refused."""
        if self.whole is not None:
            return self.retry
        if self.left - self.refused.keys() - self.kept.keys():
            return None
        moments = [self.kept[name] for name in self.left & self.kept.keys()]
        return earliest([*moments, self.retry] if self.left & self.refused.keys() else moments)


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """The first of these moments, without those that never come."""
    return min((moment for moment in moments if moment is not None), default=None)
