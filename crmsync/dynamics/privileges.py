"""The rights that the sync user needs in Dynamics, as one table: what ``prepare`` gives and ``validate`` looks for.

All of them are needed for the whole organization: change tracking reads every record or refuses, and what the user
cannot see would look deleted. "Use change tracking to synchronize data with external systems", "Security roles and
privileges" (Microsoft's documents); the role's name is that of Marketo's "Step 2 of 3: Set up Sync User".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from crmsync.tenants import Tenant

ROLE = "Marketo Sync User"
DEPTH = "Global"

READ_TEAM = "prvReadTeam"

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
    right: Literal["read", "write", "create", "look"]
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
    Need("prvCreateLead", "create", "members of the tenant's list become leads", "lead"),
    Need("prvAppendLead", "create", "a new lead gets its owner", "lead"),
    Need("prvAssignLead", "create", "a new lead gets its owner", "lead"),
    Need("prvCreateContact", "create", "members of the tenant's list become contacts", "contact"),
    Need("prvAppendContact", "create", "a new contact gets its owner and its account", "contact"),
    Need("prvAssignContact", "create", "a new contact gets its owner", "contact"),
    Need("prvAppendToAccount", "create", "a new contact gets its account", "contact"),
    Need("prvReadOrganization", "look", "which organization it is, and for how long it keeps changes"),
    Need("prvReadEntity", "look", "the schema is read"),
    Need("prvReadAttribute", "look", "the schema is read"),
    Need("prvReadRelationship", "look", "the schema is read"),
    Need("prvReadOptionSet", "look", "the labels of options are read"),
    Need("prvReadConnectionRole", "look", "as what a person takes part in an opportunity"),
    Need(READ_TEAM, "look", "the names of teams that own records"),
    Need("prvReadBusinessUnit", "look", "where a user belongs"),
    Need("prvReadRole", "look", "validate tells whether the role is assigned"),
    Need("prvReadSolution", "look", "validate tells whether the solution is installed"),
    Need("prvReadSdkMessageProcessingStep", "look", "validate tells whether the solution's steps are enabled"),
    Need("prvReadFieldSecurityProfile", "look", "validate tells which secured columns may be read"),
)


def needs(tenant: Tenant) -> list[Need]:
    """What the sync needs for the entities and directions that the tenant file asks for."""
    creates = tenant.create_in_dynamics.as_ if tenant.to_dynamics and tenant.create_in_dynamics else None
    return [
        one
        for one in NEEDS
        if one.entity is None
        or (
            one.entity in tenant.entities
            and (one.right == "read" or (one.right == "write" and tenant.to_dynamics) or one.entity == creates)
        )
    ]


def shortfall(depths: Mapping[str, str], name: str) -> str | None:
    """What is wrong with a user's hold on a privilege (``depths`` by name), in words; None when nothing is."""
    depth = depths.get(name)
    if depth is None:
        return f"{name} is missing"
    return None if depth == DEPTH else f"{name} reaches {REACH[depth]} only"
