"""The last mile: the client against the sandbox, over real TLS, with MSAL, faults and everything."""

from __future__ import annotations

import datetime as dt
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientCertificate, ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.errors import (
    ApplicationUserMissing,
    ChangeTrackingExpired,
    ColumnMissing,
    CredentialsRefused,
    EntraTenantUnknown,
    OrganizationUrlWrong,
    RecordMissing,
    TenantFileWrong,
)
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.server import SandboxThread
from crmsync.tenants import DynamicsConnection, load_tenant

NOWHERE = "99999999-9999-9999-9999-999999999999"


async def no_wait(seconds):
    """Waits nothing: the sandbox's faults are over after so many requests."""


@dataclass
class Contoso:
    """One organization of a sandbox, and what an administrator of the sandbox may do."""

    sandbox: object
    connection: DynamicsConnection

    @property
    def services(self):
        return self.sandbox.tenants["contoso"]

    @asynccontextmanager
    async def client(self, *, administrator=False, secret=None, credential=None, **connection):
        app = self.services.organization.admin_app if administrator else self.services.organization.sync_app
        chosen = self.connection.model_copy(update={"client_id": app.client_id, **connection})
        async with DynamicsClient(
            chosen,
            credential or ClientSecret(SecretStr(secret or app.secret)),
            tenant="contoso",
            ca_path=self.sandbox.ca_file,
            sleep=no_wait,
        ) as client:
            yield client

    def post(self, page, **body):
        answer = httpx.post(f"{self.sandbox.admin_url}/{page}", json=body, verify=self.trust)
        assert answer.is_success, answer.text
        return answer

    @property
    def trust(self):
        context = httpx.create_ssl_context()
        context.load_verify_locations(self.sandbox.ca_file)
        return context


@pytest.fixture(scope="module")
def contoso(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    options = SandboxOptions(counts=Counts(leads=40, contacts=20, accounts=10), ready_file=folder / "ready.json")
    with SandboxThread(options) as sandbox:
        yield Contoso(sandbox, load_tenant("contoso", sandbox.tenants_folder).dynamics)


async def changes(client, entity, select, **options):
    pages = [page async for page in client.changes(entity, select, **options)]
    records = [record for page in pages for record in page.records]
    return records, [one for page in pages for one in page.deleted], pages


async def test_who_we_are(contoso):
    async with contoso.client() as client:
        who = await client.who_am_i()
        organization = await client.organization()
        user = await client.user(who.user_id)
        privileges = await client.privileges(who.user_id)

    assert who.organization_id == organization.id == contoso.services.organization.organization_id
    assert user.email == contoso.services.organization.sync_user_email
    assert {"prvReadLead", "prvReadContact", "prvReadAccount", "prvReadUser"} <= privileges


async def test_the_schema_has_what_conversion_needs(contoso):
    async with contoso.client() as client:
        schema = await client.schema(["systemuser", "account", "contact", "lead"])
        counts = await client.record_counts(["lead", "contact"])

    lead = schema.entities["lead"]
    types = {one.type for one in lead.attributes.values()}
    assert lead.change_tracking_enabled
    assert counts == {"lead": 40, "contact": 20}
    assert {"StringType", "PicklistType", "MultiSelectPicklistType", "MoneyType", "OwnerType"} <= types
    for column in lead.attributes.values():
        if column.type in {"PicklistType", "MultiSelectPicklistType", "StateType", "StatusType", "BooleanType"}:
            assert column.options, column.logical_name
        if column.type in {"StringType", "MemoType"} and column.readable:
            assert column.max_length, column.logical_name
        if column.type in {"DecimalType", "DoubleType", "MoneyType"}:
            assert column.precision is not None, column.logical_name
        if column.type == "DateTimeType":
            assert column.format, column.logical_name
            assert column.behavior, column.logical_name
        if column.is_lookup:
            assert column.targets, column.logical_name


async def test_changes_are_followed_from_the_first_read_on(contoso):
    async with contoso.client() as client, contoso.client(administrator=True) as administrator:
        lead = await client.entity("lead")
        select = ["lastname", "_ownerid_value"]
        before, gone, pages = await changes(client, lead, select, page_size=15)
        assert (len(pages), gone) == ((len(before) + 14) // 15, [])
        assert [page.delta_link is not None for page in pages] == [False] * (len(pages) - 1) + [True]

        new = await administrator.create("leads", {"lastname": "Günther 🦊"})
        changed, deleted = before[0]["leadid"], before[1]["leadid"]
        await administrator.update("leads", changed, {"lastname": "Changed"})
        await administrator.delete("leads", deleted)

        records, gone, pages = await changes(client, lead, select, link=pages[-1].delta_link)
        assert {one["leadid"]: one["lastname"] for one in records} == {new: "Günther 🦊", changed: "Changed"}
        assert gone == [deleted]

        assert (await changes(client, lead, select, link=pages[-1].delta_link))[:2] == ([], [])
        assert len(await client.read_by_ids(lead, select, [new, changed, deleted])) == 2
        with pytest.raises(RecordMissing):
            await administrator.update("leads", deleted, {"lastname": "Ghost"})


async def test_a_column_comes_and_goes(contoso):
    label = {"LocalizedLabels": [{"Label": "Shoe size", "LanguageCode": 1033}]}
    definition = {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "AttributeType": "String",
        "AttributeTypeName": {"Value": "StringType"},
        "SchemaName": "new_ShoeSize",
        "MaxLength": 50,
        "FormatName": {"Value": "Text"},
        "RequiredLevel": {"Value": "None"},
        "DisplayName": label,
    }
    async with contoso.client() as client, contoso.client(administrator=True) as administrator:
        await administrator.create_attribute("lead", definition)
        lead = await client.entity("lead")
        assert (lead.attributes["new_shoesize"].max_length, lead.attributes["new_shoesize"].display_name) == (
            50,
            "Shoe size",
        )
        _, _, pages = await changes(client, lead, ["new_shoesize"])

        await administrator.delete_attribute("lead", "new_shoesize")
        with pytest.raises(ColumnMissing) as missing:
            await changes(client, lead, ["new_shoesize"])
        assert missing.value.column == "new_shoesize"
        with pytest.raises((ColumnMissing, ChangeTrackingExpired)):
            await changes(client, lead, ["new_shoesize"], link=pages[-1].delta_link)


async def test_a_token_that_expires_on_the_way_is_renewed(contoso):
    async with contoso.client() as client:
        await client.who_am_i()
        contoso.post("clock", advance_seconds=2 * 3600)
        await client.who_am_i()


async def test_a_delta_link_expires(contoso):
    async with contoso.client() as client:
        lead = await client.entity("lead")
        _, _, pages = await changes(client, lead, ["lastname"])
        contoso.post("clock", advance_seconds=8 * 24 * 3600)
        with pytest.raises(ChangeTrackingExpired):
            await changes(client, lead, ["lastname"], link=pages[-1].delta_link)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset"},
        {"kind": "truncate"},
        {"kind": "throttle"},
        {"kind": "status", "status": 502},
        {"kind": "dataverse", "status": 500, "code": "0x80044150"},
        {"kind": "dataverse", "status": 401, "code": "0x8005F101"},
    ],
    ids=lambda fault: str(fault["kind"]) + str(fault.get("status", "")),
)
async def test_faults_that_pass_are_not_noticed(contoso, fault):
    async with contoso.client() as client:
        lead = await client.entity("lead")
        contoso.post("faults", service="dynamics", path="*/leads*", times=1, **fault)
        records, _, _ = await changes(client, lead, ["lastname"])

    assert len(records) == len({one["leadid"] for one in records}) >= 40


async def test_a_wrong_secret(contoso):
    async with contoso.client(secret="wrong") as client:
        with pytest.raises(CredentialsRefused) as refused:
            await client.who_am_i()
    assert refused.value.code == "AADSTS7000215"


async def test_an_unknown_application(contoso):
    async with contoso.client(client_id=NOWHERE) as client:
        with pytest.raises(CredentialsRefused) as refused:
            await client.who_am_i()
    assert refused.value.code == "AADSTS700016"


async def test_an_unknown_entra_tenant(contoso):
    async with contoso.client(entra_tenant_id=NOWHERE) as client:
        with pytest.raises(EntraTenantUnknown):
            await client.who_am_i()


async def test_an_organization_that_entra_does_not_know(contoso):
    async with contoso.client(organization_url="https://elsewhere.invalid") as client:
        with pytest.raises(OrganizationUrlWrong) as wrong:
            await client.who_am_i()
    assert wrong.value.code == "AADSTS500011"


async def test_an_application_without_a_user_in_the_organization(contoso):
    new = contoso.post("apps", tenant="contoso", display_name="Nobody here").json()
    async with contoso.client(client_id=new["client_id"], secret=new["client_secret"]) as client:
        with pytest.raises(ApplicationUserMissing):
            await client.who_am_i()


async def test_a_certificate_authority_that_nobody_trusts(contoso):
    connection = contoso.connection
    async with DynamicsClient(connection, ClientSecret(SecretStr("x")), tenant="contoso", sleep=no_wait) as client:
        with pytest.raises(TenantFileWrong, match="ca_file"):
            await client.who_am_i()


async def test_a_certificate_instead_of_a_secret(contoso, private_key):
    key = serialization.load_pem_private_key(private_key.encode(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crmsync")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    app = contoso.services.organization.sync_app
    contoso.post("apps", tenant="contoso", client_id=app.client_id, certificate=pem)

    for algorithm in (hashes.SHA256(), hashes.SHA1()):
        credential = ClientCertificate(SecretStr(private_key), certificate.fingerprint(algorithm).hex())
        async with contoso.client(credential=credential) as client:
            assert (await client.who_am_i()).organization_id == contoso.services.organization.organization_id
