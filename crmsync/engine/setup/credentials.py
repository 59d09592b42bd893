"""Enter Credentials: prove both sides, then bind the tenant to what was proved.

Where Marketo binds for ever to what was typed, this binds to the organization's id after it was proved ("Step 3 of 3:
Connect Marketo and Dynamics").
"""

from __future__ import annotations

from pydantic import BaseModel

from crmsync.engine.session import Session
from crmsync.engine.setup.renaming import renamed, take_over
from crmsync.errors import BindingRefused, CredentialsRefused, NativeSyncOn, StateMismatch
from crmsync.state.tenantstore import Binding, taken


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
    session: Session, proof: Proof, *, rebind: bool = False, rebaseline: bool = False, rename: str | None = None
) -> Binding:
    """Bind the tenant to what was proved. Raises ``BindingRefused`` when it is bound to something else, or another
    tenant to this subscription.

    ``rebind`` forgets what was known of the old organization and starts anew with this one. ``rebaseline`` is for an
    organization that was restored or copied from another, whose records have the same ids: what was written is still
    known, everything is read once more, and what is gone is found. ``rename`` is the name that the tenant had until its
    file was renamed: it goes on with all that is known of it.
    """
    binding = Binding(
        organization_id=proof.organization_id,
        organization_name=proof.organization_name,
        organization_url=proof.organization_url,
        sync_user_id=proof.user_id,
        subscription=proof.subscription,
    )
    async with session.lease():
        if rename is not None:
            await take_over(session, rename, binding, forgetting=rebind)
        current = (await session.store.tenants.get(session.name)).binding
        if current is not None and rebaseline and current.subscription == binding.subscription:
            why = f"{binding.organization_name} ({binding.organization_id}) is the new baseline, on an operator's word"
            await session.store.tenants.bind(session.name, binding, run=session.run, why=why, always_logged=True)
            await _read_all_anew(session)
        elif current is not None and not current.is_same(binding):
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
    row = await session.store.tenants.get(session.name)
    binding = row.binding
    if row.renamed_to is not None:
        raise renamed(row)
    if binding is None:
        raise StateMismatch(
            "The tenant's credentials were never saved",
            tenant=session.name,
            remedy=f"Run: crmsync connect {session.name}",
        )
    # Two may be bound to the same since a time when nobody looked: the one that was first goes on.
    if (first := await session.store.tenants.first_bound(binding)) not in (None, session.name):
        assert first is not None
        raise taken(session.name, first, binding)
    tenant = session.tenant
    if (
        tenant.dynamics.organization_url == binding.organization_url
        and tenant.marketo.subscription == binding.subscription
    ):
        # Both have answered here before: what another answers in their place will pass.
        session.dynamics.address_is_proven()
        session.marketo.address_is_proven()
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
    if not binding.is_same(found):
        raise _bound_elsewhere(session, binding, found)


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
