"""What waits to be brought to Dynamics: kept with the watermark, merged, held, landed with its outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crmsync.state.collisions import Collision
from crmsync.state.inbox import Creation, Landing, Waiting, Watermark
from crmsync.state.records import Outcome
from crmsync.state.store import open_store
from crmsync.state.syncerrors import TO_DYNAMICS, SyncError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARK = Watermark(stream="changed", token="AAA", moved_at=NOW)


def synced(record_id: str, marketo_id: int | None) -> Outcome:
    return Outcome(record_id, "synced", True, marketo_id, 1, b"123456", None, None, 1)


async def test_changes_of_one_record_join_and_the_watermark_moves_with_them(state_url: str) -> None:
    async with open_store(state_url) as store:
        await store.inbox.move("contoso", MARK, changes={"lead": [Waiting("a", 1, frozenset({"title"}))]})
        later = MARK.model_copy(update={"token": "BBB"})
        await store.inbox.move("contoso", later, changes={"lead": [Waiting("a", 1, frozenset({"phone"}))]})

        assert await store.inbox.held("contoso", "lead", ["a", "b"]) == {"a": frozenset({"title", "phone"})}
        assert (await store.inbox.watermarks("contoso"))["changed"].token == "BBB"
        assert await store.inbox.held("fabrikam", "lead", ["a"]) == {}


async def test_what_failed_waits_until_it_is_due_or_its_record_moves(state_url: str) -> None:
    async with open_store(state_url) as store:
        await store.inbox.wait("contoso", "lead", [Waiting("a", 1, frozenset({"title", "phone"}))])
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        error = SyncError(
            entity="lead", record_id="a", direction=TO_DYNAMICS, code="x", reason="y", next_attempt=tomorrow
        )
        landing = Landing(waiting=[Waiting("a", 1, frozenset({"title"}), tomorrow)], errors=[error])
        landing.count(read=1, failed=1)
        await store.inbox.land("contoso", "lead", landing)

        assert await store.inbox.due("contoso", "lead") == []
        assert await store.errors.due("contoso", "lead") == [], "that is the other direction's"
        assert await store.inbox.held("contoso", "lead", ["a"]) == {"a": frozenset({"title"})}
        assert [one.record_id for one in await store.inbox.due("contoso", "lead")] == ["a"]


async def test_landing_writes_ledger_collisions_and_counters_and_forgets_the_error(state_url: str) -> None:
    collision = Collision(
        entity="lead", record_id="a", attribute="jobtitle", marketo_field="title", dynamics_fingerprint="0" * 12,
        marketo_fingerprint="1" * 12, winner="marketo", rule="default", run="a run",
    )  # fmt: skip
    async with open_store(state_url) as store:
        await store.inbox.wait("contoso", "lead", [Waiting("a", 1, frozenset({"title"}))])
        landing = Landing(outcomes=[synced("a", 1)], done=["a"], collisions=[collision])
        landing.count(read=1, updated=1, collisions=1)
        await store.inbox.land("contoso", "lead", landing)

        assert await store.inbox.due("contoso", "lead") == []
        assert await store.inbox.sizes("contoso") == {}
        assert (await store.inbox.counters("contoso"))["lead"]["updated"] == 1
        assert [one.winner for one in await store.collisions.all("contoso")] == ["marketo"]
        assert (await store.records.known("contoso", "lead", ["a"]))["a"].status == "synced"


async def test_the_id_of_a_creation_is_noted_once(state_url: str) -> None:
    async with open_store(state_url) as store:
        await store.inbox.move("contoso", MARK, listed=[Creation(7, "lead", None)])
        await store.inbox.name_creations("contoso", {7: "a"})
        await store.inbox.move("contoso", MARK, listed=[Creation(7, "contact", None)])

        assert await store.inbox.creations("contoso") == [Creation(7, "lead", "a")]

        await store.inbox.land_creations("contoso", "lead", outcomes=[synced("a", 7)], done=[7], counts={"created": 1})
        assert await store.inbox.creations("contoso") == []


async def test_a_person_is_found_by_its_marketo_id_and_buried(state_url: str) -> None:
    async with open_store(state_url) as store:
        await store.records.land("contoso", "lead", [synced("a", 1), synced("b", None)])
        await store.records.land("contoso", "account", [synced("x", 1)])

        assert await store.people.without_marketo_id("contoso", "lead", limit=10) == ["b"]
        await store.records.set_marketo_ids("contoso", "lead", {"b": 2})
        found = await store.people.by_marketo_id("contoso", ["lead", "contact"], [1, 2, 3])
        assert {number: record for number, (_, record, _) in found.items()} == {1: "a", 2: "b"}

        await store.people.bury("contoso", "lead", ["a"], "gone")
        known = (await store.records.known("contoso", "lead", ["a"]))["a"]
        assert (known.status, known.in_marketo, known.fingerprints) == ("gone", False, b"123456")

        await store.people.revive("contoso", "lead", "a", 9)
        known = (await store.records.known("contoso", "lead", ["a"]))["a"]
        assert (known.status, known.in_marketo, known.marketo_id) == ("synced", True, 9)
