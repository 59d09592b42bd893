"""``--unprepared``: the whole sandbox with organizations in which nothing is set up, and its switches for Dynamics."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from crmsync.sandbox.core import AppRegistration, Limits
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread
from crmsync.sandbox.world import SandboxTenant


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    options = SandboxOptions(counts=Counts(12, 20, 4), limits=Limits(documented=False), unprepared=True)
    with SandboxThread(options) as ready:
        yield ready


@pytest.fixture
def client(ready: Ready) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=ready.ca_file)
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        yield client


def get(ready: Ready, client: httpx.Client, tenant: SandboxTenant, app: AppRegistration, path: str) -> httpx.Response:
    """A read from the organization, as an app."""
    form = {
        "grant_type": "client_credentials",
        "client_id": app.client_id,
        "client_secret": app.secret,
        "scope": f"{tenant.organization.url}/.default",
    }
    token = client.post(f"{ready.authority}/{tenant.directory.tenant_id}/oauth2/v2.0/token", data=form).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    return client.get(f"{tenant.organization.url}/api/data/v9.2/{path}", headers=headers)


def test_the_sync_app_is_no_user_and_the_records_are_there(ready: Ready, client: httpx.Client) -> None:
    tenant = ready.tenants["contoso"]
    organization = tenant.organization
    assert get(ready, client, tenant, organization.sync_app, "WhoAmI").status_code == 403
    leads = get(ready, client, tenant, organization.admin_app, "leads?$select=fullname&$count=true").json()
    assert leads["@odata.count"] == 12
    unknown = get(ready, client, tenant, organization.admin_app, "leads?$select=new_synctomkto")
    assert unknown.status_code == 400
    tracked = "EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true"
    assert get(ready, client, tenant, organization.admin_app, tracked).json()["value"] == []


def test_switches_of_the_organization(ready: Ready, client: httpx.Client) -> None:
    page = f"{ready.admin_url}/switches"
    before: dict[str, Any] = client.get(page).json()["contoso"]
    assert (before["new_user_seconds"], before["import_seconds"]) == (0, 1)
    told = client.post(page, json={"tenant": "contoso", "new_user_seconds": 20, "concurrent_requests": 2}).json()
    assert (told["new_user_seconds"], told["concurrent_requests"]) == (20, 2)
    assert ready.tenants["contoso"].organization.switches == {"new_user_seconds": 20, "concurrent_requests": 2}
    assert client.post(page, json={"tenant": "contoso", "new_user_seconds": "long"}).status_code == 422
