"""Merging people, moving them between partitions, and what is left of the losers."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription


async def merge(marketo: Any, winner: int, **parameters: Any) -> dict[str, Any]:
    return (await marketo.http.post(f"/rest/v1/leads/{winner}/merge.json", params=parameters)).json()


async def activities(marketo: Any, *types: int, **parameters: Any) -> list[dict[str, Any]]:
    token = await marketo.get("/rest/v1/activities/pagingtoken.json", sinceDatetime="2026-06-01T00:00:00Z")
    parameters |= {"nextPageToken": token["nextPageToken"], "activityTypeIds": ",".join(map(str, types))}
    return (await marketo.get("/rest/v1/activities.json", **parameters))["result"]


@pytest.fixture
async def people(marketo: Any, subscription: Subscription) -> list[int]:
    subscription.switches["activity_pages"] = "full"
    records = (
        {"email": "winner@example.com", "firstName": "Win"},
        {"email": "loser@example.com", "firstName": "Lo", "title": "Boss"},
        {"email": "other@example.com", "title": "Clerk", "city": "Bonn"},
    )
    return [each["id"] for each in await marketo.sync(*records)]


async def test_the_winners_values_win_unless_they_are_empty(marketo: Any, people: list[int]) -> None:
    winner, loser, other = people
    await marketo.post("/rest/v1/lists/1001/leads.json", {"input": [{"id": loser}]})

    answer = await merge(marketo, winner, leadIds=f"{loser},{other}")

    assert answer["success"]
    assert "result" not in answer
    (left,) = await marketo.leads("id", *people, fields="email,firstName,title,city")
    assert (left["email"], left["firstName"], left["title"], left["city"]) == (
        "winner@example.com",
        "Win",
        "Boss",
        "Bonn",
    )
    (merged,) = await activities(marketo, 32)
    attributes = {each["name"]: each["value"] for each in merged["attributes"]}
    assert (merged["leadId"], attributes["Merge IDs"], attributes["Merge Fields"]) == (
        winner,
        f"{loser},{other}",
        "title,city",
    )
    assert [each["leadId"] for each in await activities(marketo, 12, 24)] == [winner] * 4
    members = (await marketo.get("/rest/v1/lists/1001/leads.json"))["result"]
    assert [each["id"] for each in members] == [winner]


async def test_losers_among_the_deleted_are_a_switch(
    marketo: Any, subscription: Subscription, people: list[int]
) -> None:
    winner, loser, other = people
    await merge(marketo, winner, leadId=loser)
    assert await activities(marketo, 37) == []
    subscription.switches["merge_losers_in_deleted_leads"] = True
    await merge(marketo, winner, leadId=other)
    assert [each["leadId"] for each in await activities(marketo, 37)] == [other]


async def test_roles_move_and_custom_objects_do_not(marketo: Any, people: list[int]) -> None:
    winner, loser, _ = people
    await marketo.post("/rest/v1/opportunities.json", {"input": [{"externalOpportunityId": "O", "name": "x"}]})
    roles = [{"externalOpportunityId": "O", "leadId": each, "role": "A"} for each in (winner, loser)]
    roles.append(roles[1] | {"role": "B"})
    await marketo.post("/rest/v1/opportunities/roles.json", {"input": roles})
    await car_type(marketo)
    await marketo.post("/rest/v1/customobjects/car.json", {"input": [{"vin": "V", "leadId": loser}]})

    await merge(marketo, winner, leadId=loser)

    found = await marketo.get("/rest/v1/opportunities/roles.json", filterType="leadId", filterValues=winner)
    assert [each["role"] for each in found["result"]] == ["A", "B"]
    orphan = await marketo.get("/rest/v1/customobjects/car.json", filterType="leadId", filterValues=loser)
    assert len(orphan["result"]) == 1


async def car_type(marketo: Any) -> None:
    path = "/rest/v1/customobjects/schema"
    link = {"name": "lead", "field": "Id"}
    fields = [
        {"name": "vin", "displayName": "VIN", "dataType": "string", "isDedupeField": True},
        {"name": "leadId", "displayName": "Lead Id", "dataType": "link", "relatedTo": link},
    ]
    await marketo.post(f"{path}.json", {"displayName": "Car", "apiName": "car"})
    await marketo.post(f"{path}/car/addField.json", {"input": fields})
    assert (await marketo.http.post(f"{path}/car/approve.json")).json()["success"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "1002"),
        ({"leadIds": "999"}, "1004"),
        ({"leadIds": "x"}, "1001"),
        ({"leadIds": ",".join(map(str, range(100, 126)))}, "1080"),
        ({"leadIds": "1"}, "1003"),
        ({"leadIds": "2", "mergeInCRM": "true"}, "1003"),
    ],
)
async def test_refusals(marketo: Any, people: list[int], parameters: dict[str, str], code: str) -> None:
    assert (await merge(marketo, people[0], **parameters))["errors"][0]["code"] == code
    assert len(await marketo.leads("id", *people)) == 3


async def test_partitions(marketo: Any, subscription: Subscription, people: list[int]) -> None:
    path = "/rest/v1/leads/partitions.json"
    move = {"input": [{"id": people[0], "partitionName": "Europe"}, {"id": 99, "partitionName": "Default"}]}
    assert codes(await marketo.post(path, move)) == ["1008", "1004"]
    subscription.switches["partitions"] = "default_and_europe"
    assert (await marketo.get(path))["result"] == [{"id": 1, "name": "Default"}, {"id": 2, "name": "Europe"}]
    assert codes(await marketo.post(path, move)) == ["updated", "1004"]
    assert [each["id"] for each in await marketo.leads("leadPartitionId", 2)] == [people[0]]
    record = {"email": "winner@example.com"}
    assert codes({"result": await marketo.sync(record, partitionName="Default")}) == ["1010"]
    assert codes({"result": await marketo.sync(record, partitionName="Europe")}) == ["updated"]
    (new,) = await marketo.sync({"email": "new@example.com"}, partitionName="Europe")
    assert (await marketo.leads("id", new["id"], fields="leadPartitionId"))[0]["leadPartitionId"] == 2
    assert codes(await marketo.post(path, {"input": [{"id": people[0]}]})) == ["1009"]


def codes(answer: dict[str, Any]) -> list[str]:
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in answer["result"]]
