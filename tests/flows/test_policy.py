"""Which failures of a step are tried again: those whose cause passes by itself, and no others."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.states import Completed, Failed
from rich.console import Console

from crmsync import errors
from crmsync.cli.story import Story
from crmsync.state.store import open_store
from tasks import save_credentials
from tasks.policy import RETRY_DELAYS, transient
from tasks.telling import listening
from tests.databases import OwnPostgres, own_postgresql, stoppable_postgresql

__all__ = ["own_postgresql", "stoppable_postgresql"]

PASSING = {
    errors.TryAgainLater,
    errors.Throttled,
    errors.ServiceUnavailable,
    errors.TransportFailed,
    errors.AnotherType,
    errors.QueueFull,
    errors.StateUnavailable,
}
KINDS = [cast(type[errors.CrmsyncError], getattr(errors, name)) for name in errors.__all__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_error_of_ours_is_retried_when_it_passes_by_itself_and_only_then(
    kind: type[errors.CrmsyncError],
) -> None:
    assert await retried(kind("found")) is (kind in PASSING)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ValueError("a defect"), False),
        (KeyError("another"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_lost_connections_are_retried_and_defects_are_not(error: Exception, again: bool) -> None:
    assert await retried(error) is again


async def test_a_step_is_retried_whose_database_was_away_for_longer_than_the_store_waits(
    own_postgresql: OwnPostgres,
) -> None:
    url = own_postgresql.new_database()
    async with open_store(url, patience=0.1) as store:
        await asyncio.to_thread(own_postgresql.stop)
        with pytest.raises(errors.StateUnavailable) as meanwhile:
            await store.tenants.names()
    with pytest.raises(errors.StateUnavailable) as before:
        async with open_store(url, patience=0.1):
            pass

    assert await retried(meanwhile.value)
    assert await retried(before.value)


async def test_a_step_is_retried_whose_file_was_locked_for_longer_than_the_store_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crmsync.state.database.BUSY_SECONDS", 0.05)
    async with open_store(f"sqlite:///{tmp_path}/state.db", patience=0.1) as store:
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(errors.StateUnavailable) as locked:
                await store.pending.add("contoso", "lead", "again", ["1"])

    assert await retried(locked.value)


async def test_a_step_that_succeeded_is_not_retried() -> None:
    assert await transient(save_credentials, cast(Any, None), Completed(data=None)) is False


async def test_whoever_waits_at_the_terminal_is_told_why() -> None:
    shown = io.StringIO()
    with Story(Console(file=shown, width=200)) as story, listening(story):
        await retried(errors.TransportFailed("Entra ID gave no answer"))
        await retried(errors.CredentialsRefused("The secret is wrong"))

    assert shown.getvalue() == "  … Entra ID gave no answer; trying again in a while\n"


def test_a_step_waits_longer_each_time_and_tells_step_and_tenant() -> None:
    assert save_credentials.retries == len(RETRY_DELAYS)
    assert sorted(RETRY_DELAYS) == RETRY_DELAYS
    assert save_credentials.task_run_name == "save_credentials {tenant}"


async def retried(error: Exception) -> bool:
    return await transient(save_credentials, cast(Any, None), Failed(data=error))
