"""The second of a paging token comes again: what was read before is left out, in this read and in the next one."""

from __future__ import annotations

from typing import Any

CHANGES = "/rest/v1/activities/leadchanges.json"


def changed(guid: str, second: int, title: str) -> dict[str, Any]:
    change = {"id": 1, "name": "title", "newValue": title}
    return {
        "marketoGUID": guid,
        "leadId": 7,
        "activityDate": f"2026-01-31T12:00:{second:02}Z",
        "activityTypeId": 13,
        "fields": [change],
    }


async def read(client: Any, token: str, seen: tuple[str, ...] = ()) -> tuple[list[str], Any]:
    pages = [page async for page in client.lead_changes(token, ["title"], seen=seen)]
    return [one.values["title"] for page in pages for one in page.activities], pages[-1]


async def test_what_a_read_has_seen_comes_no_second_time(client: Any, marketo: Any, reply: Any) -> None:
    a, b, c, d = changed("1", 1, "A"), changed("2", 2, "B"), changed("3", 2, "C"), changed("4", 2, "D")
    marketo.on(
        "GET",
        CHANGES,
        reply.ok(a, b, nextPageToken="T1", moreResult=True),
        reply.ok(b, c, nextPageToken="T2", moreResult=False),
        reply.ok(b, c, d, nextPageToken="T3", moreResult=False),
        reply.ok(nextPageToken="T3", moreResult=False),
        reply.ok(b, c, d, nextPageToken="T3", moreResult=False),
    )

    first, page = await read(client, "T0")
    assert (first, page.token, page.seen) == (["A", "B", "C"], "T2", ("2", "3"))
    second, page = await read(client, page.token, page.seen)
    assert (second, page.seen) == (["D"], ("2", "3", "4"))
    nothing, page = await read(client, page.token, page.seen)
    assert (nothing, page.seen) == ([], ("2", "3", "4"))
    assert (await read(client, page.token, page.seen))[0] == []
