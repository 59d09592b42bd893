"""What every call meets: envelope, sizes, methods, content types, permissions, compression."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from crmsync.sandbox.core import Subscription

LEADS = "/rest/v1/leads.json"


def code(response: httpx.Response) -> str:
    assert response.status_code == 200
    return response.json()["errors"][0]["code"]


async def test_envelope_of_success_and_failure(marketo: Any) -> None:
    good = await marketo.get("/rest/v1/leads/partitions.json")
    bad = await marketo.get("/rest/v1/leads.json")

    assert re.fullmatch(r"[0-9a-f]+#[0-9a-f]+", good["requestId"])
    assert (good["success"], good["result"]) == (True, [{"id": 1, "name": "Default"}])
    assert bad.keys() == {"requestId", "success", "errors"}
    message = "Missing value for the required parameter 'filterType'"
    assert bad["errors"] == [{"code": "1002", "message": message}]


@pytest.mark.parametrize(
    "path", ["/rest/v1/nothing.json", "/rest/v1/leads", "//rest/v1/leads.json", "/rest/bulk/v1/leads.json", "/"]
)
async def test_unknown_paths_are_610(marketo: Any, path: str) -> None:
    assert code(await marketo.http.get(f"https://marketo.test{path}")) == "610"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/bulk/v1/leads.json"), ("PUT", LEADS), ("GET", "/rest/v1/leads/delete.json"), ("HEAD", LEADS)],
)
async def test_wrong_methods_are_605(marketo: Any, method: str, path: str) -> None:
    response = await marketo.http.request(method, path)
    assert response.status_code == 200
    if method != "HEAD":
        assert response.json()["errors"] == [{"code": "605", "message": f"HTTP Method '{method}' not supported"}]


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b"{", "application/json", "609"),
        (b"[]", "application/json", "609"),
        (b"", "application/json", "609"),
        (b"{}", "application/json; charset=utf-8", "1002"),
        (b"{}", "text/plain", "612"),
        (b"{}", None, "612"),
        (b"email=a", "application/x-www-form-urlencoded", "612"),
    ],
)
async def test_bodies_must_be_json(marketo: Any, content: bytes, content_type: str | None, expected: str) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert code(await marketo.http.post(LEADS, content=content, headers=headers)) == expected


async def test_a_body_over_1_mb_is_http_413(marketo: Any) -> None:
    response = await marketo.http.post(LEADS, json={"input": [{"email": "x" * (1024 * 1024)}]})
    assert (response.status_code, response.text) == (413, "Request Entity Too Large")


async def test_a_uri_over_8_kb_is_http_414(marketo: Any) -> None:
    response = await marketo.http.get(LEADS, params={"filterType": "email", "filterValues": "x" * 8192})
    assert (response.status_code, response.text) == (414, "URI Too Long")


@pytest.mark.parametrize(
    ("held", "path", "expected"),
    [
        ({"Read-Only Lead"}, "/rest/v1/leads/describe2.json", True),
        ({"Read-Write Lead"}, "/rest/v1/leads/describe2.json", True),
        ({"Read-Write Company"}, "/rest/v1/leads/describe2.json", False),
        ({"Read-Write Company"}, "/rest/v1/companies/describe.json", True),
        ({"Read-Write Schema Standard Field"}, "/rest/v1/leads/schema/fields.json", True),
        (set(), "/rest/v1/salespersons/describe.json", False),
        (set(), "/rest/v1/stats/usage.json", True),
    ],
)
async def test_calls_need_their_permission(
    marketo: Any, subscription: Subscription, held: set[str], path: str, expected: bool
) -> None:
    subscription.permissions = held
    answer = await marketo.get(path)
    assert answer["success"] is expected
    if not expected:
        assert answer["errors"] == [{"code": "603", "message": "Access denied"}]


async def test_reading_does_not_allow_writing(marketo: Any, subscription: Subscription) -> None:
    subscription.permissions = {"Read-Only Lead"}
    answer = await marketo.post(LEADS, {"input": [{"email": "a@example.com"}]})
    assert answer["errors"][0]["code"] == "603"


async def test_long_rest_answers_are_compressed_when_asked(marketo: Any) -> None:
    url = "/rest/v1/leads/describe2.json"
    asked = await marketo.http.get(url, headers={"accept-encoding": "gzip"})
    unasked = await marketo.http.get(url, headers={"accept-encoding": "identity"})
    short = await marketo.http.get("/rest/v1/leads/partitions.json", headers={"accept-encoding": "gzip"})

    assert asked.headers.get("content-encoding") == "gzip"
    assert asked.json()["result"] == unasked.json()["result"]
    assert "content-encoding" not in unasked.headers
    assert "content-encoding" not in short.headers


async def test_unhandled_errors_are_611(marketo: Any, app: Any) -> None:
    app.state.marketo.database.connection.execute("DROP TABLE people")
    answer = await marketo.get("/rest/v1/lead/1.json")
    assert answer["errors"] == [{"code": "611", "message": "System error"}]
