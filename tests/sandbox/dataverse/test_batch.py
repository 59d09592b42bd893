"""``$batch`` (reference: "Execute batch operations using the Web API")."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.sandbox.dataverse.conftest import Contoso, error


def operation(method: str, url: str, body: Any = None, content_id: int | None = None, **headers: str) -> str:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {content_id}"] if content_id else []
    lines += ["", f"{method} {url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += ["Content-Type: application/json", "", json.dumps(body)] if body is not None else ["", ""]
    return "\r\n".join(lines)


def multipart(boundary: str, *parts: str) -> str:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"


def change_set(*operations: str) -> str:
    return f"Content-Type: multipart/mixed; boundary=changeset_1\r\n\r\n{multipart('changeset_1', *operations)}"


async def send(client: httpx.AsyncClient, *parts: str, **headers: str) -> httpx.Response:
    content_type = {"Content-Type": "multipart/mixed; boundary=batch_1"}
    return await client.post("$batch", content=multipart("batch_1", *parts).encode(), headers=content_type | headers)


async def test_reads_answer_in_order(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A"})
    answer = await send(
        contoso.sync,
        operation("GET", "/api/data/v9.2/leads?$select=lastname", Accept="application/json"),
        operation("GET", f"{contoso.org.url}/api/data/v9.2/WhoAmI"),
    )
    assert answer.status_code == 200
    boundary = answer.headers["content-type"].partition("boundary=")[2]
    first, second = answer.text.split(f"--{boundary}")[1:3]
    assert "HTTP/1.1 200 OK\r\n" in first
    assert '"lastname":"A"' in first
    assert "WhoAmIResponse" in second


async def test_the_first_failure_ends_a_batch_unless_told_otherwise(contoso: Contoso) -> None:
    parts = operation("GET", "leads(9c310000-0000-0000-0000-000000000000)"), operation("GET", "WhoAmI")
    stopped = await send(contoso.sync, *parts)
    assert stopped.status_code == 404
    assert "Does Not Exist" in stopped.text
    assert "WhoAmIResponse" not in stopped.text
    continued = await send(contoso.sync, *parts, Prefer="odata.continue-on-error")
    assert continued.status_code == 200
    assert "WhoAmIResponse" in continued.text


async def test_a_change_set_is_all_or_nothing(contoso: Contoso) -> None:
    good, bad = operation("POST", "leads", {"lastname": "A"}, 1), operation("POST", "leads", {"new_gone": 1}, 2)
    assert (await send(contoso.sync, change_set(good, bad))).status_code == 400
    assert (await contoso.sync.get("leads?$select=lastname")).json()["value"] == []
    assert (await send(contoso.sync, change_set(good))).status_code == 200
    assert len((await contoso.sync.get("leads?$select=lastname")).json()["value"]) == 1


async def test_a_row_made_before_is_named_by_its_content_id(contoso: Contoso) -> None:
    account = operation("POST", "accounts", {"name": "Contoso"}, 1)
    contact = operation("POST", "contacts", {"lastname": "A", "parentcustomerid_account@odata.bind": "$1"}, 2)
    answer = await send(contoso.sync, change_set(account, contact))
    assert answer.status_code == 200, answer.text
    assert answer.text.count("OData-EntityId: ") == 2
    (row,) = (
        await contoso.sync.get("contacts?$select=lastname&$expand=parentcustomerid_account($select=name)")
    ).json()["value"]
    assert row["parentcustomerid_account"]["name"] == "Contoso"
    undefined = operation("POST", "contacts", {"lastname": "B", "parentcustomerid_account@odata.bind": "$7"}, 3)
    refused = await send(contoso.sync, change_set(undefined))
    assert refused.status_code == 400
    assert "Content-ID Reference: '$7' does not exist in the batch context." in refused.text


async def test_malformed_and_too_long_batches_are_plain_errors(contoso: Contoso) -> None:
    lines = multipart("batch_1", operation("GET", "WhoAmI")).replace("\r\n", "\n")
    content_type = {"Content-Type": "multipart/mixed; boundary=batch_1"}
    unreadable = await contoso.sync.post("$batch", content=lines.encode(), headers=content_type)
    assert error(unreadable)[:2] == (400, "0x80048d19")
    assert error(await send(contoso.sync, *[operation("GET", "WhoAmI")] * 1001))[0] == 400
    in_change_set = await send(contoso.sync, change_set(operation("GET", "WhoAmI", None, 1)))
    assert error(in_change_set)[0] == 400
