"""Opens a tenant for a step: its file, its secrets, and a session with both services and the state store.

Parameters carry only the tenant's name; where the files are is the process's business: ``CRMSYNC_TENANTS``, which a
deployment sets in its job variables, else ``deployments/tenants`` of the working directory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from prefect import runtime
from pydantic import Field

from crmsync.engine.session import Session, open_session
from crmsync.tenants import TENANT_PATTERN, Tenant, load_tenant
from tasks.secrets import named_secrets, saved_secrets

TENANTS_VARIABLE = "CRMSYNC_TENANTS"
DEFAULT_TENANTS = "deployments/tenants"

TenantName = Annotated[str, Field(pattern=TENANT_PATTERN)]
"""A tenant's key: also the name of its deployments, blocks, tags and artifacts."""


def tenants_folder() -> Path:
    """Where this process finds the tenant files."""
    return Path(os.environ.get(TENANTS_VARIABLE) or DEFAULT_TENANTS)


def find_tenant(name: str) -> Tenant:
    """The tenant's file, read and checked."""
    return load_tenant(name, tenants_folder())


@asynccontextmanager
async def session_of(name: str, *, saved: bool = True) -> AsyncIterator[Session]:
    """A session for one step. ``saved=False`` takes the secrets from where the tenant file says they are, to prove
    new ones; everything after ``save_credentials`` uses the saved ones."""
    tenant = find_tenant(name)
    secrets = await saved_secrets(tenant) if saved else named_secrets(tenant)
    async with open_session(tenant, secrets, run=_run()) as session:
        yield session


@asynccontextmanager
async def writer_of(name: str) -> AsyncIterator[Session]:
    """A session that holds the tenant's lease: nobody else writes meanwhile. Raises ``TenantBusy``."""
    async with session_of(name) as session, session.lease():
        yield session


def _run() -> str:
    """The flow run as the audit log and a held lease name it."""
    name, run = runtime.flow_run.name, runtime.flow_run.id
    return f"{name} {run}" if run else "no flow run"
