"""The little SQL that SQLite and PostgreSQL spell alike but SQLAlchemy keeps in two places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def now() -> datetime:
    return datetime.now(UTC)


def of_entity(table: Any, tenant: str, entity: str) -> sa.ColumnElement[bool]:
    """The rows of one entity of one tenant."""
    return sa.and_(table.c.tenant == tenant, table.c.entity == entity)


def among(connection: AsyncConnection, column: sa.ColumnElement[str], values: Iterable[str]) -> sa.ColumnElement[bool]:
    """``column IN values`` with the values as one parameter, however many there are.

    A list of parameters would make another statement for each length, and the drivers keep statements: memory would
    grow with the number of different lengths (invariant 8).
    """
    if connection.dialect.name == "sqlite":
        each = sa.func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.any_(sa.bindparam(None, list(values), type_=postgresql.ARRAY(sa.String)))


def among_numbers(
    connection: AsyncConnection, column: sa.ColumnElement[Any], values: Iterable[int]
) -> sa.ColumnElement[bool]:
    """The same for a column of numbers."""
    if connection.dialect.name == "sqlite":
        each = sa.func.json_each(orjson.dumps(list(values)).decode()).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.any_(sa.bindparam(None, list(values), type_=postgresql.ARRAY(sa.BigInteger)))


def numbered(connection: AsyncConnection, numbers: Mapping[str, int | None]) -> sa.TableValuedAlias:
    """Keys and their numbers as a table of ``key`` and ``value``, in one or two parameters, to update by."""
    columns = sa.column("key", sa.Text), sa.column("value", sa.BigInteger)
    if connection.dialect.name == "sqlite":
        return sa.func.json_each(orjson.dumps(dict(numbers)).decode()).table_valued(*columns)
    keys = sa.bindparam(None, list(numbers), type_=postgresql.ARRAY(sa.Text))
    values = sa.bindparam(None, list(numbers.values()), type_=postgresql.ARRAY(sa.BigInteger))
    return sa.func.unnest(keys, values).table_valued(*columns).render_derived()


def insert(connection: AsyncConnection, table: sa.Table) -> Any:
    """An INSERT that may name what happens when a row is there already (``on_conflict_...``)."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


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
    statement: Any = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    keep, add = set(keep), set(add)
    changes = {
        name: table.c[name] + statement.excluded[name] if name in add else statement.excluded[name]
        for name in rows[0]
        if name not in keys and name not in keep
    }
    statement = (
        statement.on_conflict_do_update(index_elements=keys, set_=changes)
        if changes
        else statement.on_conflict_do_nothing(index_elements=keys)
    )
    await connection.execute(statement, list(rows))
