"""The three steps of Marketo's admin screen, one function for each thing an administrator does there.

Enter Credentials: ``validate_credentials``, ``save_credentials``. Select Fields to Sync: ``refresh_schema``,
``select_fields``. Enable Sync: ``enable_sync`` (and ``disable_sync``). Each can be run again: what is done is kept. The
steps are those of "Step 3 of 3: Connect Marketo and Dynamics"; where Marketo binds for ever to what was typed, these
bind to the organization's id after it was proved.
"""

from __future__ import annotations

import logging

from pydantic import BaseModel

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.custom.making import make_custom_objects, read_custom_entities, with_custom_objects
from crmsync.engine.destination import PERSON_KEY, TARGETS
from crmsync.engine.rights import ensure_rights
from crmsync.engine.session import Session
from crmsync.errors import (
    BindingRefused,
    CredentialsRefused,
    EntityMissing,
    NativeSyncOn,
    PermissionMissing,
    RequestRefused,
    StateMismatch,
)
from crmsync.fields import drift
from crmsync.fields.hidden import REASON, hidden, is_needed, is_shown, without_fields
from crmsync.fields.model import Selection
from crmsync.fields.selection import select_fields as choose_fields
from crmsync.marketo.schema import MarketoSchema
from crmsync.state.checkpoints import Checkpoint
from crmsync.state.lifecycle import TenantState
from crmsync.state.schemas import Parked, Side
from crmsync.state.tenantstore import Binding
from crmsync.tenants import OPTIONAL, is_optional

log = logging.getLogger("crmsync.engine")


class Proof(BaseModel):
    """What the credentials lead to: shown before anything is saved."""

    organization_id: str
    organization_name: str
    organization_url: str
    user_id: str
    user_name: str
    user_email: str | None = None
    subscription: str
    marketo_user: str


class SchemaRefresh(BaseModel):
    """Both schemas as they are now: how many fields each entity has, and what differs from the last snapshot."""

    entities: dict[str, int]
    person_fields: int
    first: bool
    difference: list[str]


class Enabled(BaseModel):
    """The first sync is under way, or was before (``already``): records expected per entity."""

    entities: dict[str, int]
    already: bool


async def validate_credentials(session: Session) -> Proof:
    """Prove both sides without changing anything.

    Raises the error that names what is wrong: ``CredentialsRefused``, ``EntraTenantUnknown``, ``OrganizationUrlWrong``,
    ``ApplicationUserMissing``, ``PermissionMissing``, ``NativeSyncOn``.
    """
    who = await session.dynamics.who_am_i()
    organization = await session.dynamics.organization()
    user = await session.dynamics.user(who.user_id)
    expected = session.tenant.dynamics.sync_user_email
    if expected and (user.email or "").lower() != expected.lower():
        raise CredentialsRefused(
            f"The credentials belong to '{user.email or user.full_name}', the tenant file names '{expected}'",
            tenant=session.name,
            remedy="Give the client id of that user's application, or correct 'sync_user_email'.",
        )
    marketo_user = await session.marketo.identity()
    if await session.marketo.native_sync_is_on():
        raise NativeSyncOn("Marketo's native CRM sync is on in this subscription", tenant=session.name, code="1018")
    return Proof(
        organization_id=who.organization_id,
        organization_name=await session.dynamics.friendly_name() or organization.name,
        organization_url=session.tenant.dynamics.organization_url,
        user_id=who.user_id,
        user_name=user.full_name,
        user_email=user.email,
        subscription=session.tenant.marketo.subscription,
        marketo_user=marketo_user,
    )


async def save_credentials(
    session: Session, proof: Proof, *, rebind: bool = False, rebaseline: bool = False
) -> Binding:
    """Bind the tenant to what was proved. Raises ``BindingRefused`` when it is bound to something else.

    ``rebind`` forgets what was known of the old organization and starts anew with this one. ``rebaseline`` is for an
    organization that was restored or copied from another, whose records have the same ids: what was written is still
    known, everything is read once more, and what is gone is found.
    """
    binding = Binding(
        organization_id=proof.organization_id,
        organization_name=proof.organization_name,
        organization_url=proof.organization_url,
        sync_user_id=proof.user_id,
        subscription=proof.subscription,
    )
    async with session.lease():
        current = (await session.store.tenants.get(session.name)).binding
        await _refuse_shared_subscription(session, binding)
        if current is not None and rebaseline and current.subscription == binding.subscription:
            why = f"{binding.organization_name} ({binding.organization_id}) is the new baseline, on an operator's word"
            await session.store.tenants.bind(session.name, binding, run=session.run, why=why, always_logged=True)
            await _read_all_anew(session)
        elif current is not None and not _same(current, binding):
            if not rebind:
                raise _bound_elsewhere(session, current, binding)
            why = f"rebound from {current.organization_name} to {binding.organization_name}"
            await session.store.tenants.rebind(session.name, binding, run=session.run, why=why)
        else:
            why = f"bound to {binding.organization_name} ({binding.organization_id}) and {binding.subscription}"
            await session.store.tenants.bind(session.name, binding, run=session.run, why=why)
    return binding


async def _read_all_anew(session: Session) -> None:
    """No link of the old database is used any more: each entity begins with a first read, which writes only what
    differs and flags what it does not meet."""
    checkpoints = await session.store.checkpoints.all(session.name)
    anew = [one.model_copy(update={"selection_digest": "baseline"}) for one in checkpoints.values()]
    await session.store.checkpoints.put(session.name, *anew)


async def ensure_bound(session: Session) -> None:
    """Before anything is read or written: the clients lead to the bound organization and subscription.

    Costs a call only when the organization's URL in the tenant file has changed. Raises ``BindingRefused``, or
    ``StateMismatch`` when the tenant has no binding yet.
    """
    binding = (await session.store.tenants.get(session.name)).binding
    if binding is None:
        raise StateMismatch(
            "The tenant's credentials were never saved",
            tenant=session.name,
            remedy=f"Run: crmsync connect {session.name}",
        )
    tenant = session.tenant
    if (
        tenant.dynamics.organization_url == binding.organization_url
        and tenant.marketo.subscription == binding.subscription
    ):
        return
    proof = await validate_credentials(session)
    found = binding.model_copy(
        update={
            "organization_id": proof.organization_id,
            "organization_name": proof.organization_name,
            "organization_url": proof.organization_url,
            "subscription": proof.subscription,
        }
    )
    if not _same(binding, found):
        raise _bound_elsewhere(session, binding, found)


async def refresh_schema(session: Session) -> SchemaRefresh:
    """Read both schemas, keep the snapshots, and tell what differs from the last ones."""
    await ensure_bound(session)
    async with session.lease():
        dynamics = await _read_entities(session)
        marketo = await with_custom_objects(session, await session.marketo.schema())
        old_dynamics, old_marketo = await snapshots(session)
        difference: list[str] = []
        if old_dynamics is not None:
            difference += drift.difference(old_dynamics, dynamics).lines()
        if old_marketo is not None:
            difference += drift.difference(old_marketo, marketo).lines()
        await keep_snapshot(session, "dynamics", dynamics)
        await keep_snapshot(session, "marketo", marketo)
        await session.store.tenants.advance(
            session.name, TenantState.SCHEMA_REFRESHED, run=session.run, why="both schemas were read"
        )
    return SchemaRefresh(
        entities={name: len(entity.attributes) for name, entity in dynamics.entities.items()},
        person_fields=len(marketo.person.fields),
        first=old_dynamics is None,
        difference=difference,
    )


async def _read_entities(session: Session) -> DynamicsSchema:
    """The entities that the tenant wants; the optional ones as far as the organization has and shows them."""
    wanted = session.tenant.entities
    schema = await session.dynamics.schema([name for name in wanted if name not in OPTIONAL])
    for name in wanted:
        if name in OPTIONAL:
            try:
                schema = schema.with_entities([await session.dynamics.entity(name)])
            except (EntityMissing, PermissionMissing) as error:
                log.warning("%s: %s is left out: %s", session.name, name, error)
    return await read_custom_entities(session, schema)


async def plan_fields(session: Session) -> Selection:
    """What ``select_fields`` would select and create; writes nothing."""
    dynamics, marketo = await snapshots(session)
    if dynamics is None or marketo is None:
        raise StateMismatch(
            "The schema was never read", tenant=session.name, remedy=f"Run: crmsync connect {session.name}"
        )
    planned = choose_fields(dynamics, marketo, session.tenant.fields, session.tenant.custom_entities)
    return without_fields(planned, await _hidden_fields(session, marketo))


async def _hidden_fields(session: Session, marketo: MarketoSchema) -> set[tuple[str, str]]:
    """The fields that were selected and that Marketo does not show: not to be made anew, they may be shown again."""
    selected = await saved_selection(session)
    found = {(one.entity, one.field) for one in hidden(selected, marketo)} if selected else set()
    for one in await session.store.schemas.parked(session.name):
        if not _is_shown(marketo, one):
            found.add((one.entity, one.marketo_field))
    return found


def _is_shown(marketo: MarketoSchema, parked: Parked) -> bool:
    target = TARGETS.get(parked.entity)
    return target is None or is_shown(marketo, target, parked.marketo_field)


async def select_fields(session: Session) -> Selection:
    """Select the fields, create the missing person fields and custom objects in Marketo, and park those whose column
    vanished.

    A created field can never be deleted again: look at ``plan_fields`` first. Raises ``FieldBudgetExceeded``.
    """
    await ensure_bound(session)
    async with session.lease():
        selection = await plan_fields(session)
        await _create_fields(session, selection)
        selection = await make_custom_objects(session, selection)
        await park_vanished(session)
        await session.store.schemas.keep_selection(session.name, selection.model_dump_json())
        await session.store.tenants.advance(
            session.name, TenantState.FIELDS_SELECTED, run=session.run, why="the fields were selected"
        )
    return selection


async def enable_sync(session: Session) -> Enabled:
    """Start the first sync, or go on after the sync was disabled or stopped. Safe to repeat.

    Raises ``PermissionMissing`` before anything moves when the sync user lacks a privilege or a selected column.
    """
    await ensure_bound(session)
    async with session.lease():
        state = (await session.store.tenants.get(session.name)).state
        checkpoints = await session.store.checkpoints.all(session.name)
        expected = {name: one.records_expected or one.records_read for name, one in checkpoints.items()}
        if state in {TenantState.FIRST_SYNC, TenantState.SYNCING}:
            return Enabled(entities=expected, already=True)
        await ensure_rights(session.dynamics, await saved_selection(session), session.tenant)
        if not checkpoints:
            names = await _selected_entities(session)
            expected = await session.dynamics.record_counts(names)
            for name in names:
                blank = Checkpoint(entity=name, selection_digest="", records_expected=expected.get(name))
                await session.store.checkpoints.put(session.name, blank)
        needed = [one for name, one in checkpoints.items() if not is_optional(name)]
        done = bool(needed) and all(one.read_done for one in needed)
        target = TenantState.SYNCING if done else TenantState.FIRST_SYNC
        await session.store.tenants.move(session.name, target, run=session.run, why="the sync was enabled")
    return Enabled(entities=expected, already=False)


async def _selected_entities(session: Session) -> list[str]:
    """The entities that will be read, as far as the set-up knows."""
    dynamics, _ = await snapshots(session)
    selection = await saved_selection(session)
    known = dynamics.entities if dynamics else {}
    taken = selection.mappings if selection else {}
    return [
        name
        for name in (*session.tenant.entities, *session.tenant.custom_names)
        if name in known and ("opportunity" if name == "connection" else name) in taken
    ]


async def disable_sync(session: Session, why: str) -> None:
    """Stop cycles until the sync is enabled again; nothing is lost meanwhile, Dynamics keeps its changes."""
    async with session.lease():
        await session.store.tenants.move(session.name, TenantState.DISABLED, run=session.run, why=why, reason=why)


async def snapshots(session: Session) -> tuple[DynamicsSchema | None, MarketoSchema | None]:
    """The newest snapshots of both schemas."""
    dynamics = await session.store.schemas.snapshot(session.name, "dynamics")
    marketo = await session.store.schemas.snapshot(session.name, "marketo")
    return (
        DynamicsSchema.model_validate_json(dynamics) if dynamics else None,
        MarketoSchema.model_validate_json(marketo) if marketo else None,
    )


async def keep_snapshot(session: Session, side: Side, schema: DynamicsSchema | MarketoSchema) -> None:
    """Keep a schema as the newest snapshot of its side."""
    content = schema.model_dump_json(exclude={"taken_at"})
    await session.store.schemas.keep_snapshot(session.name, side, schema.model_dump_json(), content=content)


async def saved_selection(session: Session) -> Selection | None:
    """The selection that was saved last."""
    body = await session.store.schemas.selection(session.name)
    return Selection.model_validate_json(body) if body else None


async def park_vanished(session: Session) -> list[Parked]:
    """Park every field of the saved selection whose column, or whose field in Marketo, is not in the newest snapshot;
    take back those that are there again."""
    before = await saved_selection(session)
    dynamics, marketo = await snapshots(session)
    assert dynamics is not None  # callers have just kept one
    known = await session.store.schemas.parked(session.name)
    parked = {(one.entity, one.attribute) for one in known}
    back = {
        (one.entity, one.attribute)
        for one in known
        if one.entity in dynamics.entities
        and one.attribute in dynamics.entities[one.entity].attributes
        and (marketo is None or _is_shown(marketo, one))
    }
    await session.store.schemas.unpark(session.name, back)
    gone = [
        Parked(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason="the column was deleted in Dynamics; the Marketo field is kept",
        )
        for mappings in (before.mappings.values() if before else ())
        for mapping in mappings
        if mapping.attribute
        and mapping.entity in dynamics.entities
        and mapping.attribute not in dynamics.entities[mapping.entity].attributes
        and (mapping.entity, mapping.attribute) not in parked
    ]
    seen = parked | {(one.entity, one.attribute) for one in gone}
    gone += [
        Parked(
            entity=mapping.entity,
            attribute=mapping.attribute,
            marketo_field=mapping.field,
            since=session.clock(),
            reason=REASON,
        )
        for mapping in (hidden(before, marketo) if before and marketo else ())
        if not is_needed(mapping) and (mapping.entity, mapping.attribute) not in seen
    ]
    await session.store.schemas.park(session.name, gone)
    for one in gone:
        log.warning("%s: %s.%s is parked: %s", session.name, one.entity, one.attribute, one.reason)
    return gone


async def _create_fields(session: Session, selection: Selection) -> None:
    if not selection.to_create:
        return
    outcomes = await session.marketo.create_person_fields(selection.to_create)
    refused = {name: outcome for name, outcome in outcomes.items() if outcome.status == "skipped"}
    if PERSON_KEY in outcomes and PERSON_KEY not in refused:
        await session.store.tenants.set_key_is_fresh(session.name)
    marketo = await with_custom_objects(session, await session.marketo.schema())
    await keep_snapshot(session, "marketo", marketo)
    missing = [field.name for field in selection.to_create if field.name not in marketo.person.fields]
    if missing:
        reasons = "; ".join(f"{name}: {outcome.reason}" for name, outcome in refused.items()) or "no reason was given"
        raise RequestRefused(
            f"Marketo did not create {', '.join(missing)} ({reasons})",
            tenant=session.name,
            remedy="Leave these columns out ('fields: exclude' in the tenant file), or name other Marketo fields "
            "for them ('fields: rename'), and run connect again.",
        )


def _same(one: Binding, other: Binding) -> bool:
    return one.organization_id.lower() == other.organization_id.lower() and one.subscription == other.subscription


def _bound_elsewhere(session: Session, current: Binding, found: Binding) -> BindingRefused:
    return BindingRefused(
        f"The tenant is bound to organization '{current.organization_name}' ({current.organization_id}) and "
        f"subscription {current.subscription}; these credentials lead to '{found.organization_name}' "
        f"({found.organization_id}) and subscription {found.subscription}",
        tenant=session.name,
        remedy="Correct the tenant file, or use a tenant of its own for the other organization. To move this tenant "
        "on purpose run connect with --rebind: what was synced from the old organization stays in Marketo, and "
        "schema changes there cannot be undone. If the organization was copied from the old one, --rebaseline keeps "
        "what is known of its records.",
    )


def organization_replaced(session: Session, bound: Binding, found_id: str) -> BindingRefused:
    """The error when another organization answers under the bound one's URL: it was copied over or made anew."""
    return BindingRefused(
        f"Another organization ({found_id}) answers at {bound.organization_url}, where '{bound.organization_name}' "
        f"({bound.organization_id}) was",
        tenant=session.name,
        remedy="If this environment was refreshed from a copy on purpose, run: "
        f"crmsync connect {session.name} --rebaseline. Everything is read once more, what is the same is not written, "
        "and people whose records are gone are flagged. Otherwise correct the tenant file.",
    )


async def _refuse_shared_subscription(session: Session, binding: Binding) -> None:
    for name in await session.store.tenants.names():
        other = (await session.store.tenants.get(name)).binding
        if name == session.name or other is None or other.subscription != binding.subscription:
            continue
        if other.organization_id.lower() != binding.organization_id.lower():
            raise BindingRefused(
                f"Subscription {binding.subscription} is bound to organization '{other.organization_name}' "
                f"by tenant '{name}'",
                tenant=session.name,
                remedy="One subscription takes one organization: name another subscription in the tenant file.",
            )
