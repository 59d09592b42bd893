"""Sync Leads: actions, lookup fields, what a record may hold, and why one is skipped."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

LEADS = "/rest/v1/leads.json"


def skipped(code: str, message: str) -> dict[str, Any]:
    return {"status": "skipped", "reasons": [{"code": code, "message": message}]}


def codes(results: list[dict[str, Any]]) -> list[str]:
    """Status or code of each record."""
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in results]


async def test_upsert_by_a_custom_key_ignores_case(marketo: Any) -> None:
    await marketo.create_field("dynamicsId")
    first = await marketo.sync({"dynamicsId": "7c1e-A", "firstName": "Ann"}, lookupField="dynamicsId")
    second = await marketo.sync({"dynamicsId": "7C1E-a", "firstName": "Anna"}, lookupField="dynamicsId")

    assert first == [{"id": 1, "status": "created"}]
    assert second == [{"id": 1, "status": "updated"}]
    (person,) = await marketo.leads("dynamicsId", "7c1e-a", fields="firstName")
    assert person == {"id": 1, "firstName": "Anna"}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("createOrUpdate", ["updated", "created"]),
        ("createOnly", ["1005", "created"]),
        ("updateOnly", ["updated", "1004"]),
        ("createDuplicate", ["created", "created"]),
    ],
)
async def test_actions(marketo: Any, action: str, expected: list[str]) -> None:
    await marketo.sync({"email": "here@example.com"})
    results = await marketo.sync({"email": "here@example.com"}, {"email": "new@example.com"}, action=action)
    assert codes(results) == expected


async def test_two_people_with_one_key_are_1007(marketo: Any) -> None:
    await marketo.sync({"email": "a@example.com"}, {"email": "a@example.com"}, action="createDuplicate")
    assert await marketo.sync({"email": "a@example.com"}) == [
        skipped("1007", "Multiple leads match the lookup criteria")
    ]


async def test_results_stand_in_input_order_and_fail_alone(marketo: Any) -> None:
    await marketo.create_field("age", "integer")
    results = await marketo.sync(
        {"email": "a@example.com", "age": 5},
        {"email": "b@example.com", "age": "five"},
        {"email": "c@example.com", "nothing": 1},
        {"firstName": "Ann"},
        {"email": "d@example.com", "createdAt": "2020-01-01T00:00:00Z"},
        "not a record",
        {"email": "e@example.com", "age": 6},
    )
    assert results[1] == skipped("1001", "Invalid value 'five'. Required of type 'integer'")
    assert results[2] == skipped("1006", "Field 'nothing' not found")
    assert results[3] == skipped("1003", "Value for lookup field 'email' not found")
    assert codes(results) == ["created", "1001", "1006", "1003", "1003", "1003", "created"]


@pytest.mark.parametrize("name", ["firstName", "company", "createdAt", "personNotes", "externalCompanyId"])
async def test_fields_that_cannot_be_looked_up_are_1011(marketo: Any, name: str) -> None:
    answer = await marketo.post(LEADS, {"lookupField": name, "input": [{name: "x"}]})
    assert answer["errors"] == [{"code": "1011", "message": f"Field '{name}' not supported"}]


@pytest.mark.parametrize(("data_type", "value"), [("string", "x"), ("email", "x@y.z"), ("integer", 7)])
async def test_custom_string_email_and_integer_fields_can(marketo: Any, data_type: str, value: Any) -> None:
    await marketo.create_field("key", data_type)
    record = {"key": value}
    assert codes(await marketo.sync(record, record, lookupField="key")) == ["created", "updated"]


async def test_custom_fields_of_other_types_cannot(marketo: Any) -> None:
    await marketo.create_field("key", "score")
    answer = await marketo.post(LEADS, {"lookupField": "key", "input": [{"key": 1}]})
    assert answer["errors"][0]["code"] == "1011"


async def test_id_is_for_update_only(marketo: Any) -> None:
    await marketo.sync({"email": "a@example.com"})
    update = {"action": "updateOnly", "lookupField": "id"}

    assert codes(await marketo.sync({"id": 1, "firstName": "Ann"}, {"id": 9}, **update)) == ["updated", "1004"]
    assert codes(await marketo.sync({"id": 1, "email": "a@example.com"})) == ["1003"]
    assert codes(await marketo.sync({"id": 1}, action="createOnly", lookupField="id")) == ["1003"]


@pytest.mark.parametrize("empty", [None, ""])
async def test_null_and_empty_text_clear(marketo: Any, empty: str | None) -> None:
    await marketo.sync({"email": "a@example.com", "firstName": "Ann", "lastName": "Lee", "doNotCall": True})
    await marketo.sync({"email": "a@example.com", "firstName": empty, "doNotCall": empty})
    (person,) = await marketo.leads("email", "a@example.com", fields="firstName,lastName,doNotCall")
    assert person == {"id": 1, "firstName": None, "lastName": "Lee", "doNotCall": None}


@pytest.mark.parametrize("email", ["jürgen@example.com", "a@exämple.com", "用户@example.com"])
async def test_only_ascii_in_a_persons_email(marketo: Any, email: str) -> None:
    assert codes(await marketo.sync({"email": email})) == ["1001"]


async def test_a_broken_email_is_taken(marketo: Any) -> None:
    assert codes(await marketo.sync({"email": "no at sign"})) == ["created"]


async def test_too_long_text_is_refused_or_cut(marketo: Any, subscription: Subscription) -> None:
    record = {"email": "a@example.com", "firstName": "x" * 256}
    assert codes(await marketo.sync(record)) == ["1001"]

    subscription.switches["long_strings"] = "cut"
    assert codes(await marketo.sync(record)) == ["created"]
    assert len((await marketo.leads("email", "a@example.com"))[0]["firstName"]) == 255


async def test_values_read_back_as_marketo_keeps_them(marketo: Any) -> None:
    for name in ("float", "currency", "datetime", "date", "boolean", "percent", "score", "url", "phone"):
        await marketo.create_field(f"my_{name}", name)
    sent = {
        "my_float": 1234567.89,
        "my_currency": 100,
        "my_datetime": "2010-05-07T15:41:32-05:00",
        "my_date": "1899-12-31",
        "my_boolean": False,
        "my_percent": 50,
        "my_score": -2,
        "my_url": "example.com",
        "my_phone": "0049 30",
    }
    await marketo.sync({"email": "a@example.com", **sent})
    (person,) = await marketo.leads("email", "a@example.com", fields=",".join(sent))
    kept = sent | {"my_float": 1234567.875, "my_datetime": "2010-05-07T20:41:32Z"}
    assert person == {"id": 1, **kept}


async def test_updated_at_moves_on_standard_fields_that_change(marketo: Any, subscription: Subscription) -> None:
    await marketo.create_field("mine")

    async def moved(**values: str) -> bool:
        subscription.clock.advance(60)
        (before,) = await marketo.leads("email", "a@example.com")
        assert codes(await marketo.sync({"email": "a@example.com", **values})) == ["updated"]
        (after,) = await marketo.leads("email", "a@example.com")
        return after["updatedAt"] != before["updatedAt"]

    await marketo.sync({"email": "a@example.com", "firstName": "Ann"})
    assert not await moved(firstName="Ann")
    assert not await moved(mine="x")
    assert await moved(firstName="Anna")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"action": "upsert"}, "1003"),
        ({"lookupField": "nothing"}, "1006"),
        ({"input": []}, "1002"),
        ({"input": "x"}, "1001"),
        ({"input": [{"email": "a@example.com"}] * 301}, "1003"),
        ({"partitionName": "Europe"}, "1008"),
        ({"partitionName": "Default", "action": "updateOnly"}, "1003"),
    ],
)
async def test_calls_that_are_refused_whole(marketo: Any, members: dict[str, Any], code: str) -> None:
    answer = await marketo.post(LEADS, {"input": [{"email": "a@example.com"}], **members})
    assert answer["errors"][0]["code"] == code
    assert await marketo.leads("email", "a@example.com") == []


async def test_unknown_members_of_the_call_are_ignored(marketo: Any) -> None:
    more = {"asyncProcessing ": False, "partitionName": "Default"}
    assert codes(await marketo.sync({"email": "a@example.com"}, **more)) == ["created"]


async def test_an_unknown_field_may_refuse_the_whole_call(marketo: Any, subscription: Subscription) -> None:
    subscription.switches["unknown_field"] = "call"
    answer = await marketo.post(LEADS, {"input": [{"email": "a@example.com"}, {"nothing": 1}]})
    assert answer["errors"][0]["code"] == "1006"


async def test_deleting(marketo: Any) -> None:
    await marketo.sync(*({"email": f"{number}@example.com"} for number in range(1, 5)))

    answer = await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": 1}, {"id": 9}, {"id": 1}]})
    gone = {"id": 1, "status": "deleted"}
    assert answer["result"] == [gone, {"id": 9, **skipped("1004", "Lead not found")}, {
        "id": 1, **skipped("1004", "Lead not found")
    }]  # fmt: skip
    old_way = await marketo.http.request("DELETE", LEADS, json={"input": [{"id": 2}]})
    by_query = await marketo.http.post("/rest/v1/leads/delete.json", params={"id": "3,4"})
    assert codes(old_way.json()["result"]) == ["deleted"]
    assert codes(by_query.json()["result"]) == ["deleted", "deleted"]
    assert await marketo.sync({"email": "1@example.com"}) == [{"id": 5, "status": "created"}]
