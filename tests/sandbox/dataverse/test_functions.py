"""Functions, actions and the paths that do not exist (reference: "Use Web API functions")."""

from __future__ import annotations

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error


@pytest.mark.parametrize("path", ["WhoAmI", "WhoAmI()"])
async def test_who_am_i(contoso: Contoso, path: str) -> None:
    answer = await contoso.sync.get(path)
    body = answer.json()
    assert body["@odata.context"].endswith("/api/data/v9.2/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse")
    assert body["OrganizationId"] == contoso.org.organization_id
    assert answer.headers["odata-version"] == "4.0"
    assert answer.headers["content-type"] == "application/json; odata.metadata=minimal"
    assert answer.headers["x-ms-service-request-id"]


async def test_posting_to_a_function_finds_nothing(contoso: Contoso) -> None:
    status, code, message = error(await contoso.sync.post("WhoAmI", json={}))
    assert (status, code) == (404, "")
    assert message.startswith("No HTTP resource was found that matches the request URI")


async def test_version_and_current_organization(contoso: Contoso) -> None:
    assert (await contoso.sync.get("RetrieveVersion()")).json()["Version"].startswith("9.2.")
    access = "AccessType=Microsoft.Dynamics.CRM.EndpointAccessType'Default'"
    detail = (await contoso.sync.get(f"RetrieveCurrentOrganization({access})")).json()["Detail"]
    assert (detail["OrganizationId"], detail["UniqueName"]) == (contoso.org.organization_id, "contoso")


async def test_the_organization_is_one_row(contoso: Contoso) -> None:
    select = "$select=name,organizationid,languagecode,localeid,expirechangetrackingindays,expiresubscriptionsindays"
    (row,) = (await contoso.sync.get(f"organizations?{select}")).json()["value"]
    assert (row["name"], row["languagecode"], row["expirechangetrackingindays"]) == ("contoso", 1033, 7)
    same = (await contoso.sync.get(f"organizations({row['organizationid']})?$select=name")).json()
    assert same["name"] == "contoso"


async def test_record_counts_by_alias(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A"}, {"lastname": "B"})
    answer = await contoso.sync.get('RetrieveTotalRecordCount(EntityNames=@p1)?@p1=["lead","contact"]')
    assert answer.json()["EntityRecordCountCollection"] == {
        "Count": 2,
        "IsReadOnly": False,
        "Keys": ["lead", "contact"],
        "Values": [2, 0],
    }


async def test_the_service_document_lists_entity_sets(contoso: Contoso) -> None:
    value = (await contoso.sync.get("")).json()["value"]
    assert {"name": "leads", "kind": "EntitySet", "url": "leads"} in value


async def test_an_unknown_table_is_an_unknown_segment(contoso: Contoso) -> None:
    expected = (404, "0x8006088A", "Resource not found for the segment 'new_gone'.")
    assert error(await contoso.sync.get("new_gone?$select=x")) == expected
    assert error(await contoso.sync.post("new_gone", json={})) == expected


async def test_publishing_is_for_customizers(contoso: Contoso) -> None:
    body = {"ParameterXml": "<importexportxml><entities><entity>lead</entity></entities></importexportxml>"}
    assert (await contoso.admin.post("PublishXml", json=body)).status_code == 204
    assert (await contoso.admin.post("PublishAllXml", json={})).status_code == 204
    assert error(await contoso.sync.post("PublishAllXml", json={}))[:2] == (403, "0x80040220")
