"""Companies and sales persons: describe, query, sync, delete, and what links people to them."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

COMPANIES = "/rest/v1/companies.json"
SALES = "/rest/v1/salespersons.json"


async def sync(marketo: Any, path: str, *records: Any, **members: Any) -> list[str]:
    """Sync; status or code of each record."""
    result = (await marketo.post(path, {"input": list(records), **members}))["result"]
    assert [each["seq"] for each in result] == list(range(len(records)))
    return codes(result)


async def delete(marketo: Any, path: str, *records: Any, **members: Any) -> list[str]:
    answer = await marketo.post(path.replace(".json", "/delete.json"), {"input": list(records), **members})
    return codes(answer["result"])


def codes(results: list[dict[str, Any]]) -> list[str]:
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in results]


async def test_describe(marketo: Any) -> None:
    (company,) = (await marketo.get("/rest/v1/companies/describe.json"))["result"]
    (person,) = (await marketo.get("/rest/v1/salespersons/describe.json"))["result"]

    assert (company["name"], company["idField"], company["dedupeFields"]) == ("Company", "id", ["externalCompanyId"])
    assert company["searchableFields"] == [["externalCompanyId"], ["id"], ["company"]]
    key = next(each for each in company["fields"] if each["name"] == "externalCompanyId")
    assert key == {
        "name": "externalCompanyId",
        "displayName": "External Company Id",
        "dataType": "string",
        "length": 100,
        "updateable": False,
    }
    assert sorted(person["searchableFields"]) == [["email"], ["externalSalesPersonId"], ["id"]]


@pytest.mark.parametrize(("path", "key"), [(COMPANIES, "externalCompanyId"), (SALES, "externalSalesPersonId")])
async def test_actions(marketo: Any, path: str, key: str) -> None:
    assert await sync(marketo, path, {key: "A"}, action="updateOnly") == ["1013"]
    assert await sync(marketo, path, {key: "A"}) == ["created"]
    assert await sync(marketo, path, {key: "a"}) == ["updated"]
    assert await sync(marketo, path, {key: "A"}, {key: "B"}, action="createOnly") == ["1017", "created"]
    assert await sync(marketo, path, {"id": 2}, {"id": 9}, {key: "A"}, dedupeBy="idField") == [
        "updated",
        "1013",
        "1002",
    ]
    assert await sync(marketo, path, {key: ""}, {}, {key: "C", "nothing": 1}, 5) == ["1002", "1002", "1006", "1003"]
    refused = await marketo.post(path, {"action": "createOnly", "dedupeBy": "idField", "input": [{"id": 1}]})
    assert refused["errors"][0]["code"] == "1003"


async def test_a_key_is_set_once(marketo: Any) -> None:
    await sync(marketo, COMPANIES, {"externalCompanyId": "A"})
    change = {"id": 1, "externalCompanyId": "B"}
    assert await sync(marketo, COMPANIES, change, dedupeBy="idField") == ["1003"]


async def test_the_same_company_twice_in_a_call_is_1036(marketo: Any) -> None:
    record = {"externalCompanyId": "A"}
    assert await sync(marketo, COMPANIES, record, {"externalCompanyId": "a"}) == ["created", "1036"]
    person = {"externalSalesPersonId": "A"}
    assert await sync(marketo, SALES, person, person) == ["created", "updated"]


async def test_values_are_checked_kept_and_cleared(marketo: Any) -> None:
    record = {"externalCompanyId": "A", "company": "Ärzte & Co", "annualRevenue": 16_777_217, "numberOfEmployees": 5}
    await sync(marketo, COMPANIES, record)
    assert await sync(marketo, COMPANIES, {"externalCompanyId": "B", "numberOfEmployees": "x"}) == ["1001"]
    await sync(marketo, COMPANIES, {"externalCompanyId": "A", "numberOfEmployees": None})

    names = "company,annualRevenue,numberOfEmployees"
    answer = await marketo.get(COMPANIES, filterType="company", filterValues="ärzte & co,Ärzte & Co", fields=names)
    assert answer["result"] == [{"seq": 0, "id": 1, "company": "Ärzte & Co", "annualRevenue": 16_777_216.0}]


@pytest.mark.parametrize("filter_type", ["externalCompanyId", "dedupeFields", "id", "idField", "company"])
async def test_query_by_key_id_name_and_alias(marketo: Any, filter_type: str) -> None:
    await sync(marketo, COMPANIES, *({"externalCompanyId": f"{n}", "company": f"{n}"} for n in range(1, 6)))
    query = {"filterType": filter_type, "filterValues": "2,4,5,99", "batchSize": 2}
    first = await marketo.get(COMPANIES, **query)
    second = await marketo.get(COMPANIES, **query, nextPageToken=first["nextPageToken"])

    assert first["moreResult"] is True
    assert [(each["seq"], each["id"]) for each in first["result"]] == [(0, 2), (1, 4)]
    assert first["result"][0].keys() == {"seq", "id", "externalCompanyId", "updatedAt", "createdAt"}
    assert [each["id"] for each in second["result"]] == [5]
    assert "moreResult" not in second


async def test_query_as_a_form(marketo: Any) -> None:
    await sync(marketo, SALES, {"externalSalesPersonId": "u1", "email": "u@example.com", "firstName": "Uma"})
    form = {"filterType": "email", "filterValues": "u@example.com"}
    answer = (await marketo.http.post(SALES, params={"_method": "GET"}, data=form)).json()
    (person,) = answer["result"]
    assert person["firstName"] == "Uma"
    assert "lastName" not in person
    unsupported = await marketo.get(SALES, filterType="lastName", filterValues="x")
    assert unsupported["errors"][0]["code"] == "1011"


async def test_people_inherit_from_their_company(marketo: Any) -> None:
    await sync(marketo, COMPANIES, {"externalCompanyId": "c1", "company": "Acme", "industry": "Steel"})
    await marketo.sync({"email": "a@example.com", "company": "My own", "website": "a.com"})
    await marketo.sync({"email": "a@example.com", "externalCompanyId": "C1"})

    (person,) = await marketo.leads("email", "a@example.com", fields="company,industry,website,externalCompanyId")
    assert person == {"id": 1, "company": "Acme", "industry": "Steel", "website": None, "externalCompanyId": "C1"}


async def test_company_fields_are_the_persons_own_only_while_unlinked(marketo: Any, subscription: Subscription) -> None:
    await sync(marketo, COMPANIES, {"externalCompanyId": "c1", "company": "Acme"})
    linked = {"email": "a@example.com", "externalCompanyId": "c1"}

    assert codes(await marketo.sync({**linked, "company": "X"})) == ["1021"]
    assert codes(await marketo.sync(linked)) == ["created"]
    assert codes(await marketo.sync({"email": "a@example.com", "company": "X"})) == ["1021"]
    assert codes(await marketo.sync({"email": "b@example.com", "company": "X"})) == ["created"]

    subscription.switches["company_fields_when_linked"] = "ignore"
    assert codes(await marketo.sync({"email": "a@example.com", "company": "X"})) == ["updated"]
    assert (await marketo.leads("email", "a@example.com", fields="company"))[0]["company"] == "Acme"


async def test_links_must_lead_somewhere_and_companies_are_never_left(marketo: Any) -> None:
    await sync(marketo, COMPANIES, {"externalCompanyId": "c1"}, {"externalCompanyId": "c2"})
    results = await marketo.sync(
        {"email": "a@example.com", "externalCompanyId": "c9"},
        {"email": "b@example.com", "externalSalesPersonId": "u9"},
        {"email": "c@example.com", "externalCompanyId": "c1"},
    )
    assert codes(results) == ["1013", "1013", "created"]
    assert codes(await marketo.sync({"email": "c@example.com", "externalCompanyId": "c2"})) == ["updated"]
    assert codes(await marketo.sync({"email": "c@example.com", "externalCompanyId": None})) == ["1003"]
    assert await sync(marketo, COMPANIES, {"externalCompanyId": "c1", "externalSalesPersonId": "u9"}) == ["1013"]


async def test_deleting_what_is_in_use_is_1022(marketo: Any) -> None:
    await sync(marketo, SALES, {"externalSalesPersonId": "u1"}, {"externalSalesPersonId": "u2"})
    await sync(
        marketo, COMPANIES, {"externalCompanyId": "c1"}, {"externalCompanyId": "c2", "externalSalesPersonId": "u2"}
    )
    await marketo.sync({"email": "a@example.com", "externalCompanyId": "c1", "externalSalesPersonId": "u1"})

    company, owner = {"externalCompanyId": "C1"}, {"externalSalesPersonId": "U1"}
    assert await delete(marketo, COMPANIES, company, {"externalCompanyId": "c9"}) == ["1022", "1013"]
    assert await delete(marketo, SALES, owner, {"externalSalesPersonId": "u2"}) == ["1022", "1022"]

    await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": 1}]})
    assert await delete(marketo, COMPANIES, company, {"externalCompanyId": "c2"}) == ["deleted", "deleted"]
    assert await delete(marketo, SALES, {"id": 1}, {"id": 2}, deleteBy="idField") == ["deleted", "1022"]


async def test_a_native_sync_leaves_companies_and_sales_persons_readable(
    marketo: Any, subscription: Subscription
) -> None:
    await sync(marketo, COMPANIES, {"externalCompanyId": "c1"})
    subscription.native_sync = True

    for path, key in ((COMPANIES, "externalCompanyId"), (SALES, "externalSalesPersonId")):
        answer = await marketo.post(path, {"action": "updateOnly", "input": [{key: "nobody"}]})
        assert answer["errors"] == [{"code": "1018", "message": "CRM Enabled"}]
        answer = await marketo.post(path.replace(".json", "/delete.json"), {"input": [{key: "c1"}]})
        assert answer["errors"][0]["code"] == "1018"
    assert len((await marketo.get(COMPANIES, filterType="id", filterValues="1"))["result"]) == 1
    assert codes(await marketo.sync({"email": "a@example.com"})) == ["created"]
