"""What a client needs to know of a sandbox, as files: the ready file, a tenant file for each tenant, their secrets.

The ready file is written last and at once, so whoever waits for it finds everything else in place. The tenant files
hold no secret: they name variables that ``.env`` beside them defines.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crmsync.sandbox.world import SandboxTenant

_TENANT_FILE = """\
# Tenant {name} of a crmsync sandbox. Its secrets are in .env beside this file.
tenant: '{name}'
dynamics:
  organization_url: {organization_url}
  entra_tenant_id: {entra_tenant_id}
  client_id: {dynamics_client_id}
  client_secret: {{env: {prefix}_DYNAMICS_CLIENT_SECRET}}
  sync_user_email: {sync_user_email}
  authority: {authority}
marketo:
  base_url: {base_url}
  munchkin_id: {munchkin_id}
  client_id: {marketo_client_id}
  client_secret: {{env: {prefix}_MARKETO_CLIENT_SECRET}}
notifications:
  to: [ops@{name}.example]
  sender: crmsync@{name}.example
  smtp: {{host: {smtp_host}, port: {smtp_port}, security: none}}
ca_file: {ca_file}
"""

_GENEROUS_QUOTA = """\
# This sandbox has no limits, so the tenant may have all it can use.
quota:
  marketo_calls_per_20_seconds: 100000
  marketo_concurrent_calls: 10
  marketo_calls_per_day: 100000000
  dynamics_concurrent_requests: 16
"""


@dataclass(frozen=True)
class Ready:
    """What is served, and where."""

    folder: Path
    ca_file: Path
    admin_url: str
    authority: str
    smtp_host: str
    smtp_port: int
    mailbox: Path
    tenants: Mapping[str, SandboxTenant]

    @property
    def tenants_folder(self) -> Path:
        """Where the tenant files are: ``crmsync connect NAME --tenants`` this."""
        return self.folder / "tenants"

    def as_json(self) -> dict[str, Any]:
        """The ready file."""
        return {
            "ca_file": str(self.ca_file),
            "admin_url": self.admin_url,
            "smtp": {"host": self.smtp_host, "port": self.smtp_port, "mailbox": str(self.mailbox)},
            "tenants": {name: self._tenant(tenant) for name, tenant in self.tenants.items()},
        }

    def _tenant(self, tenant: SandboxTenant) -> dict[str, Any]:
        organization, subscription = tenant.organization, tenant.subscription
        return {
            "dynamics": {
                "organization_url": organization.url,
                "organization_id": organization.organization_id,
                "authority": self.authority,
                "entra_tenant_id": tenant.directory.tenant_id,
                "client_id": organization.sync_app.client_id,
                "client_secret": organization.sync_app.secret,
                "sync_user_email": organization.sync_user_email,
                "administrator": {
                    "client_id": organization.admin_app.client_id,
                    "client_secret": organization.admin_app.secret,
                },
            },
            "marketo": {
                "base_url": subscription.base_url,
                "munchkin_id": subscription.munchkin_id,
                "client_id": subscription.client_id,
                "client_secret": subscription.client_secret,
            },
        }


def write_ready(ready: Ready, path: Path, *, limits_off: bool) -> None:
    """Write the tenant files and their ``.env``, then the ready file."""
    folder = ready.tenants_folder
    folder.mkdir(parents=True, exist_ok=True)
    secrets = []
    for name, tenant in ready.tenants.items():
        write_whole(folder / f"{name}.yaml", tenant_file(ready, tenant, limits_off=limits_off))
        prefix = variable_prefix(name)
        secrets.append(f"{prefix}_DYNAMICS_CLIENT_SECRET='{tenant.organization.sync_app.secret}'")
        secrets.append(f"{prefix}_MARKETO_CLIENT_SECRET='{tenant.subscription.client_secret}'")
    write_whole(folder / ".env", "\n".join(secrets) + "\n", mode=0o600)
    write_whole(path, json.dumps(ready.as_json(), indent=2) + "\n", mode=0o600)


def tenant_file(ready: Ready, tenant: SandboxTenant, *, limits_off: bool) -> str:
    """The tenant's YAML file, as ``crmsync connect`` reads it."""
    text = _TENANT_FILE.format(
        name=tenant.name,
        prefix=variable_prefix(tenant.name),
        organization_url=tenant.organization.url,
        entra_tenant_id=tenant.directory.tenant_id,
        dynamics_client_id=tenant.organization.sync_app.client_id,
        sync_user_email=tenant.organization.sync_user_email,
        authority=ready.authority,
        base_url=tenant.subscription.base_url,
        munchkin_id=tenant.subscription.munchkin_id,
        marketo_client_id=tenant.subscription.client_id,
        smtp_host=ready.smtp_host,
        smtp_port=ready.smtp_port,
        ca_file=os.path.relpath(ready.ca_file, ready.tenants_folder),
    )
    return text + (_GENEROUS_QUOTA if limits_off else "")


def variable_prefix(tenant: str) -> str:
    """The tenant's name as the beginning of an environment variable's name."""
    return "SANDBOX_" + re.sub(r"[^A-Z0-9]", "_", tenant.upper())


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees all of it or none."""
    partial = path.with_name(path.name + ".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
