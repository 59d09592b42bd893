"""Tables, relationships, option sets made and deleted; what RetrieveMetadataChanges tells of it; ``$metadata``."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from crmsync.sandbox.dataverse.store import DataverseStore
from tests.sandbox.dataverse.conftest import Contoso, error

CRM = "Microsoft.Dynamics.CRM."
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


def label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


def table(name: str, *attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {
        "@odata.type": f"{CRM}StringAttributeMetadata",
        "SchemaName": "new_Name",
        "IsPrimaryName": True,
        "DisplayName": label("Name"),
    }
    return {
        "@odata.type": f"{CRM}EntityMetadata",
        "SchemaName": name,
        "DisplayName": label("Box"),
        "DisplayCollectionName": label("Boxes"),
        "OwnershipType": "UserOwned",
        "Attributes": [named, *attributes],
        **more,
    }


async def make(contoso: Contoso, name: str = "new_Box", **more: Any) -> str:
    answer = await contoso.admin.post("EntityDefinitions", json=table(name, **more))
    assert answer.status_code == 204, answer.text
    return str(answer.headers["odata-entityid"])


async def get(contoso: Contoso, url: str) -> dict[str, Any]:
    answer = await contoso.admin.get(url)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_table_is_made_used_tracked_and_deleted(contoso: Contoso) -> None:
    where = await make(contoso, ChangeTrackingEnabled=True)
    definition = await get(contoso, f"{where}?$select=LogicalName,EntitySetName,PrimaryIdAttribute,IsCustomEntity")
    assert (definition["EntitySetName"], definition["PrimaryIdAttribute"]) == ("new_boxes", "new_boxid")
    made = await contoso.admin.post("new_boxes", json={"new_name": "A"})
    assert made.status_code == 204
    tracked = await contoso.admin.get("new_boxes?$select=new_name", headers={"Prefer": "odata.track-changes"})
    assert [one["new_name"] for one in tracked.json()["value"]] == ["A"]
    assert error(await contoso.sync.get("new_boxes"))[:2] == (403, "0x80040220")
    assert (await contoso.admin.delete(where)).status_code == 204
    assert error(await contoso.admin.get("new_boxes"))[:2] == (404, "0x8006088A")
    assert error(await contoso.admin.get(where))[0] == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (table("Box"), "0x80044363"),
        (table("new_EventRegistration"), "0x80060304"),
        (table("new_Box", OwnershipType="Nobody"), "0x80060888"),
        ({**table("new_Box"), "Attributes": []}, "0x80060888"),
    ],
)
async def test_tables_that_cannot_be_made(contoso: Contoso, body: dict[str, Any], code: str) -> None:
    assert error(await contoso.admin.post("EntityDefinitions", json=body))[:2] == (400, code)
    assert error(await contoso.sync.post("EntityDefinitions", json=table("new_Box")))[:2] == (403, "0x80040220")
    assert error(await contoso.admin.delete("EntityDefinitions(LogicalName='lead')"))[0] == 400


async def test_one_to_many_with_a_restricted_and_a_cascading_delete(contoso: Contoso) -> None:
    await make(contoso)
    await contoso.admin.post("EntityDefinitions", json=table("new_Lid"))
    for child, behaviour in (("new_box", "Restrict"), ("new_lid", "Cascade")):
        body = {
            "@odata.type": f"{CRM}OneToManyRelationshipMetadata",
            "SchemaName": f"new_account_{child}",
            "ReferencedEntity": "account",
            "ReferencingEntity": child,
            "CascadeConfiguration": {"Delete": behaviour},
            "Lookup": {"SchemaName": "new_AccountId", "DisplayName": label("Account")},
        }
        assert (await contoso.admin.post("RelationshipDefinitions", json=body)).status_code == 204
        assert error(await contoso.admin.post("RelationshipDefinitions", json=body))[:2] == (400, "0x80047013")
    account = (await contoso.admin.post("accounts", json={"name": "A"})).headers["odata-entityid"]
    bound = {"new_name": "child", "new_AccountId@odata.bind": account}
    box = (await contoso.admin.post("new_boxes", json=bound)).headers["odata-entityid"]
    await contoso.admin.post("new_lids", json=bound)
    assert error(await contoso.admin.delete(account))[:2] == (405, "0x80040227")
    assert (await contoso.admin.delete(box)).status_code == 204
    assert (await contoso.admin.delete(account)).status_code == 204
    assert (await get(contoso, "new_lids"))["value"] == []


async def test_many_to_many(contoso: Contoso) -> None:
    await make(contoso)
    body = {
        "@odata.type": f"{CRM}ManyToManyRelationshipMetadata",
        "SchemaName": "new_box_contact",
        "Entity1LogicalName": "new_box",
        "Entity2LogicalName": "contact",
        "IntersectEntityName": "new_box_contact",
    }
    where = (await contoso.admin.post("RelationshipDefinitions", json=body)).headers["odata-entityid"]
    assert (await get(contoso, where))["Entity2LogicalName"] == "contact"
    box = (await contoso.admin.post("new_boxes", json={"new_name": "A"})).headers["odata-entityid"]
    person = (await contoso.admin.post("contacts", json={"lastname": "Lee"})).headers["odata-entityid"]
    assert (await contoso.admin.post(f"{box}/new_box_contact/$ref", json={"@odata.id": person})).status_code == 204
    (row,) = (await get(contoso, "contacts?$select=lastname&$expand=new_box_contact($select=new_name)"))["value"]
    assert [one["new_name"] for one in row["new_box_contact"]] == ["A"]
    assert [one["lastname"] for one in (await get(contoso, f"{box}/new_box_contact"))["value"]] == ["Lee"]
    listed = await get(contoso, "EntityDefinitions(LogicalName='new_box')/ManyToManyRelationships?$select=SchemaName")
    assert [one["SchemaName"] for one in listed["value"]] == ["new_box_contact"]
    again = DataverseStore(contoso.org)
    assert "new_box_contact" in again.schema.collections("contact")
    again.close()
    assert (await contoso.admin.delete(where)).status_code == 204
    assert error(await contoso.admin.get(f"{box}/new_box_contact"))[0] == 400


async def test_global_option_sets_and_single_options(contoso: Contoso) -> None:
    options = [{"Value": 1, "Label": label("One")}, {"Label": label("Next")}]
    body = {"@odata.type": f"{CRM}OptionSetMetadata", "Name": "new_Sizes", "Options": options}
    where = (await contoso.admin.post("GlobalOptionSetDefinitions", json=body)).headers["odata-entityid"]
    one = await get(contoso, "GlobalOptionSetDefinitions(Name='new_Sizes')")
    assert [option["Value"] for option in one["Options"]] == [1, 100000000]
    column = {
        "@odata.type": f"{CRM}PicklistAttributeMetadata",
        "SchemaName": "new_Size",
        "GlobalOptionSet@odata.bind": f"/GlobalOptionSetDefinitions({one['MetadataId']})",
    }
    lead = "EntityDefinitions(LogicalName='lead')/Attributes"
    assert (await contoso.admin.post(lead, json=column)).status_code == 204
    inserted = await contoso.admin.post("InsertOptionValue", json={"OptionSetName": "new_Sizes", "Label": label("XL")})
    assert inserted.json()["NewOptionValue"] == 100000001
    assert (await contoso.admin.post("leads", json={"lastname": "A", "new_size": 100000001})).status_code == 204
    assert error(await contoso.admin.delete(where))[0] == 400
    local = {"EntityLogicalName": "lead", "AttributeLogicalName": "leadqualitycode", "Value": 1}
    assert (await contoso.admin.post("UpdateOptionValue", json={**local, "Label": label("Boiling")})).status_code == 204
    assert (await contoso.admin.post("DeleteOptionValue", json={**local, "Value": 3})).status_code == 204
    url = f"{lead}(LogicalName='leadqualitycode')/{CRM}PicklistAttributeMetadata?$expand=OptionSet"
    shown = (await get(contoso, url))["OptionSet"]["Options"]
    assert [(option["Value"], option["Label"]["UserLocalizedLabel"]["Label"]) for option in shown] == [
        (1, "Boiling"),
        (2, "Warm"),
    ]


async def test_a_column_is_put_back_changed(contoso: Contoso) -> None:
    url = "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='new_favouritecolour')"
    whole = await get(contoso, f"{url}/{CRM}StringAttributeMetadata")
    body = {**whole, "@odata.type": f"{CRM}StringAttributeMetadata", "MaxLength": 5, "DisplayName": label("Colour")}
    assert (await contoso.admin.put(url, json=body, headers={"MSCRM.MergeLabels": "true"})).status_code == 204
    changed = await get(contoso, f"{url}/{CRM}StringAttributeMetadata")
    assert (changed["MaxLength"], changed["DisplayName"]["UserLocalizedLabel"]["Label"]) == (5, "Colour")
    assert (
        error(await contoso.sync.post("leads", json={"lastname": "A", "new_favouritecolour": "x" * 6}))[1]
        == "0x80044331"
    )
    for wrong in ({"@odata.type": f"{CRM}IntegerAttributeMetadata"}, {"SchemaName": "new_Other"}, {"MaxLength": 5000}):
        assert error(await contoso.admin.put(url, json=body | wrong))[0] == 400


async def changes(contoso: Contoso, stamp: str | None = None, kinds: str = "All", **query: Any) -> dict[str, Any]:
    lead = {
        "PropertyName": "LogicalName",
        "ConditionOperator": "Equals",
        "Value": {"Type": "System.String", "Value": "lead"},
    }
    asked = {
        "Criteria": {"FilterOperator": "And", "Conditions": [lead]},
        "Properties": {"AllProperties": False, "PropertyNames": ["LogicalName", "Attributes"]},
        "AttributeQuery": {"Properties": {"PropertyNames": ["LogicalName", "AttributeType", "MaxLength"]}},
        **query,
    }
    names = "Query=@p1" if stamp is None else "Query=@p1,ClientVersionStamp=@p2,DeletedMetadataFilters=@p3"
    aliases = {"@p1": json.dumps(asked)}
    if stamp is not None:
        aliases |= {"@p2": f"'{stamp}'", "@p3": f"{CRM}DeletedMetadataFilters'{kinds}'"}
    answer = await contoso.sync.get(f"RetrieveMetadataChanges({names})", params=aliases)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_only_what_changed_since_the_stamp(contoso: Contoso) -> None:
    first = await changes(contoso)
    (lead,) = first["EntityMetadata"]
    columns = {one["LogicalName"]: one for one in lead["Attributes"]}
    assert columns["subject"]["MaxLength"] == 300
    assert columns["subject"]["@odata.type"] == f"#{CRM}ComplexStringAttributeMetadata"
    assert first["DeletedMetadata"]["Keys"] == []
    nothing = await changes(contoso, first["ServerVersionStamp"])
    assert nothing["EntityMetadata"] == []

    attributes = "EntityDefinitions(LogicalName='lead')/Attributes"
    await contoso.admin.post(
        attributes, json={"@odata.type": f"{CRM}StringAttributeMetadata", "SchemaName": "new_Fresh"}
    )
    gone = columns["new_hotline"]["MetadataId"]
    assert (await contoso.admin.delete(f"{attributes}({gone})")).status_code == 204
    later = await changes(contoso, first["ServerVersionStamp"])
    assert [one["LogicalName"] for one in later["EntityMetadata"][0]["Attributes"]] == ["new_fresh"]
    deleted = dict(zip(later["DeletedMetadata"]["Keys"], later["DeletedMetadata"]["Values"], strict=True))
    assert deleted["Attribute"]["Items"] == [gone]
    assert (await changes(contoso, first["ServerVersionStamp"], "Entity"))["DeletedMetadata"]["Count"] == 0

    again = DataverseStore(contoso.org)
    assert (again.schema.stamp, again.schema.history.deleted) == (
        contoso.store.schema.stamp,
        contoso.store.schema.history.deleted,
    )
    again.close()


async def test_an_expired_stamp(contoso: Contoso) -> None:
    stamp = (await changes(contoso))["ServerVersionStamp"]
    contoso.org.clock.advance(91 * 86400)
    async with contoso.connect(contoso.token(contoso.org.sync_app)) as client:
        late = await client.get(f"RetrieveMetadataChanges(ClientVersionStamp='{stamp}')")
    assert error(late)[:2] == (400, "0x80044352")


async def test_the_model_as_xml(contoso: Contoso) -> None:
    answer = await contoso.sync.get("$metadata?annotations=true")
    assert answer.headers["content-type"] == "application/xml"
    root = ElementTree.fromstring(answer.content)
    types = {one.get("Name"): one for one in root.iter(f"{EDM}EntityType")}
    contact = types["contact"]
    properties = {one.get("Name"): one.get("Type") for one in contact.iter(f"{EDM}Property")}
    assert properties["birthdate"] == "Edm.Date"
    assert properties["_parentcustomerid_value"] == "Edm.Guid"
    navigation = {one.get("Name"): one for one in contact.iter(f"{EDM}NavigationProperty")}
    partner = navigation["parentcustomerid_account"].get("Partner")
    back = {one.get("Name"): one for one in types["account"].iter(f"{EDM}NavigationProperty")}[partner]
    assert (back.get("Type"), back.get("Partner")) == ("Collection(mscrm.contact)", "parentcustomerid_account")
    sets = {one.get("Name"): one.get("EntityType") for one in root.iter(f"{EDM}EntitySet")}
    assert sets["opportunities"] == "mscrm.opportunity"
