"""Fault rules: which requests they are for, how many they fail, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from crmsync.errors import TransportFailed
from crmsync.sandbox.faults import FaultList, FaultRule, Traffic
from crmsync.sandbox.frontdoor import Desk, Watched
from crmsync.sandbox.server import SandboxThread
from tests.world import World, small_sandbox

LEADS = Traffic("marketo", "contoso", "POST", "/rest/v1/leads.json")


def rule(**members: Any) -> FaultRule:
    return FaultRule.model_validate({"kind": "status"} | members)


def outcomes(faults: FaultList, count: int, traffic: Traffic = LEADS) -> list[bool]:
    return [faults.applying(traffic) is not None for _ in range(count)]


def test_without_a_number_the_next_request_fails() -> None:
    faults = FaultList()
    faults.add(rule())

    assert outcomes(faults, 3) == [True, False, False]


def test_times_and_skip_choose_the_requests() -> None:
    faults = FaultList()
    fault = faults.add(rule(times=2, skip=1))

    assert outcomes(faults, 5) == [False, True, True, False, False]
    assert (fault.seen, fault.hits, fault.used_up) == (3, 2, True)


def test_a_rate_fails_a_share_of_them() -> None:
    chances = iter([0.1, 0.9, 0.4])
    faults = FaultList(chance=lambda: next(chances))
    faults.add(rule(rate=0.5))

    assert outcomes(faults, 3) == [True, False, True]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"service": "marketo"}, True),
        ({"service": "dynamics"}, False),
        ({"tenant": "contoso"}, True),
        ({"tenant": "fabrikam"}, False),
        ({"method": "post"}, True),
        ({"method": "GET"}, False),
        ({"path": "/rest/v1/*"}, True),
        ({"path": "/bulk/*"}, False),
    ],
)
def test_a_rule_is_for_what_it_names(members: dict[str, Any], expected: bool) -> None:
    assert rule(**members).matches(LEADS) is expected


def test_faults_can_be_lifted_one_by_one_or_all() -> None:
    faults = FaultList()
    first, second, third = (faults.add(rule()) for _ in range(3))

    assert faults.remove(second.id) == 1
    assert faults.all() == [first, third]
    assert faults.remove() == 2
    assert outcomes(faults, 1) == [False]


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        ({"times": 1, "rate": 0.5}, "not both"),
        ({"after_execution": True}, "use it with kind reset, hang or truncate"),
        ({"kind": "reset", "drop": True}, "use it with kind after_disconnect"),
        ({"kind": "marketo", "code": "606"}, '"service": "marketo"'),
        ({"kind": "dataverse", "service": "dynamics"}, "needs a 'code'"),
        ({"kind": "explode"}, "'truncate'"),
        ({"path": "rest/v1"}, "pattern"),
        ({"tims": 3}, "tims"),
    ],
)
def test_a_wrong_rule_is_refused_with_advice(members: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as refused:
        rule(**members)

    assert advice in str(refused.value)


@pytest_asyncio.fixture
async def desk() -> Desk:
    return Desk()


@pytest_asyncio.fixture
async def executed() -> list[str]:
    return []


@pytest_asyncio.fixture
async def client(desk: Desk, executed: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    async def answer(request: Request) -> JSONResponse:
        executed.append(request.method)
        return JSONResponse({"value": ["an answer that is long enough to be cut in halves"]})

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    watched = Watched(app, "dynamics", desk, lambda _path: "contoso")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(watched), base_url="https://contoso") as client:
        yield client


async def test_throttling_looks_like_dataverse(client: httpx.AsyncClient, desk: Desk, executed: list[str]) -> None:
    desk.faults.add(rule(kind="throttle", retry_after=7))

    answer = await client.get("/api/data/v9.2/contacts")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["error"]["code"] == "0x80072322"
    assert executed == []


async def test_an_error_of_dataverse_has_its_body(client: httpx.AsyncClient, desk: Desk) -> None:
    desk.faults.add(rule(kind="dataverse", service="dynamics", status=403, code="0x80040220", message="No privilege"))

    answer = await client.get("/api/data/v9.2/contacts")

    assert answer.status_code == 403
    assert answer.json() == {"error": {"code": "0x80040220", "message": "No privilege"}}


async def test_a_status_comes_with_a_gateways_page(client: httpx.AsyncClient, desk: Desk) -> None:
    desk.faults.add(rule(status=502))

    answer = await client.get("/")

    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_slow_answer_is_the_right_one(client: httpx.AsyncClient, desk: Desk) -> None:
    desk.faults.add(rule(kind="slow", seconds=0.01))

    assert (await client.get("/")).json()["value"]


@pytest.mark.parametrize(("after_execution", "expected"), [(False, []), (True, ["POST"])])
async def test_a_lost_answer_says_nothing_about_execution(
    client: httpx.AsyncClient, desk: Desk, executed: list[str], after_execution: bool, expected: list[str]
) -> None:
    desk.faults.add(rule(kind="reset", after_execution=after_execution))

    with pytest.raises(ConnectionResetError):
        await client.post("/")

    assert executed == expected


@pytest_asyncio.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    with SandboxThread(small_sandbox(tmp_path / "ready.json")) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        yield world
        await world.close()


@pytest.mark.parametrize("drop", [False, True])
async def test_a_request_is_executed_though_its_client_has_gone(contoso: World, drop: bool) -> None:
    """When the fault is lifted, or its seconds have passed; the client is cancelled, or loses its connection."""
    marketo = await contoso.marketo()
    [made] = await marketo.sync_people(
        [{"email": "a@b.example", "title": "old"}], action="createOnly", lookup_field="email"
    )
    late = {"service": "marketo", "method": "POST", "path": "/rest/v1/leads.json", "kind": "after_disconnect",
            "seconds": 600, "drop": drop}  # fmt: skip
    fault = await contoso.post("faults", late)
    writing = asyncio.create_task(
        marketo.sync_people([{"id": made.id, "title": "late"}], action="updateOnly", lookup_field="id")
    )
    await contoso.until_fault_hit(fault["id"])
    if not drop:
        writing.cancel()
    with pytest.raises(TransportFailed if drop else asyncio.CancelledError):
        await writing

    [before] = await marketo.people("id", [str(made.id)], ["title"])
    await contoso.lift_faults()

    assert before["title"] == "old"
    for _ in range(100):
        [after] = await marketo.people("id", [str(made.id)], ["title"])
        if after["title"] == "late":
            break
        await asyncio.sleep(0.02)
    assert after["title"] == "late"


async def test_requests_are_counted_by_template_and_answer(client: httpx.AsyncClient, desk: Desk) -> None:
    desk.faults.add(rule(status=503))
    for number in range(3):
        await client.get(f"/api/data/v9.2/contacts(0f8fad5b-d9cb-469f-a165-70867728950{number})")
    await client.post("/rest/v1/leads.json?_method=GET")
    await client.post("/bulk/v1/leads/batch/1234.json")

    counted = desk.counters.as_json()

    lines = {(line["method"], line["path"]): line for line in counted["requests"]}
    assert lines["GET", "/api/data/v9.2/contacts({id})"]["answers"] == {"200": 2, "503": 1}
    assert ("GET", "/rest/v1/leads.json") in lines
    assert ("POST", "/bulk/v1/leads/batch/{id}.json") in lines
    assert counted["writes"] == {"contoso": {"dynamics": 1, "marketo": 0}}
    desk.counters.reset()
    assert desk.counters.as_json() == {"requests": [], "writes": {}}
