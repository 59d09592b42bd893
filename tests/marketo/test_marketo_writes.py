"""Writing records: batches of at most 300 and 1 MB, an outcome for each, one bad record never stops the rest."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import NativeSyncOn, RecordRefused, ServiceUnavailable, TransportFailed
from crmsync.marketo.batches import Piece, Unsendable, batches, body
from crmsync.marketo.outcomes import Outcome

LEADS = "/rest/v1/leads.json"
COMPANIES = "/rest/v1/companies.json"


def person(number: int, **values: Any) -> dict[str, Any]:
    return {"dynamicsId": f"{number:08x}", **values}


def keys(sent: dict[str, Any]) -> list[str]:
    return [record["dynamicsId"] for record in sent["input"]]


def refusing(reply: Any, code: str, bad: set[str]) -> Any:
    """A Marketo that refuses any call with one of the ``bad`` keys as a whole."""

    def answer(request: httpx.Request) -> Any:
        sent = orjson.loads(request.content)
        return reply.fault(code) if bad & set(keys(sent)) else reply.created(request)

    return answer


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300)), max_size=60),
    st.integers(1, 10),
)
def test_batches_keep_order_limits_and_keys_apart(shape: list[tuple[int, int]], most: int) -> None:
    records = [{"key": f"K{key}" if key % 2 else f"k{key}", "note": "x" * length} for key, length in shape]

    made = list(batches(records, key="key", max_records=most, max_bytes=1_250))

    sent = [piece for batch in made if isinstance(batch, list) for piece in batch]
    unsendable = [batch.place for batch in made if isinstance(batch, Unsendable)]
    assert [piece.place for piece in sent] == sorted(piece.place for piece in sent)
    assert sorted([piece.place for piece in sent] + unsendable) == list(range(len(records)))
    for batch in made:
        if isinstance(batch, list):
            assert 1 <= len(batch) <= most
            names = [orjson.loads(piece.json)["key"].lower() for piece in batch]
            assert len(names) == len(set(names))
            head = {"action": "createOrUpdate", "lookupField": "key"}
            assert len(body(head, batch)) <= 1_250


def test_a_body_is_the_head_and_the_records() -> None:
    sent = orjson.loads(body({"action": "updateOnly"}, [Piece(0, b'{"a":null}'), Piece(1, b'{"a":1}')]))

    assert sent == {"action": "updateOnly", "input": [{"a": None}, {"a": 1}]}


async def test_people_are_upserted_by_their_dynamics_id_and_null_clears(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, reply.ok({"id": 50, "status": "updated"}, reply.skipped("1007", "Multiple leads match")))

    outcomes = await client.sync_people([person(1, title=None), person(2)])

    assert outcomes == [Outcome("updated", id=50), Outcome("skipped", code="1007", reason="Multiple leads match")]
    assert marketo.bodies(LEADS) == [
        {
            "action": "createOrUpdate",
            "lookupField": "dynamicsId",
            "input": [{"dynamicsId": "00000001", "title": None}, {"dynamicsId": "00000002"}],
        }
    ]
    assert marketo.calls(LEADS)[0].headers["Content-Type"] == "application/json"


async def test_nothing_to_write_is_no_call(client: Any, marketo: Any) -> None:
    assert await client.sync_people([]) == []
    assert marketo.requests == []


async def test_more_than_300_records_are_several_calls_in_order(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, reply.created)

    outcomes = await client.sync_people([person(number) for number in range(650)])

    assert [len(sent["input"]) for sent in marketo.bodies(LEADS)] == [300, 300, 50]
    assert [outcome.id for outcome in outcomes[298:302]] == [398, 399, 100, 101]


async def test_more_than_a_megabyte_is_several_calls(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, reply.created)

    await client.sync_people([person(number, notes="é" * 100_000) for number in range(10)])

    assert [len(sent["input"]) for sent in marketo.bodies(LEADS)] == [4, 4, 2]
    assert all(len(call.content) <= 1_000_000 for call in marketo.calls(LEADS))


async def test_a_key_that_comes_twice_is_sent_after_the_first_was_answered(
    client: Any, marketo: Any, reply: Any
) -> None:
    marketo.on("POST", LEADS, reply.created)

    await client.sync_people([{"dynamicsId": "AB"}, {"dynamicsId": "cd"}, {"dynamicsId": "ab"}])

    assert [keys(sent) for sent in marketo.bodies(LEADS)] == [["AB", "cd"], ["ab"]]


async def test_a_record_that_cannot_be_sent_is_skipped_alone(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, reply.created)

    outcomes = await client.sync_people([person(1), person(2, notes="x" * 1_000_000), person(3, notes="\ud800")])

    assert [outcome.status for outcome in outcomes] == ["created", "skipped", "skipped"]
    assert "larger" in outcomes[1].reason
    assert "JSON" in outcomes[2].reason


@pytest.mark.parametrize("failure", ["604", httpx.Response(413)])
async def test_a_batch_that_is_too_large_is_halved(client: Any, marketo: Any, reply: Any, failure: Any) -> None:
    marketo.on("POST", LEADS, reply.fault(failure) if isinstance(failure, str) else failure, reply.created)

    outcomes = await client.sync_people([person(number) for number in range(5)])

    assert [len(sent["input"]) for sent in marketo.bodies(LEADS)] == [5, 2, 3]
    assert [outcome.id for outcome in outcomes] == [100, 101, 100, 101, 102]


@pytest.mark.parametrize("code", ["611", "709", "1003", "1001", "718"])
async def test_the_one_record_that_spoils_a_call_is_found(client: Any, marketo: Any, reply: Any, code: str) -> None:
    marketo.on("POST", LEADS, refusing(reply, code, {"00000005"}))

    outcomes = await client.sync_people([person(number) for number in range(8)])

    assert [place for place, outcome in enumerate(outcomes) if outcome.status == "skipped"] == [5]
    assert outcomes[5].code == code


@pytest.mark.parametrize(
    ("code", "error"), [("611", ServiceUnavailable), ("604", ServiceUnavailable), ("1003", RecordRefused)]
)
async def test_when_nothing_gets_through_the_records_are_not_blamed(
    client: Any, marketo: Any, reply: Any, code: str, error: type[Exception]
) -> None:
    marketo.on("POST", LEADS, reply.fault(code))

    with pytest.raises(error):
        await client.sync_people([person(number) for number in range(64)])

    assert len(marketo.calls(LEADS)) < 50


async def test_a_record_that_failed_for_a_passing_reason_is_sent_once_more(
    client: Any, marketo: Any, reply: Any
) -> None:
    first = reply.ok({"id": 1, "status": "created"}, reply.skipped("1014"), reply.skipped("1014"))
    marketo.on("POST", LEADS, first, reply.ok({"id": 2, "status": "created"}, reply.skipped("1014")))

    outcomes = await client.sync_people([person(1), person(2), person(3)])

    assert [(outcome.status, outcome.code) for outcome in outcomes] == [
        ("created", None),
        ("created", None),
        ("skipped", "1014"),
    ]
    assert [keys(sent) for sent in marketo.bodies(LEADS)][1] == ["00000002", "00000003"]


async def test_an_answer_that_leaves_records_out_is_no_answer(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", LEADS, reply.ok({"id": 1, "status": "created"}))

    with pytest.raises(TransportFailed, match="1 outcomes for 2 records"):
        await client.sync_people([person(1), person(2)])


async def test_companies_are_upserted_by_their_external_id_and_matched_by_seq(
    client: Any, marketo: Any, reply: Any
) -> None:
    marketo.on("POST", COMPANIES, reply.ok(reply.skipped("1036", seq=1), {"seq": 0, "id": 7, "status": "created"}))

    outcomes = await client.sync_companies([{"externalCompanyId": "a"}, {"externalCompanyId": "b"}])

    assert [(outcome.status, outcome.id, outcome.code) for outcome in outcomes] == [
        ("created", 7, None),
        ("skipped", None, "1036"),
    ]
    (sent,) = marketo.bodies(COMPANIES)
    assert (sent["action"], sent["dedupeBy"]) == ("createOrUpdate", "dedupeFields")


@pytest.mark.parametrize("level", ["response", "record"])
async def test_native_sync_stops_everything(client: Any, marketo: Any, reply: Any, level: str) -> None:
    answer = reply.fault("1018") if level == "response" else reply.ok(reply.skipped("1018", seq=0))
    marketo.on("POST", COMPANIES, answer)

    with pytest.raises(NativeSyncOn, match="switch the native sync off"):
        await client.sync_companies([{"externalCompanyId": "a"}])


async def test_sales_persons_are_upserted_by_their_external_id(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("POST", "/rest/v1/salespersons.json", reply.ok({"seq": 0, "id": 3, "status": "updated"}))

    assert await client.sync_sales_persons([{"externalSalesPersonId": "u"}]) == [Outcome("updated", id=3)]


async def test_deleting_somebody_who_is_gone_is_done(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on(
        "POST",
        "/rest/v1/leads/delete.json",
        reply.ok({"id": 235, "status": "deleted"}, reply.skipped("1004"), reply.skipped("1008")),
    )

    outcomes = await client.delete_people([235, 236, 237])

    assert [outcome.status for outcome in outcomes] == ["deleted", "deleted", "skipped"]
    assert marketo.bodies("/rest/v1/leads/delete.json") == [{"input": [{"id": 235}, {"id": 236}, {"id": 237}]}]
