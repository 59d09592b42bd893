"""Both sides on the wire for many examples: one tenant, connected once, whose waiting costs no time.

Sessions sleep on a clock of their own, so that retries and settling end at once; everything else is real: TLS, both
APIs, SQLite. A run that is to die gets its fault through the sandbox's admin page.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import sqlalchemy as sa
from pydantic import SecretStr

from crmsync.dynamics.auth import ClientSecret
from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.schema import Entity
from crmsync.engine import setup
from crmsync.engine.compare import compare
from crmsync.engine.comparison import Comparison
from crmsync.engine.report import SyncReport
from crmsync.engine.resync import resync, review_fields
from crmsync.engine.session import Session, utc_now
from crmsync.engine.sync import cycle
from crmsync.errors import CrmsyncError
from crmsync.marketo.client import MarketoClient
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from crmsync.state import tables
from crmsync.state.store import Store
from crmsync.tenants import CreateInDynamics, Quota, Tenant
from tests.engine.both_sides import KEYS
from tests.engine.properties.conditions import Options
from tests.engine.properties.contender import Contender
from tests.engine.properties.hindrances import SOURCE, Hindered
from tests.engine.test_column_security import let_read, put_in, take_out
from tests.engine.unprepared import secure
from tests.world import World, small_sandbox

LIST = "Sync Person to Microsoft"
AS = "lead"
FEW = Counts(leads=2, contacts=4, accounts=3)


class Hurried:
    """A clock and a sleep that pass time without waiting: two minutes a nap. ``napped`` hears of each."""

    def __init__(self, ahead: timedelta, napped: Callable[[], Awaitable[None]]) -> None:
        self.ahead = ahead
        self._napped = napped

    def clock(self) -> datetime:
        return utc_now() + self.ahead

    def time(self) -> float:
        return self.clock().timestamp()

    async def sleep(self, _: float) -> None:
        self.ahead += timedelta(minutes=2)
        await self._napped()
        await asyncio.sleep(0)


class Rig(Hindered):
    """A connected tenant. ``admin`` is somebody else in Dynamics, ``marketo`` another integration in Marketo."""

    marketo: MarketoClient
    store: Store
    session: Session

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self._session_stack = AsyncExitStack()
        self._entities: dict[str, Entity] = {}
        self._profiles: dict[tuple[str, str], str] = {}
        self.errors_before = 0

    async def open(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        ready = self._stack.enter_context(SandboxThread(small_sandbox(folder / "ready.json", counts=FEW)))
        self.world = World(ready, f"sqlite:///{folder}/state.db")
        self._stack.push_async_callback(self.world.close)
        self.browser = await self._stack.enter_async_context(self.world.browser())
        self.browser.timeout = httpx.Timeout(60)  # a machine that is busy with all tests may be slow
        self.list_id = int((await self._admin("POST", "lists", {"tenant": "contoso", "name": LIST}))["id"])
        await self.world.connect()
        self.admin, self.marketo = await self.world.admin(), await self.world.marketo()
        self.store = await self.world.store()
        self.contender = await Contender.start(self.world.state_url)
        self._stack.push_async_callback(self.contender.close)
        source = (await self._entity("lead")).attributes[SOURCE]
        self.options = Options(source.options)
        await self.restart()
        self.users = [row["systemuserid"] for row in await self.rows("systemuser", "systemuserid")][:3]
        synced = await self.store.records.in_marketo("contoso", "systemuser", self.users)
        self.users = [one for one in self.users if one in synced][:2]
        accounts = [row["accountid"] for row in await self.rows("account", "accountid")]
        self.accounts = sorted(await self.store.records.in_marketo("contoso", "account", accounts))[:2]
        await self.until_quiet()
        self.errors_before = sum((await self.store.errors.counts("contoso")).values())
        return self

    async def close(self) -> None:
        await self._session_stack.aclose()
        await self._stack.aclose()
        # A run that was killed while it connected leaves a socket to the collector, which would tell another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    async def restart(self) -> None:
        """A new process: nothing is remembered but what stands in the store."""
        await self._session_stack.aclose()
        self._session_stack = AsyncExitStack()
        enter = self._session_stack.enter_async_context
        hurried, facts = Hurried(self.skew, self._napped), self.world.facts
        tenant = Tenant.model_validate(
            self.world.tenant.model_dump(exclude_unset=True)
            | {"create_in_dynamics": CreateInDynamics.model_validate({"list": LIST, "as": AS})}
        )
        dynamics = DynamicsClient(
            tenant.dynamics,
            ClientSecret(value=SecretStr(facts["dynamics"]["client_secret"])),
            tenant="contoso",
            ca_path=tenant.ca_path,
            sleep=hurried.sleep,
        )
        marketo = MarketoClient(
            tenant.marketo,
            SecretStr(facts["marketo"]["client_secret"]),
            tenant="contoso",
            quota=Quota(marketo_calls_per_20_seconds=10**6, marketo_calls_per_day=10**9),
            ca_path=tenant.ca_path,
            sleep=hurried.sleep,
            clock=hurried.time,
        )
        self.session = Session(
            tenant, self.store, await enter(dynamics), await enter(marketo), "test", hurried.sleep, hurried.clock
        )

    # Cycles

    async def cycle(self) -> SyncReport:
        return await cycle(self.session, force=True)

    async def repair(self) -> Comparison:
        return await compare(self.session, repair=True)

    async def compare(self) -> None:
        """A comparison tells the truth: there is nothing left that differs."""
        found = await compare(self.session)
        assert found.in_step, [one for one in found.differences if one.kind != "refused"] or found.left_out

    async def resync(self) -> None:
        await setup.disable_sync(self.session, "rights are back")
        await setup.refresh_schema(self.session)
        await review_fields(self.session)
        await resync(self.session)
        await setup.enable_sync(self.session)

    async def hide(self, column: str) -> None:
        """The sync user may not read this secured column of people any more."""
        for entity in KEYS:
            if (entity, column) not in self._profiles:
                await secure(self.world, entity, column)
                self._profiles[entity, column] = await let_read(
                    self.world, column, entity=entity, canupdate=4, cancreate=4
                )
            await take_out(self.world, self._profiles[entity, column])

    async def show(self) -> None:
        for profile in self._profiles.values():
            await put_in(self.world, profile)

    async def until_quiet(self, at_most: int = 8) -> int:
        """Run cycles until one writes nothing, on neither side; what waits for a later attempt is due now."""
        after = await self.traces()
        for number in range(1, at_most + 1):
            await self._make_due()
            report, before = await self.cycle(), after
            after = await self.traces()
            if after == before:
                told = report.total.created + report.total.updated
                told += sum(one.written for one in report.to_dynamics.values())
                assert told == 0, f"the report tells of {told} writes that nobody saw"
                return number
        raise AssertionError(f"{at_most} cycles, and the last one still writes")

    async def traces(self) -> tuple[dict[str, int], dict[str, int]]:
        """What any write would change: the last version in Dynamics by entity, and the writes that Marketo counted."""
        return {entity: await self._version(entity) for entity in (*KEYS, "account")}, await self._written()

    async def _version(self, entity: str) -> int:
        newest = self.admin.read(
            await self._entity(entity), ["versionnumber"], orderby="versionnumber desc", page_size=1
        )
        async with aclosing(newest):
            async for page in newest:
                return int(page[0]["versionnumber"]) if page else 0
        return 0

    async def _entity(self, name: str) -> Entity:
        if name not in self._entities:
            self._entities[name] = await self.admin.entity(name)
        return self._entities[name]

    async def _written(self) -> dict[str, int]:
        rows = (await self._admin("GET", "requests"))["requests"]
        return {
            row["path"]: row["count"]
            for row in rows
            if (row["service"], row["method"]) == ("marketo", "POST") and not row["path"].startswith("/identity/")
        }

    async def _make_due(self) -> None:
        async with self.store.engine.begin() as connection:
            for table in (tables.marketo_changes, tables.creations):
                await connection.execute(sa.update(table).values(not_before=None))
            late = tables.sync_errors.c.next_attempt.is_not(None)
            await connection.execute(
                sa.update(tables.sync_errors).where(late).values(next_attempt=utc_now() - timedelta(days=2))
            )

    async def left_over(self) -> dict[str, Any]:
        """What the store still has to do; nothing, when all is quiet."""
        store = self.store
        errors = [f"{one.entity} {one.code}: {one.reason}" for one in await store.errors.all("contoso")]
        found = {
            "in flight": await store.flights.all("contoso"),
            "pending": await store.pending.counts("contoso"),
            "inbox": await store.inbox.sizes("contoso"),
            "errors": errors if len(errors) > self.errors_before else [],
        }
        return {name: rows for name, rows in found.items() if rows}

    async def recovered(self) -> bool:
        """Whether another example can start here, though the last one failed."""
        try:
            await self.fair()
            await self.restart()
            await self.until_quiet()
        except (AssertionError, CrmsyncError):
            return False
        return not await self.left_over()

    # Both sides

    async def rows(self, entity: str, *select: str, filter: str | None = None) -> list[dict[str, Any]]:
        metadata = await self._entity(entity)
        return [row async for page in self.admin.read(metadata, select, filter=filter) for row in page]

    async def people(self, ids: list[str], fields: list[str], by: str = "dynamicsId") -> list[dict[str, Any]]:
        return await self.marketo.people(by, ids, fields) if ids else []

    async def act(self, path: str, body: dict[str, Any]) -> None:
        """An action in Dynamics, as the app's buttons call it."""
        await self.admin.channel.send("POST", path, json=body, repeatable=False)

    async def in_marketo(self, path: str, *, params: dict[str, Any] | None = None, body: Any = None) -> None:
        """A call of Marketo that the product has no use for."""
        base, facts = self.world.tenant.marketo.base_url, self.world.facts["marketo"]
        query = {"grant_type": "client_credentials"} | {name: facts[name] for name in ("client_id", "client_secret")}
        token = (await self.browser.get(f"{base}/identity/oauth/token", params=query)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.browser.post(f"{base}{path}", params=params, json=body, headers=headers)
        assert answer.json()["success"], answer.text
