"""Our own checks of a custom entity: it can be read and followed, and leads to people or companies.

A red line leaves that one entity out; the sync goes on without it. "Use change tracking to synchronize data with
external systems" (Microsoft's documents), "Enable Sync for a Custom Entity" (Marketo's documents).
"""

from __future__ import annotations

from functools import partial

from crmsync.dynamics.privileges import shortfall
from crmsync.dynamics.schema import Attribute, DynamicsSchema
from crmsync.dynamics.setup_tables import read_privilege
from crmsync.engine.checks.dynamics import change_tracking
from crmsync.engine.checks.look import Look
from crmsync.engine.checks.running import Check
from crmsync.engine.checks.seven import ASSIGNED_ROLE
from crmsync.engine.custom.making import with_middles
from crmsync.engine.rights import hides_columns, lacks_privileges, unreadable
from crmsync.errors import EntityMissing, OperatorMustAct
from crmsync.fields.columns import custom_columns
from crmsync.fields.custom import check_columns
from crmsync.fields.custom_links import link_of
from crmsync.tenants import ENTITIES, CustomEntity


def custom_checks(look: Look) -> list[Check]:
    """The lines, in order."""
    return [check for wanted in look.tenant.custom_entities for check in _checks_of(look, wanted)]


def _checks_of(look: Look, wanted: CustomEntity) -> list[Check]:
    name = wanted.entity
    way, may_read = f"Whom {name} belongs to", f"Privilege to read {name}"
    tracked = partial(change_tracking, look, name)
    return [
        Check(way, f"Every {name} leads to a person or a company.", partial(_way, look, wanted), (ASSIGNED_ROLE,)),
        Check(may_read, f"Every {name} of the organization can be read.", partial(_privileges, look, wanted), (way,)),
        Check(f"Change tracking of {name}", f"What changes in {name} can be followed.", tracked, (may_read,)),
        Check(f"Selected fields of {name}", f"Every selected column of {name} is there and can be read.",
              partial(_fields, look, wanted), (way,)),
    ]  # fmt: skip


async def _way(look: Look, wanted: CustomEntity) -> str:
    try:
        entity = await look.dynamics.entity(wanted.entity)
    except EntityMissing as error:
        raise OperatorMustAct(
            f"The organization has no table {wanted.entity}",
            remedy="Correct the name under 'custom_entities' in the tenant file: it is the table's logical name.",
        ) from error
    known = DynamicsSchema(taken_at=look.clock(), entities={**look.entities, entity.logical_name: entity})
    schema = await with_middles(look.dynamics, known, entity, wanted)
    link = link_of(entity, schema.beside, wanted.link)
    if link is None:
        asked = f"by '{wanted.link}' " if wanted.link else ""
        raise OperatorMustAct(
            f"{wanted.entity} leads {asked}to no lead, contact or account at one or two levels",
            remedy="Correct 'link' under 'custom_entities' in the tenant file, or leave the entity out: nobody would "
            "see its records in Marketo.",
        )
    look.custom[wanted.entity] = (entity, link)
    return f"a {link.to}, by {link.path}"


async def _privileges(look: Look, wanted: CustomEntity) -> str:
    _, link = look.custom[wanted.entity]
    between = [link.middle.entity] if link.middle and link.middle.entity not in ENTITIES else []
    names = [await read_privilege(look.dynamics.channel, one) for one in (wanted.entity, *between)]
    lacking = [text for name in names if name and (text := shortfall(look.depths, name))]
    if lacking:
        raise lacks_privileges(lacking, tenant=look.tenant.tenant)
    return f"{', '.join(name for name in names if name)} at organization level"


async def _fields(look: Look, wanted: CustomEntity) -> str:
    entity, _ = look.custom[wanted.entity]
    check_columns(entity, wanted)
    chosen = custom_columns(entity, frozenset(wanted.include), frozenset(wanted.exclude))
    columns = {one.logical_name: one for one in chosen if isinstance(one, Attribute)}
    secured = {name for name, one in columns.items() if one.is_secured}
    hidden = await unreadable(look.dynamics, look.user_id, {wanted.entity: secured}) if secured else []
    if hidden:
        raise hides_columns(hidden, tenant=look.tenant.tenant)
    return f"{len(columns)} columns, all of them readable"
