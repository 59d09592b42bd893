"""Snapshots, selections and parked fields."""

from __future__ import annotations

from crmsync.state.schemas import Parked
from crmsync.state.sql import now
from crmsync.state.store import Store

T = "contoso"
REGION = Parked(entity="contact", attribute="new_region", marketo_field="new_region", since=now(), reason="deleted")


async def test_the_newest_snapshot_counts(store: Store) -> None:
    assert await store.schemas.snapshot(T, "dynamics") is None

    await store.schemas.keep_snapshot(T, "dynamics", '{"at": 1}', content="a")
    await store.schemas.keep_snapshot(T, "dynamics", '{"at": 2}', content="b")
    await store.schemas.keep_snapshot(T, "marketo", '{"at": 3}', content="a")

    assert await store.schemas.snapshot(T, "dynamics") == '{"at": 2}'


async def test_a_snapshot_that_says_the_same_replaces_the_newest(store: Store) -> None:
    await store.schemas.keep_snapshot(T, "dynamics", '{"at": 1}', content="a")
    await store.schemas.keep_snapshot(T, "dynamics", '{"at": 2}', content="a")

    assert await store.schemas.snapshot(T, "dynamics") == '{"at": 2}'


async def test_the_newest_selection_counts(store: Store) -> None:
    for body in ("one", "two", "two"):
        await store.schemas.keep_selection(T, body)

    assert await store.schemas.selection(T) == "two"


async def test_a_parked_field_waits_for_review_and_can_come_back(store: Store) -> None:
    await store.schemas.park(T, [REGION])
    assert [one.reviewed_at for one in await store.schemas.parked(T)] == [None]

    await store.schemas.mark_reviewed(T)
    assert (await store.schemas.parked(T))[0].reviewed_at is not None

    await store.schemas.unpark(T, [("contact", "new_region")])
    assert await store.schemas.parked(T) == []
