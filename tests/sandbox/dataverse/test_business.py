"""Qualify, merge, win and lose, connections (reference: "Business operations")."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error

CRM = "Microsoft.Dynamics.CRM."
UPDATE = {"If-Match": "*"}


async def made(contoso: Contoso, entity_set: str, **values: Any) -> str:
    answer = await contoso.admin.post(entity_set, json=values)
    assert answer.status_code == 204, answer.text
    return answer.headers["odata-entityid"].rpartition("(")[2].rstrip(")")


async def row(contoso: Contoso, path: str) -> dict[str, Any]:
    answer = await contoso.admin.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_lead_is_qualified_into_account_contact_and_opportunity(contoso: Contoso) -> None:
    values = {"firstname": "Ann", "lastname": "Lee", "companyname": "Contoso", "subject": "Big deal", "telephone1": "1"}
    lead = await made(contoso, "leads", **values, estimatedamount=5)
    body = {"CreateAccount": True, "CreateContact": True, "CreateOpportunity": True, "Status": 3}
    answer = await contoso.admin.post(f"leads({lead})/{CRM}QualifyLead", json=body)
    assert answer.status_code == 200, answer.text
    ids = {one["@odata.type"].rpartition(".")[2]: one for one in answer.json()["value"]}
    account, contact = ids["account"]["accountid"], ids["contact"]["contactid"]
    opportunity = await row(contoso, f"opportunities({ids['opportunity']['opportunityid']})")
    assert (opportunity["name"], opportunity["estimatedvalue"], opportunity["_customerid_value"]) == (
        "Big deal",
        5,
        account,
    )
    person = await row(contoso, f"contacts({contact})")
    assert (person["fullname"], person["_parentcustomerid_value"], person["_originatingleadid_value"]) == (
        "Ann Lee",
        account,
        lead,
    )
    closed = await row(contoso, f"leads({lead})")
    assert (closed["statecode"], closed["statuscode"]) == (1, 3)
    assert closed["_qualifyingopportunityid_value"] == opportunity["opportunityid"]
    assert (await row(contoso, f"accounts({account})"))["_primarycontactid_value"] == contact
    again = await contoso.admin.post(f"leads({lead})/{CRM}QualifyLead", json=body)
    assert error(again)[1] == "0x80040519"


async def test_qualifying_needs_a_status_of_qualified(contoso: Contoso) -> None:
    lead = await made(contoso, "leads", lastname="A")
    refused = await contoso.admin.post(f"leads({lead})/{CRM}QualifyLead", json={"Status": 4})
    assert error(refused)[1] == "0x80048408"
    assert error(await contoso.admin.post(f"leads({lead})/QualifyLead", json={"Status": 3}))[0] in {400, 404}


async def test_merging_keeps_the_loser_as_an_inactive_row_and_moves_children(contoso: Contoso) -> None:
    master, loser = await made(contoso, "accounts", name="M"), await made(contoso, "accounts", name="L")
    bound = {"parentcustomerid_account@odata.bind": f"/accounts({loser})"}
    child = await made(contoso, "contacts", lastname="child", **bound)
    before = contoso.store.version
    kind = {"@odata.type": f"{CRM}account"}
    body = {
        "Target": {**kind, "accountid": master},
        "Subordinate": {**kind, "accountid": loser},
        "UpdateContent": {**kind, "accountid": "00000000-0000-0000-0000-000000000000", "telephone1": "5"},
        "PerformParentingChecks": False,
    }
    assert (await contoso.admin.post("Merge", json=body)).status_code == 204
    lost = await row(contoso, f"accounts({loser})")
    assert (lost["merged"], lost["_masterid_value"], lost["statecode"], lost["statuscode"]) == (True, master, 1, 2)
    assert (await row(contoso, f"accounts({master})"))["telephone1"] == "5"
    moved = await row(contoso, f"contacts({child})")
    assert moved["_parentcustomerid_value"] == master
    assert min(lost["versionnumber"], moved["versionnumber"]) > before
    assert error(await contoso.admin.post("Merge", json=body))[:2] == (400, "0x80045304")
    body["Subordinate"] = body["Target"]
    assert error(await contoso.admin.post("Merge", json=body))[:2] == (400, "0x80045305")
    assert error(await contoso.sync.post("Merge", json=body))[0] in {400, 403}


@pytest.mark.parametrize(("action", "status", "state", "value"), [("Win", 3, 1, 100.0), ("Lose", 5, 2, 0.0)])
async def test_opportunities_are_won_and_lost(
    contoso: Contoso, action: str, status: int, state: int, value: float
) -> None:
    deal = await made(contoso, "opportunities", name="Deal", estimatedvalue=100)
    close = {"subject": "Done", "opportunityid@odata.bind": f"/opportunities({deal})"}
    body = {"Status": status, "OpportunityClose": close}
    wrong = {**body, "Status": 1}
    assert error(await contoso.admin.post(f"{action}Opportunity", json=wrong))[1] == "0x80048408"
    assert (await contoso.admin.post(f"{action}Opportunity", json=body)).status_code == 204
    found = await row(contoso, f"opportunities({deal})")
    assert (found["statecode"], found["statuscode"], found["actualvalue"]) == (state, status, value)
    assert found["actualclosedate"] is not None
    assert error(await contoso.admin.post(f"{action}Opportunity", json=body))[0] == 400


async def test_a_connection_is_two_rows_that_mirror_each_other(contoso: Contoso) -> None:
    deal, person = await made(contoso, "opportunities", name="Deal"), await made(contoso, "contacts", lastname="Lee")
    roles = await row(contoso, "connectionroles?$select=connectionroleid,name,category&$filter=name eq 'Influencer'")
    (role,) = roles["value"]
    made_here = await made(
        contoso,
        "connections",
        **{
            "record1id_opportunity@odata.bind": f"/opportunities({deal})",
            "record2id_contact@odata.bind": f"/contacts({person})",
            "record2roleid@odata.bind": f"/connectionroles({role['connectionroleid']})",
        },
    )
    rows = {one["ismaster"]: one for one in (await row(contoso, "connections"))["value"]}
    assert (rows[True]["connectionid"], rows[True]["name"], rows[False]["name"]) == (made_here, "Lee", "Deal")
    assert (rows[False]["_record1id_value"], rows[False]["_record2id_value"]) == (person, deal)
    assert rows[False]["_record1roleid_value"] == rows[True]["_record2roleid_value"] == role["connectionroleid"]
    change = {"statecode": 1, "statuscode": 2}
    assert (await contoso.admin.patch(f"connections({made_here})", json=change, headers=UPDATE)).status_code == 204
    assert {one["statecode"] for one in (await row(contoso, "connections"))["value"]} == {1}
    by_deal = await row(contoso, f"connections?$select=_record2id_value&$filter=_record1id_value eq {deal}")
    assert [one["_record2id_value"] for one in by_deal["value"]] == [person]
    assert (await contoso.admin.delete(f"connections({made_here})")).status_code == 204
    assert (await row(contoso, "connections"))["value"] == []
