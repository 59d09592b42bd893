"""The tenants of a sandbox: each has an Entra tenant, an organization, a subscription, and two applications
in Entra.

Identifiers and secrets come from the seed and the tenant's name, so that the same command makes the same
world. They are good for nothing but this process on loopback.
"""

from __future__ import annotations

import random
import string
import uuid
from dataclasses import dataclass
from pathlib import Path

from crmsync.sandbox.core import (
    PERMISSIONS,
    AppRegistration,
    Clock,
    Directory,
    Limits,
    Organization,
    Subscription,
)


@dataclass(frozen=True)
class Ports:
    """Where a tenant's two services answer."""

    dynamics: int
    marketo: int


@dataclass(frozen=True)
class SandboxTenant:
    """One tenant's two sides, under the name that its tenant file has."""

    name: str
    organization: Organization
    subscription: Subscription

    @property
    def directory(self) -> Directory:
        """Its Entra tenant."""
        return self.organization.directory


def random_guid(source: random.Random) -> str:
    """A version 4 GUID in lower case."""
    return str(uuid.UUID(int=source.getrandbits(128), version=4))


def random_secret(source: random.Random, length: int) -> str:
    """Letters and digits."""
    return "".join(source.choices(string.ascii_letters + string.digits, k=length))


def new_app(source: random.Random, display_name: str) -> AppRegistration:
    """An app registration with one secret, shaped as Entra shapes them."""
    secret = f"{random_secret(source, 3)}8Q~{random_secret(source, 34)}"
    return AppRegistration(random_guid(source), secret, display_name, random_guid(source))


def make_tenant(name: str, seed: int, ports: Ports, clock: Clock, limits: Limits, folder: Path) -> SandboxTenant:
    """A tenant whose two databases lie in ``folder``."""
    source = random.Random(f"{seed}/{name}")  # noqa: S311
    directory = Directory(random_guid(source), f"{name}.onmicrosoft.com")
    sync_app = new_app(source, f"crmsync for {name}")
    admin_app = new_app(source, f"Administrator of {name}")
    directory.register(sync_app, admin_app)
    organization = Organization(
        name=f"unq{name.replace('-', '')}",
        organization_id=random_guid(source),
        friendly_name=name.replace("-", " ").title(),
        url=f"https://localhost:{ports.dynamics}",
        directory=directory,
        clock=clock,
        limits=limits,
        database=folder / f"{name}.dataverse.db",
        sync_app=sync_app,
        admin_app=admin_app,
        sync_user_email=f"crmsync@{name}.example",
    )
    directory.resources.add(organization.url)
    subscription = Subscription(
        munchkin_id=_munchkin_id(source),
        base_url=f"https://localhost:{ports.marketo}",
        client_id=random_guid(source),
        client_secret=random_secret(source, 32),
        user_email=f"api@{name}.example",
        permissions=set(PERMISSIONS),
        clock=clock,
        limits=limits,
        database=folder / f"{name}.marketo.db",
    )
    return SandboxTenant(name, organization, subscription)


def _munchkin_id(source: random.Random) -> str:
    letters = "".join(source.choices(string.ascii_uppercase, k=3))
    return f"{source.randrange(100, 1000)}-{letters}-{source.randrange(100, 1000)}"
