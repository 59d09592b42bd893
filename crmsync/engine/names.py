"""Entities as people name them: by their logical names in Dynamics, those of the tenant's custom ones among them.

A name that is not known is told with all that are, before anything is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crmsync.errors import OperatorMustAct
from crmsync.tenants import ENTITIES, Tenant

ROLE = "opportunityrole"
"""The name under which the ledger keeps opportunity roles: they are no entity of Dynamics, they follow from several."""

COMPARABLE = "can be compared"
FILTERABLE = "can have a filter column"


def names_of(tenant: Tenant) -> list[str]:
    """The entities that a tenant may sync."""
    return [*ENTITIES, *tenant.custom_names]


def comparable_names(tenant: Tenant) -> list[str]:
    """What can be compared: opportunity roles instead of the connections that they follow from."""
    return [*(name for name in ENTITIES if name != "connection"), ROLE, *tenant.custom_names]


def filterable_names(tenant: Tenant) -> list[str]:
    """What may have the filter column: all but users and connections, which no person may keep out."""
    return [name for name in names_of(tenant) if name not in ("systemuser", "connection")]


def check_names(
    names: Iterable[str], valid: Sequence[str], *, tenant: str, which: str = "the tenant file names"
) -> None:
    """Raise ``OperatorMustAct`` for a name that is none of the valid ones, ``which`` says what these are."""
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise OperatorMustAct(
            f"{' and '.join(repr(name) for name in unknown)}: no entity that {which}",
            tenant=tenant,
            remedy=f"Name one of these: {', '.join(valid)}. A custom entity is one when the tenant file names it under "
            "'custom_entities'.",
        )
