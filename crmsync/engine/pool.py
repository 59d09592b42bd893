"""Sessions that stay open from cycle to cycle, for a process that works for many tenants.

What is saved each time: a sign-in on both sides, the TLS contexts, and the state store, which is opened once for all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from crmsync.engine.session import Session, open_session
from crmsync.secrets import SecretStore
from crmsync.state.store import Store
from crmsync.tenants import Tenant


@dataclass(frozen=True)
class _Kept:
    tenant: Tenant
    session: Session
    stack: AsyncExitStack


class SessionPool:
    """One open session a tenant. ``secrets`` looks a tenant's secrets up when its session is opened."""

    def __init__(self, store: Store, secrets: Callable[[Tenant], Awaitable[SecretStore]], *, run: str) -> None:
        self._store = store
        self._secrets = secrets
        self._run = run
        self._kept: dict[str, _Kept] = {}

    async def session(self, tenant: Tenant) -> Session:
        """The tenant's session; another one when its file has changed."""
        kept = self._kept.get(tenant.tenant)
        if kept is not None and kept.tenant == tenant:
            return kept.session
        await self.forget(tenant.tenant)
        async with AsyncExitStack() as stack:
            opening = open_session(tenant, await self._secrets(tenant), run=self._run, store=self._store)
            session = await stack.enter_async_context(opening)
            self._kept[tenant.tenant] = _Kept(tenant, session, stack.pop_all())
        return session

    async def forget(self, tenant: str) -> None:
        """Close the tenant's session: the next one looks its secrets up and signs in anew."""
        if (kept := self._kept.pop(tenant, None)) is not None:
            await kept.stack.aclose()

    async def close(self) -> None:
        for name in list(self._kept):
            await self.forget(name)


@asynccontextmanager
async def session_pool(
    store: Store, secrets: Callable[[Tenant], Awaitable[SecretStore]], *, run: str
) -> AsyncIterator[SessionPool]:
    """A pool that is closed at the end."""
    pool = SessionPool(store, secrets, run=run)
    try:
        yield pool
    finally:
        await pool.close()
