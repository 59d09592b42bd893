"""The activity log: paging tokens, what calls write into it, short pages, retention, lead changes, deleted leads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

ACTIVITIES = "/rest/v1/activities.json"
CHANGES = "/rest/v1/activities/leadchanges.json"
DELETED = "/rest/v1/activities/deletedleads.json"
DAY = 24 * 3600


async def token(marketo: Any, since: str = "2026-06-01T00:00:00Z") -> str:
    return (await marketo.get("/rest/v1/activities/pagingtoken.json", sinceDatetime=since))["nextPageToken"]


async def follow(marketo: Any, path: str, start: str, **parameters: Any) -> tuple[list[dict[str, Any]], str, list[int]]:
    """All activities up to ``moreResult: false``, the token after them, and how long each page was."""
    found, sizes = [], []
    while True:
        answer = await marketo.get(path, nextPageToken=start, **parameters)
        assert answer["success"], answer
        found += answer["result"]
        sizes.append(len(answer["result"]))
        start = answer["nextPageToken"]
        if not answer["moreResult"]:
            return found, start, sizes


async def read(marketo: Any, *types: int, **parameters: Any) -> list[dict[str, Any]]:
    wanted = ",".join(map(str, types))
    found, _, _ = await follow(marketo, ACTIVITIES, await token(marketo), activityTypeIds=wanted, **parameters)
    return found


def values(activity: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["value"] for each in activity["attributes"]}


async def test_a_new_lead_and_its_changes(marketo: Any) -> None:
    (made,) = await marketo.sync({"email": "ann@example.com", "firstName": "Ann", "leadScore": 1})
    await marketo.sync({"email": "ann@example.com", "firstName": "Anna", "leadScore": 2, "lastName": None})
    await marketo.sync({"email": "ann@example.com", "firstName": "Anna", "leadScore": 2})

    new, *changed = await read(marketo, 12, 13)

    assert (new["activityTypeId"], new["leadId"], values(new)["Source Type"]) == (12, made["id"], "Web service API")
    assert new["activityDate"].startswith("2026-06-15T12:00:0")
    assert [(each["primaryAttributeValue"], values(each)) for each in changed] == [
        ("First Name", {"New Value": "Anna", "Old Value": "Ann", "Reason": SOURCE, "Source": SOURCE}),
        ("Lead Score", {"New Value": "2", "Old Value": "1", "Reason": SOURCE, "Source": SOURCE}),
    ]
    described = (await marketo.get("/rest/v1/leads/describe.json"))["result"]
    first_name = next(each["id"] for each in described if each["rest"]["name"] == "firstName")
    assert changed[0]["primaryAttributeValueId"] == first_name
    assert len({each["marketoGUID"] for each in (new, *changed)}) == 3


SOURCE = "Web service API"


async def test_lead_changes_are_those_of_the_fields_asked_for(marketo: Any) -> None:
    await marketo.sync({"email": "a@example.com", "firstName": "A", "title": "Boss"})
    await marketo.sync({"email": "a@example.com", "firstName": "B", "title": None})

    found, _, _ = await follow(marketo, CHANGES, await token(marketo), fields="firstName,title")
    only, _, _ = await follow(marketo, CHANGES, await token(marketo), fields="title")

    assert [each["activityTypeId"] for each in found] == [12, 13, 13]
    assert [(each["fields"][0]["name"], each["fields"][0]["newValue"]) for each in found[1:]] == [
        ("firstName", "B"),
        ("title", None),
    ]
    assert {each["marketoGUID"] for each in only} < {each["marketoGUID"] for each in found}
    assert (await marketo.get(CHANGES, nextPageToken=await token(marketo)))["errors"][0]["code"] == "1002"
    assert (await marketo.get(CHANGES, nextPageToken="x", fields="no"))["errors"][0]["code"] == "1006"


async def test_an_import_is_logged_and_so_is_a_companys_change(marketo: Any) -> None:
    company = {"externalCompanyId": "C", "industry": "Steel"}
    await marketo.post("/rest/v1/companies.json", {"input": [company]})
    await marketo.imported("email,externalCompanyId\na@example.com,C\n")
    await marketo.post("/rest/v1/companies.json", {"input": [company | {"industry": "Glass"}]})

    new, changed = await read(marketo, 12, 13)

    assert new["leadId"] == changed["leadId"]
    assert (changed["primaryAttributeValue"], values(changed)["New Value"]) == ("Industry", "Glass")


async def test_pages_are_at_most_300_and_sometimes_short_or_empty(marketo: Any) -> None:
    for start in range(0, 900, 300):
        await marketo.sync(*({"email": f"{n}@example.com"} for n in range(start, start + 300)))

    found, _, sizes = await follow(marketo, ACTIVITIES, await token(marketo), activityTypeIds="12")

    assert len({each["leadId"] for each in found}) == len(found) == 900
    assert max(sizes) == 300
    assert any(size < 300 for size in sizes[:-1])


async def test_an_empty_page_may_say_that_there_is_more(marketo: Any) -> None:
    await marketo.sync({"email": "a@example.com"})
    first = await token(marketo)
    answers = [await marketo.get(ACTIVITIES, nextPageToken=first, activityTypeIds=12) for _ in range(10)]
    assert [len(answer["result"]) for answer in answers].count(0) == 2
    assert all(answer["moreResult"] for answer in answers if not answer["result"])


async def test_a_row_of_many_changes_is_split_between_pages(marketo: Any, subscription: Subscription) -> None:
    subscription.switches["activity_pages"] = "full"
    await marketo.sync({"email": "a@example.com"})
    await marketo.sync({"email": "a@example.com", "firstName": "A", "lastName": "B", "title": "C", "city": "D"})

    found, _, sizes = await follow(marketo, ACTIVITIES, await token(marketo), activityTypeIds="13", batchSize=3)

    assert sizes == [3, 1]
    assert [values(each)["New Value"] for each in found] == ["A", "B", "C", "D"]


async def test_the_last_token_begins_at_its_own_second(marketo: Any, subscription: Subscription) -> None:
    await marketo.sync({"email": "old@example.com"})
    subscription.clock.advance(60)
    _, last, _ = await follow(marketo, ACTIVITIES, await token(marketo), activityTypeIds="12")
    subscription.clock.advance(60)
    (made,) = await marketo.sync({"email": "new@example.com"})

    found, again, _ = await follow(marketo, ACTIVITIES, last, activityTypeIds="12")
    repeated, _, _ = await follow(marketo, ACTIVITIES, again, activityTypeIds="12")

    assert [each["leadId"] for each in found] == [made["id"]]
    assert {each["marketoGUID"] for each in repeated} <= {each["marketoGUID"] for each in found}


async def test_a_token_ages(marketo: Any, subscription: Subscription) -> None:
    old = await token(marketo)
    subscription.clock.advance(DAY + 60)
    await marketo.sign_in()
    assert (await marketo.get(ACTIVITIES, nextPageToken=old, activityTypeIds=12))["errors"][0]["code"] == "1003"
    subscription.switches["paging_token_hours"] = 48
    assert (await marketo.get(ACTIVITIES, nextPageToken=old, activityTypeIds=12))["success"]


async def test_retention(marketo: Any, subscription: Subscription) -> None:
    (ann, ben) = await marketo.sync({"email": "a@example.com"}, {"email": "b@example.com"})
    await marketo.sync({"email": "a@example.com", "title": "Boss"})
    await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": ben["id"]}]})
    subscription.clock.advance(15 * DAY)
    await marketo.sign_in()
    assert (await follow(marketo, DELETED, await token(marketo)))[0] == []
    assert [each["activityTypeId"] for each in await read(marketo, 13, 37)] == [13, 37]
    subscription.clock.advance(80 * DAY)
    await marketo.sign_in()
    assert [each["activityTypeId"] for each in await read(marketo, 12, 13, leadIds=ann["id"])] == [12]


async def test_deleted_leads_tell_their_names(marketo: Any) -> None:
    (made,) = await marketo.sync({"email": "a@example.com", "firstName": "Ann", "lastName": "Lee"})
    await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": made["id"]}]})
    (gone,) = (await follow(marketo, DELETED, await token(marketo)))[0]
    assert (gone["activityTypeId"], gone["leadId"], gone["primaryAttributeValue"]) == (37, made["id"], "Ann Lee")
    assert gone["attributes"] == []


@pytest.mark.parametrize(
    ("since", "code"),
    [
        ("2026-06-01T00:00:00Z", None),
        ("2026-06-01T00:00:00-05:00", None),
        ("2026-06-01", None),
        ("2026-06-01T00:00:00", "704"),
        ("yesterday", "704"),
        ("2026-13-01T00:00:00Z", "704"),
        ("", "1002"),
    ],
)
async def test_the_moment_of_a_paging_token(marketo: Any, since: str, code: str | None) -> None:
    answer = await marketo.get("/rest/v1/activities/pagingtoken.json", sinceDatetime=since)
    assert answer.get("errors", [{"code": None}])[0]["code"] == code
    assert ("nextPageToken" in answer) is (code is None)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "1002"),
        ({"activityTypeIds": ",".join(map(str, range(1, 12)))}, "1003"),
        ({"activityTypeIds": "12", "leadIds": ",".join(map(str, range(31)))}, "1003"),
        ({"activityTypeIds": "x"}, "1001"),
        ({"activityTypeIds": "12", "listId": "1"}, "1013"),
        ({"activityTypeIds": "12", "listId": "1001", "leadIds": "1"}, "1003"),
        ({"activityTypeIds": "12", "nextPageToken": "abc"}, "1003"),
        ({"activityTypeIds": "12", "nextPageToken": ""}, "1002"),
        ({"activityTypeIds": "12", "batchSize": "301"}, "1003"),
    ],
)
async def test_refusals(marketo: Any, parameters: dict[str, str], code: str) -> None:
    answer = await marketo.get(ACTIVITIES, **{"nextPageToken": await token(marketo), **parameters})
    assert answer["errors"][0]["code"] == code


async def test_types(marketo: Any) -> None:
    types = {each["id"]: each for each in (await marketo.get("/rest/v1/activities/types.json"))["result"]}
    assert {12, 13, 24, 25, 32, 34, 37} <= set(types)
    assert types[13]["primaryAttribute"] == {"name": "Attribute Name", "dataType": "string"}


async def test_activities_of_a_list_until_lists_are_too_big(marketo: Any, app: Any, subscription: Subscription) -> None:
    (inside, _) = await marketo.sync({"email": "a@example.com"}, {"email": "b@example.com"})
    await marketo.post("/rest/v1/lists/1001/leads.json", {"input": [{"id": inside["id"]}]})
    assert [each["leadId"] for each in await read(marketo, 12, listId=1001)] == [inside["id"]]
    with app.state.marketo.database.transaction():
        for start in range(1, 10_001, 500):
            app.state.marketo.lists.put(1001, range(start, start + 500))
    asked = {"activityTypeIds": 12, "listId": 1001}
    assert (await marketo.get(ACTIVITIES, nextPageToken=await token(marketo), **asked))["success"]
    subscription.clock.set(datetime(2026, 9, 30, tzinfo=UTC))
    await marketo.sign_in()
    refused = await marketo.get(ACTIVITIES, nextPageToken=await token(marketo), **asked)
    assert refused["errors"][0]["code"] == "1003"


async def test_ids_may_be_absent(marketo: Any, subscription: Subscription) -> None:
    await marketo.sync({"email": "a@example.com"})
    assert "id" in (await read(marketo, 12))[0]
    subscription.switches["activity_ids"] = "absent"
    assert "id" not in (await read(marketo, 12))[0]
