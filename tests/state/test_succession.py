"""Who goes on as whom, and what goes along."""

from __future__ import annotations

from crmsync.state.inbox import Waiting
from crmsync.state.records import Outcome
from crmsync.state.store import open_store
from crmsync.state.succession import Continuation, Tombstone

NAME = "contoso"


def row(record_id: str, **more: object) -> Outcome:
    blank = Outcome(record_id, "synced", True, 7, None, None, None, None, 1)
    return blank._replace(**more)


async def test_heirs_are_followed_to_the_end_of_the_chain(state_url: str) -> None:
    async with open_store(state_url) as store:
        chain = [("lead", "a", "converted", "b"), ("contact", "b", "merged", "c"), ("contact", "c", "merged", "d")]
        await store.succession.land(NAME, [Tombstone(*one) for one in chain])  # type: ignore[arg-type]

        assert await store.succession.heirs(NAME, ["a", "c", "x"]) == {"a": "d", "b": "d", "c": "d"}


async def test_a_circle_of_heirs_ends(state_url: str) -> None:
    async with open_store(state_url) as store:
        circle = [Tombstone("contact", "a", "merged", "b"), Tombstone("contact", "b", "merged", "a")]
        await store.succession.land(NAME, circle)

        assert set(await store.succession.heirs(NAME, ["a"])) == {"a", "b"}


async def test_who_waits_for_an_heir_goes_on_as_itself_and_is_found_by_the_heir(state_url: str) -> None:
    async with open_store(state_url) as store:
        await store.succession.land(NAME, [Tombstone("contact", "a", "merged", "b", in_marketo=True, marketo_id=7)])

        assert await store.succession.heirs(NAME, ["a"]) == {}
        [(entity, record_id, known)] = (await store.succession.of(NAME, ["b"]))["b"]
        assert (entity, record_id, known.marketo_id) == ("contact", "a", 7)


async def test_what_hangs_on_a_person_is_written_once_more_and_waiting_changes_go_along(state_url: str) -> None:
    async with open_store(state_url) as store:
        await store.records.land(NAME, "lead", [row("a")])
        await store.records.land(NAME, "new_visit", [row("child", parent_id="a"), row("other", parent_id="z")])
        await store.inbox.wait(NAME, "lead", [Waiting("a", 7, frozenset({"phone"}))])

        await store.succession.land(
            NAME,
            [Tombstone("lead", "a", "converted", "b", marketo_id=7)],
            [Continuation("contact", row("b"), ("lead", "a"))],
        )

        assert await store.pending.first(NAME, "new_visit", "again", limit=10) == ["child"]
        assert await store.inbox.due(NAME, "lead") == []
        [waiting] = await store.inbox.due(NAME, "contact")
        assert (waiting.record_id, waiting.fields) == ("b", frozenset({"phone"}))
        found = await store.people.by_marketo_id(NAME, ["lead", "contact"], [7])
        assert found[7][:2] == ("contact", "b")
