"""What an operator chooses for ``prepare``, and what it tells: plain data, for the command line, forms and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

StepName = Literal[
    "solution", "role", "sync-filter", "change-tracking", "sync-user", "role-assignment", "marketo-config", "publish"
]
StepStatus = Literal["nothing to do", "would change", "changed", "undone", "cannot be undone"]


class Choices(BaseModel):
    """What an operator chooses: Marketo's solution file, where ``new_synctomkto`` is wanted (entities by logical name),
    the business unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    solution_file: Path | None = None
    sync_filter: tuple[str, ...] = ()
    business_unit: str | None = None


class StepReport(BaseModel):
    """One step: what was there, and what it changed (or, planned, would change)."""

    step: StepName
    title: str
    status: StepStatus
    there: str
    changes: list[str] = Field(default_factory=list)
