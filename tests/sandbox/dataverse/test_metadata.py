"""Schema definitions, read and changed (reference: "Query table definitions using the Web API")."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.dataverse.store import DataverseStore
from tests.sandbox.dataverse.conftest import Contoso, error

LEAD = "EntityDefinitions(LogicalName='lead')"
CRM = "Microsoft.Dynamics.CRM."


def label(text: str) -> dict[str, Any]:
    return {"@odata.type": f"{CRM}Label", "LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


def definition(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"@odata.type": f"{CRM}{kind}AttributeMetadata", "SchemaName": name, "DisplayName": label(name), **more}


CHOICES = {"Options": [{"Value": 1, "Label": label("One")}, {"Value": 2, "Label": label("Two")}]}
TWO_OPTIONS = {"TrueOption": {"Value": 1, "Label": label("Ja")}, "FalseOption": {"Value": 0, "Label": label("Nein")}}


async def test_a_table_by_filter_by_name_and_by_id(contoso: Contoso) -> None:
    select = "$select=LogicalName,EntitySetName,PrimaryIdAttribute,ObjectTypeCode,ChangeTrackingEnabled"
    (row,) = (await contoso.sync.get(f"EntityDefinitions?{select}&$filter=LogicalName eq 'lead'")).json()["value"]
    assert row == {
        "LogicalName": "lead",
        "EntitySetName": "leads",
        "PrimaryIdAttribute": "leadid",
        "ObjectTypeCode": 4,
        "ChangeTrackingEnabled": True,
        "MetadataId": row["MetadataId"],
    }
    by_id = (await contoso.sync.get(f"EntityDefinitions({row['MetadataId']})?{select}")).json()
    assert by_id["LogicalName"] == "lead"
    assert (await contoso.sync.get("EntityDefinitions?$filter=LogicalName eq 'gone'")).json()["value"] == []
    assert error(await contoso.sync.get("EntityDefinitions(LogicalName='gone')"))[:2] == (404, "0x80060888")


async def test_tracked_tables_by_filter(contoso: Contoso) -> None:
    condition = "ChangeTrackingEnabled eq true and CanCreateAttributes/Value eq true"
    url = f"EntityDefinitions?$select=LogicalName&$filter={condition}"
    names = {row["LogicalName"] for row in (await contoso.sync.get(url)).json()["value"]}
    assert names == {"lead", "contact", "account", "systemuser", "opportunity", "connection", "new_eventregistration"}


async def test_columns_come_with_type_and_shadows_with_what_they_belong_to(contoso: Contoso) -> None:
    select = "LogicalName,AttributeType,AttributeTypeName,AttributeOf,IsValidForRead,DisplayName"
    one = (await contoso.sync.get(f"{LEAD}?$select=LogicalName&$expand=Attributes($select={select})")).json()
    columns = {row["LogicalName"]: row for row in one["Attributes"]}
    assert columns["subject"]["@odata.type"] == f"#{CRM}StringAttributeMetadata"
    assert columns["subject"]["DisplayName"]["UserLocalizedLabel"]["Label"] == "Topic"
    assert columns["new_interests"]["AttributeType"] == "Virtual"
    assert columns["new_interests"]["AttributeTypeName"] == {"Value": "MultiSelectPicklistType"}
    assert columns["owneridname"]["AttributeOf"] == columns["owneridtype"]["AttributeOf"] == "ownerid"
    assert columns["leadsourcecodename"]["AttributeType"] == "Virtual"
    listed = (await contoso.sync.get(f"{LEAD}/Attributes?$select={select}")).json()["value"]
    assert listed == one["Attributes"]


async def test_a_property_of_one_type_needs_the_cast(contoso: Contoso) -> None:
    plain = await contoso.sync.get(f"{LEAD}/Attributes?$select=LogicalName,MaxLength")
    assert error(plain)[:2] == (400, "0x80060888")
    cast = await contoso.sync.get(
        f"{LEAD}/Attributes/{CRM}StringAttributeMetadata?$select=LogicalName,MaxLength,FormatName"
    )
    columns = {row["LogicalName"]: row for row in cast.json()["value"]}
    assert columns["emailaddress1"]["MaxLength"] == 100
    assert columns["emailaddress1"]["FormatName"] == {"Value": "Email"}
    assert error(await contoso.sync.get(f"{LEAD}/Attributes/{CRM}EnumAttributeMetadata"))[0] == 400


@pytest.mark.parametrize(
    ("cast", "column", "labels"),
    [
        ("Picklist", "leadqualitycode", {1: "Hot", 2: "Warm", 3: "Cold"}),
        ("State", "statecode", {0: "Open", 1: "Qualified", 2: "Disqualified"}),
        ("MultiSelectPicklist", "new_interests", {100000000: "Email; newsletters"}),
    ],
)
async def test_option_sets(contoso: Contoso, cast: str, column: str, labels: dict[int, str]) -> None:
    expand = "$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"
    url = f"{LEAD}/Attributes/{CRM}{cast}AttributeMetadata?$select=LogicalName&{expand}"
    rows = {row["LogicalName"]: row for row in (await contoso.sync.get(url)).json()["value"]}
    options = {
        one["Value"]: one["Label"]["UserLocalizedLabel"]["Label"] for one in rows[column]["OptionSet"]["Options"]
    }
    assert labels.items() <= options.items()
    assert rows[column]["GlobalOptionSet"] is None


async def test_status_reasons_tell_their_state_and_two_options_their_labels(contoso: Contoso) -> None:
    expand = "?$select=LogicalName&$expand=OptionSet"
    (status,) = (await contoso.sync.get(f"{LEAD}/Attributes/{CRM}StatusAttributeMetadata{expand}")).json()["value"]
    assert {one["Value"]: one["State"] for one in status["OptionSet"]["Options"]}[4] == 2
    one = f"{LEAD}/Attributes(LogicalName='donotemail')/{CRM}BooleanAttributeMetadata{expand}"
    options = (await contoso.sync.get(one)).json()["OptionSet"]
    assert options["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"] == "Do Not Allow"
    assert options["FalseOption"]["Value"] == 0


async def test_dates_and_lookups(contoso: Contoso) -> None:
    dates = (await contoso.sync.get(f"{LEAD}/Attributes/{CRM}DateTimeAttributeMetadata")).json()["value"]
    behavior = {row["LogicalName"]: row["DateTimeBehavior"]["Value"] for row in dates}
    assert behavior["createdon"] == "UserLocal"
    assert behavior["new_renewalon"] == "DateOnly"
    assert behavior["new_eventstart"] == "TimeZoneIndependent"
    url = (
        f"EntityDefinitions(LogicalName='contact')/Attributes/{CRM}LookupAttributeMetadata?$select=LogicalName,Targets"
    )
    targets = {row["LogicalName"]: row["Targets"] for row in (await contoso.sync.get(url)).json()["value"]}
    assert targets["parentcustomerid"] == ["account", "contact"]
    assert targets["ownerid"] == ["systemuser", "team"]


async def test_relationships_name_the_navigation_property(contoso: Contoso) -> None:
    select = "ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
    url = f"EntityDefinitions(LogicalName='contact')/ManyToOneRelationships?$select={select}"
    rows = (await contoso.sync.get(url)).json()["value"]
    found = {
        (row["ReferencingAttribute"], row["ReferencedEntity"]): row["ReferencingEntityNavigationPropertyName"]
        for row in rows
    }
    assert found["parentcustomerid", "account"] == "parentcustomerid_account"
    assert found["new_referredby", "contact"] == "new_ReferredBy"
    assert found["ownerid", "owner"] == "ownerid"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (definition("String", "new_Text", MaxLength=20, FormatName={"Value": "Text"}), "x"),
        (definition("Memo", "new_Memo", MaxLength=2000), "long"),
        (definition("Integer", "new_Whole", MinValue=0, MaxValue=9), 5),
        (definition("BigInt", "new_Big"), 2**40),
        (definition("Decimal", "new_Decimal", Precision=2), 1.25),
        (definition("Double", "new_Double", Precision=3), 1.125),
        (definition("Money", "new_Money", Precision=2), 7.5),
        (definition("Boolean", "new_Flag", DefaultValue=False, OptionSet=TWO_OPTIONS), True),
        (definition("DateTime", "new_Day", Format="DateOnly", DateTimeBehavior={"Value": "DateOnly"}), "1899-12-31"),
        (definition("DateTime", "new_Moment", Format="DateAndTime"), "2024-05-01T10:00:00Z"),
        (definition("Picklist", "new_Choice", OptionSet=CHOICES), 2),
        (definition("MultiSelectPicklist", "new_Choices", OptionSet=CHOICES), "1,2"),
    ],
)
async def test_a_new_column_can_be_written_read_and_deleted(contoso: Contoso, body: dict[str, Any], value: Any) -> None:
    made = await contoso.admin.post(f"{LEAD}/Attributes", json=body)
    assert made.status_code == 204, made.text
    assert "/Attributes(" in made.headers["odata-entityid"]
    name = body["SchemaName"].lower()
    (lead,) = contoso.leads({"lastname": "Before"})
    assert (await contoso.sync.get(f"leads({lead})?$select={name}")).json()[name] in {None, False}
    changed = await contoso.sync.patch(f"leads({lead})", json={name: value}, headers={"If-Match": "*"})
    assert changed.status_code == 204, changed.text
    assert (await contoso.sync.get(f"leads({lead})?$select={name}")).json()[name] == value

    attribute = f"{LEAD}/Attributes(LogicalName='{name}')"
    assert (await contoso.admin.get(attribute)).json()["IsCustomAttribute"] is True
    assert (await contoso.admin.delete(attribute)).status_code == 204
    assert error(await contoso.admin.get(attribute))[0] == 404
    assert error(await contoso.sync.get(f"leads?$select={name}"))[:2] == (400, "0x80060888")


@pytest.mark.parametrize(
    ("kind", "given", "limits"),
    [
        ("Integer", {}, (-2147483648, 2147483647)),
        ("Integer", {"MinValue": 0, "MaxValue": 9}, (0, 9)),
        ("BigInt", {}, (-(2**63), 2**63 - 1)),
        ("Decimal", {"MinValue": 0}, (0, 1e11)),
        ("Double", {}, (-1e11, 1e11)),
        ("Money", {}, (-922337203685477.0, 922337203685477.0)),
    ],
)
async def test_a_number_column_has_a_range_and_refuses_what_is_beyond_it(
    contoso: Contoso, kind: str, given: dict[str, float], limits: tuple[float, float]
) -> None:
    made = await contoso.admin.post(f"{LEAD}/Attributes", json=definition(kind, "new_Number", **given))
    assert made.status_code == 204, made.text

    asked = f"{LEAD}/Attributes(LogicalName='new_number')/{CRM}{kind}AttributeMetadata?$select=MinValue,MaxValue"
    told = (await contoso.sync.get(asked)).json()
    assert (told["MinValue"], told["MaxValue"]) == limits
    (lead,) = contoso.leads({"lastname": "Kept"})
    for value in limits:
        kept = await contoso.sync.patch(f"leads({lead})", json={"new_number": value}, headers={"If-Match": "*"})
        assert kept.status_code == 204, kept.text
    if kind != "BigInt":
        beyond = await contoso.sync.patch(
            f"leads({lead})", json={"new_number": limits[1] + 1}, headers={"If-Match": "*"}
        )
        assert error(beyond)[:2] == (400, "0x80044330")


async def test_a_range_wider_than_the_type_is_refused(contoso: Contoso) -> None:
    wide = definition("Integer", "new_Number", MaxValue=2**31)
    assert error(await contoso.admin.post(f"{LEAD}/Attributes", json=wide))[:2] == (400, "0x80040203")


async def test_a_name_that_is_taken_or_has_no_prefix(contoso: Contoso) -> None:
    taken = await contoso.admin.post(f"{LEAD}/Attributes", json=definition("Boolean", "new_SyncToMkto"))
    assert error(taken)[:2] == (400, "0x80047013")
    assert error(await contoso.admin.post(f"{LEAD}/Attributes", json=definition("String", "plain")))[0] == 400


async def test_a_lookup_is_made_with_its_relationship(contoso: Contoso) -> None:
    body = {
        "@odata.type": f"{CRM}OneToManyRelationshipMetadata",
        "SchemaName": "new_account_lead_Partner",
        "ReferencedEntity": "account",
        "ReferencingEntity": "lead",
        "Lookup": {"SchemaName": "new_PartnerId", "DisplayName": label("Partner")},
    }
    assert (await contoso.admin.post("RelationshipDefinitions", json=body)).status_code == 204
    account = (await contoso.sync.post("accounts", json={"name": "Partner"})).headers["odata-entityid"]
    lead = {"lastname": "A", "new_PartnerId@odata.bind": account}
    made = await contoso.sync.post("leads", json=lead)
    row = (await contoso.sync.get(f"{made.headers['odata-entityid']}?$select=_new_partnerid_value")).json()
    assert row["_new_partnerid_value"] in account


async def test_definitions_are_not_patched(contoso: Contoso) -> None:
    answer = await contoso.admin.patch(LEAD, json={"ChangeTrackingEnabled": True})
    assert error(answer) == (405, "0x80060888", "Operation not supported on EntityMetadata")


async def test_the_schema_outlives_a_restart(contoso: Contoso) -> None:
    await contoso.admin.post(f"{LEAD}/Attributes", json=definition("Picklist", "new_Kept", OptionSet=CHOICES))
    contoso.leads({"lastname": "A"})
    again = DataverseStore(contoso.org)
    try:
        assert [one.label for one in again.schema.tables["lead"].columns["new_kept"].options] == ["One", "Two"]
        assert again.version == contoso.store.version
    finally:
        again.close()
