"""A Contoso on the wire: a sandbox of its own, an administrator who changes things in it, and a look into Marketo.

Everything goes over TLS through the documented APIs; nothing looks into the sandbox's files.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.schema import Entity
from crmsync.engine import setup
from crmsync.engine.report import SyncReport
from crmsync.engine.session import Session, open_session
from crmsync.engine.sync import cycle, first_sync
from crmsync.marketo.client import MarketoClient
from crmsync.sandbox.core import Limits
from crmsync.sandbox.options import Counts, OptionsWrong, SandboxOptions
from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread
from crmsync.sandbox.sockets import listening
from crmsync.secrets import SecretSource, SecretStore
from crmsync.state.store import Store, open_store
from crmsync.tenants import ENTITIES, Quota, Tenant, load_tenant

T = TypeVar("T")
NO_LIMITS = Limits(documented=False, latency="none")
SMALL = Counts(leads=40, contacts=80, accounts=16)


def small_sandbox(ready_file: Path, **changes: Any) -> SandboxOptions:
    """Options of a sandbox that starts quickly and has no limits."""
    return SandboxOptions(**{"counts": SMALL, "limits": NO_LIMITS, "ready_file": ready_file, **changes})


_STANDARD: dict[str, Entity] = {}
"""Standard entities as a world of this process had them: of these only names are asked, which are the same in all."""


@dataclass
class World:
    """One tenant of a running sandbox, seen from all sides."""

    ready: Ready
    state_url: str
    name: str = "contoso"
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _open: dict[str, Any] = field(default_factory=dict)
    _entities: dict[str, Entity] = field(default_factory=dict)

    @property
    def tenant(self) -> Tenant:
        return load_tenant(self.name, self.ready.tenants_folder)

    @property
    def secrets(self) -> SecretStore:
        return SecretStore(self.ready.tenants_folder)

    @property
    def facts(self) -> dict[str, Any]:
        """The tenant's part of the ready file."""
        facts: dict[str, Any] = self.ready.as_json()["tenants"][self.name]
        return facts

    @asynccontextmanager
    async def session(
        self,
        *,
        tenant: Tenant | None = None,
        run: str = "test",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> AsyncIterator[Session]:
        """The product's own session."""
        async with open_session(tenant or self.tenant, self.secrets, run=run, state_url=self.state_url) as session:
            session.sleep = sleep
            yield session

    async def prepare(self) -> None:
        """The three steps up to the first sync, which is enabled but does not run yet."""
        async with self.session() as session:
            proof = await setup.validate_credentials(session)
            await setup.save_credentials(session, proof)
            await setup.refresh_schema(session)
            await setup.select_fields(session)
            await setup.enable_sync(session)

    async def connect(self) -> SyncReport:
        """The three steps, without Prefect."""
        await self.prepare()
        async with self.session() as session:
            return await first_sync(session)

    async def cycle(self) -> SyncReport:
        async with self.session() as session:
            return await cycle(session, force=True)

    async def store(self) -> Store:
        """The state store, as ``crmsync status`` sees it."""
        return await self._once("store", lambda: open_store(self.state_url))

    async def admin(self) -> DynamicsClient:
        """Dynamics as its administrator uses it: somebody other than the sync user."""

        def client() -> DynamicsClient:
            app = self.facts["dynamics"]["administrator"]
            connection = self.tenant.dynamics.model_copy(
                update={"client_id": app["client_id"], "client_secret": SecretSource(env="UNUSED")}
            )
            secret = ClientSecret(value=SecretStr(app["client_secret"]))
            return DynamicsClient(connection, secret, tenant=self.name, ca_path=self.ready.ca_file)

        return await self._once("admin", client)

    async def marketo(self) -> MarketoClient:
        """A look into Marketo with the tenant's own API user."""

        def client() -> MarketoClient:
            quota = Quota(
                marketo_calls_per_20_seconds=100_000, marketo_concurrent_calls=10, marketo_calls_per_day=10**9
            )
            secret = SecretStr(self.facts["marketo"]["client_secret"])
            return MarketoClient(self.tenant.marketo, secret, tenant=self.name, quota=quota, ca_path=self.ready.ca_file)

        return await self._once("marketo", client)

    async def _once(self, name: str, opened: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """This door of the world, opened when it is used first."""
        if name not in self._open:
            self._open[name] = await self._stack.enter_async_context(opened())
        return cast(T, self._open[name])

    async def rows(self, entity_name: str, *select: str, filter: str | None = None) -> list[dict[str, Any]]:
        """Rows of Dynamics as the administrator reads them."""
        admin = await self.admin()
        known = _STANDARD if entity_name in ENTITIES else self._entities
        if entity_name not in known:
            known[entity_name] = await admin.entity(entity_name)
        pages = admin.read(known[entity_name], select, filter=filter)
        return [row async for page in pages for row in page]

    async def people(self, ids: list[str], *fields: str) -> dict[str, list[dict[str, Any]]]:
        """People in Marketo by their Dynamics id; a list each, because duplicates are what must not be."""
        marketo = await self.marketo()
        found: dict[str, list[dict[str, Any]]] = {}
        for person in await marketo.people("dynamicsId", ids, ["id", "dynamicsId", *fields]):
            found.setdefault(person["dynamicsId"], []).append(person)
        return found

    async def person(self, record_id: str, *fields: str) -> dict[str, Any]:
        """The one person of this record."""
        [person] = (await self.people([record_id], *fields))[record_id]
        return person

    def browser(self) -> httpx.AsyncClient:
        """Something that trusts the sandbox's certificate."""
        return httpx.AsyncClient(verify=ssl.create_default_context(cafile=self.ready.ca_file))

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the sandbox's admin page for something: faults, clock, switches."""
        async with self.browser() as client:
            answer = await client.post(f"{self.ready.admin_url}/{path}", json=body)
            answer.raise_for_status()
            return dict(answer.json())

    async def written(self) -> dict[str, int]:
        """How often Marketo was asked to write something, by path; the probe for the native sync is a write of a
        company that cannot exist, and counts too."""
        async with self.browser() as client:
            answer = await client.get(f"{self.ready.admin_url}/requests")
        return {
            row["path"]: row["count"]
            for row in answer.json()["requests"]
            if (row["service"], row["tenant"], row["method"]) == ("marketo", self.name, "POST")
            and not row["path"].startswith("/identity/")
        }

    async def requests(self, service: str) -> dict[str, int]:
        """How often each path of the tenant's service was asked for since the counters were reset; sign-ins, which
        are nobody's share, left out."""
        async with self.browser() as client:
            answer = await client.get(f"{self.ready.admin_url}/requests")
        return {
            f"{row['method']} {row['path']}": row["count"]
            for row in answer.json()["requests"]
            if (row["service"], row["tenant"]) == (service, self.name) and not row["path"].startswith("/identity/")
        }

    async def reset_requests(self) -> None:
        """Count from zero."""
        async with self.browser() as client:
            (await client.delete(f"{self.ready.admin_url}/requests")).raise_for_status()

    async def lift_faults(self) -> None:
        """Lift all faults; what they held back is executed."""
        async with self.browser() as client:
            (await client.delete(f"{self.ready.admin_url}/faults")).raise_for_status()

    async def until_fault_hit(self, fault: int) -> None:
        """Wait until a request has met this fault."""
        async with self.browser() as client, asyncio.timeout(60):
            while True:
                answer = await client.get(f"{self.ready.admin_url}/faults")
                if any(one["id"] == fault and one["hits"] for one in answer.json()["faults"]):
                    return
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._stack.aclose()


@functools.cache
def _home() -> tuple[tempfile.TemporaryDirectory[str], int]:
    """Where this process keeps worlds that were connected once, and the port of them and of their copies: what a
    tenant remembers, such as delta links, names it."""
    ports = (20_000 + 10 * (os.getpid() + 97 * attempt) % 12_000 for attempt in itertools.count())
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True), next(port for port in ports if _are_free(port))


def _are_free(port: int) -> bool:
    try:
        with listening(9, port):
            return True
    except OptionsWrong:
        return False


@asynccontextmanager
async def connected_worlds(
    folder: Path, names: tuple[str, ...], counts: Counts = SMALL
) -> AsyncIterator[dict[str, World]]:
    """Tenants of one sandbox right after their first sync, in ``folder``: a copy of those that were connected once in
    this process."""
    home, port = _home()
    numbers = (counts.leads, counts.contacts, counts.accounts, *counts.others.values())
    master = Path(home.name) / "-".join(map(str, (*names, *numbers)))
    if not (master / "state.db").exists():
        async with _worlds_in(master, names, counts, port) as worlds:
            await asyncio.gather(*[world.connect() for world in worlds.values()])
    shutil.copytree(master, folder, dirs_exist_ok=True)
    async with _worlds_in(folder, names, counts, port) as worlds:
        yield worlds


@asynccontextmanager
async def connected_world(folder: Path, counts: Counts = SMALL) -> AsyncIterator[World]:
    """One of these."""
    async with connected_worlds(folder, ("contoso",), counts) as worlds:
        yield worlds["contoso"]


@asynccontextmanager
async def _worlds_in(
    folder: Path, names: tuple[str, ...], counts: Counts, port: int
) -> AsyncIterator[dict[str, World]]:
    options = small_sandbox(folder / "ready.json", tenants=names, counts=counts, state=folder / "sandbox", port=port)
    with SandboxThread(options) as ready:
        worlds = {name: World(ready, f"sqlite:///{folder}/state.db", name) for name in names}
        yield worlds
        for world in worlds.values():
            await world.close()
