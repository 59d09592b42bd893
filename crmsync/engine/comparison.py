"""What a comparison of both sides finds: in numbers by entity, and record by record.

Names of fields and ids of records are told, never values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, computed_field

MOST_TOLD = 1000
"""So many differences are listed; all are counted."""

Kind = Literal[
    "missing in Marketo", "differing", "surplus in Marketo", "vanished in Dynamics", "twice in Marketo", "refused"
]


class Difference(BaseModel):
    """One record that is out of step; ``fields`` are Marketo's names of those whose values differ. An opportunity role
    has no id of its own: told is its opportunity's, and Marketo's id of the person."""

    entity: str
    record_id: str
    kind: Kind
    fields: list[str] = []


class Compared(BaseModel):
    """One entity in numbers: ``read`` from Dynamics = ``filtered`` + ``equal`` + ``missing`` + ``differing`` +
    ``twice`` + ``refused``. ``vanished`` ones are in Marketo alone, and so are ``surplus`` roles; ``repaired`` of all
    these are in step now. Of opportunity roles, which are no records of Dynamics, those are ``read`` that should be."""

    read: int = 0
    filtered: int = 0
    equal: int = 0
    missing: int = 0
    differing: int = 0
    twice: int = 0
    refused: int = 0
    vanished: int = 0
    surplus: int = 0
    repaired: int = 0
    fields: dict[str, int] = {}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def open(self) -> int:
        """How many records are out of step still."""
        found = self.missing + self.differing + self.twice + self.refused + self.vanished + self.surplus
        return found - self.repaired


class Comparison(BaseModel):
    """Both sides compared. Times are UTC."""

    tenant: str
    started_at: datetime
    ended_at: datetime | None = None
    entities: dict[str, Compared] = {}
    left_out: dict[str, str] = {}
    """Entities that could not be compared, and why."""
    differences: list[Difference] = Field(default_factory=list)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def in_step(self) -> bool:
        """Whether everything could be compared, and nothing differs or what did was repaired."""
        return not self.left_out and not any(one.open for one in self.entities.values())

    def note(self, difference: Difference) -> None:
        """Count a difference, and list it while there is room."""
        counts = self.entities[difference.entity]
        name = _COUNTER[difference.kind]
        setattr(counts, name, getattr(counts, name) + 1)
        for field in difference.fields:
            counts.fields[field] = counts.fields.get(field, 0) + 1
        if len(self.differences) < MOST_TOLD:
            self.differences.append(difference)


_COUNTER: dict[Kind, str] = {
    "missing in Marketo": "missing",
    "differing": "differing",
    "surplus in Marketo": "surplus",
    "vanished in Dynamics": "vanished",
    "twice in Marketo": "twice",
    "refused": "refused",
}
