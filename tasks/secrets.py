"""A tenant's secrets in Prefect blocks, encrypted at rest: saved by ``save_credentials``, preferred by later runs.

Blocks are named after their tenant. Whoever may call the Prefect API may read them, so the API belongs behind a
password and in a private network, and ``PREFECT_SERVER_ENCRYPTION_KEY`` outside the database (README, "Deploy").

Prefect's documentation, "Blocks" and "How to store secrets".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.exceptions import ObjectNotFound
from pydantic import Field, SecretStr

from crmsync.secrets import SecretSource, SecretStore
from crmsync.tenants import Tenant

BlockT = TypeVar("BlockT", bound=Block)

DYNAMICS_PURPOSE = "Entra client secret or private key"
MARKETO_PURPOSE = "Marketo client secret"


class TenantCredentials(Block):
    """The two secrets of one tenant, as they were when ``connect`` proved them."""

    _block_type_name = "Tenant Credentials"
    _block_type_slug = "tenant-credentials"
    _description = "The secrets of one crmsync tenant, saved by its connect flow."

    dynamics_secret: SecretStr = Field(title="Dynamics client secret or private key")
    marketo_secret: SecretStr = Field(title="Marketo client secret")


class SavedSecrets(SecretStore):
    """Gives the saved secret for each of the tenant's two sources, and looks everything else up."""

    def __init__(self, tenant: Tenant, saved: TenantCredentials) -> None:
        super().__init__(tenant.folder, read_block=read_secret_block)
        self._saved: Mapping[SecretSource, SecretStr] = {
            tenant.marketo.client_secret: saved.marketo_secret,
            dynamics_source(tenant): saved.dynamics_secret,
        }

    async def get(self, source: SecretSource, *, tenant: str, purpose: str) -> SecretStr:
        saved = self._saved.get(source)
        return saved if saved is not None else await super().get(source, tenant=tenant, purpose=purpose)


def dynamics_source(tenant: Tenant) -> SecretSource:
    """Where the tenant file says the Dynamics credential is: a client secret, or a certificate's private key."""
    connection = tenant.dynamics
    if connection.certificate is not None:
        return connection.certificate.private_key
    assert connection.client_secret is not None  # the tenant file's own check
    return connection.client_secret


def named_secrets(tenant: Tenant, environment: Mapping[str, str] = os.environ) -> SecretStore:
    """The secrets from where the tenant file says they are."""
    return SecretStore(Path(tenant.folder), environment=environment, read_block=read_secret_block)


async def saved_secrets(tenant: Tenant) -> SecretStore:
    """The secrets that ``connect`` saved; for a tenant without saved ones, from where its file says they are."""
    saved = await _load(TenantCredentials, tenant.tenant)
    return named_secrets(tenant) if saved is None else SavedSecrets(tenant, saved)


async def save_secrets(tenant: Tenant) -> None:
    """Copy the secrets from where the tenant file says they are into the tenant's block."""
    secrets = named_secrets(tenant)
    credentials = TenantCredentials(
        dynamics_secret=await secrets.get(dynamics_source(tenant), tenant=tenant.tenant, purpose=DYNAMICS_PURPOSE),
        marketo_secret=await secrets.get(tenant.marketo.client_secret, tenant=tenant.tenant, purpose=MARKETO_PURPOSE),
    )
    await credentials.asave(tenant.tenant, overwrite=True)


async def administrators_secret(block: str) -> SecretStr:
    """The secret that ``prepare`` uses once, from a Prefect Secret block; raises ``SecretMissing``."""
    secrets = SecretStore(Path(), environment={}, read_block=read_secret_block)
    return await secrets.get(SecretSource(block=block), tenant="", purpose="secret of the administrator's application")


async def read_secret_block(name: str) -> str | None:
    """The value of a Prefect Secret block, None when there is none of that name."""
    block = await _load(Secret, name)
    if block is None:
        return None
    value = block.value.get_secret_value()  # get() would read a secret of digits as a number
    return value if isinstance(value, str) else str(value)


async def _load(kind: type[BlockT], name: str) -> BlockT | None:
    try:
        return await kind.aload(name)
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise
