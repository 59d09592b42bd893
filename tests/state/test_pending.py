"""What is left for later in a run, and who takes part in what: marks that a crash does not lose."""

from __future__ import annotations

from datetime import UTC, datetime

from crmsync.state.participants import Participant
from crmsync.state.records import Outcome
from crmsync.state.store import Store

T = "contoso"
SINCE = datetime(2024, 5, 1, tzinfo=UTC)


def takes_part(source: str, person: str, opportunity: str = "o1", role: str | None = None) -> Participant:
    return Participant(source, "connection", opportunity, person, role, SINCE)


async def due(store: Store) -> set[str]:
    """The opportunities whose roles are due; they are done afterwards."""
    found = await store.pending.first(T, "opportunity", "roles", limit=100)
    await store.pending.done(T, "opportunity", "roles", found)
    return set(found)


async def test_a_mark_stays_until_it_is_done(store: Store) -> None:
    await store.pending.add(T, "lead", "delete", ["b", "a"])
    await store.pending.add(T, "lead", "delete", ["a"])

    assert await store.pending.first(T, "lead", "delete", limit=1) == ["a"]
    assert await store.pending.marked(T, "lead", "delete", ["a", "c"]) == {"a"}
    await store.pending.done(T, "lead", "delete", ["a"])
    assert await store.pending.counts(T) == {("lead", "delete"): 1}


async def test_what_changes_makes_roles_due_and_nothing_else_does(store: Store) -> None:
    one = takes_part("c1", "p1")
    await store.participants.note(T, ("connection",), ["c1"], [one], 1)
    assert await due(store) == {"o1"}

    await store.participants.note(T, ("connection",), ["c1"], [one], 2)
    assert await due(store) == set()

    await store.participants.note(T, ("connection",), ["c1"], [takes_part("c1", "p1", role="r1")], 2)
    assert await due(store) == {"o1"}

    await store.participants.note(T, ("connection",), ["c1"], [takes_part("c1", "p1", opportunity="o2")], 2)
    assert await due(store) == {"o1", "o2"}, "both the one that it left and the one that it came to"

    await store.participants.note(T, ("connection",), ["c1"], [], 2)
    assert await due(store) == {"o2"}
    assert await store.participants.of(T, ["o1", "o2"]) == []


async def test_an_opportunitys_own_participants_are_apart_from_connections(store: Store) -> None:
    contact = Participant("o1", "contact", "o1", "p1", None, SINCE)
    await store.participants.note(T, ("contact", "customer"), ["o1"], [contact], 1)
    await store.participants.note(T, ("connection",), ["c1"], [takes_part("c1", "p2")], 1)

    await store.participants.note(T, ("contact", "customer"), ["o1"], [], 1)

    assert [one.person_id for one in await store.participants.of(T, ["o1"])] == ["p2"]


async def test_connections_that_a_new_read_did_not_meet_are_known(store: Store) -> None:
    await store.participants.note(T, ("connection",), ["c1", "c2"], [takes_part("c1", "p1"), takes_part("c2", "p2")], 1)
    await store.participants.note(T, ("connection",), ["c1"], [takes_part("c1", "p1")], 2)

    assert await store.participants.unmet(T, 2) == ["c2"]


async def test_whoever_arrives_makes_the_roles_due_that_waited(store: Store) -> None:
    await store.participants.note(T, ("connection",), ["c1"], [takes_part("c1", "p1")], 1)
    await due(store)
    outcome = Outcome("p1", "synced", True, 7, None, None, None, None, 1)

    await store.records.land(T, "contact", [outcome], arrived=["p1"])

    assert await due(store) == {"o1"}


async def test_a_request_leaves_rows_that_know_what_they_hang_on(store: Store) -> None:
    await store.flights.take_off(T, "opportunityrole", "sync", ["k1"], {"k1": "o1"})

    known = await store.records.children(T, "opportunityrole", ["o1"])

    assert (known["k1"].status, known["k1"].parent_id, known["k1"].in_marketo) == ("unknown", "o1", False)
