"""Bulk extract: filters, states, ranges, checksum, quota, queue, and what stands in the files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from crmsync.sandbox.core import Limits, Subscription
from crmsync.sandbox.marketo.errors import MarketoError

LEADS = "/bulk/v1/leads/export"
ACTIVITIES = "/bulk/v1/activities/export"
RANGE = {"startAt": "2026-06-01T00:00:00Z", "endAt": "2026-06-30T00:00:00Z"}
CREATED = {"fields": ["id", "email", "firstName"], "filter": {"createdAt": RANGE}}
DAY = 24 * 3600


async def create(marketo: Any, body: dict[str, Any], path: str = LEADS) -> str:
    answer = await marketo.post(f"{path}/create.json", body)
    assert answer["success"], answer
    return str(answer["result"][0]["exportId"])


async def step(marketo: Any, job: str, what: str, path: str = LEADS) -> dict[str, Any]:
    call = marketo.http.get if what == "status" else marketo.http.post
    answer = (await call(f"{path}/{job}/{what}.json")).json()
    return answer["result"][0] if answer["success"] else answer["errors"][0]


async def finished(marketo: Any, job: str, path: str = LEADS) -> dict[str, Any]:
    """Wait for a job's end; its last status."""
    status: dict[str, Any] = {"status": ""}
    while status["status"] not in ("Completed", "Failed"):
        status = await step(marketo, job, "status", path)
    return status


async def done(marketo: Any, body: dict[str, Any], path: str = LEADS) -> dict[str, Any]:
    """The last status of a new job, with its rows."""
    job = await create(marketo, body, path)
    await step(marketo, job, "enqueue", path)
    status = await finished(marketo, job, path)
    file = await marketo.http.get(f"{path}/{job}/file.json")
    return status | {"content": file.content, "rows": list(csv.DictReader(io.StringIO(file.text)))}


@pytest.fixture
async def people(marketo: Any) -> list[int]:
    records = ({"email": "a@example.com", "firstName": "Ann"}, {"email": "b@example.com"})
    return [each["id"] for each in await marketo.sync(*records)]


async def test_a_job_from_creation_to_file(marketo: Any, people: list[int]) -> None:
    job = await create(marketo, CREATED | {"columnHeaderNames": {"firstName": "First Name"}})
    assert (await step(marketo, job, "status"))["status"] == "Created"
    assert (await marketo.http.get(f"{LEADS}/{job}/file.json")).status_code == 404
    assert (await step(marketo, job, "enqueue"))["status"] == "Queued"
    again = await step(marketo, job, "enqueue")
    assert again == {"code": "1029", "message": "Job already queued"}
    status = await finished(marketo, job)
    file = await marketo.http.get(f"{LEADS}/{job}/file.json")
    assert file.text == f"id,email,First Name\n{people[0]},a@example.com,Ann\n{people[1]},b@example.com,null\n"
    assert (status["numberOfRecords"], status["fileSize"]) == (2, len(file.content))
    assert status["fileChecksum"] == f"sha256:{hashlib.sha256(file.content).hexdigest()}"
    assert {"createdAt", "queuedAt", "startedAt", "finishedAt"} <= set(status)


async def test_ranges(marketo: Any, people: list[int]) -> None:
    whole = await done(marketo, CREATED)
    path, size = f"{LEADS}/{whole['exportId']}/file.json", whole["fileSize"]
    for asked, first, last in (
        ("0-9", 0, 9),
        ("10-", 10, size - 1),
        ("-5", size - 5, size - 1),
        ("0-9999", 0, size - 1),
    ):
        part = await marketo.http.get(path, headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, whole["content"][first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    beyond = await marketo.http.get(path, headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


async def test_unknown_files_are_plain_404(marketo: Any) -> None:
    answer = await marketo.http.get(f"{LEADS}/nothing/file.json")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert (await step(marketo, "nothing", "status"))["code"] == "1013"


async def test_updated_at_is_the_last_change_of_any_field(
    marketo: Any, subscription: Subscription, people: list[int]
) -> None:
    await marketo.create_field("dynamicsId")
    await marketo.post("/rest/v1/companies.json", {"input": [{"externalCompanyId": "C", "industry": "x"}]})
    await marketo.sync({"email": "c@example.com", "externalCompanyId": "C"})
    subscription.clock.set(datetime(2026, 8, 1, tzinfo=UTC))
    await marketo.sign_in()
    await marketo.sync({"email": "a@example.com", "dynamicsId": "d"})
    await marketo.post("/rest/v1/companies.json", {"input": [{"externalCompanyId": "C", "industry": "y"}]})
    august = {"startAt": "2026-08-01T00:00:00Z", "endAt": "2026-08-31T00:00:00Z"}
    body = {"fields": ["email", "updatedAt"], "filter": {"updatedAt": august}}

    found = (await done(marketo, body))["rows"]
    subscription.switches["company_change_in_extract"] = False
    alone = (await done(marketo, body))["rows"]
    subscription.switches["updated_at_extract"] = "unsupported"
    refused = await marketo.post(f"{LEADS}/create.json", body)

    assert [each["email"] for each in found] == ["a@example.com", "c@example.com"]
    assert found[0]["updatedAt"].startswith("2026-06")  # it moves on standard fields only
    assert [each["email"] for each in alone] == ["a@example.com"]
    assert refused["errors"][0]["code"] == "1035"


async def test_of_a_list(marketo: Any, people: list[int]) -> None:
    await marketo.post("/rest/v1/lists/1001/leads.json", {"input": [{"id": people[1]}]})
    for chosen in ({"staticListId": 1001}, {"staticListName": "Newsletter"}):
        assert [each["id"] for each in (await done(marketo, CREATED | {"filter": chosen}))["rows"]] == [str(people[1])]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"fields": []}, "1002"),
        ({"fields": ["nothing"]}, "1006"),
        ({"filter": {}}, "1002"),
        ({"filter": {"createdAt": RANGE, "staticListId": 1001}}, "1003"),
        ({"filter": {"createdAt": {"startAt": "2026-06-01T00:00:00Z"}}}, "1002"),
        ({"filter": {"createdAt": RANGE | {"endAt": "2026-07-03T00:00:00Z"}}}, "1003"),
        ({"filter": {"createdAt": RANGE | {"endAt": "2026-06-02T00:00:00.000Z"}}}, "1001"),
        ({"filter": {"staticListId": 7}}, "1013"),
        ({"filter": {"smartListName": "x"}}, "1035"),
        ({"filter": {"email": "x"}}, "1003"),
        ({"format": "XML"}, "1003"),
        ({"columnHeaderNames": {"city": "City"}}, "1003"),
    ],
)
async def test_what_a_job_may_not_ask_for(marketo: Any, changed: dict[str, Any], code: str) -> None:
    assert (await marketo.post(f"{LEADS}/create.json", CREATED | changed))["errors"][0]["code"] == code


async def test_formats(marketo: Any, people: list[int]) -> None:
    for name, delimiter in (("TSV", "\t"), ("SSV", ";")):
        found = await done(marketo, CREATED | {"format": name})
        assert found["content"].decode().splitlines()[0] == f"id{delimiter}email{delimiter}firstName"


async def test_activities(marketo: Any, people: list[int]) -> None:
    await marketo.sync({"email": "a@example.com", "firstName": "Anna", "title": "Boss"})
    await marketo.post("/rest/v1/leads/delete.json", {"input": [{"id": people[1]}]})
    found = (await done(marketo, {"fields": None, "filter": {"createdAt": RANGE}}, ACTIVITIES))["rows"]
    assert [each["activityTypeId"] for each in found] == ["12", "12", "13", "13"]
    assert json.loads(found[2]["attributes"])["New Value"] == "Anna"
    assert found[2]["campaignId"] == "null"
    first_name = found[2]["primaryAttributeValueId"]
    chosen = {"createdAt": RANGE, "activityTypeIds": [13], "primaryAttributeValueIds": [int(first_name)]}
    body = {"filter": chosen, "fields": ["primaryAttributeValue", "actionResult"]}
    assert (await done(marketo, body, ACTIVITIES))["rows"] == [
        {"primaryAttributeValue": "First Name", "actionResult": "succeeded"}
    ]
    for wrong, code in (({"activityTypeIds": [12]}, "1002"), ({"createdAt": RANGE, "activityTypeIds": [37]}, "1003")):
        assert (await marketo.post(f"{ACTIVITIES}/create.json", {"filter": wrong}))["errors"][0]["code"] == code


async def test_custom_objects_by_change_and_by_list(marketo: Any, people: list[int]) -> None:
    schema, path = "/rest/v1/customobjects/schema", "/bulk/v1/customobjects/car/export"
    link = {"name": "lead", "field": "email"}
    fields = [
        {"name": "vin", "displayName": "VIN", "dataType": "string", "isDedupeField": True},
        {"name": "owner", "displayName": "Owner", "dataType": "link", "relatedTo": link},
    ]
    await marketo.post(f"{schema}.json", {"displayName": "Car", "apiName": "car"})
    await marketo.post(f"{schema}/car/addField.json", {"input": fields})
    await marketo.http.post(f"{schema}/car/approve.json")
    cars = [{"vin": "A", "owner": "a@example.com"}, {"vin": "B", "owner": "b@example.com"}]
    await marketo.post("/rest/v1/customobjects/car.json", {"input": cars})
    await marketo.post("/rest/v1/lists/1001/leads.json", {"input": [{"id": people[1]}]})
    everything = await done(marketo, {"fields": ["vin", "owner"], "filter": {"updatedAt": RANGE}}, path)
    listed = await done(marketo, {"fields": ["vin"], "filter": {"staticListId": 1001}}, path)
    assert everything["rows"] == cars
    assert listed["rows"] == [{"vin": "B"}]
    refused = await marketo.post(f"{path}/create.json", {"fields": ["vin"], "filter": {"createdAt": RANGE}})
    assert refused["errors"][0]["code"] == "1003"


async def test_cancel_and_list(marketo: Any, people: list[int]) -> None:
    first, second = await create(marketo, CREATED), await create(marketo, CREATED)
    assert (await step(marketo, first, "cancel"))["status"] == "Cancelled"
    assert (await step(marketo, first, "status"))["status"] == "Canceled"
    assert (await step(marketo, first, "cancel"))["code"] == "1003"
    assert (await step(marketo, first, "enqueue"))["code"] == "1029"
    jobs = (await marketo.get(f"{LEADS}.json", status="cancelled"))["result"]
    assert [each["exportId"] for each in jobs] == [first]
    page = await marketo.get(f"{LEADS}.json", batchSize=1)
    rest = await marketo.get(f"{LEADS}.json", batchSize=1, nextPageToken=page["nextPageToken"])
    assert [each["exportId"] for each in (*page["result"], *rest["result"])] == [first, second]


async def test_jobs_are_their_users_own(marketo: Any, subscription: Subscription, people: list[int]) -> None:
    found = await done(marketo, CREATED)
    subscription.user_email = "somebody@example.com"
    assert (await marketo.get(f"{LEADS}.json"))["result"] == []
    assert (await step(marketo, found["exportId"], "status"))["code"] == "1013"
    assert (await marketo.http.get(f"{LEADS}/{found['exportId']}/file.json")).status_code == 404


async def test_the_days_megabytes(marketo: Any, subscription: Subscription, people: list[int]) -> None:
    waiting = await create(marketo, CREATED)
    await done(marketo, CREATED)
    subscription.switches["export_daily_megabytes"] = 0
    refused = await marketo.post(f"{LEADS}/create.json", CREATED)
    assert refused["errors"][0] == {"code": "1029", "message": "Export daily quota exceeded"}
    assert (await step(marketo, waiting, "enqueue"))["code"] == "1029"
    subscription.switches["export_daily_megabytes"] = 500
    assert (await step(marketo, waiting, "enqueue"))["status"] == "Queued"


async def test_files_and_statuses_age(marketo: Any, subscription: Subscription, people: list[int]) -> None:
    found = await done(marketo, CREATED)
    subscription.clock.advance(7 * DAY + 60)
    await marketo.sign_in()
    assert (await marketo.http.get(f"{LEADS}/{found['exportId']}/file.json")).status_code == 404
    assert (await step(marketo, found["exportId"], "status"))["status"] == "Completed"
    assert (await marketo.get(f"{LEADS}.json"))["result"] == []
    subscription.clock.advance(24 * DAY)
    await marketo.sign_in()
    assert (await step(marketo, found["exportId"], "status"))["code"] == "1013"


async def test_ten_in_the_queue_and_two_at_work(marketo: Any, app: Any, people: list[int]) -> None:
    jobs = [await create(marketo, CREATED) for _ in range(11)]
    exports = app.state.marketo.exports
    found = [exports.find("leads", None, job) for job in jobs]
    for export in found[:10]:
        exports.enqueue(export)  # without a pause in which one could end
    with pytest.raises(MarketoError, match="1029 Too many jobs in queue"):
        exports.enqueue(found[10])
    statuses = [(await step(marketo, job, "status"))["status"] for job in jobs]
    assert statuses.count("Processing") <= 2
    assert statuses[10] == "Created"


async def test_the_status_is_renewed_every_minute(
    marketo: Any, subscription: Subscription, app: Any, people: list[int]
) -> None:
    job = await create(marketo, CREATED)
    subscription.limits = Limits(documented=False, latency="typical")
    assert (await step(marketo, job, "status"))["status"] == "Created"
    app.state.marketo.exports.cancel(app.state.marketo.exports.find("leads", None, job))
    job = await create(marketo, CREATED)
    assert (await step(marketo, job, "status"))["status"] == "Created"
    await step(marketo, job, "enqueue")
    assert (await step(marketo, job, "status"))["status"] == "Created"
    subscription.clock.advance(61)
    assert (await step(marketo, job, "status"))["status"] == "Queued"
