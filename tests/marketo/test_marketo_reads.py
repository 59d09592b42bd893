"""Reading records by key: chunks of 300, pages, POST for long requests; rows keep Marketo's types."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from crmsync.errors import RecordRefused, RequestRefused

LEADS = "/rest/v1/leads.json"


def form(request: httpx.Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.content.decode()).items()}


def echo(reply: Any) -> Any:
    """A Marketo that knows a person for every value."""
    return lambda request: reply.ok(*({"dynamicsId": value} for value in form(request)["filterValues"].split(",")))


async def test_few_values_go_in_the_uri(client: Any, marketo: Any, reply: Any) -> None:
    row = {"id": 1, "score": 2**53 + 1, "revenue": 1.5, "unsubscribed": False, "title": None}
    marketo.on("GET", LEADS, reply.ok(row))

    assert await client.people("dynamicsId", ["a", "b", "a"], ["id", "score"]) == [row]

    (request,) = marketo.calls(LEADS)
    assert dict(request.url.params) == {
        "filterType": "dynamicsId",
        "filterValues": "a,b",
        "fields": "id,score",
        "batchSize": "300",
    }


async def test_many_values_go_in_forms_of_300(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, echo(reply))
    values = [f"{number:036x}" for number in range(700)]

    found = await client.people("dynamicsId", values, ["dynamicsId"])

    assert [row["dynamicsId"] for row in found] == values
    assert [len(form(call)["filterValues"].split(",")) for call in marketo.calls(LEADS)] == [300, 300, 100]
    assert {call.url.query for call in marketo.calls(LEADS)} == {b"_method=GET"}


async def test_a_long_list_of_fields_goes_in_a_form(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, reply.ok({"id": 1}))

    assert await client.people("id", ["1"], [f"{number:0100d}" for number in range(80)]) == [{"id": 1}]


async def test_pages_are_followed_with_the_same_parameters(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on(
        "GET",
        LEADS,
        reply.ok({"id": 1}, nextPageToken="T1", moreResult=True),
        reply.ok({"id": 2}, nextPageToken="T2"),
        reply.ok({"id": 3}, nextPageToken="T3", moreResult=False),
    )

    assert await client.people("email", ["a@b.example"], []) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert [call.url.params.get("nextPageToken") for call in marketo.calls(LEADS)] == [None, "T1", "T2"]
    assert {call.url.params["filterValues"] for call in marketo.calls(LEADS)} == {"a@b.example"}


async def test_when_too_many_match_the_values_are_halved(client: Any, marketo: Any, reply: Any) -> None:
    too_many = reply.fault("1003", "Too many results match the filter")
    marketo.on("GET", LEADS, too_many, reply.ok({"id": 1}), reply.ok({"id": 2}, {"id": 3}))

    assert await client.people("email", ["a", "b", "c"], ["id"]) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert [call.url.params["filterValues"] for call in marketo.calls(LEADS)] == ["a,b,c", "a", "b,c"]


async def test_too_many_for_one_value_is_an_error(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", LEADS, reply.fault("1003", "Too many results match the filter"))

    with pytest.raises(RecordRefused):
        await client.people("email", ["a"], ["id"])


async def test_no_values_are_no_call(client: Any, marketo: Any) -> None:
    assert await client.companies("externalCompanyId", [], ["id"]) == []
    assert marketo.requests == []


async def test_a_value_with_a_comma_is_refused(client: Any) -> None:
    with pytest.raises(RequestRefused):
        await client.people("email", ["a,b"], ["id"])


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("companies", "/rest/v1/companies.json", "externalCompanyId"),
        ("sales_persons", "/rest/v1/salespersons.json", "externalSalesPersonId"),
    ],
)
async def test_objects_are_read_by_key(client: Any, marketo: Any, reply: Any, method: str, path: str, key: str) -> None:
    marketo.on("GET", path, reply.ok({"seq": 0, "id": 7, key: "a"}))

    assert await getattr(client, method)(key, ["a"], ["id", key]) == [{"seq": 0, "id": 7, key: "a"}]
