"""What waits, in whatever table, under the name of its sync error; and what becomes of the error."""

from __future__ import annotations

from datetime import timedelta

from crmsync.state.inbox import Creation, Waiting, Watermark
from crmsync.state.records import Outcome
from crmsync.state.sql import now
from crmsync.state.store import Store
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO, SyncError
from crmsync.state.waits import WAITING

T = "contoso"
LATER = timedelta(hours=1)


async def a_change(store: Store) -> None:
    await store.inbox.wait(T, "contact", [Waiting("c1", 1, frozenset({"title", "phone"}))])


async def a_creation(store: Store) -> None:
    mark = Watermark(stream="others", token="t", moved_at=now())
    await store.inbox.move(T, mark, listed=[Creation(7, "lead", None)])


async def overdue(store: Store) -> set[tuple[str, str, str, str]]:
    found = await store.waits.overdue(T, now() + LATER, ["lead", "contact", "opportunity"])
    return {(one.kind, one.entity, one.record_id, one.direction) for one in found}


def told(entity: str, record: str, direction: str, code: str = WAITING) -> SyncError:
    return SyncError(entity=entity, record_id=record, direction=direction, code=code, reason="it waits")


async def test_changes_creations_and_marks_are_overdue_alike(store: Store) -> None:
    await a_change(store)
    await a_creation(store)
    await store.pending.add(T, "opportunity", "roles", ["o1"])

    assert await overdue(store) == {
        ("change", "contact", "c1", TO_DYNAMICS),
        ("creation", "lead", "Marketo person 7", TO_DYNAMICS),
        ("roles", "opportunity", "o1", TO_MARKETO),
    }
    assert await store.waits.overdue(T, now() - LATER, ["contact"]) == []
    assert await store.waits.overdue(T, now() + LATER, ["account"]) == []


async def test_what_has_a_sync_error_of_its_own_is_told_already(store: Store) -> None:
    await a_change(store)
    await store.waits.keep_errors(T, [told("contact", "c1", TO_MARKETO, "1003")])
    assert await overdue(store) != set()

    await store.waits.keep_errors(T, [told("contact", "c1", TO_DYNAMICS, "0x80040265")])

    assert await overdue(store) == set()


async def test_the_error_goes_when_nothing_waits_any_more(store: Store) -> None:
    await a_change(store)
    await store.pending.add(T, "opportunity", "roles", ["o1"])
    kept = told("contact", "c2", TO_DYNAMICS, "0x80040265")
    waiting = [told("contact", "c1", TO_DYNAMICS), told("opportunity", "o1", TO_MARKETO)]
    await store.waits.keep_errors(T, [*waiting, kept])
    await store.waits.forget_errors(T)
    assert len(await store.errors.all(T)) == 3

    await store.pending.done(T, "opportunity", "roles", ["o1"])
    await store.waits.forget_errors(T)

    assert {one.record_id for one in await store.errors.all(T)} == {"c1", "c2"}


async def test_a_mark_that_is_set_twice_waits_since_the_first_time(store: Store) -> None:
    await store.pending.add(T, "lead", "again", ["a"])
    [[first]] = (await store.waits.of(T, "lead", ["a"])).values()

    await store.pending.add(T, "lead", "again", ["a"])

    assert (await store.waits.of(T, "lead", ["a", "b"])) == {"a": [first]}


async def test_a_request_in_flight_is_waited_for(store: Store) -> None:
    await store.flights.take_off(T, "lead", "sync", ["a", "b"])

    found = await store.waits.of(T, "lead", ["b", "c"])

    assert [(key, wait.kind) for key, waits in found.items() for wait in waits] == [("b", "request")]


async def test_all_that_waits_is_counted_by_what_for(store: Store) -> None:
    await a_change(store)
    await a_creation(store)
    await store.pending.add(T, "lead", "again", ["a", "b"])
    orphans = [Outcome("c1", "synced", True, 1, None, None, "owner", "company", 1)]
    orphans.append(Outcome("c2", "waiting", False, None, None, None, None, None, 1, parent_id="p"))
    await store.records.land(T, "contact", orphans)

    queues = await store.waits.queues(T)

    assert [(queue.kind, queue.entity, queue.records) for queue in queues] == [
        ("again", "lead", 2),
        ("change", "contact", 1),
        ("company", "contact", 1),
        ("creation", "lead", 1),
        ("owner", "contact", 1),
        ("parent", "contact", 1),
    ]
    assert {queue.kind for queue in queues if queue.since is not None} == {"again", "change", "creation"}
    assert all(queue.since <= now() for queue in queues if queue.since is not None)
