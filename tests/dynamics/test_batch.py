"""A batch on the wire: what is sent byte for byte, and what is read out of the answer."""

from __future__ import annotations

import httpx
import orjson
import pytest

from crmsync.dynamics.definition_changes import DefinitionChanges
from crmsync.dynamics.write_batch import Write
from crmsync.errors import OrganizationUrlWrong, VersionConflict
from tests.dynamics.conftest import ORGANIZATION

DELTA = f"{ORGANIZATION}/api/data/v9.2/leads?$select=fullname&$deltatoken=919042%2108%2f22%2f2024%2008%3a10%3a44"
LATER = f"{ORGANIZATION}/api/data/v9.2/leads?$select=fullname&$deltatoken=919777%2108%2f22%2f2024%2008%3a15%3a44"
WHO = {"UserId": "U-1", "BusinessUnitId": "B-1", "OrganizationId": "O-1"}
SAME = {"EntityMetadata": [], "ServerVersionStamp": "7!05/01/2024 10:00:00"}
REFUSED = {"error": {"code": "0x80044352", "message": "Version stamp associated with the client has expired."}}

THROTTLED = {"error": {"code": "0x80072322", "message": "Number of requests exceeded the limit of 6000."}}


def part(status: str, body: object) -> bytes:
    head = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    head += f"HTTP/1.1 {status}\r\nContent-Type: application/json; odata.metadata=minimal\r\nOData-Version: 4.0\r\n\r\n"
    return head.encode() + orjson.dumps(body)


def multipart(*parts: bytes, boundary: str = "batchresponse_7f") -> httpx.Response:
    content = b"".join(b"--" + boundary.encode() + b"\r\n" + one + b"\r\n" for one in parts)
    content += b"--" + boundary.encode() + b"--\r\n"
    headers = {"content-type": f"multipart/mixed; boundary={boundary}", "date": "Wed, 01 May 2024 10:00:00 GMT"}
    return httpx.Response(200, content=content, headers=headers)


def glanced(*pages: bytes, definitions: bytes | None = None) -> httpx.Response:
    """An answer to a glance: who we are, a page for each link, and what has changed of the definitions."""
    return multipart(part("200 OK", WHO), *pages, definitions or part("200 OK", SAME))


async def test_a_glance_is_one_post_with_each_link_as_it_was_given_and_crlf_everywhere(contoso):
    sent = []

    def answer(request):
        sent.append(request)
        return glanced(part("200 OK", {"value": [], "@odata.deltaLink": LATER}))

    found = await contoso(answer).glance({"lead": DELTA})

    assert (found.organization_id, found.pages["lead"].delta_link, found.pages["lead"].is_idle) == ("o-1", LATER, True)
    [request] = sent
    assert (request.method, request.url.path) == ("POST", "/api/data/v9.2/$batch")
    assert request.headers["prefer"] == "odata.continue-on-error"
    assert b"\n" not in request.content.replace(b"\r\n", b"")
    assert f"GET {DELTA.removeprefix(ORGANIZATION)} HTTP/1.1\r\n".encode() in request.content
    assert b"Prefer: odata.track-changes,odata.maxpagesize=" in request.content


async def test_a_part_that_failed_is_left_to_whoever_needs_it(contoso):
    changed = {"value": [{"leadid": "1"}], "@odata.deltaLink": LATER}

    def answer(request):
        return glanced(part("400 Bad Request", REFUSED), part("200 OK", changed))

    found = await contoso(answer).glance({"account": DELTA, "lead": DELTA})

    assert list(found.pages) == ["lead"]
    assert found.pages["lead"].records == [{"leadid": "1"}]
    assert not found.pages["lead"].is_idle


async def test_a_batch_that_was_throttled_is_sent_again_after_the_pause(contoso, waits):
    answers = [
        httpx.Response(429, json=THROTTLED, headers={"retry-after": "7"}),
        glanced(part("200 OK", {"value": [], "@odata.deltaLink": LATER})),
    ]

    found = await contoso(lambda request: answers.pop(0)).glance({"lead": DELTA})

    assert found.pages["lead"].is_idle
    assert waits[0] == 7.0


async def test_a_glance_tells_whose_definitions_have_changed_since_the_stamp(contoso):
    sent = []
    changed = {"EntityMetadata": [{"LogicalName": "lead", "HasChanged": False}], "ServerVersionStamp": "8!x"}

    def answer(request):
        sent.append(request.content.decode())
        return glanced(part("200 OK", IDLE), definitions=part("200 OK", changed))

    found = await contoso(answer).glance({"lead": DELTA}, stamp="7!05/01/2024 10:00:00")

    assert found.definitions == DefinitionChanges(frozenset({"lead"}), "8!x")
    assert "ClientVersionStamp=@p2" in sent[0]
    assert "%277%2105%2F01%2F2024%2010%3A00%3A00%27" in sent[0]


async def test_a_stamp_that_has_expired_means_that_every_definition_may_have_changed(contoso):
    answer = glanced(part("200 OK", IDLE), definitions=part("400 Bad Request", REFUSED))

    found = await contoso(lambda request: answer).glance({"lead": DELTA}, stamp="1!long ago")

    assert found.definitions == DefinitionChanges(frozenset({"lead"}), None)


IDLE = {"value": [], "@odata.deltaLink": LATER}
WHOLE = glanced(part("200 OK", IDLE))
ODD = {
    "a part is missing": multipart(part("200 OK", WHO)),
    "cut in the middle": httpx.Response(200, content=WHOLE.content[:-30], headers=WHOLE.headers),
    "another boundary": httpx.Response(
        200, content=WHOLE.content, headers={"content-type": "multipart/mixed; boundary=x"}
    ),
    "JSON": httpx.Response(200, json={"value": []}),
    "nothing": httpx.Response(204),
    "a page in a part": glanced(part("403 Forbidden", "<html>")),
    "a part without a status": glanced(part("nothing", IDLE)),
    "a part without a link": glanced(part("200 OK", {"value": []})),
    "links that are no text": glanced(part("200 OK", {"value": [], "@odata.deltaLink": 7})),
    "rows that are none": glanced(part("200 OK", {"value": [None], "@odata.deltaLink": LATER})),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_answer_that_is_no_batch_is_as_good_as_none(contoso, waits, name):
    answers = [WHOLE, ODD[name], WHOLE]
    client = contoso(lambda request: answers.pop(0))
    await client.glance({"lead": DELTA})

    assert (await client.glance({"lead": DELTA})).pages["lead"].is_idle
    assert len(waits) == 1


async def test_a_refusal_without_a_code_is_the_rows_own(contoso):
    body = {"error": {"code": "", "message": "The version of the existing record doesn't match."}}
    client = contoso(lambda request: multipart(part("412 Precondition Failed", body)))

    [outcome] = await client.write_many([Write("leads", "1", {"lastname": "Lee"}, 'W/"1"')], entity="lead")

    assert isinstance(outcome, VersionConflict)


async def test_a_first_answer_that_is_no_batch_tells_of_a_wrong_url(contoso):
    with pytest.raises(OrganizationUrlWrong):
        await contoso(lambda request: httpx.Response(200, html="<h1>Welcome</h1>")).glance({"lead": DELTA})


async def test_a_write_is_done_only_by_an_answer_of_dataverse(contoso, waits):
    """A part that says 204 without the protocol's version, or says nothing, may be anybody's: the batch goes again."""
    bare = b"Content-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    own = b"Content-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\n\r\n"
    answers = [multipart(own), multipart(bare), multipart(own)]
    client = contoso(lambda request: answers.pop(0))
    write = Write("leads", "00000000-0000-0000-0000-000000000001", {"lastname": "Lee"}, "*")
    await client.write_many([write], entity="lead")

    assert await client.write_many([write], entity="lead") == [None]
    assert answers == []
