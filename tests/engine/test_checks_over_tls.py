"""The checklist against the sandbox: what a newcomer sees, and what an administrator broke."""

from __future__ import annotations

import httpx
import pytest

from crmsync.engine.checks import validate
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.server import SandboxThread
from crmsync.secrets import SecretStore
from crmsync.tenants import load_tenant

SIGN_IN = "Username and password are valid"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    options = SandboxOptions(counts=Counts(leads=5, contacts=5, accounts=2), ready_file=folder / "ready.json")
    with SandboxThread(options) as ready:
        yield ready


@pytest.fixture
def administration(sandbox):
    """Posts to the sandbox's administration, as ``crmsync sandbox`` offers it."""
    trust = httpx.create_ssl_context()
    trust.load_verify_locations(sandbox.ca_file)

    def post(page, **body):
        answer = httpx.post(f"{sandbox.admin_url}/{page}", json={"tenant": "contoso", **body}, verify=trust)
        assert answer.is_success, answer.text

    return post


async def lines(sandbox, environment=None, **dynamics):
    tenant = load_tenant("contoso", sandbox.tenants_folder)
    tenant = tenant.model_copy(update={"dynamics": tenant.dynamics.model_copy(update=dynamics)})
    secrets = SecretStore(sandbox.tenants_folder, environment=environment or {})
    return {line.name: line for line in await validate(tenant, secrets)}


def red(found):
    return [name for name, line in found.items() if line.status == "red"]


async def test_a_fresh_sandbox_is_all_green(sandbox):
    found = await lines(sandbox)

    assert {name: line.found for name, line in found.items() if line.status != "green"} == {}
    assert sandbox.tenants["contoso"].organization.organization_id in found["Organization"].found


async def test_native_sync_on_shows_and_goes(sandbox, administration):
    administration("switches", native_sync=True)
    try:
        assert red(await lines(sandbox)) == ["Native sync is off"]
    finally:
        administration("switches", native_sync=False)
    assert red(await lines(sandbox)) == []


async def test_an_expired_secret_shows_and_goes(sandbox, administration):
    client_id = sandbox.tenants["contoso"].organization.sync_app.client_id
    administration("apps", client_id=client_id, secret_expired=True)
    try:
        found = await lines(sandbox)
        assert red(found) == [SIGN_IN]
        assert "has expired" in found[SIGN_IN].found
    finally:
        administration("apps", client_id=client_id, secret_expired=False)
    assert red(await lines(sandbox)) == []


async def test_a_mistyped_organization_url_is_a_red_line(sandbox):
    found = await lines(sandbox, organization_url="https://cont0so.invalid")

    assert red(found) == ["URL is valid"]
    assert "organization_url" in found["URL is valid"].remedy


async def test_both_secrets_wrong(sandbox):
    found = await lines(
        sandbox,
        {"SANDBOX_CONTOSO_DYNAMICS_CLIENT_SECRET": "wrong", "SANDBOX_CONTOSO_MARKETO_CLIENT_SECRET": "wrong"},
    )
    assert red(found) == [SIGN_IN, "Marketo sign-in"]
