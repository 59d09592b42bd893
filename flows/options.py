"""The choices that a person makes when starting a flow: one model a flow, whose titles and descriptions make the form.

Prefect's documentation, "Form building for workflow inputs": within a model a field keeps its title, description and
constraints; a loose parameter loses some of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crmsync.engine.prepare.report import Choices, StepName
from crmsync.engine.record import RECORD_PATTERN
from crmsync.tenants import TENANT_PATTERN

LogicalName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""An entity's; whether the tenant has one of that name is told by the run."""


_ALLOW = Field(
    default=False,
    title="Allow mass changes",
    description="Tick when the brake holds deletions, cleared values or opt-outs that are taken back, and these are "
    "meant: this run does them, however many there are.",
)
"""Of every flow that takes something away; the schedule never ticks it."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PrepareOptions(_Options):
    """An administrator's application is needed once. Its secret stands in a Prefect Secret block, never here."""

    admin_client_id: str = Field(
        title="Administrator's client id",
        description="Application (client) id of an app whose application user is System Administrator in Dynamics.",
        pattern=r"^[0-9a-fA-F-]{36}$",
    )
    admin_secret_block: str = Field(
        title="Block with the administrator's secret",
        description="Name of a Prefect Secret block with that app's client secret. Delete the block afterwards.",
        pattern=r"^[a-z0-9-]{1,100}$",
    )
    plan: bool = Field(
        default=False,
        title="Only show what would be done",
        description="Nothing is changed; the artifact says for each step what is there and what would be changed.",
    )
    solution_file: str | None = Field(
        default=None,
        title="Solution file",
        description="Path of Marketo's solution file (zip) on the machine that runs the flow. Without it crmsync's own "
        "small set is made.",
    )
    sync_filter: tuple[LogicalName, ...] = Field(
        default=(),
        title="Filter columns",
        description="Make new_synctomkto on these tables: lead, contact, account, opportunity, or custom entities of "
        "the tenant file by their logical names. New records get No there, and stay out of Marketo.",
    )
    business_unit: str | None = Field(
        default=None, title="Business unit", description="Of the sync user; the root one when left empty."
    )
    undo: tuple[StepName, ...] = Field(
        default=(), title="Undo these steps", description="Undo steps of an earlier run instead of doing any."
    )

    def choices(self) -> Choices:
        """What of it the engine takes."""
        file = None if self.solution_file is None else Path(self.solution_file)
        return Choices(solution_file=file, sync_filter=self.sync_filter, business_unit=self.business_unit)


class ConnectOptions(_Options):
    """Leave them as they are unless you know why not."""

    plan: bool = Field(
        default=False,
        title="Only show what would be made in Marketo",
        description="Proves and saves the credentials, reads both schemas, and lists the fields; nothing is made in "
        "Marketo, and nothing is synced.",
    )
    rebind: bool = Field(
        default=False,
        title="Bind to another organization or subscription",
        description="Tick only when the tenant file now names another Dynamics organization or Marketo subscription on "
        "purpose. What was remembered of the old one is forgotten; fields made in Marketo stay there for ever.",
    )
    rebaseline: bool = Field(
        default=False,
        title="The organization was restored or copied",
        description="Tick after a restore or a refresh from another environment. Everything is read once more; what is "
        "the same is not written, and people whose records are gone are flagged.",
    )
    rename: str | None = Field(
        default=None,
        title="The tenant's old name",
        description="Fill in after the tenant file was renamed: the tenant goes on with all that is known under the "
        "old name. What is known under the new name is forgotten only when the box of another organization is ticked.",
        pattern=TENANT_PATTERN,
    )
    allow: bool = _ALLOW
    notify: bool = Field(
        default=True,
        title="Send the e-mail",
        description="Tell the addresses of the tenant file when the first sync is done, or why it failed.",
    )


class SyncOptions(_Options):
    """Leave them as they are for a whole cycle."""

    record: str | None = Field(
        default=None,
        title="One record",
        description="Only this record, now: entity and id, for example lead:6f0b1c2d-0000-4000-8000-000000000001. Its "
        "owner and its company go first where Marketo lacks them.",
        pattern=RECORD_PATTERN,
    )
    allow: bool = _ALLOW


class CompareOptions(_Options):
    """Without choices everything is compared, and nothing is written."""

    repair: bool = Field(
        default=False,
        title="Repair",
        description="Write what differs to Marketo, as a cycle would, and flag people whose records are gone.",
    )
    entities: list[LogicalName] = Field(
        default=[],
        title="Entities",
        description="Only these: systemuser, account, lead, contact, opportunity, opportunityrole, or custom entities "
        "of the tenant file by their logical names. All of them without any.",
    )
    allow: bool = _ALLOW


class FleetOptions(_Options):
    """How a shard's tenants share one process."""

    parallel: int = Field(
        default=20,
        title="Tenants at once",
        description="So many tenants are looked at, and so many others carried, at the same time.",
        ge=1,
        le=500,
    )
    minutes: int = Field(
        default=59,
        title="Minutes",
        description="How long the run stays and runs cycles as they become due. 0: only those that are due now.",
        ge=0,
        le=24 * 60,
    )
    limit_minutes: int = Field(
        default=30,
        title="Minutes a cycle",
        description="A tenant's cycle that takes longer is cut short; it goes on where it was when its turn comes "
        "again.",
        ge=1,
        le=24 * 60,
    )


class ResyncOptions(_Options):
    """Why the fields are reviewed, and whom to tell."""

    why: str = Field(
        default="Fields changed in Dynamics",
        title="Why",
        description="Kept in the tenant's audit log.",
        max_length=500,
    )
    entities: list[LogicalName] = Field(
        default=[],
        title="Entities",
        description="Read these again from their beginning, too: lead, contact and so on, or custom entities of the "
        "tenant file by their logical names. Without any only those whose fields changed are read again.",
    )
    without_filter: list[LogicalName] = Field(
        default=[],
        title="Without their sync filter",
        description="new_synctomkto was deleted on purpose on these: every record of them is synced from now on. Until "
        "this is said, an entity whose filter is gone stops.",
    )
    allow: bool = _ALLOW
    notify: bool = Field(
        default=True,
        title="Send the e-mail",
        description="Tell the addresses of the tenant file when the resync is done, or why it failed.",
    )
