"""One call: paced, repeated as its code and its kind allow, and never a write twice on a guess."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from crmsync.errors import (
    BatchTooLarge,
    FeatureMissing,
    PermissionMissing,
    QuotaExhausted,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
    TransportFailed,
)
from crmsync.marketo.calls import CALLS, Call

LEADS = "/rest/v1/leads.json"
ANN = {"dynamicsId": "7c1e", "firstName": "Ann"}
LOST = [
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("half"),
    httpx.WriteError("reset"),
]
NOT_SENT = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")]


async def read(client: Any) -> Any:
    return await client.people("dynamicsId", ["7c1e"], ["id"])


async def write(client: Any, action: str = "createOrUpdate") -> Any:
    return await client.sync_people([ANN], action=action)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_every_call_is_a_path_of_marketos(call: Call) -> None:
    assert call.path.startswith(("/rest/v1/", "/bulk/v1/"))
    assert call.path.endswith(".json")
    assert "//" not in call.path


@pytest.mark.parametrize("code", ["500", "502", "604", "608", "611", "614", "713", "719"])
async def test_a_reading_is_repeated_with_back_off(client: Any, marketo: Any, time: Any, reply: Any, code: str) -> None:
    marketo.on("GET", LEADS, reply.fault(code), reply.fault(code), reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]
    assert 1 <= time.slept[0] <= 2 <= time.slept[1] <= 3


@pytest.mark.parametrize(
    "failure", [*LOST, *NOT_SENT, httpx.Response(502, text="<html>"), httpx.Response(200, text="{")]
)
async def test_a_reading_without_a_whole_answer_is_repeated(
    client: Any, marketo: Any, reply: Any, failure: Any
) -> None:
    marketo.on("GET", LEADS, failure, reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]


@pytest.mark.parametrize("code", ["500", "608", "614", "713", "719", "601", "606", "615"])
async def test_an_upsert_is_repeated_when_marketo_answered(client: Any, marketo: Any, reply: Any, code: str) -> None:
    marketo.on("POST", LEADS, reply.fault(code), reply.created)

    assert [outcome.status for outcome in await write(client)] == ["created"]
    assert len(marketo.calls(LEADS)) == 2


@pytest.mark.parametrize("failure", [*LOST, httpx.Response(502, text="<html>"), httpx.Response(200, text='{"succ')])
async def test_an_upsert_whose_answer_is_lost_is_not_repeated(client: Any, marketo: Any, failure: Any) -> None:
    marketo.on("POST", LEADS, failure)

    with pytest.raises(TransportFailed):
        await write(client)

    assert len(marketo.calls(LEADS)) == 1


ODD = [
    httpx.Response(204),
    httpx.Response(200),
    httpx.Response(200, html="<html>Sign in to the network</html>"),
    httpx.Response(200, json=[]),
    httpx.Response(200, json={"result": []}),
    httpx.Response(200, json={"success": "true", "result": []}),
    httpx.Response(200, json={"success": True}),
    httpx.Response(200, json={"success": True, "result": None}),
    httpx.Response(200, json={"success": True, "result": {"id": 1, "status": "created"}}),
    httpx.Response(200, json={"success": True, "result": ["created"]}),
    httpx.Response(200, json={"success": True, "result": [{"id": "1", "status": "created"}]}),
    httpx.Response(200, json={"success": True, "result": [{"status": "skipped"}]}),
    httpx.Response(200, json={"success": False}),
    httpx.Response(200, json={"success": False, "errors": []}),
    httpx.Response(200, json={"success": False, "errors": [{"code": 603, "message": "no"}]}),
    httpx.Response(200, json={"success": False, "errors": ["603"]}),
    httpx.Response(202, json={"success": True, "result": [{"id": 1, "status": "created"}]}),
    httpx.Response(200, text='{"success": true, "result": []}'),
    httpx.Response(200, content=b"\xff\xfe{\x00", headers={"content-type": "application/json"}),
    httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
    *(httpx.Response(status, html="<html></html>") for status in (400, 401, 403, 404, 405, 407, 409, 422, 451)),
    httpx.Response(511, html="<html>Sign in to the network</html>"),
]


OTHER_STATUS = httpx.Response(200, json={"success": True, "result": [{"id": 1, "status": "done"}]})


@pytest.mark.parametrize("odd", [*ODD, OTHER_STATUS], ids=range(len(ODD) + 1))
async def test_a_write_of_which_marketo_says_nothing_may_have_been_executed(
    client: Any, marketo: Any, odd: Any
) -> None:
    marketo.on("POST", LEADS, odd)

    with pytest.raises(TransportFailed):
        await write(client)

    assert len(marketo.calls(LEADS)) == 1


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
async def test_a_reading_of_which_marketo_says_nothing_is_repeated(
    client: Any, marketo: Any, reply: Any, odd: Any
) -> None:
    marketo.on("GET", LEADS, odd, reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]


@pytest.mark.parametrize("usage", [*ODD, httpx.Response(200, json={"success": True, "result": [{"users": 7}]})])
async def test_a_statistic_that_nobody_understands_ends_nothing(
    client: Any, marketo: Any, reply: Any, usage: Any
) -> None:
    marketo.on("GET", "/rest/v1/stats/usage.json", usage)
    marketo.on("GET", LEADS, reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]


async def test_a_retry_after_without_an_end_does_not_stop_a_run(
    client: Any, marketo: Any, time: Any, reply: Any
) -> None:
    marketo.on("GET", LEADS, httpx.Response(429, headers={"Retry-After": "9" * 9}), reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]
    assert sum(time.slept) <= 900


@pytest.mark.parametrize("failure", [*NOT_SENT, httpx.Response(503), httpx.Response(429, headers={"Retry-After": "7"})])
async def test_a_write_that_was_not_executed_is_repeated(client: Any, marketo: Any, reply: Any, failure: Any) -> None:
    marketo.on("POST", LEADS, failure, reply.created)

    assert [outcome.status for outcome in await write(client, "createOnly")] == ["created"]


async def test_a_write_that_had_no_token_yet_is_repeated(client: Any, marketo: Any, reply: Any, time: Any) -> None:
    token = {"access_token": "late", "expires_in": 3599, "scope": "api@contoso.example"}
    marketo.on("GET", "/identity/oauth/token", httpx.ReadTimeout("slow"), httpx.Response(502), token)
    marketo.on("POST", LEADS, reply.created)

    assert [outcome.status for outcome in await write(client)] == ["created"]


@pytest.mark.parametrize("action", ["createOnly", "createDuplicate"])
@pytest.mark.parametrize("code", ["500", "502"])
async def test_a_creation_that_may_have_been_executed_is_not_repeated(
    client: Any, marketo: Any, reply: Any, action: str, code: str
) -> None:
    marketo.on("POST", LEADS, reply.fault(code))

    with pytest.raises(TransportFailed):
        await write(client, action)

    assert len(marketo.calls(LEADS)) == 1


@pytest.mark.parametrize(("code", "calls"), [("500", 3), ("502", 1)])
async def test_an_upsert_that_fails_without_certainty_is_left_to_settle(
    client: Any, marketo: Any, reply: Any, code: str, calls: int
) -> None:
    """500 has ended and may be repeated; behind 502 the call may be running still, so it is not."""
    marketo.on("POST", LEADS, reply.fault(code))

    with pytest.raises(TransportFailed) as raised:
        await write(client)

    assert raised.value.code == code
    assert len(marketo.calls(LEADS)) == calls


@pytest.mark.parametrize(
    ("code", "error"),
    [("608", ServiceUnavailable), ("604", BatchTooLarge), ("606", Throttled), ("999", RequestRefused)],
)
async def test_patience_ends(client: Any, marketo: Any, reply: Any, code: str, error: type[Exception]) -> None:
    marketo.on("GET", LEADS, reply.fault(code))

    with pytest.raises(error):
        await read(client)


@pytest.mark.parametrize(
    ("code", "error"), [("610", RequestRefused), ("703", FeatureMissing), ("603", PermissionMissing)]
)
async def test_what_stays_wrong_is_not_repeated(
    client: Any, marketo: Any, reply: Any, code: str, error: type[Exception]
) -> None:
    marketo.on("GET", LEADS, reply.fault(code))

    with pytest.raises(error):
        await read(client)

    assert len(marketo.calls(LEADS)) == 1


async def test_access_denied_names_the_permission_of_the_call(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", "/rest/v1/companies.json", reply.fault("603", "Access denied"))

    with pytest.raises(PermissionMissing, match="Read-Write Company"):
        await client.sync_companies([{"externalCompanyId": "a"}])


async def test_no_data_found_is_an_empty_answer(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", LEADS, reply.fault("702", "No data found"))

    assert await read(client) == []


async def test_too_many_calls_in_20_seconds_waits_for_the_window(
    client: Any, marketo: Any, time: Any, reply: Any
) -> None:
    marketo.on("GET", LEADS, reply.fault("606", "Max rate limit '100' exceeded with in '20' secs"), reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]
    assert sum(time.slept) == 20


async def test_too_many_calls_at_once_waits_for_a_slot(client: Any, marketo: Any, time: Any, reply: Any) -> None:
    marketo.on("GET", LEADS, *[reply.fault("615")] * 3, reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]
    assert time.slept == [0.5, 1, 2]


async def test_a_gateways_retry_after_is_obeyed(client: Any, marketo: Any, time: Any, reply: Any) -> None:
    marketo.on("GET", LEADS, httpx.Response(429, headers={"Retry-After": "7"}), reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]
    assert sum(time.slept) == 7


async def test_the_daily_quota_ends_at_midnight_in_chicago(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", LEADS, reply.fault("607", "Daily quota '50000' exceeded"))
    for _ in range(2):
        with pytest.raises(QuotaExhausted) as raised:
            await read(client)
        assert raised.value.until == datetime(2026, 2, 1, 6, tzinfo=UTC)

    assert len(marketo.calls(LEADS)) == 1


async def test_the_day_starts_from_what_marketo_counted_for_this_user(client: Any, marketo: Any, reply: Any) -> None:
    users = [{"userId": "API@contoso.example", "count": 24_998}, {"userId": "other@contoso.example", "count": 9_000}]
    marketo.on("GET", "/rest/v1/stats/usage.json", reply.ok({"date": "2026-01-31", "total": 33_998, "users": users}))
    marketo.on("GET", LEADS, reply.ok())
    await read(client)
    await read(client)

    with pytest.raises(QuotaExhausted, match="25000"):
        await read(client)

    assert len(marketo.calls("/rest/v1/stats/usage.json")) == 1


async def test_usage_today_is_this_users_calls(client: Any, marketo: Any, reply: Any) -> None:
    users = [{"userId": "api@contoso.example", "count": 200}, {"userId": "other@contoso.example", "count": 920}]
    marketo.on("GET", "/rest/v1/stats/usage.json", reply.ok({"date": "2026-01-31", "total": 1120, "users": users}))

    assert await client.usage_today() == 200


async def test_unknown_usage_does_not_stop_anything(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", "/rest/v1/stats/usage.json", httpx.ReadTimeout("slow"))
    marketo.on("GET", LEADS, reply.ok({"id": 1}))

    assert await read(client) == [{"id": 1}]


@pytest.mark.parametrize(("method", "seconds"), [("GET", 75), ("POST", 105)], ids=["get leads by filter", "sync leads"])
async def test_read_time_outs_are_the_services_plus_a_margin(
    client: Any, marketo: Any, reply: Any, method: str, seconds: float
) -> None:
    marketo.on("GET", LEADS, reply.ok())
    marketo.on("POST", LEADS, reply.created)
    await (read(client) if method == "GET" else write(client))

    assert marketo.calls(LEADS)[0].extensions["timeout"]["read"] == seconds


async def test_request_ids_are_logged_and_values_are_not(client: Any, marketo: Any, reply: Any, caplog: Any) -> None:
    refusal = reply.fault("1003", "Invalid value 'Ann' for firstName")
    marketo.on("POST", LEADS, refusal)
    marketo.on("GET", LEADS, reply.ok({"id": 1, "firstName": "Ann"}, warnings=["Ann is odd"]))
    with caplog.at_level(logging.DEBUG, logger="crmsync.marketo"):
        await write(client)
        await read(client)

    assert "a1#2" in caplog.text
    assert "Ann" not in caplog.text
    assert "7c1e" not in caplog.text.replace(refusal["errors"][0]["message"], "")
