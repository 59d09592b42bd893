"""Our own checks of the Dynamics side: what the seven say nothing of, and the sync depends on.

"Use change tracking to synchronize data with external systems", "Column-level security", "Query schema definitions"
(Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial

from crmsync.dynamics.column_security import has_english_labels
from crmsync.dynamics.metadata import ENGLISH
from crmsync.dynamics.privileges import needs, shortfall
from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.checks.look import Look
from crmsync.engine.checks.running import Check, ToldElsewhere
from crmsync.engine.checks.seven import ASSIGNED_ROLE, STEPS
from crmsync.engine.guards import why_no_filter
from crmsync.engine.rights import hides_columns, lacks_privileges, unreadable
from crmsync.errors import ChangeTrackingOff, ColumnMissing, OperatorMustAct, RecordMissing
from crmsync.fields.catalogue import default_map
from crmsync.fields.columns import Wanted, columns
from crmsync.fields.model import ALWAYS_READ, SYNC_FLAG
from crmsync.fields.naming import check_choice, check_rules
from crmsync.state.tenantstore import Binding, refuse_taken
from crmsync.tenants import ENTITIES, EntityName, FieldChoice, MappedName, is_optional

ORGANIZATION = "Organization"
OWN = "A tenant of its own"
LABELS = "English labels"
OWNER = "Owner of 'create_in_dynamics'"

Looking = Callable[[], Awaitable[str]]


def dynamics_checks(look: Look) -> list[Check]:
    """The lines, in order."""
    role = (ASSIGNED_ROLE,)
    checks = [
        Check(ORGANIZATION, "This is the organization that will be synced.", partial(organization, look), role),
        Check(LABELS, "Marketo gets the labels of options in English.", partial(labels, look), (*role, ORGANIZATION)),
    ]
    if look.others:
        proves = "No other tenant syncs it into this subscription."
        checks.append(Check(OWN, proves, partial(only_here, look), (*role, ORGANIZATION)))
    for entity in look.tenant.entities:
        checks += _checks_of(look, entity)
    if look.tenant.create_in_dynamics and look.tenant.create_in_dynamics.owner:
        checks.append(Check(OWNER, "It owns the records that are created.", partial(owner, look), role))
    return checks


def _checks_of(look: Look, entity: EntityName) -> list[Check]:
    may_read, fields = f"Privilege to read {entity}", f"Selected fields of {entity}"
    role = (ASSIGNED_ROLE,)
    found = []
    for right, done in (("read", "read"), ("write", "written"), ("create", "created")):
        names = [one.name for one in needs(look.tenant) if one.entity == entity and one.right == right]
        if names:
            proves = f"Every {entity} of the organization can be {done}."
            found.append(Check(f"Privilege to {right} {entity}", proves, privileges(look, names, entity), role))
    proves = f"What changes in {entity} can be followed."
    found.append(Check(f"Change tracking of {entity}", proves, partial(change_tracking, look, entity), (may_read,)))
    if entity == "connection":  # none of its columns is selected: what follows from it is fixed
        return found
    proves = f"Every selected column of {entity} is there and can be read."
    found.append(Check(fields, proves, partial(selected_fields, look, entity), role))
    proves = f"No selected column of {entity} arrives empty because it is secured."
    found.append(Check(f"Field security of {entity}", proves, partial(field_security, look, entity), (fields,)))
    if entity != "systemuser":
        proves = f"Whoever says No in {SYNC_FLAG} of {entity} stays out of Marketo."
        found.append(Check(f"Sync filter of {entity}", proves, partial(sync_filter, look, entity), (fields,)))
    return found


async def organization(look: Look) -> str:
    found = await look.dynamics.organization()
    days = found.change_tracking_expires_in_days
    kept = f"; changes can be asked for {days} days back" if days is not None else ""
    return f"{await look.dynamics.friendly_name() or found.name} ({found.id}){kept}"


async def only_here(look: Look) -> str:
    """What ``connect`` would refuse, before it."""
    organization = await look.dynamics.organization()
    mine = Binding(
        organization_id=organization.id,
        organization_name=organization.name,
        organization_url=look.tenant.dynamics.organization_url,
        sync_user_id=look.user_id,
        subscription=look.tenant.marketo.subscription,
    )
    refuse_taken(look.tenant.tenant, mine, look.others)
    return f"bound to no other tenant: {mine.subscription}"


async def owner(look: Look) -> str:
    assert look.tenant.create_in_dynamics is not None  # else there is no such line
    number = look.tenant.create_in_dynamics.owner or ""
    try:
        found = await look.dynamics.user(number)
    except RecordMissing:
        found = None
    if found is None or found.is_disabled:
        raise OperatorMustAct(
            f"{number} is {'disabled' if found else 'no user of the organization'}",
            remedy="Correct 'owner' under 'create_in_dynamics' in the tenant file: the id of a user who is enabled.",
        )
    return found.full_name


async def labels(look: Look) -> str:
    language = (await look.dynamics.organization()).language_code
    if language == ENGLISH:
        return "English is the organization's language"
    if await has_english_labels(look.dynamics.channel, "lead"):
        return f"the organization's language is {language}, and English labels are there"
    raise OperatorMustAct(
        f"The organization's language is {language}, and there are no English labels ({ENGLISH})",
        remedy="Enable English: Power Platform admin center > Environments > Settings > Languages; or accept labels in "
        "the organization's own language, which Marketo's own sync does not allow.",
    )


def privileges(look: Look, names: Sequence[str], entity: EntityName) -> Looking:
    """The check of these privileges on an entity."""

    async def found() -> str:
        lacking = [text for name in names if (text := shortfall(look.depths, name))]
        if lacking:
            error = lacks_privileges(lacking, tenant=look.tenant.tenant)
            error.remedy = f"{error.remedy}{_or_without(entity)}"
            raise error
        return f"{', '.join(names)} at organization level"

    return found


async def change_tracking(look: Look, entity: str) -> str:
    if entity in look.untracked:
        raise ToldElsewhere(f"told by '{STEPS}'")
    definition = await look.dynamics.entity(entity)
    if not definition.change_tracking_enabled:
        table = definition.display_name or entity
        raise ChangeTrackingOff(
            f"Change tracking is not enabled for {entity}",
            remedy=f"Run 'crmsync prepare {look.tenant.tenant}', or enable it: make.powerapps.com > Tables > {table} > "
            f"Properties > Advanced options > Track changes; then publish.{_or_without(entity)}",
        )
    # The first page of a first read is the proof: it is what the sync does, and it changes nothing.
    pages = look.dynamics.changes(definition, [definition.primary_id], page_size=1)
    async with aclosing(pages):
        page = await anext(pages)
    return "on, and a first read works" if page.records else "on; there are no records yet"


async def selected_fields(look: Look, entity: MappedName) -> str:
    found = look.entities[entity] = await look.dynamics.entity(entity)
    schema = DynamicsSchema(taken_at=look.clock(), entities={entity: found})
    check_choice(_only(look.tenant.fields, entity), schema, default_map())
    check_rules(look.tenant.conflicts, schema)
    gone = sorted(look.selected.get(entity, frozenset()) - found.attributes.keys())
    if gone:
        raise ColumnMissing(
            f"{', '.join(gone)}: selected, but not in Dynamics any more",
            column=gone[0],
            remedy=f"Run 'crmsync resync {look.tenant.tenant}': it reviews the fields; or make the column again.",
        )
    return f"{len(_wanted(look, entity))} columns, all of them readable"


async def field_security(look: Look, entity: MappedName) -> str:
    secured = {name for name, one in look.entities[entity].attributes.items() if one.is_secured}
    concerned = secured & _asked_for(look, entity)
    if not concerned:
        return "no selected column is secured"
    hidden = await unreadable(look.dynamics, look.user_id, {entity: concerned})
    if hidden:
        raise hides_columns(hidden, tenant=look.tenant.tenant)
    left_out = concerned - _wanted(look, entity)
    more = f"; left out until the tenant file includes it: {', '.join(sorted(left_out))}" if left_out else ""
    return f"secured, and the sync user may read it: {', '.join(sorted(concerned))}{more}"


async def sync_filter(look: Look, entity: MappedName) -> str:
    definition = look.entities[entity]
    column, before = definition.attributes.get(SYNC_FLAG), look.filters.get(entity)
    if column is None and before is None:
        return f"there is none: every {entity} is synced"
    if column is not None and column.is_secured:
        hidden = await unreadable(look.dynamics, look.user_id, {entity: {SYNC_FLAG}})
        definition = definition.model_copy(
            update={"attributes": {SYNC_FLAG: column.model_copy(update={"hidden": bool(hidden)})}}
        )
    why = why_no_filter(definition, before)
    if why is not None:
        raise OperatorMustAct(f"{entity} is not synced: {why.what}", remedy=f"{why.remedy}.")
    return f"an explicit No in {SYNC_FLAG} ({column.kind if column else ''}) keeps a record out"


def _wanted(look: Look, entity: MappedName) -> set[str]:
    chosen = columns(look.entities[entity], entity, default_map(), look.tenant.fields)
    return {one.attribute.logical_name for one in chosen if isinstance(one, Wanted)}


def _asked_for(look: Look, entity: MappedName) -> set[str]:
    """What would be selected if nothing were secured, and what was selected before."""
    found = look.entities[entity]
    open_columns = {name: one.model_copy(update={"is_secured": False}) for name, one in found.attributes.items()}
    chosen = columns(found.model_copy(update={"attributes": open_columns}), entity, default_map(), look.tenant.fields)
    asked = {one.attribute.logical_name for one in chosen if isinstance(one, Wanted)}
    return asked | set(look.selected.get(entity, frozenset())) | set(ALWAYS_READ.get(entity, ()))


def _only(choice: FieldChoice, entity: MappedName) -> FieldChoice:
    """The choice for one entity."""
    return choice.model_copy(
        update={
            part: {name: value for name, value in getattr(choice, part).items() if name == entity}
            for part in ("include", "exclude", "rename")
        }
    )


def _or_without(entity: str) -> str:
    """The other way out, for an entity that the rest does without."""
    if not is_optional(entity):
        return ""
    where = "entities" if entity in ENTITIES else "custom_entities"
    return f" Or leave {entity} out ('{where}' in the tenant file): until then the sync goes on without it."
