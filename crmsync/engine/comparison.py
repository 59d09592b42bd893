"""What a comparison of both sides finds: in numbers by entity, and record by record.

Names of fields and ids of records are told, never values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, computed_field

from crmsync.engine.report import ParkedField

MOST_TOLD = 1000
"""So many differences are listed; all are counted."""

Kind = Literal[
    "missing in Marketo", "differing", "surplus in Marketo", "vanished in Dynamics", "twice in Marketo",
    "waiting", "refused",
]  # fmt: skip
Category = Literal["equal", "differs", "waiting", "refused"]
"""``equal``: both sides hold the same values. ``differs``: they do not, and nothing is known to be under way.
``waiting``: they do not, and what is under way is known. ``refused``: one side has refused it."""


class Difference(BaseModel):
    """One record that is not equal; ``fields`` are Marketo's names of those whose values differ. An opportunity role
    has no id of its own: told is its opportunity's, and Marketo's id of the person; of a person to be created in
    Dynamics, Marketo's id. ``since`` and ``waits_for`` (``crmsync.state.waits``) tell of what waits, ``since`` and
    ``code`` of what was refused."""

    entity: str
    record_id: str
    kind: Kind
    fields: list[str] = []
    since: datetime | None = None
    waits_for: list[str] = []
    code: str | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def category(self) -> Category:
        return self.kind if self.kind in ("waiting", "refused") else "differs"


class Compared(BaseModel):
    """One entity in numbers: ``read`` from Dynamics = ``filtered`` + ``tombstones`` (as in a cycle's counts) +
    ``equal`` + ``missing`` + ``differing`` + ``twice`` + ``refused`` + ``waiting``, but for those ``refused`` and
    ``waiting`` that Dynamics does not have (any more, or yet). ``vanished`` ones are in Marketo alone, and so are
    ``surplus`` roles; ``repaired`` of all these are equal now. Of opportunity roles, which are no records of Dynamics,
    those are ``read`` that should be."""

    read: int = 0
    filtered: int = 0
    tombstones: int = 0
    equal: int = 0
    missing: int = 0
    differing: int = 0
    twice: int = 0
    refused: int = 0
    waiting: int = 0
    vanished: int = 0
    surplus: int = 0
    repaired: int = 0
    fields: dict[str, int] = {}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def open(self) -> int:
        """How many records are not equal still."""
        return self.differs + self.refused + self.waiting - self.repaired

    @computed_field  # type: ignore[prop-decorator]
    @property
    def differs(self) -> int:
        """How many records differ, of whatever kind, repaired ones too."""
        return self.missing + self.differing + self.twice + self.vanished + self.surplus


class Comparison(BaseModel):
    """Both sides compared. Times are UTC. ``notes`` tell what a reader should know and what makes no difference to
    whether the sides are equal now."""

    tenant: str
    started_at: datetime
    ended_at: datetime | None = None
    entities: dict[str, Compared] = {}
    left_out: dict[str, str] = {}
    """Entities that could not be compared, and why."""
    parked: list[ParkedField] = []
    """Fields that were selected, and are not compared until somebody has reviewed them."""
    differences: list[Difference] = Field(default_factory=list)
    notes: list[str] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def in_step(self) -> bool:
        """Whether everything could be compared and is equal, or was repaired."""
        return not self.left_out and not self.parked and not any(one.open for one in self.entities.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def categories(self) -> dict[Category, int]:
        """How many records are in each category; what differed and was repaired counts as differing."""
        every = self.entities.values()
        return {
            "equal": sum(one.equal for one in every),
            "differs": sum(one.differs for one in every),
            "waiting": sum(one.waiting for one in every),
            "refused": sum(one.refused for one in every),
        }

    def leave_out(self, entity: str, why: str) -> None:
        """Say of an entity that it could not be compared; what was seen of it till then counts for nothing."""
        self.left_out[entity] = why
        self.entities.pop(entity, None)
        self.differences = [one for one in self.differences if one.entity != entity]

    def note(self, difference: Difference) -> None:
        """Count a difference, and list it while there is room."""
        counts = self.entities[difference.entity]
        name = difference.kind.partition(" ")[0]
        setattr(counts, name, getattr(counts, name) + 1)
        for field in difference.fields:
            counts.fields[field] = counts.fields.get(field, 0) + 1
        if len(self.differences) < MOST_TOLD:
            self.differences.append(difference)


def in_words(difference: Difference) -> str:
    """What is said of a record that is not equal, in one line."""
    text: str = difference.kind
    if difference.since is not None:
        text += f" since {difference.since:%Y-%m-%d %H:%M} UTC"
    if difference.code is not None:
        text += f" ({difference.code})"
    if difference.waits_for:
        text += f" ({', '.join(difference.waits_for)})"
    return text + (f": {', '.join(difference.fields)}" if difference.fields else "")
