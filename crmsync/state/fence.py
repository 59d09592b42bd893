"""The fence: only the holder of a tenant's lease writes, and a run that lost it writes nothing more (invariant 3).

What a run does inside ``Session.lease`` carries the lease with it, also into the tasks that it starts. Every write of
the store looks, in its own transaction, whether the tenant is still held under the same token, and keeps others from
taking it over until it is committed. So a request is noted before it is sent only by the holder, and what a late run
learned never overwrites what its successor wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.errors import LeaseLost
from crmsync.state.tables import leases

_held: ContextVar[tuple[str, str, int] | None] = ContextVar("held", default=None)


@contextmanager
def held(tenant: str, holder: str, token: int) -> Iterator[None]:
    """Write under this lease."""
    before = _held.get()
    _held.set((tenant, holder, token))
    try:
        yield
    finally:
        _held.set(before)


def _held_query(tenant: str, holder: str, token: int) -> sa.ScalarSelect[bool]:
    """Whether this lease is still held; nobody takes it over before the transaction ends."""
    is_mine = sa.and_(leases.c.holder == holder, leases.c.token == token)
    return sa.select(is_mine).where(leases.c.tenant == tenant).with_for_update(read=True).scalar_subquery()


async def _is_held(connection: AsyncConnection, tenant: str, holder: str, token: int) -> bool:
    """The same in SQLite, in words that cost nothing to compile: it is asked before every write."""
    query = "SELECT 1 FROM leases WHERE tenant = ? AND holder = ? AND token = ?"
    return (await connection.exec_driver_sql(query, (tenant, holder, token))).first() is not None


async def begin(connection: AsyncConnection) -> str | None:
    """Begin to write: raises ``LeaseLost`` when another run has taken the tenant over. The answer is the
    transaction's number in PostgreSQL."""
    mine = _held.get()
    if connection.dialect.name == "sqlite":
        # The lock comes first, or another process could write between what is read here and what follows.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        number, is_held = None, mine is None or await _is_held(connection, *mine)
    else:
        columns = [sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.true() if mine is None else _held_query(*mine)]
        number, is_held = (await connection.execute(sa.select(*columns))).one()
    if not is_held:
        raise LeaseLost("Another run has taken the tenant over", tenant=mine[0] if mine else None)
    return number
