"""What the engine tells of its work: counts per entity, progress while it runs, a report when it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

CheckStatus = Literal["green", "red", "not run"]


class Counts(BaseModel):
    """Records of one entity by what became of them.

    ``read`` from Dynamics = ``filtered`` (``new_synctomkto`` is No) + ``tombstones`` (the person was deleted or merged
    in Marketo, or goes on as another record's) + ``unchanged`` (same fingerprint) + ``created`` + ``updated`` +
    ``deleted`` (flagged in Marketo, or gone on both sides) + ``failed`` (sync errors). Connections have no record of
    their own in Marketo: they are filtered or unchanged, and what follows from them counts as roles.
    """

    read: int = 0
    filtered: int = 0
    tombstones: int = 0
    unchanged: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = self.model_dump(), other.model_dump()
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def written(self) -> int:
        return self.created + self.updated + self.deleted


class BackCounts(BaseModel):
    """Marketo → Dynamics, for one entity: people ``read`` because of a change, records ``updated`` and ``created`` in
    Dynamics, ``failed`` ones (sync errors), and ``collisions`` decided."""

    read: int = 0
    updated: int = 0
    created: int = 0
    failed: int = 0
    collisions: int = 0

    def __add__(self, other: BackCounts) -> BackCounts:
        mine, theirs = self.model_dump(), other.model_dump()
        return BackCounts(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def written(self) -> int:
        return self.updated + self.created


class ParkedField(BaseModel):
    """A selected field whose column vanished in Dynamics: no longer read, kept in Marketo, waiting for a review."""

    entity: str
    attribute: str
    marketo_field: str
    since: datetime
    reason: str


class Progress(BaseModel):
    """How far a run is with one entity. ``total`` is an estimate (a snapshot up to 24 h old) or None; ``rate`` is
    records a second, ``seconds_left`` None until there is a rate and a total."""

    tenant: str
    entity: str
    done: int
    total: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None


ProgressListener = Callable[[Progress], Awaitable[None]]


class SyncReport(BaseModel):
    """One first sync, cycle or resync, or the sync of one record, when it is done. Times are UTC."""

    tenant: str
    kind: Literal["first sync", "cycle", "resync", "record"]
    started_at: datetime
    ended_at: datetime
    entities: dict[str, Counts] = Field(default_factory=dict)
    to_dynamics: dict[str, BackCounts] = Field(default_factory=dict)
    parked: list[ParkedField] = Field(default_factory=list)
    open_errors: int = 0
    notes: list[str] = Field(default_factory=list)
    left_out: dict[str, str] = Field(default_factory=dict)
    """Entities that were not synced, and why."""
    skipped: str | None = None
    """Why nothing was done (for example: the last cycle is younger than the interval), else None."""

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def has_something_to_show(self) -> bool:
        """Whether it tells more than that nothing changed, as most cycles do."""
        return self.kind != "cycle" or self.total.read > 0 or self.total_to_dynamics.read > 0

    @property
    def total(self) -> Counts:
        return sum(self.entities.values(), Counts())

    @property
    def total_to_dynamics(self) -> BackCounts:
        return sum(self.to_dynamics.values(), BackCounts())


class CheckLine(BaseModel):
    """One line of the checklist: what was looked at, how it stands, what that proves, and what to do when red."""

    name: str
    side: Literal["Dynamics", "Marketo"]
    status: CheckStatus
    proves: str
    found: str = ""
    remedy: str = ""
