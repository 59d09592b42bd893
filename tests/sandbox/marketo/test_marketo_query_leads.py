"""Reading people: by id, by filter, in pages, and as a form when the address would be too long."""

from __future__ import annotations

from typing import Any

import pytest

LEADS = "/rest/v1/leads.json"


@pytest.fixture
async def people(marketo: Any) -> Any:
    """Ten people of one team."""
    await marketo.create_field("team")
    await marketo.sync(*({"email": f"p{n}@example.com", "team": "red", "firstName": f"P{n}"} for n in range(10)))
    return marketo


async def test_one_person_by_id(people: Any) -> None:
    answer = await people.get("/rest/v1/lead/3.json")
    assert answer["result"][0].keys() == {"id", "email", "updatedAt", "createdAt", "firstName", "lastName"}
    assert answer["result"][0]["lastName"] is None
    assert (await people.get("/rest/v1/lead/3.json", fields="team"))["result"] == [{"id": 3, "team": "red"}]


@pytest.mark.parametrize("number", ["99", "x", "9" * 30, "²"])
async def test_an_unknown_id_is_1004(people: Any, number: str) -> None:
    assert (await people.get(f"/rest/v1/lead/{number}.json"))["errors"][0]["code"] == "1004"


async def test_values_may_be_joined_or_repeated(people: Any) -> None:
    wanted = ["P1@example.com", "p2@EXAMPLE.com", "nobody@example.com"]
    joined = await people.get(LEADS, filterType="email", filterValues=",".join(wanted))
    repeated = await people.get(LEADS, filterType="email", filterValues=wanted)

    assert [each["email"] for each in joined["result"]] == ["p1@example.com", "p2@example.com"]
    assert repeated["result"] == joined["result"]
    assert "moreResult" not in joined


async def test_pages_follow_the_token(people: Any) -> None:
    query = {"filterType": "team", "filterValues": "red", "batchSize": 4}
    emails, token = [], None
    for expected in (4, 4, 2):
        page = await people.get(LEADS, **query, **({"nextPageToken": token} if token else {}))
        assert len(page["result"]) == expected
        emails += [each["email"] for each in page["result"]]
        token = page.get("nextPageToken")
    assert token is None
    assert emails == [f"p{n}@example.com" for n in range(10)]


async def test_a_token_belongs_to_its_query(people: Any) -> None:
    page = await people.get(LEADS, filterType="team", filterValues="red", batchSize=4)
    for query in ({"filterValues": "blue"}, {"nextPageToken": "AAAA"}):
        parameters = {"filterValues": "red", "nextPageToken": page["nextPageToken"], **query}
        assert (await people.get(LEADS, filterType="team", **parameters))["errors"][0]["code"] == "1003"


async def test_as_a_form_with_the_method_in_body_or_url(people: Any) -> None:
    form = {"filterType": "email", "filterValues": "p1@example.com", "fields": "email"}
    in_body = await people.http.post(LEADS, data={"_method": "GET", **form})
    in_url = await people.http.post(LEADS, params={"_method": "GET"}, data=form)

    expected = [{"id": 2, "email": "p1@example.com"}]
    assert in_body.json()["result"] == expected
    assert in_url.json()["result"] == expected


async def test_300_long_values_fit_into_a_form(people: Any) -> None:
    values = ",".join(f"{'x' * 40}{n}@example.com" for n in range(299)) + ",p1@example.com"
    answer = await people.http.post(LEADS, data={"_method": "GET", "filterType": "email", "filterValues": values})
    assert len(answer.json()["result"]) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"filterType": "firstName"}, "1011"),
        ({"filterType": "nothing"}, "1006"),
        ({"filterType": "id"}, "1001"),
        ({"filterValues": ""}, "1002"),
        ({"filterValues": ",".join("x" * 301)}, "1003"),
        ({"fields": "email,nothing"}, "1006"),
        ({"batchSize": "301"}, "1003"),
        ({"batchSize": "0"}, "1003"),
        ({"batchSize": "²"}, "1003"),
    ],
)
async def test_queries_that_are_refused(people: Any, query: dict[str, str], code: str) -> None:
    answer = await people.get(LEADS, **{"filterType": "email", "filterValues": "x", **query})
    assert answer["errors"][0]["code"] == code


async def test_more_than_1000_matches_are_1003(people: Any) -> None:
    async def add(count: int, first: int) -> None:
        await people.sync(*({"email": f"q{first + n}@example.com", "team": "red"} for n in range(count)))

    for start in range(0, 990, 198):
        await add(198, start)
    assert len(await people.leads("team", "red")) == 300
    await add(1, 5000)
    answer = await people.get(LEADS, filterType="team", filterValues="red")
    assert answer["errors"] == [{"code": "1003", "message": "Too many results match the filter"}]


async def test_keys_may_be_case_sensitive(people: Any, subscription: Any) -> None:
    subscription.switches["key_case"] = "sensitive"
    assert await people.leads("email", "P1@example.com") == []
    assert len(await people.leads("email", "p1@example.com")) == 1


async def test_everybody_is_in_the_default_partition(people: Any) -> None:
    assert len(await people.leads("leadPartitionId", 1)) == 10
    assert await people.leads("leadPartitionId", 2) == []
    assert await people.leads("sfdcLeadId", "x") == []
