"""Change tracking: first read, next links, delta links, deleted records, and what makes a new first read needed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from crmsync.dynamics.channel import url
from crmsync.errors import ChangeTrackingExpired, ChangeTrackingOff, ColumnMissing, RequestRefused
from tests.dynamics.conftest import LEAD, ORGANIZATION, refused

ROOT = f"{ORGANIZATION}/api/data/v9.2"
NEXT = (
    f"{ROOT}/leads?$select=fullname&$skiptoken=%3Ccookie%20pagenumber=%222%22%20pagingcookie=%22%253ccookie%2520"
    'page%253d%25221%2522%253e%22%20istracking=%22False%22%20/%3E&raw="<>|^`{}\\%zz+'
)
DELTA = f"{ROOT}/leads?$select=fullname&$deltatoken=919042%2108%2f22%2f2024%2008%3a10%3a44"
GONE = {"@odata.context": f"{ROOT}/$metadata#leads/$deletedEntity", "id": "ABCDEF00-0000-0000-0000-000000000001",
        "reason": "deleted"}  # fmt: skip


async def test_a_first_read_follows_next_links_to_the_delta_link(contoso):
    sent = []

    def answer(request):
        sent.append((request.extensions["target"].decode(), request.headers["prefer"]))
        if len(sent) == 1:
            body = {"value": [{"leadid": "1"}], "@odata.nextLink": NEXT}
        else:
            body = {"value": [{"leadid": "2"}], "@odata.deltaLink": DELTA}
        return httpx.Response(200, json=body, headers={"date": "Wed, 01 May 2024 10:00:00 GMT"})

    pages = [page async for page in contoso(answer).changes(LEAD, ["fullname", "leadid"], page_size=700)]

    assert [target for target, _ in sent] == [
        "/api/data/v9.2/leads?$select=fullname,leadid",
        NEXT.removeprefix(ORGANIZATION),
    ]
    assert {prefer for _, prefer in sent} == {"odata.track-changes,odata.maxpagesize=700"}
    assert [page.records for page in pages] == [[{"leadid": "1"}], [{"leadid": "2"}]]
    assert [(page.next_link, page.delta_link) for page in pages] == [(NEXT, None), (None, DELTA)]
    assert pages[0].server_time == datetime(2024, 5, 1, 10, tzinfo=UTC)


async def test_a_delta_read_tells_changed_records_from_deleted_ones(contoso):
    changed = {"@odata.etag": 'W/"1"', "leadid": "1", "fullname": "Ann Lee", "reason": "a column of that name"}

    def answer(request):
        assert request.extensions["target"].decode() == DELTA.removeprefix(ORGANIZATION)
        return httpx.Response(200, json={"value": [changed, GONE], "@odata.deltaLink": DELTA})

    (page,) = [page async for page in contoso(answer).changes(LEAD, ["fullname"], link=DELTA)]

    assert page.records == [changed]
    assert page.deleted == ["abcdef00-0000-0000-0000-000000000001"]
    assert page.delta_link == DELTA


@pytest.mark.parametrize("reason", [{"reason": "changed"}, {}])
async def test_an_entry_that_does_not_say_deleted_tells_of_no_deletion(contoso, reason):
    removed = {name: GONE[name] for name in ("@odata.context", "id")} | reason

    def answer(request):
        return httpx.Response(200, json={"value": [removed], "@odata.deltaLink": DELTA})

    (page,) = [page async for page in contoso(answer).changes(LEAD, ["fullname"], link=DELTA)]

    assert (page.records, page.deleted, page.removed) == ([], [], (GONE["id"].lower(),))
    assert not page.is_idle


async def test_a_link_is_always_sent_to_the_tenants_own_organization(contoso):
    """A renamed organization keeps its links, and a token never goes to another host."""

    def answer(request):
        assert request.url.host == "contoso.crm.test"
        return httpx.Response(200, json={"value": [], "@odata.deltaLink": DELTA})

    link = DELTA.replace("contoso.crm.test", "contoso-old.crm.test")
    assert [page.deleted async for page in contoso(answer).changes(LEAD, [], link=link)] == [[]]


async def test_an_expired_link_asks_for_a_new_first_read(contoso):
    answer = refused(400, "0x80044352", "Version stamp associated with the client has expired.")
    with pytest.raises(ChangeTrackingExpired) as expired:
        await anext(contoso(lambda request: answer).changes(LEAD, ["fullname"], link=DELTA))

    assert expired.value.entity == "lead"


async def test_a_link_that_the_service_does_not_understand_any_more_asks_for_one_too(contoso):
    answer = refused(400, "0x80060888", "Malformed delta token.")
    with pytest.raises(ChangeTrackingExpired, match="Malformed delta token"):
        await anext(contoso(lambda request: answer).changes(LEAD, ["fullname"], link=DELTA))


async def test_a_first_read_that_is_not_understood_is_our_own_fault(contoso):
    answer = refused(400, "0x80060888", "Syntax error.")
    with pytest.raises(RequestRefused, match="Syntax error"):
        await anext(contoso(lambda request: answer).changes(LEAD, ["fullname"]))


@pytest.mark.parametrize("link", [None, DELTA])
async def test_a_deleted_column_is_named(contoso, link):
    answer = refused(
        400, "0x80060888", "Could not find a property named 'new_x' on type 'Microsoft.Dynamics.CRM.lead'."
    )
    with pytest.raises(ColumnMissing) as missing:
        await anext(contoso(lambda request: answer).changes(LEAD, ["new_x"], link=link))

    assert missing.value.column == "new_x"


async def test_an_entity_without_change_tracking_says_where_to_enable_it(contoso):
    answer = refused(400, "0x80072491", "Entity lead isn't enabled for change tracking.")
    with pytest.raises(ChangeTrackingOff, match="Track changes"):
        await anext(contoso(lambda request: answer).changes(LEAD, ["fullname"]))


async def test_links_leave_the_machine_byte_for_byte(contoso):
    """Over a real socket: what httpx would re-encode in a URL is not re-encoded in the request line."""
    lines = []

    async def serve(reader, writer):
        lines.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        body = b'{"value": [], "@odata.deltaLink": "https://contoso.crm.test/later"}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    class Redirected(httpx.AsyncHTTPTransport, httpx.MockTransport):
        """Entra is a callable; the organization is the socket, without TLS."""

        def __init__(self):
            httpx.AsyncHTTPTransport.__init__(self)

        def handle_request(self, request):
            base = "https://login.contoso.test/t"
            endpoints = {"authorization_endpoint": f"{base}/a", "token_endpoint": f"{base}/t"}
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3599, **endpoints})

        async def handle_async_request(self, request):
            request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
            return await super().handle_async_request(request)

    client = contoso(lambda request: None, transport=Redirected())
    async with server:
        assert [page async for page in client.changes(LEAD, [], link=NEXT)]
        assert [page async for page in client.changes(LEAD, [], link=f"{ROOT}/leads?x=a b é#c")]

    assert lines == [
        b"GET %s HTTP/1.1" % NEXT.removeprefix(ORGANIZATION).encode(),
        b"GET /api/data/v9.2/leads?x=a%20b%20%C3%A9#c HTTP/1.1",
    ]


def test_query_options_are_quoted_and_readable():
    assert url("leads", select="fullname,leadid", filter="fullname eq 'O''Bryan & Söhne' and x gt 1+1") == (
        "leads?$select=fullname,leadid&$filter=fullname%20eq%20'O''Bryan%20%26%20S%C3%B6hne'%20and%20x%20gt%201%2B1"
    )
    assert url("leads", select=None) == "leads"
