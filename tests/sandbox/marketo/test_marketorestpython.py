"""The sandbox's Marketo before a client that was not written for it: ``marketorestpython``, over real TLS.

The client reaches loopback by its public ``host``, and trusts the sandbox by ``requests``' own variable. It paces
itself to five calls a second, which is what this module's time goes into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from marketorestpython.client import MarketoClient

from crmsync.sandbox.readyfile import Ready

Call = Callable[..., Any]
SINCE = "2020-01-01T00:00:00Z"


def create(call: Call, *emails: str, **values: Any) -> list[int]:
    leads = [{"email": email, **values} for email in emails]
    return [each["id"] for each in call("create_update_leads", leads=leads, lookupField="email")]


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in results]


def test_the_credentials_name_their_user(call: Call, client: MarketoClient, ready: Ready) -> None:
    assert call("get_lead_partitions") == [{"id": 1, "name": "Default"}]
    assert client.scope == ready.tenants["contoso"].subscription.user_email


def test_wrong_credentials_are_refused_with_a_reason(ready: Ready) -> None:
    subscription = ready.tenants["contoso"].subscription
    stranger = MarketoClient(subscription.munchkin_id, subscription.client_id, "wrong")
    stranger.host = subscription.base_url
    with pytest.raises(Exception, match="Bad client credentials"):
        stranger.execute(method="describe")


def test_leads(call: Call) -> None:
    ann, ben, cat = create(call, "ann@a.example", "ben@a.example", "cat@a.example", firstName="A")
    assert call("get_lead_by_id", id=ann, fields=["email"]) == [{"id": ann, "email": "ann@a.example"}]
    found = call(
        "get_multiple_leads_by_filter_type",
        filterType="email",
        filterValues=["ann@a.example", "ben@a.example", "cat@a.example"],
        fields=["id"],
        batchSize=2,
    )
    assert [each["id"] for each in found] == [ann, ben, cat]
    again = call("create_update_leads", leads=[{"id": ann, "lastName": "Z"}], action="updateOnly", lookupField="id")
    assert statuses(again) == ["updated"]
    assert call("update_leads_partition", input=[{"id": ann, "partitionName": "Default"}]) == [
        {"id": ann, "status": "updated"}
    ]
    assert "email" in {each["rest"]["name"] for each in call("describe")}
    assert ["email"] in call("describe2")[0]["searchableFields"]


def test_merged_and_deleted_leads(call: Call) -> None:
    winner, loser, gone = create(call, "winner@m.example", "loser@m.example", "gone@m.example")
    assert call("merge_lead", id=winner, leadIds=[loser]) is True
    assert statuses(call("delete_lead", id=[gone, loser])) == ["deleted", "1004"]
    deleted = call("get_deleted_leads", sinceDatetime=SINCE)
    assert gone in {each["leadId"] for each in deleted}
    assert loser not in {each["leadId"] for each in deleted}
    (merge,) = call("get_lead_activities", activityTypeIds=["32"], sinceDatetime=SINCE, leadIds=[winner])
    assert {"name": "Merge IDs", "value": str(loser)} in merge["attributes"]


def test_companies_and_sales_persons(call: Call) -> None:
    person = {"externalSalesPersonId": "S1", "email": "s1@example.com", "firstName": "Sal"}
    company = {"externalCompanyId": "C1", "company": "One", "externalSalesPersonId": "S1"}
    assert statuses(call("create_update_sales_persons", input=[person])) == ["created"]
    assert statuses(call("create_update_companies", input=[company])) == ["created"]
    assert call("get_sales_persons", filterType="email", filterValues=["s1@example.com"])[0]["firstName"] == "Sal"
    found = call("get_companies", filterType="externalCompanyId", filterValues=["C1"], fields=["company"])
    assert found[0]["company"] == "One"
    assert statuses(call("delete_sales_persons", input=[{"externalSalesPersonId": "S1"}])) == ["1022"]
    assert statuses(call("delete_companies", input=[{"externalCompanyId": "C1"}])) == ["deleted"]
    assert call("describe_company")[0]["dedupeFields"] == ["externalCompanyId"]
    assert call("describe_sales_person")[0]["dedupeFields"] == ["externalSalesPersonId"]


def test_opportunities_and_roles(call: Call) -> None:
    (lead,) = create(call, "buyer@o.example")
    opportunity = {"externalOpportunityId": "O1", "name": "Chairs", "amount": "1604.47"}
    role = {"externalOpportunityId": "O1", "leadId": lead, "role": "Buyer", "isPrimary": True}
    assert statuses(call("create_update_opportunities", input=[opportunity])) == ["created"]
    assert statuses(call("create_update_opportunities_roles", input=[role, role | {"leadId": 999_999}])) == [
        "created",
        "1004",
    ]
    found = call("get_opportunities", filterType="externalOpportunityId", filterValues=["O1"])
    assert (found[0]["name"], round(found[0]["amount"], 2)) == ("Chairs", 1604.47)
    roles = call("get_opportunity_roles", filterType="leadId", filterValues=[str(lead)])
    assert [each["role"] for each in roles] == ["Buyer"]
    assert statuses(call("delete_opportunities", input=[{"externalOpportunityId": "O1"}])) == ["1022"]
    del role["isPrimary"]
    assert statuses(call("delete_opportunity_roles", input=[role])) == ["deleted"]
    assert statuses(call("delete_opportunities", input=[{"externalOpportunityId": "O1"}])) == ["deleted"]
    assert call("describe_opportunity")[0]["idField"] == "marketoGUID"
    assert len(call("describe_opportunity_role")[0]["dedupeFields"]) == 3
    added = call("get_lead_activities", activityTypeIds=["34"], sinceDatetime=SINCE, leadIds=[lead])
    assert {"name": "Role", "value": "Buyer"} in added[0]["attributes"]


def test_custom_objects(call: Call, car: str) -> None:
    (lead,) = create(call, "driver@c.example")
    assert [each["name"] for each in call("get_list_of_custom_objects", names=["car"])] == ["car"]
    assert [each["apiName"] for each in call("get_list_of_custom_object_types")] == ["car"]
    cars = [{"vin": f"V{n}", "model": "T", "leadId": lead} for n in range(3)] + [{"vin": "V9", "leadId": 999_999}]
    made = call("create_update_custom_objects", name=car, input=cars)
    assert statuses(made) == ["created", "created", "created", "1004"]
    asked = [{"vin": "V0"}, {"vin": "V1"}, {"vin": "V2"}]
    found = call("get_custom_objects", name=car, input=asked, filterType="vin", fields=["model"], batchSize=2)
    assert [each["model"] for each in found] == ["T", "T", "T"]
    guid = found[0]["marketoGUID"]
    assert len(call("get_custom_objects", name=car, input=[{"marketoGUID": guid}], filterType="idField")) == 1
    assert statuses(call("delete_custom_objects", name=car, input=[{"vin": "V2"}, {"vin": "V8"}])) == [
        "deleted",
        "1013",
    ]
    (described,) = call("describe_custom_object", name=car)
    assert described["searchableFields"] == [["vin"], ["marketoGUID"], ["leadId"]]


def test_lists(call: Call, admin: httpx.Client) -> None:
    made = admin.post("/lists", json={"tenant": "contoso", "name": "Fair"}).json()["id"]
    ids = create(call, "one@l.example", "two@l.example", "three@l.example")
    assert call("get_multiple_lists", name=["Fair"])[0]["id"] == made
    assert statuses(call("add_leads_to_list", listId=made, id=[*ids, 999_999])) == ["added", "added", "added", "1004"]
    members = call("get_multiple_leads_by_list_id", listId=made, fields="id,email", batchSize=2)
    assert [each["id"] for each in members] == ids
    assert statuses(call("remove_leads_from_list", listId=made, id=ids[:1])) == ["removed"]
    assert statuses(call("member_of_list", listId=made, id=ids)) == ["notmemberof", "memberof", "memberof"]


def test_activities_over_several_pages(call: Call) -> None:
    first = create(call, *(f"{n}@p.example" for n in range(300)))
    rest = create(call, *(f"{n}@p.example" for n in range(300, 330)))
    found = call("get_lead_activities", activityTypeIds=["12"], sinceDatetime=SINCE, untilDatetime="2040-01-01")
    assert {*first, *rest} <= {each["leadId"] for each in found}
    assert len({each["marketoGUID"] for each in found}) == len(found)
    pages = list(call("get_lead_activities_yield", activityTypeIds=["12"], sinceDatetime=SINCE, batchSize=150))
    assert sum(map(len, pages)) >= 330
    assert 12 in {each["id"] for each in call("get_activity_types")}


def test_lead_changes(call: Call) -> None:
    (lead,) = create(call, "change@a.example", firstName="Old", lastName="Same")
    create(call, "change@a.example", firstName="New", lastName="Same", title="Boss")
    pages = call("get_lead_changes_yield", fields=["firstName"], sinceDatetime=SINCE, leadIds=[lead])
    changes = [each for page in pages for each in page]
    assert [each["activityTypeId"] for each in changes] == [12, 13]
    (change,) = changes[1]["fields"]
    assert (change["name"], change["oldValue"], change["newValue"]) == ("firstName", "Old", "New")
    assert {"name": "Source", "value": "Web service API"} in changes[1]["attributes"]


def test_usage(call: Call, ready: Ready) -> None:
    call("get_lead_partitions")
    (today,) = call("get_daily_usage")
    assert today["users"] == [{"userId": "api@contoso.example", "count": today["total"]}]
    assert len(call("get_last_7_days_usage")) == len(call("get_last_7_days_errors")) == 7
    assert set(call("get_daily_errors")[0]) == {"date", "total", "errors"}


def test_the_client_waits_and_tries_again_after_606(call: Call, admin: httpx.Client) -> None:
    """It takes 606 for what it is, twice; but each retry of this version has lost its token, which is 603."""
    path = "/rest/v1/leads/describe.json"
    rule = {"service": "marketo", "path": path, "times": 2, "kind": "marketo", "code": "606"}
    fault = admin.post("/faults", json=rule).json()["id"]
    with pytest.raises(Exception, match="603"):
        call("describe")
    (seen,) = [each for each in admin.get("/faults").json()["faults"] if each["id"] == fault]
    assert seen["hits"] == 2
    assert call("describe")


def test_an_old_token_is_renewed(call: Call, client: MarketoClient, admin: httpx.Client) -> None:
    call("get_lead_partitions")
    rule = {"service": "marketo", "path": "/rest/v1/leads/partitions.json", "kind": "marketo", "code": "602"}
    admin.post("/faults", json=rule)
    assert call("get_lead_partitions")


def test_the_clients_requests_are_counted(call: Call, admin: httpx.Client) -> None:
    call("get_lead_partitions")
    assert admin.get("/requests").json()["requests"]
