"""What a request goes through: repetition, the common wait, the address, the cookies."""

from __future__ import annotations

import asyncio
import socket
import ssl

import httpx
import pytest

from crmsync.dynamics.pacing import Gate, Lanes, together
from crmsync.errors import (
    OrganizationUrlWrong,
    RecordRefused,
    RequestRefused,
    ServiceUnavailable,
    TenantFileWrong,
    Throttled,
    TransportFailed,
)
from tests.dynamics.conftest import LEAD, refused, who_am_i


def in_turn(*answers):
    """Answers one after the other; exceptions are raised; the last one stays."""
    left = list(answers)

    def answer(request):
        now = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(now, Exception):
            raise now
        return now(request) if callable(now) else now

    return answer


def no_host():
    error = httpx.ConnectError("[Errno -2] Name or service not known")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return error


def nobody_listens():
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(502, html="<h1>Bad gateway</h1>"),
        httpx.Response(503),
        httpx.Response(504),
        refused(500, "0x80044150", "SQL error"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx.ReadTimeout("slow"),
        httpx.Response(200, content=b'{"UserId": "U-1', headers={"content-type": "application/json"}),
    ],
)
async def test_what_may_pass_is_tried_again(contoso, waits, trouble):
    client = contoso(in_turn(trouble, trouble, who_am_i))

    assert (await client.who_am_i()).organization_id == "o-1"
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("trouble", "expected"), [(httpx.Response(503), ServiceUnavailable), (httpx.ReadError("reset"), TransportFailed)]
)
async def test_patience_has_an_end(contoso, waits, trouble, expected):
    with pytest.raises(expected):
        await contoso(in_turn(trouble)).who_am_i()

    assert len(waits) == 5
    assert all(0 < seconds <= 60 for seconds in waits)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 412, 413, 501])
async def test_a_refusal_is_not_tried_again(contoso, status):
    sent = []

    def answer(request):
        sent.append(request)
        return refused(status, "0x80040203", "No.")

    with pytest.raises(RecordRefused):
        await contoso(answer).who_am_i()

    assert len(sent) == 1


async def test_a_retry_after_is_waited_out_once(contoso, waits):
    throttled = refused(429, "0x80072322", "Too many.", **{"retry-after": "37"})
    client = contoso(in_turn(throttled, who_am_i))

    await client.who_am_i()
    assert [seconds for seconds in waits if seconds] == [37.0]


async def test_a_retry_after_of_an_unavailable_service_is_obeyed_too(contoso, waits):
    await contoso(in_turn(httpx.Response(503, headers={"retry-after": "20"}), who_am_i)).who_am_i()

    assert 20.0 in waits


async def test_all_requests_of_the_client_wait_while_one_is_throttled(contoso):
    """The first is told to wait; those behind it are not sent before the wait is over."""
    over = asyncio.Event()
    sent: list[bool] = []
    first_refused = asyncio.Event()

    async def sleep(seconds):
        if seconds:
            first_refused.set()
            await over.wait()

    def answer(request):
        sent.append(over.is_set())
        return refused(429, "0x80072321", "Wait.", **{"retry-after": "9"}) if len(sent) == 1 else who_am_i(request)

    client = contoso(answer, sleep=sleep)
    one = asyncio.create_task(client.who_am_i())
    await first_refused.wait()
    others = [asyncio.create_task(client.who_am_i()) for _ in range(3)]
    await client.sign_in()
    assert sent == [False]

    over.set()
    await asyncio.gather(one, *others)
    assert sent == [False, True, True, True, True]


async def test_a_retry_after_of_an_hour_is_left_to_a_later_cycle(contoso, waits):
    with pytest.raises(Throttled) as throttled:
        await contoso(lambda request: httpx.Response(429, headers={"retry-after": "3600"})).who_am_i()

    assert throttled.value.retry_after == 3600
    assert waits == []


@pytest.mark.parametrize("trouble", [httpx.ReadError("reset"), httpx.Response(503), refused(500, "0x80040216", "?")])
async def test_a_create_that_may_have_been_executed_is_not_repeated(contoso, trouble):
    created = httpx.Response(204, headers={"odata-entityid": "x/leads(00000000-0000-0000-0000-00000000000A)"})
    with pytest.raises((TransportFailed, ServiceUnavailable)):
        await contoso(in_turn(trouble, created)).create("leads", {"lastname": "Lee"})


@pytest.mark.parametrize("trouble", [httpx.ConnectError("no route"), httpx.ConnectTimeout(""), httpx.Response(429)])
async def test_a_create_that_was_surely_not_executed_is_repeated(contoso, trouble):
    created = httpx.Response(204, headers={"odata-entityid": "x/leads(00000000-0000-0000-0000-00000000000A)"})
    client = contoso(in_turn(trouble, created))

    assert await client.create("leads", {"lastname": "Lee"}) == "00000000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize(("trouble", "said"), [(no_host, "no host contoso"), (nobody_listens, "Nothing listens")])
async def test_a_first_contact_with_nobody_there_means_a_wrong_url(contoso, waits, trouble, said):
    with pytest.raises(OrganizationUrlWrong, match=said):
        await contoso(in_turn(trouble())).who_am_i()

    assert len(waits) == 2


async def test_an_organization_that_answered_before_is_only_out_of_reach(contoso):
    client = contoso(in_turn(who_am_i, nobody_listens()))
    await client.who_am_i()

    with pytest.raises(TransportFailed):
        await client.who_am_i()


async def test_a_temporary_failure_of_name_resolution_is_no_wrong_url(contoso):
    error = httpx.ConnectError("Temporary failure in name resolution")
    error.__cause__ = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(TransportFailed):
        await contoso(in_turn(error)).who_am_i()


async def test_an_untrusted_certificate_points_to_ca_file(contoso):
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError(1, "self-signed certificate")

    with pytest.raises(OrganizationUrlWrong, match="ca_file"):
        await contoso(in_turn(error)).who_am_i()


async def test_another_website_at_the_url_is_told(contoso):
    with pytest.raises(OrganizationUrlWrong, match="not as a Dataverse organization"):
        await contoso(lambda request: httpx.Response(200, html="<h1>Welcome</h1>")).who_am_i()


@pytest.mark.parametrize("body", [{"UserId": "1"}, ["no"], None, 7])
async def test_other_json_at_the_url_is_told(contoso, body):
    with pytest.raises(OrganizationUrlWrong, match="not as a Dataverse organization"):
        await contoso(lambda request: httpx.Response(200, json=body)).who_am_i()


async def test_a_url_that_is_too_long_is_our_own_fault(contoso):
    with pytest.raises(RequestRefused, match="URL"):
        await anext(contoso(who_am_i).read(LEAD, ["x" * 70_000]))


async def test_the_headers_of_a_read(contoso):
    def answer(request):
        assert request.headers["accept"] == "application/json"
        assert request.headers["odata-version"] == request.headers["odata-maxversion"] == "4.0"
        assert request.headers["if-none-match"] == "null"
        assert request.headers["user-agent"].startswith("crmsync/")
        return who_am_i(request)

    await contoso(answer).who_am_i()


async def test_cookies_are_not_kept(contoso):
    def answer(request):
        assert "cookie" not in request.headers
        body = who_am_i(request).content
        return httpx.Response(
            200,
            content=body,
            headers={"set-cookie": "ARRAffinity=1; Path=/; Secure", "content-type": "application/json"},
        )

    client = contoso(answer)
    await client.who_am_i()
    await client.who_am_i()


async def test_no_more_requests_at_a_time_than_allowed(contoso):
    running, most = 0, 0

    async def answer(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1
        return who_am_i(request)

    client = contoso(answer, concurrent=3)
    await asyncio.gather(*(client.who_am_i() for _ in range(20)))
    assert most == 3


async def test_a_ca_file_that_is_none_names_the_remedy(contoso, tmp_path):
    with pytest.raises(TenantFileWrong, match="ca_file"):
        contoso(who_am_i, transport=None, ca_path=tmp_path / "none.pem")


async def test_the_gate_opens_when_the_last_wait_is_over():
    waits = {1.0: asyncio.Event(), 2.0: asyncio.Event()}
    gate = Gate(lambda seconds: waits[seconds].wait())
    short, long = asyncio.create_task(gate.close_for(1.0)), asyncio.create_task(gate.close_for(2.0))
    await asyncio.sleep(0)
    passing = asyncio.create_task(gate.passed())

    waits[1.0].set()
    await short
    await asyncio.sleep(0)
    assert not passing.done()

    waits[2.0].set()
    await long
    await passing


async def test_lanes_halve_when_throttled_and_come_back_one_by_one():
    lanes = Lanes(8)
    lanes.narrow()
    assert lanes.allowed == 4

    for _ in range(100):
        lanes.widen()
    assert lanes.allowed == 5


async def test_together_raises_the_first_error_as_it_is_and_cancels_the_rest():
    ended = []

    async def long():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("long")

    async def wrong():
        raise RequestRefused("no")

    with pytest.raises(RequestRefused, match="no"):
        await together([long(), wrong()])
    assert ended == ["long"]
