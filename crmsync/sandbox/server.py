"""A running sandbox: every service of every tenant in one process, each on a port of its own.

``running_sandbox`` is for whoever has an event loop; ``SandboxThread`` runs the same in a thread with a loop of its
own, for tests and demos whose client must not share one.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from crmsync.sandbox.admin import Administration
from crmsync.sandbox.core import Clock, find_directory
from crmsync.sandbox.data.fill import Progress, fill
from crmsync.sandbox.dataverse.app import dataverse_app
from crmsync.sandbox.entra import entra_app
from crmsync.sandbox.frontdoor import ByPort, Desk, SandboxProtocol, Watched
from crmsync.sandbox.marketo.app import marketo_app
from crmsync.sandbox.marketo.service import Marketo
from crmsync.sandbox.observing import Observed
from crmsync.sandbox.options import SandboxOptions
from crmsync.sandbox.readyfile import Ready, write_ready
from crmsync.sandbox.smtp import mail_server
from crmsync.sandbox.sockets import HOST, listening, make_tls, port_of
from crmsync.sandbox.world import Ports, SandboxTenant, make_tenant

GRACE = 1.0
"""Seconds that a request has to be answered when the sandbox is stopped."""


@asynccontextmanager
async def running_sandbox(options: SandboxOptions, progress: Progress | None = None) -> AsyncIterator[Ready]:
    """Run a sandbox while the block runs. Its data are made first; the ready file is the last thing written."""
    async with AsyncExitStack() as stack:
        work = stack.enter_context(_folder(options.state, "crmsync-sandbox-"))
        place = work if options.ready_file is None else options.ready_file.absolute().parent
        place.mkdir(parents=True, exist_ok=True)
        sockets = stack.enter_context(listening(1 + 2 * len(options.tenants), options.port))
        ports = [port_of(server) for server in sockets]
        clock = Clock()
        tenants = {
            name: make_tenant(name, options.seed, Ports(*ports[1 + 2 * n : 3 + 2 * n]), clock, options.limits, work)
            for n, name in enumerate(options.tenants)
        }
        for tenant in tenants.values():
            tenant.organization.prepared = not options.unprepared
        for tenant in tenants.values():
            await asyncio.to_thread(fill, tenant, options, progress)
        tls = make_tls(place / "ca.pem")
        services = await _services(tenants, ports, clock, stack)
        mailbox = place / "mailbox"
        mail_port = await stack.enter_async_context(mail_server(mailbox, HOST))
        await stack.enter_async_context(_serving(services, sockets, tls))
        origin = f"https://localhost:{ports[0]}"
        ready = Ready(place, place / "ca.pem", f"{origin}/admin", origin, "localhost", mail_port, mailbox, tenants)
        write_ready(ready, options.ready_file or work / "ready.json", limits_off=not options.limits.documented)
        yield ready


async def _services(tenants: dict[str, SandboxTenant], ports: list[int], clock: Clock, stack: AsyncExitStack) -> ByPort:
    """Every service behind its port; the applications are open until the stack closes."""
    desk = Desk(clock)
    authority = f"https://localhost:{ports[0]}"
    services: dict[int, ASGIApp] = {}
    marketo: dict[str, Marketo] = {}
    for number, (name, tenant) in enumerate(tenants.items()):
        apps = dataverse_app(tenant.organization, authority=authority), marketo_app(tenant.subscription)
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
        marketo[name] = apps[1].state.marketo
        services[ports[1 + 2 * number]] = Watched(apps[0], "dynamics", desk, _always(name))
        services[ports[2 + 2 * number]] = Observed(Watched(apps[1], "marketo", desk, _always(name)))
    administration = Administration(tenants, marketo, clock, desk)
    front = Starlette(routes=[administration.routes()], exception_handlers=administration.error_handlers())
    front.mount("/", Watched(_entra(tenants, authority, clock), "entra", desk, _entra_tenant(tenants)))
    services[ports[0]] = front
    return ByPort(services)


def _entra(tenants: dict[str, SandboxTenant], origin: str, clock: Clock) -> Starlette:
    return entra_app(origin, [tenant.directory for tenant in tenants.values()], clock)


def _entra_tenant(tenants: dict[str, SandboxTenant]) -> Callable[[str], str | None]:
    """Whose a path of Entra's is: its first segment names the Entra tenant."""

    def tenant_of(path: str) -> str | None:
        segment = path.split("/")[1]
        return next((name for name, tenant in tenants.items() if find_directory([tenant.directory], segment)), None)

    return tenant_of


def _always(name: str) -> Callable[[str], str | None]:
    return lambda _path: name


class _Server(uvicorn.Server):
    """uvicorn that tells when it listens, leaves signals to the program around the sandbox, and ends without a pause:
    there is one for each of a thousand tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up, self.down = asyncio.Event(), asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.down.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := list(self.server_state.tasks):
            for late in (await asyncio.wait(tasks, timeout=GRACE))[1]:
                late.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _serving(app: ASGIApp, sockets: list[socket.socket], tls: ssl.SSLContext) -> AsyncIterator[None]:
    config = uvicorn.Config(
        app,
        http=SandboxProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # the sandbox's clock is not the machine's
        timeout_keep_alive=60,
    )
    config.load()
    config.ssl = tls
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=sockets))
    try:
        await server.up.wait()
        yield
    finally:
        server.down.set()
        await running
        # A client that closes its socket without the end of TLS would be waited for in vain.
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


@contextmanager
def _folder(kept: Path | None, prefix: str) -> Iterator[Path]:
    """``kept``, made if need be; or a temporary folder."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class SandboxThread:
    """A sandbox in a thread: ``with SandboxThread(options) as ready: ...``."""

    def __init__(self, options: SandboxOptions, progress: Progress | None = None) -> None:
        self._options = options
        self._progress = progress
        self._thread = threading.Thread(target=self._run, name="crmsync-sandbox", daemon=True)
        self._up = threading.Event()
        self._ready: Ready | None = None
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Ready:
        self._thread.start()
        self._up.wait()
        if self._ready is None:
            self._thread.join()
            raise self._error or RuntimeError("the sandbox did not start")
        return self._ready

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with running_sandbox(self._options, self._progress) as ready:
            self._ready = ready
            self._up.set()
            await self._stop.wait()
