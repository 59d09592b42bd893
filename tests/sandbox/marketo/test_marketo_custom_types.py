"""Custom object types: their states, their limits, what cannot change after approval, who may link to whom."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

SCHEMA = "/rest/v1/customobjects/schema"
VIN = {"name": "vin", "displayName": "VIN", "dataType": "string", "isDedupeField": True}
LEAD = {"name": "leadId", "displayName": "Lead Id", "dataType": "link", "relatedTo": {"name": "lead", "field": "Id"}}


def text(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "displayName": name, "dataType": "string", **more}


class Types:
    """The schema calls in the words of these tests: each returns None or the error's code."""

    def __init__(self, marketo: Any) -> None:
        self.marketo = marketo

    async def post(self, path: str, body: Any = None) -> str | None:
        if body is None:
            answer = (await self.marketo.http.post(f"{SCHEMA}{path}.json")).json()
        else:
            answer = await self.marketo.post(f"{SCHEMA}{path}.json", body)
        if answer["success"]:
            assert answer["result"] == []
            return None
        return str(answer["errors"][0]["code"])

    async def make(self, name: str, *fields: dict[str, Any], approve: bool = False) -> str | None:
        code = await self.post("", {"apiName": name, "displayName": name, "action": "createOnly"})
        code = code or (await self.add(name, *fields) if fields else None)
        return code or (await self.post(f"/{name}/approve") if approve else None)

    async def add(self, name: str, *fields: dict[str, Any]) -> str | None:
        return await self.post(f"/{name}/addField", {"input": list(fields)})

    async def describe(self, name: str, **parameters: str) -> dict[str, Any]:
        answer = await self.marketo.get(f"{SCHEMA}/{name}/describe.json", **parameters)
        return answer["result"][0] if answer["success"] else answer["errors"][0]


@pytest.fixture
def types(marketo: Any) -> Types:
    return Types(marketo)


async def test_from_draft_to_approved_and_back_to_a_draft(marketo: Any, types: Types) -> None:
    assert await types.make("car") is None
    draft = await types.describe("car")
    assert (draft["state"], draft["version"], draft["idField"], draft["createdAt"]) == ("draft", "draft", None, None)
    assert (draft["dedupeFields"], draft["searchableFields"]) == ([], [[]])
    assert await types.post("/car/approve") == "709"  # no dedupe field
    assert await types.add("car", VIN, LEAD, text("model")) is None
    assert (await marketo.get("/rest/v1/customobjects.json"))["result"] == []
    assert await types.post("/car/approve") is None
    approved = await types.describe("car")
    assert (approved["state"], approved["version"]) == ("approved", "approved")
    assert approved["searchableFields"] == [["vin"], ["marketoGUID"], ["leadId"]]
    assert approved["relationships"] == [
        {"field": "leadId", "type": "child", "relatedTo": {"name": "Lead", "field": "id"}}
    ]
    assert await types.post("/car/approve") == "709"  # nothing to approve
    assert await types.add("car", text("color")) is None
    assert (await types.describe("car"))["state"] == "approvedWithDraft"
    names = [each["name"] for each in (await types.describe("car", state="draft"))["fields"]]
    assert names == ["marketoGUID", "createdAt", "updatedAt", "vin", "leadId", "model", "color"]
    assert await types.post("/car/discardDraft") is None
    assert (await types.describe("car", state="draft"))["code"] == "1013"
    assert await types.post("/car/discardDraft") == "1048"


async def test_names_are_unique_and_in_form(types: Types) -> None:
    assert await types.make("car", VIN) is None
    assert await types.make("car") == "1017"
    assert await types.post("", {"apiName": "other", "displayName": "CAR"}) == "1003"
    assert await types.post("", {"apiName": "no-dash", "displayName": "x"}) == "1003"
    assert await types.post("", {"apiName": "x"}) == "1002"
    assert await types.post("", {"apiName": "y", "displayName": "y", "action": "updateOnly"}) == "1013"
    assert await types.add("car", text("VIN")) == "1003"
    assert await types.add("car", text("marketoGuid")) == "1003"
    assert await types.add("car", text("a") | {"displayName": "vin"}) == "1003"
    assert await types.add("car", text("a") | {"dataType": "blob"}) == "1003"
    assert await types.add("nothing", VIN) == "1013"


async def test_limits(types: Types) -> None:
    for number in range(10):
        assert await types.make(f"type{number}") is None
    assert await types.make("type10") == "1003"
    assert await types.add("type0", *(text(f"k{n}", isDedupeField=True) for n in range(4))) == "1003"
    assert len((await types.describe("type0"))["fields"]) == 3  # none of them was added
    assert await types.add("type0", *(text(f"f{n}") for n in range(50))) is None
    assert await types.add("type0", text("f50")) == "1003"
    assert await types.add("type1", VIN) is None
    assert await types.post("/type1/approve") is None
    assert await types.add("type1", *(text(f"f{n}") for n in range(20))) is None
    assert await types.post("/type1/approve") is None
    assert await types.add("type1", text("f20")) == "1003"


async def test_what_stays_once_approved(types: Types) -> None:
    assert await types.make("car", VIN, LEAD, text("model"), approve=True) is None
    assert await types.post("", {"apiName": "car", "displayName": "Auto"}) == "1003"
    assert await types.post("", {"apiName": "car", "description": "x", "action": "updateOnly"}) is None
    assert await types.add("car", text("k", isDedupeField=True)) == "1003"
    assert await types.add("car", LEAD | {"name": "l2", "displayName": "l2"}) == "1003"
    assert await types.post("/car/deleteField", {"input": [{"name": "vin"}]}) == "1003"
    assert await types.post("/car/deleteField", {"input": [{"name": "leadId"}]}) == "1003"
    assert await types.post("/car/model/updateField", {"dataType": "text"}) == "1003"
    assert await types.post("/car/model/updateField", {"displayName": "Model name"}) is None
    assert await types.post("/car/deleteField", {"input": [{"name": "model"}]}) is None
    assert await types.post("/car/deleteField", {"input": [{"name": "model"}]}) == "1006"


async def test_a_drafts_field_may_change(types: Types) -> None:
    assert await types.make("car", text("title")) is None
    assert await types.post("/car/title/updateField", {"displayName": "Long title", "dataType": "text"}) is None
    (field,) = [each for each in (await types.describe("car"))["fields"] if each["name"] == "title"]
    assert (field["displayName"], field["dataType"], field["length"]) == ("Long title", "text", 2000)
    assert await types.post("/car/title/updateField", {"isDedupeField": True}) is None
    assert await types.post("/car/title/updateField", {"dataType": "link"}) == "1003"


async def test_links_go_two_levels_deep(marketo: Any, types: Types) -> None:
    course = text("courseId", isDedupeField=True)
    to_course = {"name": "course", "field": "courseId"}
    link = {"name": "courseId", "displayName": "Course Id", "dataType": "link", "relatedTo": to_course}
    assert await types.make("course", course) is None
    assert await types.make("enrollment", VIN) is None
    assert await types.add("enrollment", link) == "1003"  # not approved yet
    assert await types.post("/course/approve") is None
    assert await types.add("enrollment", link, LEAD) is None
    assert await types.add("enrollment", LEAD | {"name": "l2", "displayName": "l2"}) == "1003"
    assert await types.post("/enrollment/approve") is None
    third = link | {"relatedTo": {"name": "enrollment", "field": "vin"}}
    assert await types.make("grade", VIN, third) == "1003"
    shown = (await marketo.get(f"{SCHEMA}/linkableObjects.json"))["result"]
    assert [each["name"] for each in shown] == ["lead", "company", "course"]
    assert {"name": "Id", "displayName": "Id", "dataType": "integer"} in shown[0]["fields"]
    used = (await marketo.get(f"{SCHEMA}/course/dependentAssets.json"))["result"]
    assert [(each["assetName"], each["usedFields"]) for each in used] == [("enrollment", ["courseId"])]
    assert await types.post("/course/delete") == "1022"
    assert await types.post("/enrollment/delete") is None
    assert await types.post("/course/delete") is None


@pytest.mark.parametrize(
    ("related", "code"),
    [
        (None, "1002"),
        ({"name": "lead"}, "1002"),
        ({"name": "lead", "field": "firstName"}, "1003"),
        ({"name": "nothing", "field": "id"}, "1003"),
        ({"name": "Lead", "field": "Email Address"}, None),
        ({"name": "company", "field": "Id"}, None),
    ],
)
async def test_what_can_be_linked_to(types: Types, related: Any, code: str | None) -> None:
    link = {"name": "l", "displayName": "l", "dataType": "link"} | ({"relatedTo": related} if related else {})
    assert await types.make("car", VIN, link) == code


async def test_lists_and_states(marketo: Any, types: Types) -> None:
    await types.make("one", VIN, approve=True)
    await types.make("two")
    everything = (await marketo.get(f"{SCHEMA}.json"))["result"]
    assert [(each["apiName"], each["state"]) for each in everything] == [("one", "approved"), ("two", "draft")]
    assert [each["apiName"] for each in (await marketo.get(f"{SCHEMA}.json", names="two"))["result"]] == ["two"]
    assert [each["apiName"] for each in (await marketo.get(f"{SCHEMA}.json", state="draft"))["result"]] == ["two"]
    assert (await marketo.get(f"{SCHEMA}.json", state="x"))["errors"][0]["code"] == "1003"
    assert "link" in (await marketo.get(f"{SCHEMA}/fieldDataTypes.json"))["result"]


async def test_a_subscription_of_another_type(marketo: Any, types: Types, subscription: Subscription) -> None:
    subscription.switches["custom_object_types"] = "off"
    assert await types.make("car") == "616"
    assert (await types.describe("car"))["code"] == "616"
    subscription.permissions.discard("Read-Write Custom Object Type")
    assert await types.make("car") == "603"


async def test_types_survive_a_restart(marketo: Any, types: Types, subscription: Subscription) -> None:
    from crmsync.sandbox.marketo.app import marketo_app

    await types.make("car", VIN, LEAD, approve=True)
    await types.add("car", text("color"))
    again = marketo_app(subscription)
    found = again.state.marketo.custom_types.named("car")
    assert (found.state, found.added, len(found.draft.fields)) == ("approvedWithDraft", 1, 3)
    await again.state.close()
