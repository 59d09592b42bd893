"""Static lists: found, filled, emptied, read in pages, and imported into."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

LIST = "/rest/v1/lists/1001"
MEMBERS = f"{LIST}/leads.json"


@pytest.fixture
async def leads(marketo: Any) -> list[int]:
    return [each["id"] for each in await marketo.sync(*({"email": f"{n}@example.com"} for n in range(3)))]


def codes(answer: dict[str, Any]) -> list[str]:
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in answer["result"]]


async def test_lists_are_found_by_id_and_name(marketo: Any, app: Any) -> None:
    made = app.state.marketo.add_list("Fair", "Everybody at the fair")
    everything = (await marketo.get("/rest/v1/lists.json"))["result"]
    assert [each["name"] for each in everything] == ["Newsletter", "Customers", "Event attendees", "Fair"]
    assert (await marketo.get("/rest/v1/lists.json", name="Fair,Customers"))["result"] == [everything[1], everything[3]]
    assert (await marketo.get("/rest/v1/lists.json", id=made.id))["result"] == [everything[3]]
    assert (await marketo.get(f"/rest/v1/lists/{made.id}.json"))["result"] == [everything[3]]
    assert (await marketo.get("/rest/v1/lists/7.json"))["errors"][0]["code"] == "1013"
    page = await marketo.get("/rest/v1/lists.json", batchSize=3)
    rest = await marketo.get("/rest/v1/lists.json", batchSize=3, nextPageToken=page["nextPageToken"])
    assert rest["result"] == [everything[3]]


async def test_members_come_and_go(marketo: Any, leads: list[int]) -> None:
    one, two, three = leads
    assert codes(await marketo.post(MEMBERS, {"input": [{"id": one}, {"id": two}, {"id": 99}]})) == [
        "added",
        "added",
        "1004",
    ]
    again = await marketo.http.post(MEMBERS, params={"id": [two, three]})
    assert codes(again.json()) == ["added", "added"]
    members = (await marketo.get(f"/rest/v1/list/{1001}/leads.json", fields="id"))["result"]
    assert members == [{"id": one}, {"id": two}, {"id": three}]
    removed = await marketo.http.request("DELETE", MEMBERS, params={"id": f"{one},{one},99"})
    assert codes(removed.json()) == ["removed", "removed", "1004"]
    by_body = await marketo.http.request("DELETE", MEMBERS, json={"input": [{"id": one}]})
    assert codes(by_body.json()) == ["notmemberof"]
    asked = await marketo.get(f"{LIST}/leads/ismember.json", id=f"{one},{two},99")
    assert codes(asked) == ["notmemberof", "memberof", "1004"]
    by_json = await marketo.post(f"{LIST}/leads/ismember.json?_method=GET", {"input": [{"id": two}]})
    assert codes(by_json) == ["memberof"]


async def test_a_non_member_may_be_skipped_instead(marketo: Any, subscription: Subscription, leads: list[int]) -> None:
    subscription.switches["remove_non_member"] = "skip"
    answer = await marketo.http.request("DELETE", MEMBERS, json={"input": [{"id": leads[0]}]})
    assert codes(answer.json()) == ["1015"]


async def test_pages_of_members(marketo: Any, leads: list[int]) -> None:
    await marketo.post(MEMBERS, {"input": [{"id": number} for number in leads]})
    page = await marketo.get(MEMBERS, batchSize=2)
    rest = await marketo.get(MEMBERS, batchSize=2, nextPageToken=page["nextPageToken"])
    assert [each["id"] for each in (*page["result"], *rest["result"])] == leads
    assert "nextPageToken" not in rest


async def test_the_lists_of_a_lead(marketo: Any, leads: list[int]) -> None:
    await marketo.post(MEMBERS, {"input": [{"id": leads[0]}]})
    path = f"/rest/v1/leads/{leads[0]}/listMembership.json"
    assert [each["listId"] for each in (await marketo.get(path))["result"]] == [1001]
    await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": leads[0]}]})
    assert (await marketo.get(MEMBERS))["result"] == []


async def test_an_import_fills_a_list(marketo: Any) -> None:
    status = await marketo.imported("email,leadScore\na@example.com,1\nb@example.com,x\n", listId="1001")
    assert status["numOfLeadsProcessed"] == 1
    members = (await marketo.get(MEMBERS, fields="email"))["result"]
    assert [each["email"] for each in members] == ["a@example.com"]


async def test_a_list_takes_one_import_at_a_time(marketo: Any) -> None:
    first = await marketo.start_import("email\n" + "\n".join(f"{n}@example.com" for n in range(2000)), listId="1001")
    second = await marketo.start_import("email\na@example.com\n", listId="1001")
    assert second["errors"][0]["code"] == "1019"
    await marketo.finished(first["result"][0]["batchId"])
    assert (await marketo.start_import("email\na@example.com\n", listId="7"))["errors"][0]["code"] == "1013"


@pytest.mark.parametrize(
    ("body", "code"),
    [({"input": []}, "1002"), ({"input": [{"id": "x"}]}, "1001"), ({"input": [{"id": 1}] * 301}, "1003")],
)
async def test_refusals(marketo: Any, body: Any, code: str) -> None:
    assert (await marketo.post(MEMBERS, body))["errors"][0]["code"] == code
