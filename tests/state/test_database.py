"""The state database: where it is, and what a wrong URL says."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from crmsync.errors import OperatorMustAct
from crmsync.state.database import connect
from crmsync.state.database import state_url as resolve
from crmsync.state.tables import metadata


async def test_migrations_make_exactly_the_tables_that_the_code_knows(state_url: str) -> None:
    engine = await connect(state_url)

    def columns(connection: sa.Connection) -> dict[str, set[str]]:
        inspector = sa.inspect(connection)
        names = set(inspector.get_table_names()) - {"alembic_version"}
        return {name: {column["name"] for column in inspector.get_columns(name)} for name in names}

    async with engine.connect() as connection:
        found = await connection.run_sync(columns)
    await engine.dispose()

    assert found == {name: {column.name for column in table.columns} for name, table in metadata.tables.items()}


async def test_two_processes_may_start_on_an_empty_database_at_once(state_url: str) -> None:
    engines = await asyncio.gather(*(connect(state_url) for _ in range(3)))
    for engine in engines:
        await engine.dispose()


async def test_a_new_file_is_waited_for_while_another_process_makes_its_tables(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    opening = asyncio.create_task(connect(f"sqlite:///{tmp_path}/state.db"))
    done, _ = await asyncio.wait({opening}, timeout=0.2)
    assert not done
    other.execute("COMMIT")
    other.close()

    await (await opening).dispose()


def test_without_a_url_the_state_is_in_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRMSYNC_STATE_URL", raising=False)

    assert str(resolve()) == "sqlite+aiosqlite:///.crmsync/state.db"


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense"])
def test_a_url_that_cannot_be_is_refused_with_the_remedy(url: str) -> None:
    with pytest.raises(OperatorMustAct) as refused:
        resolve(url)

    assert "CRMSYNC_STATE_URL" in refused.value.remedy
