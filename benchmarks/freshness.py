"""How long a change on one side takes until it is visible on the other, alone and while a mass update is under way.

    python benchmarks/freshness.py                     # 50,000 of 55,000 leads; about ten minutes on two slow cores
    python benchmarks/freshness.py --mass 5000 --seconds 20

A sandbox with documented limits and typical latency runs in a process of its own, the engine in another, its cycles
back to back with a second in between (the product waits for the tenant's interval there, which comes on top). Ten
contacts a second are changed in Dynamics, and ten people a second in Marketo, leads and contacts by turns. That goes on
for a while alone, then an administrator changes so many other leads, and it goes on until the engine has carried them.

A change counts from the answer to whoever made it until a look at the other side, once a second, finds it: a figure is
up to a second too long. Looks and changes go through the same limits as everybody's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stage import enabled, running_sandbox

A_SECOND = 10
PAUSE = 1.0
TARGETS_A_CALL = 500
LONGEST_MASS = 420
"""Seconds after which the mass update is measured as far as it is."""
PATIENCE = 60
"""Seconds that the last changes have to arrive."""

WAYS = ("Dynamics → Marketo", "Marketo → Dynamics")


def main() -> int:
    """Measure both phases and print them; 0 when every change arrived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mass", type=int, default=50_000, help="leads that the mass update changes")
    parser.add_argument("--seconds", type=int, default=40, help="how long changes go on alone, for comparison")
    parser.add_argument("--run", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        asyncio.run(cycles(Path(options.run)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = A_SECOND * (options.seconds + LONGEST_MASS)
        counts = {"leads": options.mass + others, "contacts": others * 2, "accounts": others // 10}
        with running_sandbox(folder, counts, "--latency", "typical", limits="documented"):
            alone, beside = asyncio.run(measure(folder, options.mass, options.seconds))
    alone.tell()
    beside.tell()
    for way in WAYS:
        ratios = [f"{beside.at(way, share) / alone.at(way, share):.1f}" for share in (0.5, 0.95)]
        print(f"{way}: beside the mass update / alone: median {ratios[0]}, 95th percentile {ratios[1]}")
    return 1 if alone.lost or beside.lost else 0


# The engine's process


async def cycles(folder: Path) -> None:
    """The first sync, then cycles until the file ``stop`` is there; a line of JSON for each."""
    from crmsync.engine import sync

    async with enabled(folder) as session:
        await sync.first_sync(session)
        while not (folder / "stop").exists():
            report = await sync.cycle(session, force=True)
            leads = report.entities["lead"].read if "lead" in report.entities else 0
            print(json.dumps({"seconds": report.seconds, "leads": leads}), flush=True)
            await asyncio.sleep(PAUSE)


# What is measured


@dataclass
class Phase:
    """One while of changes; ``seen`` are the seconds that each took, by way."""

    name: str
    seen: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    lost: int = 0
    seconds: float = 0.0

    def at(self, way: str, share: float) -> float:
        """The median, or another percentile."""
        ordered = sorted(self.seen[way])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def tell(self) -> None:
        print(f"{self.name}, {self.seconds:.0f} s:")
        for way in WAYS:
            print(
                f"  {way}: median {self.at(way, 0.5):.1f} s, 95th percentile {self.at(way, 0.95):.1f} s, longest "
                f"{self.at(way, 1):.1f} s, of {len(self.seen[way]):,} changes"
            )
        if self.lost:
            print(f"  {self.lost:,} changes did not arrive within {PATIENCE} s")


@dataclass
class Side:
    """One way: what was changed and is not seen yet, by record: value, since when, in which phase."""

    way: str
    look: Callable[[Sequence[str]], Awaitable[dict[str, Any]]]
    waiting: dict[str, tuple[str, float, Phase]] = field(default_factory=dict)

    async def watch(self) -> None:
        """Look once a second at what is not seen yet."""
        while True:
            started = time.monotonic()
            if self.waiting:
                found = await self.look(list(self.waiting)[:300])
                now = time.monotonic()
                for record, value in found.items():
                    if record in self.waiting and self.waiting[record][0] == value:
                        _, since, phase = self.waiting.pop(record)
                        phase.seen[self.way].append(now - since)
            await asyncio.sleep(max(0.0, started + 1 - time.monotonic()))


@dataclass
class People:
    """Records that are in Marketo: of each entity the ids, and Marketo's ids of them."""

    mass: list[str]
    to_marketo: list[str]
    to_dynamics: list[tuple[str, str, int]]
    entities: dict[str, Any]
    """Of Dynamics; read once, because the looks have the limits of a user, too: 6,000 requests in five minutes."""


class Load:
    """Makes the changes of both ways, and the mass update."""

    def __init__(self, dynamics: Any, marketo: Any, people: People) -> None:
        self.dynamics, self.marketo, self.people = dynamics, marketo, people
        self.made = 0
        self.there = Side(WAYS[0], self._look_at_marketo)
        self.here = Side(WAYS[1], self._look_at_dynamics)

    async def go_on(self, phase: Phase, until: Callable[[], bool]) -> None:
        """Ten changes a second each way, until it is enough."""
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            second = 0
            while not until():
                group.create_task(self._in_marketo(phase))
                for tenth in range(A_SECOND):
                    group.create_task(self._in_dynamics(phase))
                    await asyncio.sleep(max(0.0, started + second + (tenth + 1) / A_SECOND - time.monotonic()))
                second += 1
        phase.seconds = time.monotonic() - started
        for _ in range(PATIENCE):
            if self._left(phase):
                await asyncio.sleep(1)
        phase.lost = self._left(phase)

    async def mass_update(self) -> None:
        """Give all leads of the mass another city."""
        for start in range(0, len(self.people.mass), TARGETS_A_CALL):
            targets = [
                {"@odata.type": "Microsoft.Dynamics.CRM.lead", "leadid": one, "address1_city": "Lausanne"}
                for one in self.people.mass[start : start + TARGETS_A_CALL]
            ]
            path = "leads/Microsoft.Dynamics.CRM.UpdateMultiple"
            await self.dynamics._channel.send("POST", path, json={"Targets": targets})

    def _left(self, phase: Phase) -> int:
        return sum(one[2] is phase for side in (self.there, self.here) for one in side.waiting.values())

    async def _in_dynamics(self, phase: Phase) -> None:
        record, value = self.people.to_marketo.pop(), self._value()
        await self.dynamics.update("contacts", record, {"jobtitle": value})
        self.there.waiting[record] = value, time.monotonic(), phase

    async def _in_marketo(self, phase: Phase) -> None:
        rows = {self.people.to_dynamics.pop(): self._value() for _ in range(A_SECOND)}
        body = [{"id": number, "title": value} for (_, _, number), value in rows.items()]
        await self.marketo.sync_people(body, action="updateOnly", lookup_field="id")
        for (entity, record, _), value in rows.items():
            self.here.waiting[f"{entity} {record}"] = value, time.monotonic(), phase

    async def _look_at_marketo(self, ids: Sequence[str]) -> dict[str, Any]:
        found = await self.marketo.people("dynamicsId", ids, ["dynamicsId", "title"])
        return {one["dynamicsId"]: one.get("title") for one in found}

    async def _look_at_dynamics(self, names: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entity in ("lead", "contact"):
            ids = [name.partition(" ")[2] for name in names if name.startswith(entity)]
            rows = await self.dynamics.read_by_ids(self.people.entities[entity], ["jobtitle"], ids) if ids else []
            found |= {f"{entity} {row[f'{entity}id']}": row["jobtitle"] for row in rows}
        return found

    def _value(self) -> str:
        self.made += 1
        return f"Position {self.made:06}"


async def measure(folder: Path, mass: int, seconds: int) -> tuple[Phase, Phase]:
    """Both phases, beside the engine's cycles."""
    engine = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--run", str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert engine.stdout is not None
    done = {"leads": 0, "cycles": 0}

    async def follow() -> None:
        async for line in engine.stdout:  # type: ignore[union-attr]
            done["leads"] += json.loads(line)["leads"]
            done["cycles"] += 1
        raise SystemExit("the engine ended before it was told to")

    following = asyncio.create_task(follow())
    try:
        while done["cycles"] < 2:
            if following.done():
                await following
            await asyncio.sleep(0.5)
        async with administration(folder) as (dynamics, marketo):
            load = Load(dynamics, marketo, await people_of(dynamics, marketo, mass))
            watching = [asyncio.create_task(side.watch()) for side in (load.there, load.here)]
            try:
                return await phases(load, mass, seconds, done)
            finally:
                for task in watching:
                    task.cancel()
    finally:
        following.cancel()
        (folder / "stop").touch()
        try:
            await asyncio.wait_for(engine.wait(), 30)
        except TimeoutError:
            engine.kill()
            await engine.wait()


async def phases(load: Load, mass: int, seconds: int, done: dict[str, int]) -> tuple[Phase, Phase]:
    alone, beside = Phase("alone"), Phase(f"beside a mass update of {mass:,} leads")
    until = time.monotonic() + seconds
    await load.go_on(alone, lambda: time.monotonic() >= until)
    before, until = done["leads"], time.monotonic() + LONGEST_MASS
    update = asyncio.create_task(load.mass_update())

    def is_over() -> bool:
        """Changes that the leads of the other way bring back are read too, a few hundred beside the mass."""
        return (update.done() and done["leads"] - before >= mass) or time.monotonic() >= until

    await load.go_on(beside, is_over)
    if not update.done() or done["leads"] - before < mass:
        beside.name += ", which did not end meanwhile"
    await update
    return alone, beside


async def people_of(dynamics: Any, marketo: Any, mass: int) -> People:
    """Who is to be changed: leads for the mass, and others that both sides have."""
    synced: dict[str, list[str]] = {}
    entities = {name: await dynamics.entity(name) for name in ("lead", "contact")}
    for name, entity in entities.items():
        pages = dynamics.read(entity, [entity.primary_id], filter="new_synctomkto ne false and statecode eq 0")
        synced[name] = [row[entity.primary_id] async for page in pages for row in page]
    leads = [row async for page in dynamics.read(entities["lead"], ["leadid"]) for row in page]
    rest = set(synced["lead"])
    chosen = [row["leadid"] for row in leads][:mass]
    rest -= set(chosen)
    half = len(synced["contact"]) // 2
    numbers = await _numbers(marketo, [*sorted(rest), *synced["contact"][half:]])
    pairs = zip(
        (("lead", one, numbers[one]) for one in sorted(rest) if one in numbers),
        (("contact", one, numbers[one]) for one in synced["contact"][half:] if one in numbers),
        strict=False,
    )
    there = await _numbers(marketo, synced["contact"][:half])
    return People(chosen, list(there), [one for pair in pairs for one in pair], entities)


async def _numbers(marketo: Any, ids: Sequence[str]) -> dict[str, int]:
    found = await marketo.people("dynamicsId", ids, ["id", "dynamicsId"])
    return {one["dynamicsId"]: int(one["id"]) for one in found}


@asynccontextmanager
async def administration(folder: Path) -> AsyncIterator[tuple[Any, Any]]:
    """Dynamics as its administrator, and Marketo as another integration with a smaller share of the calls."""
    from pydantic import SecretStr

    from crmsync.dynamics.auth import ClientSecret
    from crmsync.dynamics.client import DynamicsClient
    from crmsync.marketo.client import MarketoClient
    from crmsync.tenants import Quota, load_tenant

    facts = json.loads((folder / "ready.json").read_text(encoding="utf-8"))["tenants"]["contoso"]
    app, tenant = facts["dynamics"]["administrator"], load_tenant("contoso", folder / "tenants")
    connection = tenant.dynamics.model_copy(update={"client_id": app["client_id"]})
    secret = ClientSecret(SecretStr(app["client_secret"]))
    quota = Quota(marketo_calls_per_20_seconds=48, marketo_concurrent_calls=4)
    async with AsyncExitStack() as stack:
        dynamics = DynamicsClient(connection, secret, tenant="contoso", ca_path=tenant.ca_path)
        marketo = MarketoClient(
            tenant.marketo,
            SecretStr(facts["marketo"]["client_secret"]),
            tenant="contoso",
            quota=quota,
            ca_path=tenant.ca_path,
        )
        yield await stack.enter_async_context(dynamics), await stack.enter_async_context(marketo)


if __name__ == "__main__":
    sys.exit(main())
