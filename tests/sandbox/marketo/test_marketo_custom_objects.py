"""Custom object records: describe, list, query, sync, delete, links, and their bulk import."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from crmsync.sandbox.core import Subscription

CARS = "/rest/v1/customobjects/car.json"
SCHEMA = "/rest/v1/customobjects/schema"
IMPORT = "/bulk/v1/customobjects/car/import"
FIELDS = [
    {"name": "vin", "displayName": "VIN", "dataType": "string", "isDedupeField": True},
    {"name": "leadId", "displayName": "Lead Id", "dataType": "link", "relatedTo": {"name": "lead", "field": "id"}},
    {"name": "year", "displayName": "Year", "dataType": "integer"},
    {"name": "notes", "displayName": "Notes", "dataType": "text"},
]


async def make_type(marketo: Any, name: str, fields: list[dict[str, Any]]) -> None:
    await marketo.post(f"{SCHEMA}.json", {"displayName": name, "apiName": name})
    assert (await marketo.post(f"{SCHEMA}/{name}/addField.json", {"input": fields}))["success"]
    assert (await marketo.http.post(f"{SCHEMA}/{name}/approve.json")).json()["success"]


@pytest.fixture
async def cars(marketo: Any) -> Any:
    await make_type(marketo, "car", FIELDS)
    return marketo


@pytest.fixture
async def lead(marketo: Any) -> int:
    (made,) = await marketo.sync({"email": "ann@example.com"})
    return int(made["id"])


async def sync(marketo: Any, *records: Any, path: str = CARS, **members: Any) -> list[str]:
    return codes(await marketo.post(path, {"input": list(records), **members}))


def codes(answer: dict[str, Any]) -> list[str]:
    return [each["reasons"][0]["code"] if "reasons" in each else each["status"] for each in answer["result"]]


async def test_only_approved_types_have_records(cars: Any) -> None:
    await cars.post(f"{SCHEMA}.json", {"displayName": "Draft", "apiName": "draft"})
    (listed,) = (await cars.get("/rest/v1/customobjects.json"))["result"]
    (described,) = (await cars.get("/rest/v1/customobjects/car/describe.json"))["result"]
    assert described == listed | {"fields": described["fields"]}
    assert (described["name"], described["idField"], described["dedupeFields"]) == ("car", "marketoGUID", ["vin"])
    for path in ("/rest/v1/customobjects/draft.json", "/rest/v1/customobjects/nothing.json"):
        assert (await cars.post(path, {"input": [{}]}))["errors"][0]["code"] == "1013"


async def test_write_read_delete(cars: Any, lead: int) -> None:
    car = {"vin": "A", "leadId": lead, "year": 2003}
    assert await sync(cars, car, car | {"year": None}) == ["created", "updated"]  # no 1036 here
    assert await sync(cars, car, action="createOnly") == ["1017"]
    assert await sync(cars, car | {"vin": "B"}, action="updateOnly") == ["1013"]
    assert await sync(cars, {"year": 1}, car | {"year": "x"}, car | {"no": 1}) == ["1002", "1001", "1006"]
    (found,) = (await cars.get(CARS, filterType="dedupeFields", filterValues="a"))["result"]
    assert set(found) == {"seq", "marketoGUID", "vin", "createdAt", "updatedAt"}
    (found,) = (await cars.get(CARS, filterType="idField", filterValues=found["marketoGUID"], fields="year"))["result"]
    assert "year" not in found
    by_id = {"marketoGUID": found["marketoGUID"], "notes": "x" * 2000}
    assert await sync(cars, by_id, action="updateOnly", dedupeBy="idField") == ["updated"]
    assert await sync(cars, by_id | {"notes": "x" * 2001}, action="updateOnly", dedupeBy="idField") == ["1001"]
    deleted = await cars.post(CARS.replace(".json", "/delete.json"), {"input": [{"vin": "A"}, {"vin": "A"}, {}]})
    assert codes(deleted) == ["deleted", "1013", "1002"]


async def test_a_link_names_somebody_who_exists(cars: Any, lead: int) -> None:
    assert await sync(cars, {"vin": "A", "leadId": lead}, {"vin": "B", "leadId": 999}, {"vin": "C"}) == [
        "created",
        "1004",
        "created",
    ]
    found = (await cars.get(CARS, filterType="leadId", filterValues=lead, fields="vin"))["result"]
    assert [each["vin"] for each in found] == ["A"]


async def test_links_by_a_custom_field_and_to_another_type(marketo: Any) -> None:
    await marketo.create_field("dynamicsId")
    await marketo.sync({"dynamicsId": "d-1", "email": "a@example.com"}, lookupField="dynamicsId")
    key = {"name": "key", "displayName": "Key", "dataType": "string", "isDedupeField": True}
    await make_type(marketo, "course", [key])
    links = [
        {
            "name": "person",
            "displayName": "P",
            "dataType": "link",
            "relatedTo": {"name": "lead", "field": "dynamicsId"},
        },
        {"name": "course", "displayName": "C", "dataType": "link", "relatedTo": {"name": "course", "field": "key"}},
    ]
    await make_type(marketo, "enrollment", [key, *links])
    path = "/rest/v1/customobjects/enrollment.json"
    assert await sync(marketo, {"key": "math"}, path="/rest/v1/customobjects/course.json") == ["created"]
    good = {"key": "1", "person": "D-1", "course": "math"}
    answer = await sync(
        marketo, good, good | {"key": "2", "course": "art"}, good | {"key": "3", "person": "x"}, path=path
    )
    assert answer == ["created", "1013", "1004"]
    gone = await marketo.post("/rest/v1/customobjects/course/delete.json", {"input": [{"key": "math"}]})
    assert codes(gone) == ["1022"]


async def test_compound_keys(marketo: Any) -> None:
    keys = [
        {"name": name, "displayName": name, "dataType": kind, "isDedupeField": True}
        for name, kind in (("mlsNum", "string"), ("owner", "integer"))
    ]
    await make_type(marketo, "house", keys)
    path = "/rest/v1/customobjects/house.json"
    houses = [{"mlsNum": "1", "owner": 1}, {"mlsNum": "1", "owner": 2}]
    assert await sync(marketo, *houses, houses[0], {"mlsNum": "1"}, path=path) == [
        "created",
        "created",
        "updated",
        "1002",
    ]
    answer = await marketo.post(f"{path}?_method=GET", {"filterType": "dedupeFields", "input": houses[1:]})
    assert [each["owner"] for each in answer["result"]] == [2]


async def test_a_subscription_without_custom_objects(cars: Any, subscription: Subscription) -> None:
    subscription.switches["custom_objects"] = "off"
    for path in (CARS, "/rest/v1/customobjects.json"):
        assert (await cars.get(path, filterType="vin", filterValues="A"))["errors"][0]["code"] == "1026"


async def start(marketo: Any, text: str) -> dict[str, Any]:
    files = {"file": ("cars.csv", text.encode(), "text/csv")}
    return (await marketo.http.post(f"{IMPORT}.json", params={"format": "csv"}, files=files)).json()


async def imported(marketo: Any, text: str) -> dict[str, Any]:
    (job,) = (await start(marketo, text))["result"]
    assert job == {"batchId": job["batchId"], "status": "Queued", "objectApiName": "car"}
    while job["status"] not in ("Complete", "Failed"):
        (job,) = (await marketo.get(f"{IMPORT}/{job['batchId']}/status.json"))["result"]
    return job


async def test_bulk_import(cars: Any, lead: int) -> None:
    job = await imported(cars, f"vin,leadId,year\nA,{lead},2003\nB,999,2003\n,{lead},1\nC,{lead},1.5\nA,,2004\n")
    assert (job["operation"], job["numOfObjectsProcessed"], job["numOfRowsFailed"]) == ("import", 2, 3)
    assert job["importTime"].endswith(" second(s)")
    failures = await cars.http.get(f"{IMPORT}/{job['batchId']}/failures.json")
    rows = list(csv.DictReader(io.StringIO(failures.text)))
    assert [each["Import Failure Reason"] for each in rows] == [
        "Lead not found",
        "missing.dedupe.fields",
        "Invalid data type in field year",
    ]
    warnings = await cars.http.get(f"{IMPORT}/{job['batchId']}/warnings.json")
    assert (warnings.status_code, warnings.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    (found,) = (await cars.get(CARS, filterType="vin", filterValues="A", fields="year,leadId"))["result"]
    assert (found["year"], found["leadId"]) == (2004, lead)


async def test_header_names_are_exact(cars: Any) -> None:
    job = await imported(cars, "year, vin\n2003,A\n2004,B\n")
    assert (job["numOfObjectsProcessed"], job["numOfRowsFailed"], job["numOfRowsWithWarning"]) == (0, 2, 0)
    job = await imported(cars, "vin,color\nA,red\n")
    assert (job["numOfObjectsProcessed"], job["numOfRowsWithWarning"]) == (1, 1)


async def test_both_kinds_of_import_share_the_queue(cars: Any) -> None:
    rows = "vin\n" + "\n".join(f"V{n}" for n in range(3000))
    batches = [(await start(cars, rows))["result"][0]["batchId"] for _ in range(10)]
    assert (await cars.start_import("email\na@example.com\n"))["errors"][0]["code"] == "1016"
    assert (await start(cars, rows))["errors"][0]["code"] == "1016"
    statuses = [(await cars.get(f"{IMPORT}/{batch}/status.json"))["result"][0]["status"] for batch in batches]
    assert statuses.count("Importing") <= 2
    assert (await cars.get(f"/bulk/v1/leads/batch/{batches[0]}.json"))["errors"][0]["code"] == "1013"
