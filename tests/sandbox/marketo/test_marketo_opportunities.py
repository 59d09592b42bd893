"""Opportunities and roles: describe, query by simple and compound key, sync, delete, owners, native sync."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

OPPORTUNITIES = "/rest/v1/opportunities.json"
ROLES = "/rest/v1/opportunities/roles.json"


def codes(answer: dict[str, Any]) -> list[str]:
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in answer["result"]]


async def sync(marketo: Any, path: str, *records: Any, **members: Any) -> list[str]:
    return codes(await marketo.post(path, {"input": list(records), **members}))


async def delete(marketo: Any, path: str, *records: Any, **members: Any) -> list[str]:
    return codes(await marketo.post(path.replace(".json", "/delete.json"), {"input": list(records), **members}))


@pytest.fixture
async def lead(marketo: Any) -> int:
    (made,) = await marketo.sync({"email": "ann@example.com"})
    return int(made["id"])


@pytest.fixture
async def deal(marketo: Any) -> str:
    assert await sync(marketo, OPPORTUNITIES, {"externalOpportunityId": "O-1", "name": "Chairs"}) == ["created"]
    return "O-1"


async def test_describe(marketo: Any) -> None:
    (opportunity,) = (await marketo.get("/rest/v1/opportunities/describe.json"))["result"]
    (role,) = (await marketo.get("/rest/v1/opportunities/roles/describe.json"))["result"]
    assert opportunity["searchableFields"] == [["externalOpportunityId"], ["marketoGUID"], ["source"]]
    assert opportunity["idField"] == role["idField"] == "marketoGUID"
    assert role["dedupeFields"] == ["externalOpportunityId", "leadId", "role"]
    updateable = {each["name"] for each in role["fields"] if each["updateable"]}
    assert updateable == {"isPrimary", "externalCreatedDate"}


async def test_actions_and_keys(marketo: Any) -> None:
    one = {"externalOpportunityId": "O", "name": "One", "amount": "1604.47", "isWon": False}
    assert await sync(marketo, OPPORTUNITIES, one, action="updateOnly") == ["1013"]
    assert await sync(marketo, OPPORTUNITIES, one, one) == ["created", "updated"]
    assert await sync(marketo, OPPORTUNITIES, one, action="createOnly") == ["1017"]
    assert await sync(marketo, OPPORTUNITIES, {"externalOpportunityId": "P"}, {"name": "x"}, {}) == [
        "1002",
        "1002",
        "1002",
    ]
    assert await sync(marketo, OPPORTUNITIES, one | {"name": None}, one | {"no": 1}, 5) == ["1002", "1006", "1003"]
    (found,) = (await marketo.get(OPPORTUNITIES, filterType="dedupeFields", filterValues="o"))["result"]
    assert (found["name"], round(found["amount"], 2), found["isWon"], found["seq"]) == ("One", 1604.47, False, 0)
    guid = {"marketoGUID": found["marketoGUID"], "stage": "Won"}
    assert await sync(marketo, OPPORTUNITIES, guid, action="updateOnly", dedupeBy="idField") == ["updated"]
    refused = await marketo.post(OPPORTUNITIES, {"input": [guid], "dedupeBy": "idField"})
    assert refused["errors"][0]["code"] == "1003"
    assert await delete(marketo, OPPORTUNITIES, guid, deleteBy="idField") == ["deleted"]


async def test_an_unknown_owner_refuses_the_call(marketo: Any, subscription: Subscription) -> None:
    good = {"externalOpportunityId": "O", "name": "One"}
    bad = {"externalOpportunityId": "P", "name": "Two", "externalSalesPersonId": "nobody"}
    refused = await marketo.post(OPPORTUNITIES, {"input": [good, bad]})
    assert refused["errors"][0] == {"code": "718", "message": "ExternalSalesPersonID not found"}
    assert (await marketo.get(OPPORTUNITIES, filterType="dedupeFields", filterValues="O"))["result"] == []
    subscription.switches["unknown_owner_of_opportunity"] = "record"
    assert await sync(marketo, OPPORTUNITIES, good, bad) == ["created", "718"]


async def test_companies_and_owners_stay_while_an_opportunity_names_them(marketo: Any) -> None:
    await sync(marketo, "/rest/v1/companies.json", {"externalCompanyId": "C"})
    await sync(marketo, "/rest/v1/salespersons.json", {"externalSalesPersonId": "S"})
    deal = {"externalOpportunityId": "O", "name": "x", "externalCompanyId": "C", "externalSalesPersonId": "S"}
    assert await sync(marketo, OPPORTUNITIES, deal, deal | {"externalCompanyId": "X"}) == ["created", "1013"]
    assert await delete(marketo, "/rest/v1/companies.json", {"externalCompanyId": "C"}) == ["1022"]
    assert await delete(marketo, "/rest/v1/salespersons.json", {"externalSalesPersonId": "S"}) == ["1022"]
    assert await delete(marketo, OPPORTUNITIES, deal) == ["deleted"]
    assert await delete(marketo, "/rest/v1/companies.json", {"externalCompanyId": "C"}) == ["deleted"]


async def test_roles_join_what_exists(marketo: Any, lead: int, deal: str) -> None:
    role = {"externalOpportunityId": deal, "leadId": lead, "role": "Buyer", "isPrimary": True}
    wrong = [role | {"leadId": 999}, role | {"externalOpportunityId": "no"}, role | {"role": ""}]
    assert await sync(marketo, ROLES, role, *wrong) == ["created", "1004", "1013", "1002"]
    assert await sync(marketo, ROLES, role | {"isPrimary": False}) == ["updated"]
    assert await sync(marketo, ROLES, role | {"role": "User"}) == ["created"]
    found = (await marketo.get(ROLES, filterType="leadId", filterValues=lead))["result"]
    assert [each["role"] for each in found] == ["Buyer", "User"]
    assert await delete(marketo, OPPORTUNITIES, {"externalOpportunityId": deal}) == ["1022"]
    assert await delete(marketo, ROLES, role, role | {"role": "User"}, role) == ["deleted", "deleted", "1013"]
    assert await delete(marketo, OPPORTUNITIES, {"externalOpportunityId": deal}) == ["deleted"]


async def test_a_compound_key_is_asked_for_as_json(marketo: Any, lead: int, deal: str) -> None:
    roles = [{"externalOpportunityId": deal, "leadId": lead, "role": name} for name in ("A", "B", "C")]
    await sync(marketo, ROLES, *roles)
    body = {"filterType": "dedupeFields", "fields": ["marketoGuid", "role"], "input": roles, "batchSize": 2}
    page = await marketo.post(f"{ROLES}?_method=GET", body)
    assert [set(each) for each in page["result"]] == [{"seq", "marketoGUID", "role"}] * 2
    rest = await marketo.post(f"{ROLES}?_method=GET", body | {"nextPageToken": page["nextPageToken"]})
    assert [each["role"] for each in rest["result"]] == ["C"]
    assert "moreResult" not in rest
    for parameters, code in (
        ({"filterType": "dedupeFields", "filterValues": "A"}, "1003"),
        ({"filterType": "role", "filterValues": "A"}, "1011"),
        ({"filterValues": "A"}, "1002"),
    ):
        assert (await marketo.get(ROLES, **parameters))["errors"][0]["code"] == code
    missing = await marketo.post(f"{ROLES}?_method=GET", {"filterType": "dedupeFields", "input": [{"leadId": 1}]})
    assert missing["errors"][0]["code"] == "1002"


async def test_who_is_deleted_has_no_role_left(marketo: Any, lead: int, deal: str) -> None:
    await sync(marketo, ROLES, {"externalOpportunityId": deal, "leadId": lead, "role": "A"})
    await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": lead}]})
    assert await delete(marketo, OPPORTUNITIES, {"externalOpportunityId": deal}) == ["deleted"]


async def test_native_sync_allows_reading_opportunities_only(
    marketo: Any, subscription: Subscription, deal: str
) -> None:
    subscription.native_sync = True
    assert (await marketo.get(OPPORTUNITIES, filterType="dedupeFields", filterValues=deal))["result"]
    assert (await marketo.post(OPPORTUNITIES, {"input": [{}]}))["errors"][0]["code"] == "1018"
    assert (await marketo.get(ROLES, filterType="leadId", filterValues=1))["errors"][0]["code"] == "1018"


async def test_fields_are_read_only(marketo: Any, app: Any) -> None:
    app.state.marketo.add_field("opportunity", "msNumber", "Microsoft Number", "integer")
    path = "/rest/v1/opportunities/schema/fields"
    field = (await marketo.get(f"{path}/msNumber.json"))["result"][0]
    assert (field["dataType"], field["isCustom"], field["isApiCreated"]) == ("integer", True, False)
    page = await marketo.get(f"{path}.json", batchSize=5)
    assert (len(page["result"]), page["moreResult"]) == (5, True)
    assert (await marketo.post(f"{path}.json", {"input": []}))["errors"][0]["code"] == "605"
    assert await sync(marketo, OPPORTUNITIES, {"externalOpportunityId": "N", "name": "n", "msNumber": 7}) == ["created"]
    found = await marketo.get(OPPORTUNITIES, filterType="msNumber", filterValues=7)
    assert found["result"][0]["externalOpportunityId"] == "N"
