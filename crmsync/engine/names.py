"""Entities as people name them: by their logical names in Dynamics, those of the tenant's custom ones among them.

A name that is not known is told with all that are, before anything is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crmsync.engine.destination import ROLE
from crmsync.errors import OperatorMustAct
from crmsync.tenants import ENTITIES, Tenant


def names_of(tenant: Tenant) -> list[str]:
    """The entities that a tenant may sync."""
    return [*ENTITIES, *tenant.custom_names]


def comparable_names(tenant: Tenant) -> list[str]:
    """What can be compared: opportunity roles instead of the connections that they follow from."""
    return [*(name for name in ENTITIES if name != "connection"), ROLE, *tenant.custom_names]


def check_names(names: Iterable[str], valid: Sequence[str], *, tenant: str | None = None) -> None:
    """Raise ``OperatorMustAct`` for a name that is none of the valid ones."""
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise OperatorMustAct(
            f"There is no entity {' or '.join(repr(name) for name in unknown)}",
            tenant=tenant,
            remedy=f"Name one of these: {', '.join(valid)}. A custom entity is one when the tenant file names it under "
            "'custom_entities'.",
        )
