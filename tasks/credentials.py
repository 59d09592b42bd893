"""Enter credentials: prove both sides, then save the secrets and bind the tenant to what was found.

Marketo's documentation, "Step 3 of 3: Connect Marketo and Dynamics", "Enter Dynamics User Information".
"""

from __future__ import annotations

from crmsync.engine import setup
from crmsync.engine.setup import Proof
from crmsync.state.tenantstore import Binding
from tasks.markdown import table
from tasks.policy import step
from tasks.secrets import save_secrets
from tasks.telling import say, show
from tasks.tenant import TenantName, find_tenant, session_of


@step(minutes=5)
async def validate_credentials(tenant: TenantName) -> Proof:
    """Sign in to both sides with the secrets that the tenant file names; nothing is saved yet."""
    async with session_of(tenant, saved=False) as session:
        proof = await setup.validate_credentials(session)
    rows = [
        ("Organization", f"{proof.organization_name} ({proof.organization_id})"),
        ("Organization URL", proof.organization_url),
        ("Sync user", f"{proof.user_name} ({proof.user_id})"),
        ("Marketo subscription", proof.subscription),
        ("Marketo API user", proof.marketo_user),
    ]
    await show(tenant, "credentials", table(("", "Proved by signing in"), rows))
    say(
        f"Signed in to {proof.organization_name} as {proof.user_name}, "
        f"and to Marketo {proof.subscription} as {proof.marketo_user}"
    )
    return proof


@step(minutes=5)
async def save_credentials(
    tenant: TenantName,
    proof: Proof,
    rebind: bool = False,
    rebaseline: bool = False,
    rename: TenantName | None = None,
) -> Binding:
    """Bind the tenant to the proved organization and subscription, and keep the secrets in the tenant's block.

    In this order, so that secrets of an organization that is refused never replace those of the bound one.
    """
    async with session_of(tenant, saved=False) as session:
        binding = await setup.save_credentials(session, proof, rebind=rebind, rebaseline=rebaseline, rename=rename)
    await save_secrets(find_tenant(tenant))
    rows = [("Organization id", binding.organization_id), ("Marketo subscription", binding.subscription)]
    await show(tenant, "binding", table(("", f"Tenant {tenant} is bound to"), rows))
    if rename is not None:
        say(f"{tenant} goes on with all that was known of {rename}; run 'crmsync deploy' to rename its deployments")
    say(f"Saved the credentials; {tenant} is bound to {binding.organization_name} and Marketo {binding.subscription}")
    return binding
