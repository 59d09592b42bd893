"""What the benchmarks share: a sandbox in a process of its own, and a tenant that is connected to it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crmsync.engine.session import Session


@contextmanager
def running_sandbox(
    folder: Path, counts: Mapping[str, int], *options: str, limits: str = "off"
) -> Iterator[subprocess.Popen[bytes]]:
    """A sandbox with so many leads, contacts and accounts; its ready file is ``folder``/ready.json."""
    ready = folder / "ready.json"
    words = [word for name, number in counts.items() for word in (f"--{name}", str(number))]
    command = [sys.executable, "-m", "crmsync", "sandbox", "--ready-file", str(ready), "--limits", limits]
    sandbox = subprocess.Popen([*command, *words, *options], stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if sandbox.poll() is not None:
                raise SystemExit("the sandbox did not start")
            time.sleep(0.5)
        yield sandbox
    finally:
        sandbox.terminate()
        sandbox.wait()


@asynccontextmanager
async def enabled(folder: Path) -> AsyncIterator[Session]:
    """A session of Contoso, its three steps done up to the first sync, which has not run yet."""
    from crmsync.engine import setup
    from crmsync.engine.session import open_session
    from crmsync.secrets import SecretStore
    from crmsync.tenants import load_tenant

    tenants = folder / "tenants"
    tenant, secrets = load_tenant("contoso", tenants), SecretStore(tenants)
    async with open_session(tenant, secrets, run="benchmark", state_url=f"sqlite:///{folder}/state.db") as session:
        await setup.save_credentials(session, await setup.validate_credentials(session))
        await setup.refresh_schema(session)
        await setup.select_fields(session)
        await setup.enable_sync(session)
        yield session
