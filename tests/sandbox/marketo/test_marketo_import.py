"""Bulk lead import: jobs in the background, a queue of ten, and files of what failed or warned."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from crmsync.sandbox.core import Limits, Subscription
from crmsync.sandbox.marketo.app import marketo_app

BULK = "/bulk/v1/leads.json"


@pytest.fixture
async def keyed(marketo: Any) -> Any:
    """A client whose subscription has the field dynamicsId."""
    await marketo.create_field("dynamicsId")
    return marketo


async def test_a_file_is_taken_queued_and_completed(keyed: Any) -> None:
    await keyed.sync({"dynamicsId": "k1", "firstName": "A."}, lookupField="dynamicsId")
    answer = await keyed.start_import("dynamicsId,firstName\nK1,Ann\nk2,Bob\n", lookupField="dynamicsId")
    assert answer["result"] == [{"batchId": 1001, "importId": "1001", "status": "Queued"}]

    assert await keyed.finished(1001) == {
        "batchId": 1001,
        "importId": "1001",
        "status": "Complete",
        "numOfLeadsProcessed": 2,
        "numOfRowsFailed": 0,
        "numOfRowsWithWarning": 0,
        "message": "Import succeeded, 2 records imported (2 members)",
    }
    people = await keyed.leads("dynamicsId", "k1", "k2", fields="dynamicsId,firstName")
    assert [each["firstName"] for each in people] == ["Ann", "Bob"]


async def test_rows_fail_alone_with_their_reason(keyed: Any) -> None:
    await keyed.create_field("age", "integer")
    status = await keyed.imported(
        "dynamicsId,age,email,externalCompanyId\n"
        "k1,5,a@example.com,\n"
        "k2,5.0,b@example.com,\n"
        ",5,c@example.com,\n"
        "k3,5,jürgen@example.com,\n"
        "k4,5,d@example.com,nowhere\n"
        "k5,5,e@example.com,,too many\n",
        lookupField="dynamicsId",
    )
    assert (status["status"], status["numOfLeadsProcessed"], status["numOfRowsFailed"]) == ("Complete", 1, 5)
    message = "Import completed with errors, 1 records imported (1 members), 5 failed"
    assert status["message"] == message

    rows = await keyed.import_rows(status["batchId"], "failures")
    assert list(rows[0]) == ["dynamicsId", "age", "email", "externalCompanyId", "Import Failure Reason"]
    assert [row["Import Failure Reason"] for row in rows] == [
        "Invalid value '5.0'. Required of type 'integer'",
        "Value for lookup field 'dynamicsId' not found",
        "Invalid value 'jürgen@example.com'. Required of type 'email'",
        "externalCompanyId 'nowhere' not found",
        "Row has 5 columns, the header has 4",
    ]


async def test_an_empty_cell_keeps_the_old_value(keyed: Any, subscription: Subscription) -> None:
    async def first_name() -> str | None:
        await keyed.imported("dynamicsId,firstName\nk1,\n", lookupField="dynamicsId")
        return (await keyed.leads("dynamicsId", "k1"))[0]["firstName"]

    await keyed.sync({"dynamicsId": "k1", "firstName": "Ann"}, lookupField="dynamicsId")
    assert await first_name() == "Ann"
    subscription.switches["empty_csv_cell"] = "clear"
    assert await first_name() is None


async def test_the_word_null_is_text(keyed: Any, subscription: Subscription) -> None:
    async def first_name() -> str | None:
        await keyed.imported("dynamicsId,firstName\nk1,NULL\n", lookupField="dynamicsId")
        return (await keyed.leads("dynamicsId", "k1"))[0]["firstName"]

    assert await first_name() == "NULL"
    subscription.switches["null_csv_cell"] = "clear"
    assert await first_name() is None


async def test_unknown_and_read_only_columns_are_ignored_with_a_warning(keyed: Any, subscription: Subscription) -> None:
    text = "dynamicsId,nothing,createdAt\nk1,x,y\nk2,x,y\n"
    status = await keyed.imported(text, lookupField="dynamicsId")
    assert (status["numOfLeadsProcessed"], status["numOfRowsWithWarning"]) == (2, 1)
    (row,) = await keyed.import_rows(status["batchId"], "warnings")
    assert "'nothing'" in row["Import Warning Reason"]
    assert "'createdAt'" in row["Import Warning Reason"]

    subscription.switches["unknown_csv_column"] = "fail"
    assert (await keyed.imported(text, lookupField="dynamicsId"))["status"] == "Failed"


async def test_a_byte_order_mark_becomes_part_of_the_first_name(keyed: Any) -> None:
    status = await keyed.imported("\ufeffdynamicsId,email\nk1,a@example.com\n", lookupField="dynamicsId")
    assert (status["numOfLeadsProcessed"], status["numOfRowsFailed"]) == (0, 1)


async def test_quoting_is_rfc_4180_and_lines_may_end_in_crlf(keyed: Any) -> None:
    await keyed.imported(
        'dynamicsId,lastName,address\r\nk1,"O""Neil, Jr.","1st line\r\n2nd line 🙂"\r\n\r\nk2,Lee,\r\n',
        lookupField="dynamicsId",
    )
    people = await keyed.leads("dynamicsId", "k1", "k2", fields="lastName,address")
    assert people[0] == {"id": 1, "lastName": 'O"Neil, Jr.', "address": "1st line\r\n2nd line 🙂"}
    assert people[1]["address"] is None


@pytest.mark.parametrize(("file_format", "delimiter"), [("tsv", "\t"), ("ssv", ";")])
async def test_other_formats(keyed: Any, file_format: str, delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in (["dynamicsId", "lastName"], ["k1", "a,b"], ["", "c"]))
    status = await keyed.imported(text, format=file_format, lookupField="dynamicsId")
    assert (status["numOfLeadsProcessed"], status["numOfRowsFailed"]) == (1, 1)
    failures = (await keyed.http.get(f"/bulk/v1/leads/batch/{status['batchId']}/failures.json")).text
    assert failures.splitlines()[0] == delimiter.join(["dynamicsId", "lastName", "Import Failure Reason"])


async def test_by_id_is_update_only(keyed: Any) -> None:
    await keyed.sync({"dynamicsId": "k1"}, lookupField="dynamicsId")
    status = await keyed.imported("id,firstName\n1,Ann\n7,Bob\n,Cid\nx,Dan\n", lookupField="id")
    rows = await keyed.import_rows(status["batchId"], "failures")
    assert [row["Import Failure Reason"] for row in rows] == [
        "Lead not found",
        "Value for lookup field 'id' not found",
        "Invalid value 'x'. Required of type 'integer'",
    ]
    assert (await keyed.leads("id", 1))[0]["firstName"] == "Ann"


async def test_two_jobs_run_ten_are_open_the_eleventh_is_1016(keyed: Any, subscription: Subscription) -> None:
    subscription.limits = Limits(documented=False, latency="typical")
    answers = [await keyed.start_import(f"email\n{n}@example.com\n") for n in range(11)]
    assert [answer["success"] for answer in answers] == [True] * 10 + [False]
    assert answers[-1]["errors"] == [{"code": "1016", "message": "Too many imports"}]


async def test_files_that_cannot_be_read_fail_as_a_whole(keyed: Any) -> None:
    assert (await keyed.imported(b"email\n\xff\xfe\n"))["message"] == "Import failed: the file is not UTF-8"
    assert (await keyed.imported("\n\n"))["message"] == "Import failed: the file has no header"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"format": ""}, "1002"),
        ({"format": "xlsx"}, "1003"),
        ({"lookupField": "firstName"}, "1011"),
        ({"lookupField": "nothing"}, "1006"),
        ({"listId": "7"}, "1013"),
        ({"partitionName": "Europe"}, "1008"),
    ],
)
async def test_jobs_that_are_refused(keyed: Any, parameters: dict[str, str], code: str) -> None:
    answer = await keyed.start_import("email\na@example.com\n", **parameters)
    assert answer["errors"][0]["code"] == code


async def test_format_may_stand_in_the_form(keyed: Any) -> None:
    files = {"file": ("people.csv", b"email\na@example.com\n", "text/csv")}
    answer = await keyed.http.post(BULK, data={"format": "csv"}, files=files)
    assert answer.json()["success"]


@pytest.mark.parametrize(
    ("content", "content_type", "code"),
    [
        (b"email\na@example.com\n", "text/csv", "612"),
        (b"nonsense", "multipart/form-data", "613"),
        (b"nonsense", "multipart/form-data; boundary=x", "613"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            "1002",
        ),
    ],
)
async def test_bodies_that_are_no_import(keyed: Any, content: bytes, content_type: str, code: str) -> None:
    headers = {"content-type": content_type}
    answer = await keyed.http.post(BULK, params={"format": "csv"}, content=content, headers=headers)
    assert answer.json()["errors"][0]["code"] == code


async def test_a_file_over_10_mb_is_http_413(keyed: Any) -> None:
    files = {"file": ("people.csv", b"x" * (10 * 1024 * 1024), "text/csv")}
    response = await keyed.http.post(BULK, params={"format": "csv"}, files=files)
    assert response.status_code == 413


async def test_files_of_unknown_or_open_jobs_are_plain_404(keyed: Any, subscription: Subscription) -> None:
    subscription.limits = Limits(documented=False, latency="typical")
    number = (await keyed.start_import("email\na@example.com\n"))["result"][0]["batchId"]
    for batch in (number, 77, "x"):
        response = await keyed.http.get(f"/bulk/v1/leads/batch/{batch}/failures.json")
        assert response.status_code == 404
        assert response.headers["content-type"].startswith("text/plain")
    assert (await keyed.get("/bulk/v1/leads/batch/77.json"))["errors"][0]["code"] == "1013"


async def test_a_batch_is_known_for_seven_days(keyed: Any, subscription: Subscription) -> None:
    batch = (await keyed.imported("email\na@example.com\n"))["batchId"]
    subscription.clock.advance(7 * 24 * 3600 + 1)
    await keyed.sign_in()
    assert (await keyed.get(f"/bulk/v1/leads/batch/{batch}.json"))["errors"][0]["code"] == "1013"


async def test_bulk_answers_are_never_compressed(keyed: Any) -> None:
    status = await keyed.imported("dynamicsId,email\n" + ",a@example.com\n" * 100, lookupField="dynamicsId")
    path = f"/bulk/v1/leads/batch/{status['batchId']}/failures.json"
    response = await keyed.http.get(path, headers={"accept-encoding": "gzip"})
    assert len(response.content) > 1024
    assert "content-encoding" not in response.headers


async def test_an_open_job_is_finished_after_a_restart(keyed: Any, app: Any, subscription: Subscription) -> None:
    subscription.limits = Limits(documented=False, latency="typical")
    batch = (await keyed.start_import("email\na@example.com\n"))["result"][0]["batchId"]
    await app.state.marketo.imports.close()
    subscription.limits = Limits(documented=False)

    again = marketo_app(subscription)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(again), base_url="https://marketo.test") as client:
        later = type(keyed)(client)
        await later.sign_in()
        assert (await later.finished(batch))["status"] == "Complete"
        assert len(await later.leads("email", "a@example.com")) == 1
    await again.state.close()
