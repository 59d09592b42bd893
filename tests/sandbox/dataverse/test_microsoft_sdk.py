"""Microsoft's own Python SDK against the sandbox, over TLS: ``PowerPlatform-Dataverse-Client`` with ``azure-identity``.

Nothing here knows that it talks to a sandbox, but for the addresses and the certificate authority.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError, MetadataError
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.query_builder import ExpandOption
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread

MISSING = "9c310000-0000-0000-0000-000000000000"


class Colour(IntEnum):
    """A local choice that the SDK turns into an option set."""

    RED = 1
    BLUE = 2
    __labels__ = {1033: {"RED": "Bright red", "BLUE": "Blue"}}  # noqa: RUF012


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    folder = tmp_path_factory.mktemp("sandbox")
    options = SandboxOptions(counts=Counts(leads=30, contacts=30, accounts=10), ready_file=folder / "ready.json")
    with SandboxThread(options) as ready, pytest.MonkeyPatch.context() as environment:
        environment.setenv("REQUESTS_CA_BUNDLE", str(ready.ca_file))  # as an administrator trusts a private CA
        yield ready


def credential(sandbox: Ready, **other: str) -> ClientSecretCredential:
    organization = sandbox.tenants["contoso"].organization
    given = {"tenant_id": organization.directory.tenant_id, "client_id": organization.admin_app.client_id}
    given |= {"client_secret": organization.admin_app.secret, **other}
    return ClientSecretCredential(**given, authority=sandbox.authority, disable_instance_discovery=True)


@pytest.fixture(scope="module")
def client(sandbox: Ready) -> Iterator[DataverseClient]:
    with (
        credential(sandbox) as identity,
        DataverseClient(sandbox.tenants["contoso"].organization.url, identity) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def table(client: DataverseClient) -> str:
    """A table made by the SDK, with a column of every type that it knows."""
    columns = {
        "new_Code": {"type": "string", "max_length": 40},
        "new_Note": "memo",
        "new_Pieces": {"type": "int", "min_value": 0, "max_value": 1000},
        "new_Price": "decimal",
        "new_Weight": "float",
        "new_SoldOn": "datetime",
        "new_Fragile": "bool",
        "new_Colour": Colour,
        "new_Manual": "file",
    }
    name = f"new_Item{uuid.uuid4().hex[:8]}"
    made = client.tables.create(name, columns, display_name="Item")
    assert made["entity_set_name"] == f"{name.lower()}s"
    assert made["primary_name_attribute"] == "new_name"
    assert len(made["columns_created"]) == len(columns)
    return name


def test_one_row_is_created_read_updated_and_deleted(client: DataverseClient) -> None:
    account = client.records.create(
        "account", {"Name": "Contoso", "telephone1": "+49 351 0", "industrycode": "Brokers"}
    )
    row = client.records.retrieve("account", account, select=["Name", "telephone1", "industrycode"])
    assert row is not None
    assert (row["name"], row["telephone1"]) == ("Contoso", "+49 351 0")
    client.records.update("account", account, {"name": "Contoso Ltd"})
    with_notes = client.records.retrieve("account", account, select=["name", "statecode"], include_annotations="*")
    assert with_notes is not None
    assert with_notes["name"] == "Contoso Ltd"
    assert with_notes["statecode@OData.Community.Display.V1.FormattedValue"] == "Active"
    client.records.delete("account", account)
    assert client.records.retrieve("account", account, select=["name"]) is None


def test_rows_in_bulk(client: DataverseClient, table: str) -> None:
    ids = client.records.create(table, [{"new_name": f"bulk {n}", "new_pieces": n} for n in range(300)])
    assert len(set(ids)) == 300
    client.records.update(table, ids[:100], {"new_fragile": True})
    client.records.update(table, ids[100:102], [{"new_note": "one"}, {"new_note": "two"}])
    fragile = client.records.list(table, filter="new_fragile eq true", select=["new_name"])
    assert len(fragile) == 100
    with pytest.raises(HttpError) as refused:
        client.records.create(table, [{"new_name": "good"}, {"new_pieces": 1001}])
    assert refused.value.status_code == 400
    assert client.records.list(table, filter="new_name eq 'good'", select=["new_name"]).records == []
    assert client.records.delete(table, ids[:200])
    client.records.delete(table, ids[200:203], use_bulk_delete=False)
    left = client.records.list(table, filter="startswith(new_name,'bulk')", select=["new_name"])
    assert len(left) == 97


def test_pages_over_12000_rows(sandbox: Ready, client: DataverseClient, table: str) -> None:
    rows = [{"new_name": f"page {n}", "new_code": "paged"} for n in range(12_100)]
    for start in range(0, len(rows), 1_210):
        client.records.create(table, rows[start : start + 1_210])
    pages = [len(page) for page in client.records.list_pages(table, filter="new_code eq 'paged'", select=["new_name"])]
    assert pages == [5000, 5000, 2100]
    query = client.query.builder(table).select("new_name").where(col("new_code") == "paged")
    names = {row["new_name"] for page in query.order_by("new_name").page_size(4_000).execute_pages() for row in page}
    assert len(names) == 12_100
    counted = client.records.list(table, filter="new_code eq 'paged'", select=["new_name"], count=True, page_size=5000)
    assert len(counted) == 12_100


def test_the_query_builder(client: DataverseClient) -> None:
    account = client.records.create("account", {"name": "O'Brien & Söhne", "revenue": 1500.5})
    people = [{"lastname": name, "parentcustomerid_account@odata.bind": f"/accounts({account})"} for name in ("A", "B")]
    client.records.create("contact", people)
    builder = client.query.builder("account").select("name", "revenue").where(col("name") == "O'Brien & Söhne")
    found = builder.where(col("revenue").between(1000, 2000) & ~col("revenue").is_null()).include_formatted_values()
    (row,) = found.execute()
    assert row["revenue@OData.Community.Display.V1.FormattedValue"] == "$1,500.50"
    people_of = (
        ExpandOption("contact_customer_accounts").select("lastname").order_by("lastname", descending=True).top(1)
    )
    (row,) = (
        client.query.builder("account")
        .select("name")
        .where(col("accountid") == uuid.UUID(account))
        .expand(people_of)
        .execute()
    )
    assert [one["lastname"] for one in row["contact_customer_accounts"]] == ["B"]
    some = client.query.builder("contact").select("lastname").where(col("lastname").in_(["A", "B"])).top(5).execute()
    assert len(some) >= 2
    assert (
        client.query.builder("contact")
        .select("lastname")
        .where(col("lastname").not_in(["A"]) & col("lastname").like("B%"))
        .execute()
    )


def test_upsert_by_alternate_key(client: DataverseClient, table: str) -> None:
    key = client.tables.create_alternate_key(table, "new_ItemCode", ["new_code", "new_pieces"])
    (listed,) = client.tables.get_alternate_keys(table)
    assert (listed.key_attributes, listed.status) == (["new_code", "new_pieces"], "Active")

    def item(code: str, name: str) -> UpsertItem:
        return UpsertItem({"new_code": code, "new_pieces": 7}, {"new_name": name})

    client.records.upsert(table, [item("it's", "made")])
    client.records.upsert(table, [item("it's", "changed"), item("b", "made too")])
    rows = client.records.list(table, filter="new_pieces eq 7", select=["new_name", "new_code"], orderby=["new_code"])
    assert [(row["new_code"], row["new_name"]) for row in rows] == [("b", "made too"), ("it's", "changed")]
    with pytest.raises(HttpError) as taken:
        client.records.create(table, {"new_name": "again", "new_code": "b", "new_pieces": 7})
    assert (taken.value.status_code, taken.value.details["service_error_code"]) == (412, "0x80060892")
    client.tables.delete_alternate_key(table, key.metadata_id)
    assert client.tables.get_alternate_keys(table) == []


def test_columns_are_added_read_changed_and_removed(client: DataverseClient, table: str) -> None:
    assert client.tables.add_columns(table, {"new_Extra": "string", "new_Second": Colour}) == [
        "new_Extra",
        "new_Second",
    ]
    column = client.tables.get_column(table, "new_Extra", typed=True)
    assert (column["MaxLength"], column["FormatName"]) == (200, {"Value": "Text"})
    client.tables.update_column(
        table, "new_Extra", {"max_length": 50, "display_name": "Extra text", "required": "Recommended"}
    )
    changed = client.tables.get_column(table, "new_Extra", typed=True)
    assert changed["MaxLength"] == 50
    assert changed["DisplayName"]["UserLocalizedLabel"]["Label"] == "Extra text"
    assert {one["LogicalName"] for one in client.tables.list_columns(table)} >= {"new_extra", "new_second", "statecode"}
    client.records.create(table, {"new_name": "coloured", "new_second": "bright RED"})
    assert len(client.records.list(table, filter="new_second eq 1", select=["new_name"])) == 1
    client.tables.remove_columns(table, ["new_Extra", "new_Second"])
    assert client.tables.get_column(table, "new_extra") is None
    assert any(one["name"] == "new_price" for one in client.query.sql_columns(table))


def test_relationships(client: DataverseClient, table: str) -> None:
    lookup = client.tables.create_lookup_field(table, "new_AccountId", "account", display_name="Account")
    account = client.records.create("account", {"name": "Related"})
    client.records.create(table, {"new_name": "with account", "new_AccountId@odata.bind": f"/accounts({account})"})
    (row,) = client.records.list(
        table, filter=f"_new_accountid_value eq {account}", select=["new_name"], expand=["new_AccountId($select=name)"]
    )
    assert row["new_AccountId"]["name"] == "Related"
    found = client.tables.get_relationship(lookup.relationship_schema_name)
    assert found is not None
    assert (found.referencing_entity, found.referenced_entity) == (table.lower(), "account")
    names = {one["SchemaName"] for one in client.tables.list_table_relationships(table)}
    assert lookup.relationship_schema_name in names
    client.tables.delete_relationship(found.relationship_id)
    assert client.tables.get_relationship(lookup.relationship_schema_name) is None
    assert client.tables.get_column(table, "new_accountid") is None


def test_batches(client: DataverseClient, table: str) -> None:
    batch = client.batch.new()
    with batch.changeset() as changes:
        made = changes.records.create(table, {"new_name": "in a change set"})
        changes.records.update(table, made, {"new_note": "changed at once"})
    batch.records.create(table, [{"new_name": "b1"}, {"new_name": "b2"}])
    batch.records.list(table, filter="new_note eq 'changed at once'", select=["new_name"])
    batch.tables.get(table)
    result = batch.execute()
    assert not result.has_errors, [one.error_message for one in result.failed]
    assert [one["new_name"] for one in result.responses[-2].data["value"]] == ["in a change set"]
    assert result.responses[-1].data["value"][0]["SchemaName"] == table

    failing = client.batch.new()
    failing.records.retrieve(table, MISSING, select=["new_name"])
    failing.records.create(table, {"new_name": "after the failure"})
    continued = failing.execute(continue_on_error=True)
    assert [one.is_success for one in continued.responses] == [False, True]
    assert continued.failed[0].error_code == "0x80040217"

    undone = client.batch.new()
    with undone.changeset() as changes:
        changes.records.create(table, {"new_name": "undone"})
        changes.records.create(table, {"new_pieces": -1})
    assert undone.execute().has_errors
    assert client.records.list(table, filter="new_name eq 'undone'", select=["new_name"]).records == []


def test_errors_say_what_happened(sandbox: Ready, client: DataverseClient, table: str) -> None:
    with pytest.raises(HttpError) as missing:
        client.records.update(table, MISSING, {"new_name": "x"})
    assert missing.value.status_code == 404
    assert missing.value.details["service_error_code"] == "0x80040217"
    assert missing.value.details["service_request_id"]
    with pytest.raises(HttpError, match="Could not find a property named 'new_gone'"):
        client.records.list(table, select=["new_gone"])
    with pytest.raises(HttpError, match="'new_gone'"):
        client.records.create(table, {"new_gone": 1})
    with pytest.raises(MetadataError):
        client.records.create("new_nowhere", {"new_name": "x"})
    with pytest.raises(MetadataError):
        client.tables.create(table, {})
    with (
        credential(sandbox, client_secret="wrong") as wrong,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        wrong.get_token(f"{sandbox.tenants['contoso'].organization.url}/.default")


def test_fetchxml_in_pages(client: DataverseClient) -> None:
    client.records.create("account", [{"name": f"Fetched {number}"} for number in range(5)])
    condition = "<filter><condition attribute='name' operator='begins-with' value='Fetched'/></filter>"
    entity = f"<entity name='account'><attribute name='name'/><order attribute='name'/>{condition}</entity>"
    pages = list(client.query.fetchxml(f"<fetch count='2'>{entity}</fetch>").execute_pages())
    assert [[row["name"] for row in page] for page in pages] == [
        ["Fetched 0", "Fetched 1"],
        ["Fetched 2", "Fetched 3"],
        ["Fetched 4"],
    ]


def test_a_table_is_listed_and_deleted(client: DataverseClient) -> None:
    name = f"new_Gone{uuid.uuid4().hex[:8]}"
    client.tables.create(name, {"new_Text": "string"}, primary_column="new_Title")
    info: Any = client.tables.get(name)
    assert info.primary_name_attribute == "new_title"
    assert name in {one["SchemaName"] for one in client.tables.list(select=["SchemaName"])}
    client.tables.delete(name)
    assert client.tables.get(name) is None
