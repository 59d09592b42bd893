"""The little SQL that SQLite and PostgreSQL spell alike but SQLAlchemy keeps in two places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Item = TypeVar("Item")

IN_LIMIT = 5000
"""Values in one IN list: below what either driver allows for bound parameters (32,766)."""


def now() -> datetime:
    return datetime.now(UTC)


def chunks(items: Sequence[Item], size: int = IN_LIMIT) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def upsert(
    connection: AsyncConnection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    *,
    keep: Iterable[str] = (),
    add: Iterable[str] = (),
) -> None:
    """Insert the rows, or update those whose primary key is there: ``keep`` columns keep their old value, ``add``
    columns grow by the new one. Every row has the same members."""
    if not rows:
        return
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    keep, add = set(keep), set(add)
    changes = {
        name: table.c[name] + insert.excluded[name] if name in add else insert.excluded[name]
        for name in rows[0]
        if name not in keys and name not in keep
    }
    await connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes), list(rows))
