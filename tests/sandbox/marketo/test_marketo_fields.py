"""Describe, and the field schema calls: what may be created, changed and never undone."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

FIELDS = "/rest/v1/leads/schema/fields.json"


def field(name: str = "dynamicsId", **changed: Any) -> dict[str, Any]:
    return {"name": name, "displayName": f"My {name}", "dataType": "string", **changed}


async def create(marketo: Any, *fields: dict[str, Any]) -> dict[str, Any]:
    return await marketo.post(FIELDS, {"input": list(fields)})


async def described(marketo: Any) -> dict[str, dict[str, Any]]:
    result = (await marketo.get("/rest/v1/leads/describe2.json"))["result"]
    return {each["name"]: each for each in result[0]["fields"]}


async def test_describe2_tells_types_lengths_and_keys(marketo: Any) -> None:
    result = (await marketo.get("/rest/v1/leads/describe2.json"))["result"]
    fields = {each["name"]: each for each in result[0]["fields"]}

    assert result[0]["name"] == "API Lead"
    assert ["email"] in result[0]["searchableFields"]
    assert ["firstName"] not in result[0]["searchableFields"]
    assert fields["email"] == {
        "name": "email",
        "displayName": "Email Address",
        "dataType": "email",
        "length": 255,
        "updateable": True,
        "crmManaged": False,
    }
    assert fields["personNotes"]["dataType"] == "text"
    assert "length" not in fields["personNotes"]
    assert fields["createdAt"]["updateable"] is False


async def test_describe_lists_rest_and_soap_names(marketo: Any) -> None:
    result = (await marketo.get("/rest/v1/leads/describe.json"))["result"]
    assert result[1] == {
        "id": 2,
        "displayName": "Company Name",
        "dataType": "string",
        "length": 255,
        "rest": {"name": "company", "readOnly": False},
        "soap": {"name": "Company", "readOnly": False},
    }


async def test_a_native_sync_owns_its_fields(marketo: Any, subscription: Subscription) -> None:
    subscription.native_sync = True
    fields = await described(marketo)
    assert (fields["firstName"]["crmManaged"], fields["department"]["crmManaged"]) == (True, False)


async def test_a_created_field_is_there_at_once_and_searchable(marketo: Any) -> None:
    answer = await create(marketo, field(description="Written by crmsync"), field("msCreated", dataType="datetime"))
    assert answer["result"] == [
        {"name": "dynamicsId", "status": "created"},
        {"name": "msCreated", "status": "created"},
    ]

    result = (await marketo.get("/rest/v1/leads/describe2.json"))["result"][0]
    assert ["dynamicsId"] in result["searchableFields"]
    assert ["msCreated"] not in result["searchableFields"]
    assert (await marketo.get("/rest/v1/leads/schema/fields/dynamicsId.json"))["result"] == [
        {
            "displayName": "My dynamicsId",
            "name": "dynamicsId",
            "description": "Written by crmsync",
            "dataType": "string",
            "length": 255,
            "isHidden": False,
            "isHtmlEncodingInEmail": True,
            "isSensitive": False,
            "isCustom": True,
            "isApiCreated": True,
        }
    ]


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        (field(dataType="text"), "1003"),
        (field(dataType="textarea"), "1003"),
        (field("1st"), "1003"),
        (field("my-id"), "1003"),
        (field(displayName="a/b"), "1003"),
        (field(displayName="Email Address"), "1003"),
        (field("EMAIL"), "1017"),
        (field(name=""), "1002"),
        ({"name": "x", "displayName": "X"}, "1002"),
        (field(isHidden="no"), "1001"),
        ("dynamicsId", "1003"),
    ],
)
async def test_definitions_that_are_refused(marketo: Any, definition: Any, code: str) -> None:
    answer = await create(marketo, field("good"), definition)
    assert answer["errors"][0]["code"] == code
    assert "good" not in await described(marketo)


async def test_two_fields_of_one_call_may_not_share_a_name(marketo: Any) -> None:
    answer = await create(marketo, field("a"), field("a", displayName="Another"))
    assert answer["errors"][0]["code"] == "1017"


async def test_100_fields_may_be_created_in_a_subscription(marketo: Any) -> None:
    assert (await create(marketo, *(field(f"f{number}") for number in range(99))))["success"]
    assert not (await create(marketo, field("g1"), field("g2")))["success"]
    assert (await create(marketo, field("g1")))["success"]
    assert not (await create(marketo, field("g2")))["success"]


async def test_the_list_comes_in_pages(marketo: Any) -> None:
    first = await marketo.get(FIELDS, batchSize=50)
    second = await marketo.get(FIELDS, batchSize=50, nextPageToken=first["nextPageToken"])

    assert (first["moreResult"], second["moreResult"]) == (True, False)
    assert "nextPageToken" not in second
    names = [each["name"] for each in first["result"] + second["result"]]
    assert len(names) == len(set(names))
    assert {"email", "personNotes"} <= set(names)


async def change(marketo: Any, name: str, **changes: Any) -> dict[str, Any]:
    return await marketo.post(f"/rest/v1/leads/schema/fields/{name}.json", {"input": [changes]})


async def test_what_can_be_changed_depends_on_who_made_the_field(marketo: Any) -> None:
    await create(marketo, field())
    assert (await change(marketo, "dynamicsId", isHidden=True, displayName="Key"))["success"]
    assert (await change(marketo, "personNotes", displayName="Notes"))["success"]
    assert (await change(marketo, "email", description="d", isSensitive=True))["success"]

    assert not (await change(marketo, "dynamicsId", dataType="integer"))["success"]
    assert not (await change(marketo, "personNotes", isHidden=True))["success"]
    assert not (await change(marketo, "email", displayName="Mail"))["success"]
    assert "dynamicsId" not in await described(marketo)


async def test_changing_a_standard_field_needs_its_own_permission(marketo: Any, subscription: Subscription) -> None:
    subscription.permissions = {"Read-Write Schema Custom Field"}
    assert (await change(marketo, "email", description="d"))["errors"][0]["code"] == "603"


async def test_company_fields_are_read_only(marketo: Any) -> None:
    path = "/rest/v1/companies/schema/fields.json"
    assert (await marketo.get(path))["moreResult"] is False
    industry = await marketo.get("/rest/v1/companies/schema/fields/industry.json")
    assert industry["result"][0]["dataType"] == "string"
    assert (await marketo.post(path, {"input": [field()]}))["errors"][0]["code"] == "605"


async def test_an_administrator_can_make_what_the_api_cannot(marketo: Any, app: Any) -> None:
    app.state.marketo.add_field("company", "msAccountNumber", "Microsoft Account Number", "string")
    result = (await marketo.get("/rest/v1/companies/describe.json"))["result"][0]
    assert "msAccountNumber" in {each["name"] for each in result["fields"]}


async def test_fields_survive_a_restart(marketo: Any, app: Any, subscription: Subscription) -> None:
    from crmsync.sandbox.marketo.app import marketo_app

    await create(marketo, field())
    again = marketo_app(subscription)
    assert again.state.marketo.person_fields.get("dynamicsId").api_created
    await again.state.close()
