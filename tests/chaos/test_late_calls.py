"""Runs are killed at whatever they write, their calls are executed late, and people edit both sides all the while.

Nothing is lost, nothing is there twice, the newest value is on both sides, and nothing goes back to an old one.
``CRMSYNC_CHAOS=10`` makes ten times as many trials; the trials of one number are always the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crmsync.sandbox.options import Counts
from tests.chaos import REPEAT
from tests.engine.both_sides import KEYS, SETS, a_synced, assert_quiet, change_in_marketo
from tests.engine.late_calls import BATCH, PEOPLE, Late, cycle_with, killed_cycle
from tests.world import World, connected_world

TRIALS = 3

NAPS = 8
"""How often a run sleeps while it waits for a call to Marketo: later than that no service executes one."""

DEATHS = 2
EDITS = 6
FIELDS = [("jobtitle", "title"), ("mobilephone", "mobilePhone"), ("firstname", "firstName")]


@dataclass
class Someone:
    """A record of both sides, and the newest value of each of its columns."""

    entity: str
    record: str
    newest: dict[str, str] = field(default_factory=dict)


class Counted(Late):
    """Goes on once the sandbox has counted the call; which of the values that it carried are newer is not known."""

    def __init__(self, world: World, side: str, *, nap: int) -> None:
        super().__init__(world, self._is_counted, nap=nap)
        self._service, self._path = ("marketo", PEOPLE) if side == "dynamics" else ("dynamics", BATCH)
        self._before: int | None = None

    async def execute(self) -> None:
        if self._before is None:
            self._before = await self._count()
            await super().execute()

    async def _is_counted(self) -> bool:
        return await self._count() > (self._before or 0)

    async def _count(self) -> int:
        return (await self._world.requests(self._service)).get(f"POST {self._path}", 0)


class Trial:
    """One history: which values were written where, and that nothing is brought back."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._chance = random.Random(number)
        self._values = 0
        self.people: list[Someone] = []

    async def begin(self) -> None:
        for entity in KEYS:
            for number in range(2):
                someone = Someone(entity, await a_synced(self._world, entity, number=number))
                for column, _ in FIELDS:
                    someone.newest[column] = self._value()
                await (await self._world.admin()).update(SETS[entity], someone.record, someone.newest)
                self.people.append(someone)
        await self._world.cycle()

    def _value(self) -> str:
        self._values += 1
        return f"v{self._values}"

    async def edit(self, side: str) -> None:
        """Somebody writes new values into some fields, on this side."""
        admin = await self._world.admin()
        for _ in range(EDITS):
            someone, (column, name) = self._chance.choice(self.people), self._chance.choice(FIELDS)
            someone.newest[column] = value = self._value()
            if side == "dynamics":
                await admin.update(SETS[someone.entity], someone.record, {column: value})
            else:
                await change_in_marketo(self._world, someone.record, **{name: value})

    async def die_and_go_on(self) -> None:
        """A run dies at a write that is executed while the next one is at work, or just after it."""
        side = self._chance.choice(["dynamics", "marketo"])
        await self.edit(side)
        await killed_cycle(self._world, *((PEOPLE,) if side == "dynamics" else (BATCH,)), skip=side == "marketo")
        await self.edit(side)

        await cycle_with(self._world, Counted(self._world, side, nap=self._chance.randint(1, NAPS)))

    async def check(self) -> None:
        await self._world.cycle()
        for someone in self.people:
            key = KEYS[someone.entity]
            [row] = await self._world.rows(someone.entity, *someone.newest, filter=f"{key} eq {someone.record}")
            people = (await self._world.people([someone.record], *(name for _, name in FIELDS)))[someone.record]
            assert len(people) == 1, f"{someone}: is there {len(people)} times"
            assert {column: row[column] for column in someone.newest} == someone.newest, f"{someone}: in Dynamics"
            assert {column: people[0][name] for column, name in FIELDS} == someone.newest, f"{someone}: in Marketo"
        store = await self._world.store()
        assert await store.collisions.all("contoso") == []
        assert await store.flights.all("contoso") == []
        await assert_quiet(self._world)


@pytest.mark.timeout(600 * REPEAT)
async def test_calls_that_are_executed_late_bring_nothing_back(tmp_path: Path) -> None:
    for number in range(TRIALS * REPEAT):
        async with connected_world(tmp_path / str(number), Counts(leads=6, contacts=6, accounts=3)) as world:
            trial = Trial(world, number)
            await trial.begin()
            for _ in range(DEATHS):
                await trial.die_and_go_on()
            await trial.check()
