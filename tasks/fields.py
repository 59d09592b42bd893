"""Select fields to sync: read both schemas, then choose, create and list fields; and their review after a change.

Marketo's documentation, "Microsoft Dynamics Sync: Field Sync" and "Edit Fields to Sync".
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.engine import resync, setup
from crmsync.engine.setup import SchemaRefresh
from crmsync.fields.model import Selection
from crmsync.state.schemas import Parked
from tasks.markdown import section, table
from tasks.policy import step
from tasks.telling import say, show
from tasks.tenant import TenantName, session_of, writer_of


@step(minutes=15)
async def refresh_schema(tenant: TenantName) -> SchemaRefresh:
    """Read both schemas, keep a snapshot, and show the difference to the last one."""
    async with session_of(tenant) as session:
        refresh = await setup.refresh_schema(session)
    since = "This is the first snapshot." if refresh.first else "Nothing changed since the last snapshot."
    changes = "\n".join(f"- {line}" for line in refresh.difference) or since
    columns = table(("Entity", "Columns"), [*refresh.entities.items(), ("Marketo person", refresh.person_fields)])
    await show(tenant, "schema", section("Schema changes", changes) + section("Schema", columns))
    say(
        f"Read both schemas: {sum(refresh.entities.values())} columns of {len(refresh.entities)} entities in Dynamics, "
        f"{refresh.person_fields} person fields in Marketo"
        + ("" if refresh.first else f"; {len(refresh.difference)} changes since the last time")
    )
    return refresh


@step(minutes=15)
async def plan_fields(tenant: TenantName) -> Selection:
    """Show what would be synced and created, and do nothing."""
    async with session_of(tenant) as session:
        selection = await setup.plan_fields(session)
    await _show(tenant, selection)
    for name in [field.name for field in selection.to_create]:
        say(f"Would make the person field {name} in Marketo, for good")
    for entity, one in selection.custom_objects.items():
        if one.make:
            say(f"Would make the custom object {one.name} of {entity} in Marketo, for good")
    say(_summary(selection).replace("had to be made", "would be made"))
    return selection


@step(minutes=15)
async def select_fields(tenant: TenantName) -> Selection:
    """Show what will be synced and created, then create what is missing in Marketo and keep the selection.

    Shown before it is done, because a field of Marketo can never be deleted again.
    """
    async with writer_of(tenant) as session:
        await _show(tenant, await setup.plan_fields(session))
        selection = await setup.select_fields(session)
    say(_summary(selection))
    return selection


@step(minutes=15)
async def review_fields(tenant: TenantName, without_filter: Sequence[str] = ()) -> list[Parked]:
    """Choose the fields anew after the schema changed, and give up these entities' sync filters; returns the parked
    fields that this cleared up."""
    async with writer_of(tenant) as session:
        began = session.clock()
        selection = await resync.review_fields(session, without_filter=without_filter)
        parked = await session.store.schemas.parked(tenant)
    cleared_up = [one for one in parked if one.reviewed_at is not None and one.reviewed_at >= began]
    await _show(tenant, selection)
    for one in cleared_up:
        say(f"Cleared up {one.entity}.{one.attribute}: {one.reason} ({one.marketo_field})")
    say(_summary(selection))
    return cleared_up


def _summary(selection: Selection) -> str:
    mapped = sum(len(mappings) for mappings in selection.mappings.values())
    return (
        f"Selected {mapped} fields of {len(selection.mappings)} entities; {len(selection.to_create)} had to be made in "
        f"Marketo, {len(selection.worksheet)} are for an administrator to make by hand"
    )


async def _show(tenant: str, selection: Selection) -> None:
    mapped = [
        (entity, mapping.attribute, mapping.target, mapping.field, mapping.data_type, mapping.lossy)
        for entity, mappings in selection.mappings.items()
        for mapping in mappings
    ]
    created = [(field.name, field.display_name, field.data_type) for field in selection.to_create]
    by_hand = [
        (row.object, row.display_name, row.field, row.data_type, row.entity, row.attribute, row.why)
        for row in selection.worksheet
    ]
    custom = [
        (
            entity,
            one.name,
            one.link.to,
            one.link.path,
            ", ".join(field.name for field in one.make.fields) if one.make else "",
        )
        for entity, one in selection.custom_objects.items()
    ]
    left_out = [(entity, "", reason) for entity, reason in selection.left_out.items()]
    left_out += [(entry.entity, entry.attribute, entry.reason) for entry in selection.not_mapped]
    text = (
        section(
            "Person fields that crmsync makes in Marketo (they can be hidden later, never deleted)",
            table(("Field", "Display name", "Type"), created, empty="None."),
        )
        + section(
            "Custom objects (once approved, their key and link stay for ever)",
            table(("Entity", "Custom object", "Belongs to", "By", "Fields to be made"), custom, empty="None."),
        )
        + section(
            "Worksheet: fields to make by hand in Marketo (Admin > Field Management)",
            table(("Object", "Display name", "Field", "Type", "Entity", "Column", "Why"), by_hand, empty="None."),
        )
        + section(
            "Fields to sync",
            table(("Entity", "Column", "Object", "Marketo field", "Type", "What is lost"), mapped),
        )
        + section("Left out", table(("Entity", "Column", "Why"), left_out))
    )
    await show(tenant, "fields", text)
