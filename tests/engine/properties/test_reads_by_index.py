"""What a cycle asks of its SQLite store is found by an index: no statement reads a tenant's whole table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.engine.properties.actions import (
    CloseDeal,
    Create,
    Cycle,
    Delete,
    DeleteDeal,
    Edit,
    Join,
    MergeInMarketo,
    NewAccount,
    OpenDeal,
    Owner,
    Parent,
)
from tests.engine.properties.rig import Rig
from tests.engine.properties.steps import Example, Step
from tests.engine.properties.successions import Qualify

ALL_SORTS: list[Step] = [
    Create("contact", account=0), Create("lead"), Create("contact", account=1), Create("lead"), OpenDeal(0), Join(),
    Cycle(),
    Edit(0, "title", dynamics=("B",), marketo=("C",)), Edit(1, "title", marketo=("C",)), Owner(0, 1), Parent(0, 1),
    NewAccount(), CloseDeal(0, True),
    Cycle(),
    Delete(1, "dynamics"), MergeInMarketo(0, 2), Qualify(3, True),
    Cycle(),
    DeleteDeal(0), Delete(0, "marketo"),
]  # fmt: skip

WHOLE = re.compile(
    r"SCAN (records|participants)\b|SEARCH (records|participants|parent) USING .*\(tenant=\?( AND entity=\?)?\)$"
)
INDEX_OF_A_FEW = "ix_records_unnumbered"


@pytest.fixture
def asked() -> Iterator[dict[str, Any]]:
    """The statements that were executed, with parameters of each."""
    found: dict[str, Any] = {}

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        found.setdefault(statement, parameters[0] if many else parameters)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


async def test_no_statement_of_a_cycle_reads_a_whole_table(asked: dict[str, Any]) -> None:
    rig = await Rig().open()
    try:
        await Example(rig).play(ALL_SORTS)
        about = {one: values for one, values in asked.items() if re.search(r"\b(records|participants)\b", one)}
        reads = {one: values for one, values in about.items() if re.match(r"SELECT|UPDATE|DELETE", one)}
        assert len(reads) > 15
        with closing(sqlite3.connect(str(rig.store.engine.url.database))) as store:
            for statement, values in reads.items():
                plan = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
                whole = [line for line in plan if WHOLE.search(line) and INDEX_OF_A_FEW not in line]
                assert not whole, f"{statement}\n{plan}"
    finally:
        await rig.close()
