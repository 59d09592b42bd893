"""Two upserts that overlap with the same new key create two people, as Adobe's documentation warns."""

from __future__ import annotations

import asyncio
from typing import Any

from crmsync.sandbox.core import Subscription

RECORD = {"email": "a@example.com"}


async def test_overlapping_calls_create_two_people(marketo: Any) -> None:
    results = await asyncio.gather(marketo.sync(RECORD), marketo.sync(RECORD))

    assert [each["status"] for (each,) in results] == ["created", "created"]
    assert len(await marketo.leads("email", "a@example.com")) == 2
    (later,) = await marketo.sync(RECORD)
    assert later["reasons"][0]["code"] == "1007"


async def test_calls_one_after_the_other_do_not(marketo: Any) -> None:
    for expected in ("created", "updated", "updated"):
        assert [each["status"] for each in await marketo.sync(RECORD)] == [expected]


async def test_the_same_key_twice_in_one_call_is_one_person(marketo: Any, subscription: Subscription) -> None:
    assert [each["status"] for each in await marketo.sync(RECORD, RECORD)] == ["created", "updated"]

    subscription.switches["same_key_twice"] = "refuse"
    results = await marketo.sync(RECORD, RECORD)
    assert results[1]["reasons"][0]["code"] == "1036"


async def test_an_import_and_a_call_race_as_well(marketo: Any) -> None:
    rows = "".join(f"p{number}@example.com\n" for number in range(500))
    _, sync = await asyncio.gather(
        marketo.imported(f"email\n{rows}last@example.com\n"), marketo.sync({"email": "last@example.com"})
    )
    assert sync[0]["status"] == "created"
    assert len(await marketo.leads("email", "last@example.com")) == 2


async def test_overlapping_updates_of_one_person_are_harmless(marketo: Any) -> None:
    await marketo.sync(RECORD)
    await asyncio.gather(marketo.sync({**RECORD, "firstName": "Ann"}), marketo.sync({**RECORD, "lastName": "Lee"}))
    (person,) = await marketo.leads("email", "a@example.com")
    assert (person["firstName"], person["lastName"]) == ("Ann", "Lee")
