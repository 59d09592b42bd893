"""The checker itself catches what it is there to catch: by a small specification of its own."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from crmsync.sandbox.observing import Exchange, Observed, observers
from tests.openapi.checker import Checker, client_of
from tests.openapi.corrections import Correction, MoreOperation
from tests.openapi.recorder import Recorder
from tests.openapi.specification import Specification

OWN, OTHER = "crmsync/0.1.0", "python-requests/2.32"
OK: dict[str, Any] = {"requestId": "a#1", "success": True, "result": []}

PET = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer", "format": "int32"},
        "kind": {"type": "string", "enum": ["cat", "dog"]},
        "born": {"type": "string", "format": "date-time"},
        "names": {"type": "array", "items": {"type": "string"}},
    },
}
ANSWER = {
    "type": "object",
    "required": ["requestId", "success", "errors"],
    "properties": {
        "requestId": {"type": "string"},
        "success": {"type": "boolean"},
        "result": {"type": "array", "items": {"$ref": "#/definitions/Pet"}},
    },
}
ERROR = {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}


def query(name: str, kind: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "type": kind, "required": required, "items": {"type": "integer"}}


def operation(answer: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    told = {"schema": {"$ref": f"#/definitions/{answer}"}}
    return {"parameters": list(parameters), "responses": {"200": told}}


FILE = {
    "definitions": {"Pet": PET, "ResponseOfPet": ANSWER, "Error": ERROR, "ObservableOfInputStreamContent": {}},
    "paths": {
        "/rest/v1/pets.json": {
            "get": operation("ResponseOfPet", query("kind", "string", required=True), query("ids", "array")),
            "post": operation(
                "ResponseOfPet",
                {"name": "pet", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Pet"}},
            ),
        },
        "/rest/v1/pets/{petId}.json": {
            "get": operation("ResponseOfPet", {"name": "petId", "in": "path", "type": "integer", "required": True})
        },
        "/bulk/v1/pets.json": {
            "get": operation("ObservableOfInputStreamContent"),
            "post": operation("ResponseOfPet", {"name": "file", "in": "formData", "type": "file"}),
        },
    },
}
CORRECTIONS = (Correction("here", "ResponseOf*", optional=("errors",)), Correction("here", "Pet", is_open=False))
MORE = (MoreOperation("here", "delete", "/rest/v1/pets.json", ("post", "/rest/v1/pets.json")),)


@pytest.fixture
def checker() -> Checker:
    return Checker(Specification([FILE], CORRECTIONS, MORE))


def exchange(
    request: str = "GET /rest/v1/pets.json?kind=cat",
    body: object = None,
    answer: object = OK,
    *,
    agent: str = OWN,
    status: int = 200,
    kind: str = "application/json",
    sent: str = "application/json",
) -> Exchange:
    method, _, url = request.partition(" ")
    path, _, parameters = url.partition("?")
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    headers = {"user-agent": agent, "content-type": sent}
    answered = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Exchange(method, path, parameters, headers, content, status, {"content-type": kind}, answered)


def pets(*result: object, **members: object) -> dict[str, Any]:
    return {**OK, "result": list(result), **members}


RIGHT = [
    exchange(),
    exchange("GET /rest/v1/pets.json?kind=cat&ids=1,2&ids=3"),
    exchange("POST /rest/v1/pets.json?_method=GET", b"kind=cat&ids=1", sent="application/x-www-form-urlencoded"),
    exchange("POST /rest/v1/pets.json", {"id": 1, "names": ["Tom"]}),
    exchange("DELETE /rest/v1/pets.json", {"id": 1}),
    exchange("GET /rest/v1/pets/7.json", answer=pets({"id": 7, "kind": "cat", "born": "2026-01-31T00:00:00Z"})),
    exchange("POST /bulk/v1/pets.json", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'),
    exchange("GET /bulk/v1/pets.json", answer=b"id\r\n1\r\n", kind="text/csv"),
    exchange("GET /bulk/v1/pets.json", answer=b"1", kind="text/csv", status=206),
    exchange(answer={"requestId": "a#1", "success": False, "errors": [{"code": "606", "message": "slow"}]}),
    exchange(answer=b"URI Too Long", status=414, kind="text/plain"),
    exchange(answer=b"<html>", status=502, kind="text/html"),
    exchange("GET /rest/v1/birds.json?x=1", agent=OTHER, answer={"requestId": "", "success": False, "errors": []}),
    exchange("GET /rest/v1/pets.json?colour=red", agent=OTHER),
]


@pytest.mark.parametrize("right", RIGHT, ids=range(len(RIGHT)))
def test_what_is_specified_passes(checker: Checker, right: Exchange) -> None:
    assert checker.check(right) == []


GET_PETS, POST_PETS = "GET /rest/v1/pets.json: ", "POST /rest/v1/pets.json: "
WRONG = [
    (
        exchange("GET /rest/v1/birds.json", answer={"requestId": "", "success": False, "errors": []}),
        "GET /rest/v1/birds.json: request: no such path and method in the specification",
    ),
    (
        exchange("PUT /rest/v1/pets.json", answer={"requestId": "", "success": False, "errors": []}),
        "PUT /rest/v1/pets.json: request: no such path and method in the specification",
    ),
    (exchange("GET /rest/v1/pets.json?kind=cat&colour=red"), GET_PETS + "request: unknown parameter 'colour'"),
    (exchange("GET /rest/v1/pets.json"), GET_PETS + "request: parameter 'kind' is missing"),
    (
        exchange("GET /rest/v1/pets.json?kind=cat&ids=1,x"),
        GET_PETS + "request: ids[1]: is 'x', not of type integer",
    ),
    (
        exchange("GET /rest/v1/pets/tom.json"),
        "GET /rest/v1/pets/tom.json: request: petId: is 'tom', not of type integer",
    ),
    (exchange("POST /rest/v1/pets.json"), POST_PETS + "request: has no body"),
    (
        exchange("POST /rest/v1/pets.json", {"id": 1, "colour": 2}),
        POST_PETS + "request: colour: is no property of Pet",
    ),
    (exchange("POST /rest/v1/pets.json", {}), POST_PETS + "request: body: has no 'id', which Pet requires"),
    (exchange("POST /rest/v1/pets.json", b"{"), POST_PETS + "request: body: is None, not of type object"),
    (
        exchange("GET /rest/v1/pets.json?kind=cat", {"id": 1}),
        GET_PETS + "request: has a body, which the specification does not know",
    ),
    (
        exchange(
            "POST /bulk/v1/pets.json",
            b'Content-Disposition: form-data; name="file"\r\ncontent-disposition: form-data; name="x"',
        ),
        "POST /bulk/v1/pets.json: request: unknown part 'x'",
    ),
    (exchange("POST /bulk/v1/pets.json", b"1,2"), "POST /bulk/v1/pets.json: request: part 'file' is missing"),
    (exchange(answer=pets({"id": "1"})), GET_PETS + "answer: result[0].id: is '1', not of type integer"),
    (exchange(answer=pets({"id": True})), GET_PETS + "answer: result[0].id: is True, not of type integer"),
    (exchange(answer=pets({"id": 2**31})), GET_PETS + "answer: result[0].id: is 2147483648, not of format int32"),
    (
        exchange(answer=pets({"id": 1, "kind": "cow"})),
        GET_PETS + "answer: result[0].kind: is 'cow', not one of cat, dog",
    ),
    (
        exchange(answer=pets({"id": 1, "born": "2026-01-31"})),
        GET_PETS + "answer: result[0].born: is '2026-01-31', not of format date-time",
    ),
    (exchange(answer=pets({"id": 1, "names": None})), GET_PETS + "answer: result[0].names: is None, not of type array"),
    (exchange(answer=pets(colour="red")), GET_PETS + "answer: colour: is no property of ResponseOfPet"),
    (exchange(answer={"success": True}), GET_PETS + "answer: body: has no 'requestId', which ResponseOfPet requires"),
    (
        exchange(answer={"requestId": "", "success": False, "errors": [], "result": []}, agent=OTHER),
        GET_PETS + "answer: result: is no property of its schema",
    ),
    (
        exchange("GET /rest/v1/birds.json", agent=OTHER),
        "GET /rest/v1/birds.json: answer: is a success, but the specification has no such path and method",
    ),
    (exchange(answer=b"hello", kind="text/plain"), GET_PETS + "answer: is text/plain, not JSON"),
    (exchange(status=404), GET_PETS + "answer: status 404 with application/json is none of Marketo's"),
    (exchange(status=403, kind="text/plain"), GET_PETS + "answer: status 403 with text/plain is none of Marketo's"),
]


@pytest.mark.parametrize(("wrong", "fault"), WRONG, ids=range(len(WRONG)))
def test_what_is_not_specified_is_told_with_request_and_rule(checker: Checker, wrong: Exchange, fault: str) -> None:
    assert checker.check(wrong) == [fault]


def test_records_carry_fields_when_they_are_read_but_not_when_they_were_written() -> None:
    checker = Checker(Specification([FILE], (CORRECTIONS[0], Correction("here", "Pet", is_open=True)), MORE))
    answer = pets({"id": 1, "colour": "red"})

    assert checker.check(exchange(answer=answer)) == []
    assert checker.check(exchange("POST /rest/v1/pets.json", {"id": 1, "colour": "red"})) == []
    (fault,) = checker.check(exchange("POST /rest/v1/pets.json", {"id": 1}, answer))
    assert fault == POST_PETS + "answer: result[0].colour: is no property of Pet"


def test_corrections_add_members_and_allow_null() -> None:
    more = Correction("here", "Pet", members={"colour": {"type": "string"}}, nullable=("names",))
    checker = Checker(Specification([FILE], (*CORRECTIONS, more), MORE))

    assert checker.check(exchange(answer=pets({"id": 1, "colour": "red", "names": None}))) == []


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """A service that reads the body and answers compressed, in pieces."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/plain":
        await JSONResponse({"asked": "plain"})(scope, receive, send)
        return
    packed = gzip.compress(json.dumps(pets(colour="red")).encode())
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    await StreamingResponse(iter([packed[:10], packed[10:]]), headers=headers)(scope, receive, send)


async def test_a_recorder_sees_each_exchange_once_and_tells_its_faults(checker: Checker) -> None:
    recorder, others = Recorder(checker), list(observers)
    observers[:] = [recorder]
    try:
        transport = httpx.ASGITransport(Observed(Observed(answering)))
        async with httpx.AsyncClient(transport=transport, base_url="https://pets.test") as client:
            await client.post("/rest/v1/pets.json", json={"id": 1}, headers={"user-agent": OWN})
    finally:
        observers[:] = others

    assert recorder.take() == [POST_PETS + "answer: colour: is no property of ResponseOfPet"]
    assert recorder.take() == []
    assert recorder.seen == {"crmsync": 1}


def test_clients_are_counted_by_their_names() -> None:
    assert [client_of(exchange(agent=agent)) for agent in (OWN, OTHER)] == ["crmsync", "python-requests"]
