"""Bulk import and bulk extract before ``marketorestpython``, over real TLS."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning",  # the client leaves import files open
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

Call = Callable[..., Any]


def create(call: Call, *emails: str, **values: Any) -> list[int]:
    leads = [{"email": email, **values} for email in emails]
    return [each["id"] for each in call("create_update_leads", leads=leads, lookupField="email")]


def table(content: str | bytes) -> list[dict[str, str]]:
    text = content.decode() if isinstance(content, bytes) else content
    return list(csv.DictReader(io.StringIO(text)))


def test_bulk_import_into_a_list(call: Call, tmp_path: Path) -> None:
    (newsletter,) = call("get_multiple_lists", name=["Newsletter"])
    file = tmp_path / "people.csv"
    file.write_text("email,firstName,leadScore\na@i.example,Ann,1\nb@i.example,Ben,many\n")
    (job,) = call("import_lead", format="csv", file=str(file), lookupField="email", listId=newsletter["id"])
    status = job
    while status["status"] not in ("Complete", "Failed"):
        (status,) = call("get_import_lead_status", id=job["batchId"])
    assert (status["numOfLeadsProcessed"], status["numOfRowsFailed"]) == (1, 1)
    (failed,) = table(call("get_import_failure_file", id=job["batchId"]))
    assert (failed["email"], "integer" in failed["Import Failure Reason"]) == ("b@i.example", True)
    assert table(call("get_import_warning_file", id=job["batchId"])) == []
    members = call("get_multiple_leads_by_list_id", listId=newsletter["id"], fields="email")
    assert [each["email"] for each in members] == ["a@i.example"]


def exported(call: Call, kind: str, **arguments: Any) -> bytes:
    """A file, from the creation of its job to its checksum."""
    more = {"object_name": arguments["object_name"]} if "object_name" in arguments else {}
    (job,) = call(f"create_{kind}_export_job", **arguments)
    call(f"enqueue_{kind}_export_job", job_id=job["exportId"], **more)
    status = job
    while status["status"] not in ("Completed", "Failed"):
        (status,) = call(f"get_{kind}_export_job_status", job_id=job["exportId"], **more)
    content: bytes = call(f"get_{kind}_export_job_file", job_id=job["exportId"], **more)
    assert (status["fileSize"], status["fileChecksum"]) == (
        len(content),
        f"sha256:{hashlib.sha256(content).hexdigest()}",
    )
    assert job["exportId"] in {each["exportId"] for each in call(f"get_{kind}_export_jobs_list", **more)}
    return content


@pytest.fixture
def these_days(admin: httpx.Client) -> dict[str, Any]:
    now = datetime.fromisoformat(admin.get("/clock").json()["now"])
    start, end = (f"{now + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (-1, 1))
    return {"createdAt": {"startAt": start, "endAt": end}}


def test_bulk_extract_of_leads_and_activities(call: Call, these_days: dict[str, Any]) -> None:
    (lead,) = create(call, "extract@e.example")
    people = table(exported(call, "leads", fields=["id", "email", "firstName"], filters=these_days))
    assert {"id": str(lead), "email": "extract@e.example", "firstName": "null"} in people
    activities = table(exported(call, "activities", filters=these_days | {"activityTypeIds": [12]}))
    assert str(lead) in {each["leadId"] for each in activities}
    (job,) = call("create_leads_export_job", fields=["id"], filters=these_days)
    (canceled,) = call("cancel_leads_export_job", job_id=job["exportId"])
    assert canceled["status"] == "Cancelled"


def test_bulk_extract_of_custom_objects(call: Call, car: str) -> None:
    (lead,) = create(call, "owner@x.example")
    (customers,) = call("get_multiple_lists", name=["Customers"])
    call("create_update_custom_objects", name=car, input=[{"vin": "X1", "leadId": lead}])
    call("add_leads_to_list", listId=customers["id"], id=[lead])
    content = exported(
        call,
        "custom_objects",
        fields=["leadId", "vin", "model"],
        filters={"staticListId": customers["id"]},
        object_name=car,
    )
    assert table(content) == [{"leadId": str(lead), "vin": "X1", "model": "null"}]
