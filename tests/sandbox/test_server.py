"""The whole sandbox over real TLS, with the clients that real programs use: MSAL, httpx, tenant files."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync.sandbox.core import Clock, Limits
from crmsync.sandbox.options import Counts, OptionsWrong, SandboxOptions
from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread, running_sandbox
from crmsync.secrets import SecretStore
from crmsync.tenants import load_tenant, tenant_names

SMALL = Counts(leads=12, contacts=20, accounts=4)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    options = SandboxOptions(
        tenants=("contoso", "fabrikam"),
        counts=SMALL,
        limits=Limits(documented=False),
        ready_file=tmp_path_factory.mktemp("box") / "ready.json",
    )
    with SandboxThread(options) as ready:
        yield ready


@pytest.fixture
def told(ready: Ready) -> dict[str, Any]:
    """The ready file."""
    found: dict[str, Any] = json.loads((ready.folder / "ready.json").read_text())
    return found


@pytest.fixture
def client(ready: Ready) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=ready.ca_file)
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        yield client
        client.delete(f"{ready.admin_url}/faults")


@pytest.fixture
def session(ready: Ready) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(ready.ca_file)
        yield session


def application(dynamics: dict[str, Any], session: requests.Session, **changes: Any) -> Any:
    """MSAL's application, as crmsync and every other Python client makes it."""
    members = dynamics | changes
    return msal.ConfidentialClientApplication(
        members["client_id"],
        authority=f"{members['authority']}/{members['entra_tenant_id']}",
        client_credential=members["client_secret"],
        instance_discovery=False,
        http_client=session,
    )


def sign_in(dynamics: dict[str, Any], session: requests.Session, **changes: Any) -> dict[str, Any]:
    scope = f"{dynamics['organization_url']}/.default"
    answer: dict[str, Any] = application(dynamics, session, **changes).acquire_token_for_client([scope])
    return answer


def certificate() -> tuple[str, str, str]:
    """A fresh certificate: private key and certificate as PEM, and its SHA-1 thumbprint."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "crmsync")])
    now = Clock().now()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now.replace(year=now.year + 1))
    made = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    return private.decode(), public.decode(), made.fingerprint(hashes.SHA1()).hex()


def test_msal_signs_in_and_dataverse_says_who_it_is(
    told: dict[str, Any], session: requests.Session, client: httpx.Client
) -> None:
    dynamics = told["tenants"]["contoso"]["dynamics"]
    token = sign_in(dynamics, session)["access_token"]

    answer = client.get(
        f"{dynamics['organization_url']}/api/data/v9.2/WhoAmI", headers={"Authorization": f"Bearer {token}"}
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["OrganizationId"] == dynamics["organization_id"]


def test_the_records_are_there(told: dict[str, Any], session: requests.Session, client: httpx.Client) -> None:
    dynamics = told["tenants"]["contoso"]["dynamics"]
    token = sign_in(dynamics, session, **dynamics["administrator"])["access_token"]

    for name, expected in [("leads", 12), ("contacts", 20), ("accounts", 4)]:
        answer = client.get(
            f"{dynamics['organization_url']}/api/data/v9.2/{name}?$select=createdon",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert len(answer.json()["value"]) == expected, answer.text


@pytest.mark.parametrize("form", ["thumbprint", "public_certificate"])
def test_msal_signs_in_with_a_registered_certificate(
    ready: Ready, told: dict[str, Any], session: requests.Session, client: httpx.Client, form: str
) -> None:
    dynamics = told["tenants"]["contoso"]["dynamics"]
    private, public, thumbprint = certificate()
    credential = {"private_key": private, form: thumbprint if form == "thumbprint" else public}
    before = sign_in(dynamics, session, client_secret=credential)
    change = {"tenant": "contoso", "client_id": dynamics["client_id"], "certificate": public}
    assert client.post(f"{ready.admin_url}/apps", json=change).status_code == 200

    after = sign_in(dynamics, session, client_secret=credential)

    assert before["error_codes"] == [700027]
    assert after["token_type"] == "Bearer"


def test_msal_hears_entras_refusals(told: dict[str, Any], session: requests.Session) -> None:
    dynamics = told["tenants"]["contoso"]["dynamics"]
    other = told["tenants"]["fabrikam"]["dynamics"]

    assert sign_in(dynamics, session, client_secret="wrong")["error_codes"] == [7000215]
    assert sign_in(dynamics | {"organization_url": "https://localhost:1"}, session)["error_codes"] == [500011]
    assert sign_in(dynamics, session, client_id=other["client_id"])["error_codes"] == [700016]
    with pytest.raises(ValueError, match="authority configuration"):
        sign_in(dynamics, session, entra_tenant_id="11111111-2222-3333-4444-555555555555")


def test_marketo_knows_its_user_and_describes_people(told: dict[str, Any], client: httpx.Client) -> None:
    marketo = told["tenants"]["contoso"]["marketo"]
    query = {"grant_type": "client_credentials"} | {name: marketo[name] for name in ("client_id", "client_secret")}
    identity = client.get(f"{marketo['base_url']}/identity/oauth/token", params=query).json()

    answer = client.get(
        f"{marketo['base_url']}/rest/v1/leads/describe2.json",
        headers={"Authorization": f"Bearer {identity['access_token']}"},
    ).json()

    assert identity["scope"] == "api@contoso.example"
    assert answer["success"] is True
    assert "email" in {field["name"] for field in answer["result"][0]["fields"]}


async def test_a_tenant_file_is_usable_at_once(ready: Ready, told: dict[str, Any]) -> None:
    folder = ready.tenants_folder
    tenant = load_tenant("fabrikam", folder)
    connection = told["tenants"]["fabrikam"]

    assert tenant_names(folder) == ["contoso", "fabrikam"]
    assert tenant.dynamics.organization_url == connection["dynamics"]["organization_url"]
    assert tenant.marketo.subscription == connection["marketo"]["munchkin_id"]
    assert tenant.ca_path is not None
    assert str(tenant.ca_path.resolve()) == told["ca_file"]
    assert tenant.notifications.to == ("ops@fabrikam.example",)
    assert tenant.notifications.smtp.port == told["smtp"]["port"]
    assert tenant.quota.marketo_calls_per_day > 1_000_000
    secrets = SecretStore(folder, environment={})
    for source, secret in [
        (tenant.dynamics.client_secret, connection["dynamics"]["client_secret"]),
        (tenant.marketo.client_secret, connection["marketo"]["client_secret"]),
    ]:
        assert source is not None
        assert (await secrets.get(source, tenant="fabrikam", purpose="secret")).get_secret_value() == secret
        assert secret not in (folder / "fabrikam.yaml").read_text()
    assert (folder / ".env").stat().st_mode & 0o077 == 0


def test_two_tenants_share_nothing(told: dict[str, Any]) -> None:
    contoso, fabrikam = (json.dumps(told["tenants"][name]) for name in ("contoso", "fabrikam"))
    members = json.loads(contoso)

    for value in (*members["dynamics"].values(), *members["marketo"].values()):
        if isinstance(value, str) and value != members["dynamics"]["authority"]:
            assert value not in fabrikam


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "reset"}, httpx.TransportError),
        ({"kind": "hang", "seconds": 20}, httpx.ReadTimeout),
        ({"kind": "hang", "seconds": 0.05}, httpx.TransportError),
        ({"kind": "truncate"}, httpx.RemoteProtocolError),
        ({"kind": "truncate", "after_execution": True}, httpx.RemoteProtocolError),
        ({"kind": "reset", "after_execution": True}, httpx.TransportError),
    ],
)
def test_a_lost_answer_is_lost_on_the_wire(
    ready: Ready, told: dict[str, Any], client: httpx.Client, fault: dict[str, Any], error: type[Exception]
) -> None:
    url = f"{told['tenants']['contoso']['dynamics']['organization_url']}/api/data/v9.2/WhoAmI"
    added = client.post(f"{ready.admin_url}/faults", json={"service": "dynamics", **fault})
    assert added.status_code == 201, added.text

    with pytest.raises(error):
        client.get(url, timeout=0.5)

    assert client.get(url).status_code == 401


def test_requests_are_counted_for_each_tenant(ready: Ready, told: dict[str, Any], client: httpx.Client) -> None:
    client.delete(f"{ready.admin_url}/requests")
    client.post(f"{told['tenants']['fabrikam']['marketo']['base_url']}/rest/v1/leads.json", json={})
    tenant = told["tenants"]["contoso"]["dynamics"]["entra_tenant_id"]
    client.get(f"{ready.authority}/{tenant}/v2.0/.well-known/openid-configuration")

    counted = client.get(f"{ready.admin_url}/requests").json()

    assert counted["writes"] == {"fabrikam": {"dynamics": 0, "marketo": 1}}
    assert {(line["service"], line["tenant"]) for line in counted["requests"]} == {
        ("marketo", "fabrikam"),
        ("entra", "contoso"),
    }


async def test_it_runs_in_the_callers_loop_and_leaves_nothing_behind(tmp_path: Path) -> None:
    options = SandboxOptions(counts=Counts(0, 0, 0), limits=Limits(documented=False))

    async with running_sandbox(options) as ready:
        context = ssl.create_default_context(cafile=ready.ca_file)
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            guide = (await client.get(f"{ready.admin_url}/")).json()
        assert (ready.folder / "ready.json").is_file()

    assert guide["tenants"] == ["contoso"]
    assert not ready.folder.exists()


async def test_a_kept_sandbox_goes_on_where_it_ended(tmp_path: Path) -> None:
    options = SandboxOptions(counts=Counts(1, 0, 0), state=tmp_path / "state", ready_file=tmp_path / "ready.json")
    tenants = []
    for _ in range(2):
        async with running_sandbox(options) as ready:
            tenants.append(ready.tenants["contoso"])

    assert tenants[0].organization.organization_id == tenants[1].organization.organization_id
    assert tenants[0].subscription.client_secret == tenants[1].subscription.client_secret


async def test_a_taken_port_is_told(ready: Ready) -> None:
    port = int(ready.authority.rsplit(":", 1)[1])

    with pytest.raises(OptionsWrong, match=f"port {port} is taken"):
        async with running_sandbox(SandboxOptions(port=port)):
            pass


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tenants": ("Contoso",)}, "'Contoso' cannot be a tenant's name"),
        ({"tenants": ("a", "a")}, "name each tenant once"),
        ({"counts": Counts(-1, 0, 0)}, "cannot be negative"),
        ({"data": Path("nowhere")}, "there is no such folder"),
        ({"port": 65535}, "must be free ports"),
    ],
)
def test_options_that_cannot_be_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionsWrong, match=told):
        SandboxOptions(**options)
