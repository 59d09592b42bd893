"""Bulk import: a file in, a job, files of failures and warnings out; never the same file twice on a guess."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from crmsync.errors import BatchTooLarge, QueueFull, RecordMissing, TransportFailed
from crmsync.marketo.bulk import ImportRow, ImportStatus

IMPORT = "/bulk/v1/leads.json"
JOB = "/bulk/v1/leads/batch/3404.json"
FAILURES = "/bulk/v1/leads/batch/3404/failures.json"
WARNINGS = "/bulk/v1/leads/batch/3404/warnings.json"
QUEUED = {"batchId": 3404, "importId": "3404", "status": "Queued"}
CSV = b"dynamicsId,firstName\r\n7c1e,Ann\r\n"


async def test_an_import_is_one_multipart_file(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", IMPORT, reply.ok(QUEUED))

    assert await client.imports().start(CSV) == 3404

    (request,) = marketo.calls(IMPORT)
    assert dict(request.url.params) == {"format": "csv", "lookupField": "dynamicsId"}
    assert request.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="records.csv"\r\nContent-Type: text/csv\r\n\r\n' + CSV in request.content


@pytest.mark.parametrize("code", ["1016", "1019"])
async def test_a_full_queue_is_told_at_once(client: Any, marketo: Any, reply: Any, code: str) -> None:
    marketo.on("POST", IMPORT, reply.fault(code))

    with pytest.raises(QueueFull):
        await client.imports().start(CSV)

    assert len(marketo.calls(IMPORT)) == 1


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("slow"), "502", httpx.Response(504)])
async def test_an_import_that_may_have_been_queued_is_not_sent_again(
    client: Any, marketo: Any, reply: Any, failure: Any
) -> None:
    marketo.on("POST", IMPORT, reply.fault(failure) if isinstance(failure, str) else failure)

    with pytest.raises(TransportFailed):
        await client.imports().start(CSV)

    assert len(marketo.calls(IMPORT)) == 1


async def test_an_import_that_was_not_executed_is_sent_again(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", IMPORT, reply.fault("608"), reply.fault("602"), reply.ok(QUEUED))

    assert await client.imports().start(CSV) == 3404


async def test_a_file_of_10_mb_is_too_large(client: Any, marketo: Any) -> None:
    with pytest.raises(BatchTooLarge):
        await client.imports().start(b"x" * 10_000_000)
    assert marketo.requests == []


async def test_the_status_of_a_job(client: Any, marketo: Any, reply: Any) -> None:
    done = {
        **QUEUED,
        "status": "Complete",
        "numOfLeadsProcessed": 3,
        "numOfRowsFailed": 1,
        "message": "Import succeeded",
    }
    marketo.on("GET", JOB, reply.ok(QUEUED), reply.ok(done))

    queued, complete = await client.imports().status(3404), await client.imports().status(3404)

    assert queued == ImportStatus(3404, "Queued")
    assert complete == ImportStatus(3404, "Complete", processed=3, failed=1, message="Import succeeded")
    assert (queued.is_over, complete.is_over) == (False, True)


async def test_failures_are_read_by_header_name_and_the_reason_stands_last(client: Any, marketo: Any) -> None:
    file = 'dynamicsId,notes,Import Failure Reason\r\n7c1e,"a, ""b""\nc","Value for lookup field \'x\' not found"\r\n'
    marketo.on("GET", FAILURES, httpx.Response(200, text=file))
    marketo.on("GET", WARNINGS, httpx.Response(200, text="dynamicsId,Odd Name\n7c1e,Field ignored\n"))

    failures, warnings = await client.imports().failures(3404), await client.imports().warnings(3404)

    assert failures == [ImportRow({"dynamicsId": "7c1e", "notes": 'a, "b"\nc'}, "Value for lookup field 'x' not found")]
    assert warnings == [ImportRow({"dynamicsId": "7c1e"}, "Field ignored")]


async def test_a_file_of_a_header_has_no_rows(client: Any, marketo: Any) -> None:
    marketo.on("GET", FAILURES, httpx.Response(200, text="dynamicsId,Import Failure Reason\r\n"))

    assert await client.imports().failures(3404) == []


WHOLE = "dynamicsId,firstName,Import Failure Reason\n7c1e,Ann,bad\n"


@pytest.mark.parametrize(
    "odd",
    [
        httpx.Response(200),
        httpx.Response(200, html="<html><body>Sign in</body></html>"),
        httpx.Response(200, text=WHOLE[:-5]),
        httpx.Response(200, text=WHOLE[:-9]),
        httpx.Response(200, text=WHOLE.replace("Ann", '"Ann')),
        httpx.Response(200, content=WHOLE.replace("Ann", "\xe4").encode("latin-1")),
        httpx.Response(204),
        httpx.Response(403, html="<html>Forbidden</html>"),
        httpx.Response(404, html="<html>Not found</html>"),
        httpx.Response(200, json={"success": True, "result": []}),
    ],
)
async def test_a_file_that_is_not_whole_is_asked_for_again(client: Any, marketo: Any, odd: httpx.Response) -> None:
    marketo.on("GET", FAILURES, odd, httpx.Response(200, text=WHOLE))

    assert await client.imports().failures(3404) == [ImportRow({"dynamicsId": "7c1e", "firstName": "Ann"}, "bad")]
    assert len(marketo.calls(FAILURES)) == 2


async def test_a_file_that_is_not_there_is_told_clearly(client: Any, marketo: Any) -> None:
    marketo.on("GET", FAILURES, httpx.Response(404, text="Not found"))

    with pytest.raises(RecordMissing, match="import batch 3404"):
        await client.imports().failures(3404)


async def test_a_token_that_expires_before_a_file_is_read_is_renewed(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", FAILURES, reply.fault("602"), httpx.Response(200, text="dynamicsId,Reason\n7c1e,bad\n"))

    assert await client.imports().failures(3404) == [ImportRow({"dynamicsId": "7c1e"}, "bad")]
