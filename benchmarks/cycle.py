"""What a cycle costs: calls, bytes and CPU when nothing changed, and with 10, 1,000 and 100,000 changes.

    python benchmarks/cycle.py                              # tables of 100,000 and 1,000,000 records; half an hour
    python benchmarks/cycle.py --records 20000 --changes 10 1000

For each size a sandbox without limits is started in a process of its own and synced once; then an administrator changes
so many leads and contacts, and a cycle carries them. Half the records are contacts, the rest leads and accounts. Calls
are those that the sandbox counted, bytes are the bodies of requests and answers. The cost must follow the changes: the
same cycle over the larger table may cost half as much again (the machine is not quiet), not ten times as much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from stage import enabled, running_sandbox

SHARES = {"leads": 0.4, "contacts": 0.5, "accounts": 0.1}
ALLOWED_GROWTH = 1.5
LITTLE_CPU = 0.3
"""Seconds below which a ratio says nothing."""
TARGETS_A_CALL = 1000


def main() -> int:
    """Run all sizes, a line a cycle; 0 when the cost follows the changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--changes", type=int, nargs="+", default=[10, 1_000, 100_000])
    parser.add_argument("--run", nargs="+", metavar=("FOLDER", "CHANGES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        asyncio.run(cycles(Path(options.run[0]), [int(one) for one in options.run[1:]]))
        return 0
    results = [measure(records, options.changes) for records in sorted(options.records)]
    small, large = results[0], results[-1]
    grown = {
        changes: large[changes]["cpu"] / small[changes]["cpu"]
        for changes in sorted(small.keys() & large.keys())
        if large[changes]["cpu"] > LITTLE_CPU
    }
    for changes, growth in grown.items():
        print(f"CPU of {changes:,} changes, largest table / smallest: {growth:.2f}")
    return 0 if all(growth <= ALLOWED_GROWTH for growth in grown.values()) else 1


def measure(records: int, changes: Sequence[int]) -> dict[int, dict[str, float]]:
    """One sandbox, one first sync and its cycles in a process of their own; prints and returns the figures."""
    counts = {name: int(records * share) for name, share in SHARES.items()}
    fitting = [str(one) for one in changes if one <= records * 0.9]
    with tempfile.TemporaryDirectory() as folder, running_sandbox(Path(folder), counts):
        command = [sys.executable, __file__, "--run", folder, *fitting]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {int(many): figures for many, figures in json.loads(output.splitlines()[-1]).items()}
    for many, one in found.items():
        print(
            f"{records:>9,} records, {many:>7,} changes: {one['dynamics']:>4.0f} Dynamics + {one['marketo']:>4.0f} "
            f"Marketo calls, {one['bytes'] / 1000:>9,.1f} kB, {one['cpu']:>6.2f} CPU s, {one['seconds']:>6.1f} s",
            flush=True,
        )
    return found


async def cycles(folder: Path, changes: Sequence[int]) -> None:
    """The first sync, then a cycle without changes and one for each number of changes; prints figures as JSON."""
    from crmsync.engine import sync

    figures = {}
    async with enabled(folder) as session:
        await sync.first_sync(session)
        await sync.cycle(session, force=True)
        # Bulk imports tell no ids of people: some thousand are looked up a cycle, until all are known.
        while any(
            [await session.store.people.without_marketo_id("contoso", one, limit=1) for one in ("lead", "contact")]
        ):
            await sync.cycle(session, force=True)
        carried = Bytes(session)
        async with administration(folder) as admin:
            for many in (0, *changes):
                await change(admin, many)
                await admin.reset()
                before = time.monotonic(), time.process_time(), carried.total
                report = await sync.cycle(session, force=True)
                seconds, cpu = time.monotonic() - before[0], time.process_time() - before[1]
                came = sum(one.read for name, one in report.entities.items() if name in admin.ids)
                if came != many:
                    raise SystemExit(f"{many:,} leads and contacts were changed, {came:,} came")
                calls = await admin.calls()
                figures[many] = {"seconds": seconds, "cpu": cpu, "bytes": carried.total - before[2], **calls}
    print(json.dumps(figures))


class Bytes:
    """Counts the bodies that a session's two clients send and get."""

    def __init__(self, session: Any) -> None:
        self.total = 0
        for client in (session.dynamics._channel._http, session.marketo._http):
            client.event_hooks = {"response": [self._count]}

    async def _count(self, response: httpx.Response) -> None:
        await response.aread()
        self.total += response.num_bytes_downloaded + int(response.request.headers.get("content-length", 0))


class Admin:
    """The organization's administrator, and the sandbox's own page."""

    def __init__(self, dynamics: Any, page: httpx.AsyncClient) -> None:
        self.dynamics = dynamics
        self._page = page
        self.ids: dict[str, list[str]] = {}
        self.round = 0

    async def reset(self) -> None:
        (await self._page.delete("requests")).raise_for_status()

    async def calls(self) -> dict[str, int]:
        """Requests by service since the reset; sign-ins left out."""
        found = {"dynamics": 0, "marketo": 0}
        for row in (await self._page.get("requests")).json()["requests"]:
            if row["service"] in found and not row["path"].startswith("/identity/"):
                found[row["service"]] += row["count"]
        return found


@asynccontextmanager
async def administration(folder: Path) -> AsyncIterator[Admin]:
    """Both ways to change something from outside; the ids of all people are read once."""
    from pydantic import SecretStr

    from crmsync.dynamics.auth import ClientSecret
    from crmsync.dynamics.client import DynamicsClient
    from crmsync.tenants import load_tenant

    facts = json.loads((folder / "ready.json").read_text(encoding="utf-8"))
    app, tenant = facts["tenants"]["contoso"]["dynamics"]["administrator"], load_tenant("contoso", folder / "tenants")
    connection = tenant.dynamics.model_copy(update={"client_id": app["client_id"]})
    secret = ClientSecret(SecretStr(app["client_secret"]))
    trust = ssl.create_default_context(cafile=facts["ca_file"])
    async with (
        DynamicsClient(connection, secret, tenant="contoso", ca_path=tenant.ca_path) as dynamics,
        httpx.AsyncClient(base_url=facts["admin_url"] + "/", verify=trust, timeout=60) as page,
    ):
        admin = Admin(dynamics, page)
        for name in ("lead", "contact"):
            entity = await dynamics.entity(name)
            rows = [row async for part in dynamics.read(entity, [entity.primary_id]) for row in part]
            admin.ids[name] = [row[entity.primary_id] for row in rows]
        yield admin


async def change(admin: Admin, many: int) -> None:
    """Give so many leads and contacts, half of each, another telephone number."""
    admin.round += 1
    wanted = {"lead": many * 4 // 9, "contact": many - many * 4 // 9}
    for name, number in wanted.items():
        targets = [
            {
                "@odata.type": f"Microsoft.Dynamics.CRM.{name}",
                f"{name}id": record_id,
                "telephone2": f"+1 555 {admin.round:03} {at:06}",
            }
            for at, record_id in enumerate(admin.ids[name][:number])
        ]
        for start in range(0, len(targets), TARGETS_A_CALL):
            part = {"Targets": targets[start : start + TARGETS_A_CALL]}
            path = f"{name}s/Microsoft.Dynamics.CRM.UpdateMultiple"
            await admin.dynamics._channel.send("POST", path, json=part)


if __name__ == "__main__":
    sys.exit(main())
