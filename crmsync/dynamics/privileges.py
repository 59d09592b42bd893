"""The rights that the sync user needs in Dynamics, as one table: what ``prepare`` gives and ``validate`` looks for.

All of them are needed for the whole organization: change tracking reads every record or refuses, and what the user
cannot see would look deleted. "Use change tracking to synchronize data with external systems", "Security roles and
privileges" (Microsoft's documents); the role's name is that of Marketo's "Step 2 of 3: Set up Sync User".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

ROLE = "Marketo Sync User"
DEPTH = "Global"

REACH = {
    "Basic": "the user's own records",
    "Local": "its business unit",
    "Deep": "its business unit and those below",
    "Global": "the whole organization",
}
"""How far each depth reaches, in words."""


@dataclass(frozen=True)
class Need:
    """One privilege: ``entity`` where it is about the records of a synced one, and what it is needed for."""

    name: str
    right: Literal["read", "write", "look"]
    why: str
    entity: str | None = None


NEEDS: tuple[Need, ...] = (
    Need("prvReadUser", "read", "every user is read: they own the records", "systemuser"),
    Need("prvReadAccount", "read", "every account is read", "account"),
    Need("prvReadLead", "read", "every lead is read", "lead"),
    Need("prvReadContact", "read", "every contact is read", "contact"),
    Need("prvReadOpportunity", "read", "every opportunity is read", "opportunity"),
    Need("prvReadConnection", "read", "who takes part in an opportunity", "connection"),
    Need("prvWriteLead", "write", "changes made in Marketo are written to leads", "lead"),
    Need("prvWriteContact", "write", "changes made in Marketo are written to contacts", "contact"),
    Need("prvReadOrganization", "look", "which organization it is, and for how long it keeps changes"),
    Need("prvReadEntity", "look", "the schema is read"),
    Need("prvReadAttribute", "look", "the schema is read"),
    Need("prvReadRelationship", "look", "the schema is read"),
    Need("prvReadOptionSet", "look", "the labels of options are read"),
    Need("prvReadConnectionRole", "look", "as what a person takes part in an opportunity"),
    Need("prvReadTeam", "look", "the names of teams that own records"),
    Need("prvReadBusinessUnit", "look", "where a user belongs"),
    Need("prvReadRole", "look", "validate tells whether the role is assigned"),
    Need("prvReadSolution", "look", "validate tells whether the solution is installed"),
    Need("prvReadSdkMessageProcessingStep", "look", "validate tells whether the solution's steps are enabled"),
    Need("prvReadFieldSecurityProfile", "look", "validate tells which secured columns may be read"),
)

READ: Mapping[str, str] = {one.entity: one.name for one in NEEDS if one.right == "read" and one.entity}
"""The privilege to read each synced entity."""
WRITE: Mapping[str, str] = {one.entity: one.name for one in NEEDS if one.right == "write" and one.entity}
"""The privilege to write each entity that is written."""


def needed(entities: Collection[str]) -> list[str]:
    """The privileges to read, and where they are written to write, the records of these entities."""
    return [rights[name] for rights in (READ, WRITE) for name in entities if name in rights]


def shortfall(depths: Mapping[str, str], name: str) -> str | None:
    """What is wrong with a user's hold on a privilege (``depths`` by name), in words; None when nothing is."""
    depth = depths.get(name)
    if depth is None:
        return f"{name} is missing"
    return None if depth == DEPTH else f"{name} reaches {REACH[depth]} only"
