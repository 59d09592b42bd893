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


def held_query() -> sa.ScalarSelect[bool] | None:
    """Whether the lease that is written under is still held; None outside of one."""
    if (mine := _held.get()) is None:
        return None
    tenant, holder, token = mine
    is_mine = sa.and_(leases.c.holder == holder, leases.c.token == token)
    return sa.select(is_mine).where(leases.c.tenant == tenant).with_for_update(read=True).scalar_subquery()


async def begin(connection: AsyncConnection) -> str | None:
    """Begin to write: raises ``LeaseLost`` when another run has taken the tenant over. The answer is the
    transaction's number in PostgreSQL."""
    query = held_query()
    if connection.dialect.name == "sqlite":
        # The lock comes first, or another process could write between what is read here and what follows.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        number, is_held = None, query is None or bool(await connection.scalar(sa.select(query)))
    else:
        columns = [sa.cast(sa.func.pg_current_xact_id(), sa.Text), sa.true() if query is None else query]
        number, is_held = (await connection.execute(sa.select(*columns))).one()
    if not is_held:
        mine = _held.get()
        raise LeaseLost("Another run has taken the tenant over", tenant=mine[0] if mine else None)
    return number
