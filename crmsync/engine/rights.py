"""Whether the sync user may do what the sync does: told before the first sync starts, not by a first sync that fails,
and looked at once a day from then on.

A privilege that does not reach the whole organization makes records look deleted, and a secured column without
permission arrives empty and would clear Marketo's field; neither is an error of its own in Dynamics. "Use change
tracking to synchronize data with external systems", "Column-level security" (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.column_security import readable_secured, secured_columns
from crmsync.dynamics.pacing import together
from crmsync.dynamics.privileges import needs, shortfall
from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.column_rights import changed_rights
from crmsync.engine.guards import guards_of
from crmsync.errors import PermissionMissing
from crmsync.fields.model import Selection
from crmsync.tenants import ENTITIES, OPTIONAL, Tenant

Columns = Mapping[str, Collection[str]]
"""Logical names of columns, by entity."""


DAILY = timedelta(days=1)


async def ensure_rights(
    dynamics: DynamicsClient, selection: Selection | None, tenant: Tenant, *, first: bool = True
) -> None:
    """Raise ``PermissionMissing`` that names every privilege and every selected column the sync user lacks. Before the
    ``first`` sync also the columns that the tenant file names, and those that crmsync goes by; later these are parked,
    or stop their entity.

    Six calls or so. Columns that were deleted are no matter of rights: the sync parks them. Entities that the rest does
    without are left out, not refused.
    """
    user = (await dynamics.who_am_i()).user_id
    await _ensure_privileges(dynamics, user, tenant, ("read", "write", "create"))
    columns = selected_columns(selection) if selection else {}
    if selection and first:
        for entity, names in columns.items():
            names |= {column for one, column in guards_of(entity, selection) if one == entity}
            names |= {name for one, some in tenant.fields.include.items() if one == entity for name in some}
    hidden = await unreadable(dynamics, user, columns)
    if hidden:
        raise hides_columns(hidden, tenant=tenant.tenant)


async def changed_since_seen(
    dynamics: DynamicsClient, schema: DynamicsSchema, selection: Selection, tenant: Tenant
) -> frozenset[str]:
    """The daily look: the entities of which column security hides other columns than the snapshot says. One call an
    entity and two; raises ``PermissionMissing`` where the sync user may not read any more what the sync reads."""
    user = (await dynamics.who_am_i()).user_id
    await _ensure_privileges(dynamics, user, tenant, ("read",))
    return await changed_rights(dynamics, schema, selection)


async def _ensure_privileges(dynamics: DynamicsClient, user: str, tenant: Tenant, rights: Collection[str]) -> None:
    depths = await dynamics.privilege_depths(user)
    required = [one.name for one in needs(tenant) if one.right in rights and one.entity not in OPTIONAL]
    lacking = [text for name in required if (text := shortfall(depths, name))]
    if lacking:
        raise lacks_privileges(lacking, tenant=tenant.tenant)


def selected_columns(selection: Selection) -> dict[str, set[str]]:
    """The columns that a selection reads."""
    return {
        entity: {mapping.attribute for mapping in mappings if mapping.attribute}
        for entity, mappings in selection.mappings.items()
    }


async def unreadable(dynamics: DynamicsClient, user_id: str, columns: Columns) -> list[str]:
    """Those of ``columns`` that column security keeps the user from reading, as ``entity.column``."""
    asked = [entity for entity in (*ENTITIES, *sorted(columns.keys() - set(ENTITIES))) if columns.get(entity)]
    secured = dict(zip(asked, await together(secured_columns(dynamics.channel, one) for one in asked), strict=True))
    concerned = [(entity, name) for entity in asked for name in sorted(secured[entity] & set(columns[entity]))]
    if not concerned:
        return []
    may_read = await readable_secured(dynamics.channel, user_id)
    return [f"{entity}.{name}" for entity, name in concerned if (entity, name) not in may_read]


def lacks_privileges(lacking: Collection[str], *, tenant: str | None) -> PermissionMissing:
    """The error for privileges, each described as ``shortfall`` does."""
    names = ", ".join(text.split()[0] for text in lacking)
    return PermissionMissing(
        f"The sync user may not do what the sync does: {'; '.join(lacking)}",
        remedy=f"Run 'crmsync prepare {tenant or 'TENANT'}', or give the sync user's security role {names} at "
        "organization level (Power Platform admin center > Settings > Security roles; the full green circle).",
        tenant=tenant,
    )


def hides_columns(columns: Collection[str], *, tenant: str | None) -> PermissionMissing:
    """The error for secured columns that the sync user may not read."""
    names = ", ".join(columns)
    return PermissionMissing(
        f"Column security keeps the sync user from reading {names}: it would arrive empty and clear Marketo's field",
        remedy=f"Add the sync user to a column security profile that may read {names} (Power Platform admin center > "
        "Environments > Settings > Column security profiles), or exclude it in the tenant file ('fields: exclude').",
        tenant=tenant,
    )
