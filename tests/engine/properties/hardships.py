"""Steps in which a service, a clock or an administrator makes it hard: each does itself to an example.

A call that is executed late, a clock that is wrong, a value that is refused, a way to store that loses something, an
option that has another name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from tests.engine.properties.conditions import HABITS, Side
from tests.engine.properties.hindrances import Trouble
from tests.engine.properties.model import COLUMNS, FIELDS

if TYPE_CHECKING:
    from tests.engine.properties.steps import Example


@dataclass(frozen=True)
class Late:
    """A cycle that is killed while this write is on its way. It is executed at nap number ``naps`` of the runs that
    follow, or when one of them came to its end without."""

    service: str
    path: str
    skip: int = 0
    naps: int = 1

    async def do(self, example: Example) -> None:
        trouble = Trouble(self.service, "after_disconnect", self.path, "POST", skip=self.skip, times=1)
        finished = await example.rig.killed(trouble, self.naps)
        await example.met(finished=finished)
        example.remember_sent()


@dataclass(frozen=True)
class Execute:
    """What was held back is executed now."""

    async def do(self, example: Example) -> None:
        await example.rig.execute()


@dataclass(frozen=True)
class Skew:
    """From the next run on the clock is ``minutes`` ahead."""

    minutes: int

    async def do(self, example: Example) -> None:
        await example.rig.set_clock(self.minutes)


@dataclass(frozen=True)
class Contend:
    """While a write of a cycle is on its way, a process whose clock is wrong wants the tenant, too."""

    minutes: int
    service: str
    path: str
    skip: int = 0

    async def do(self, example: Example) -> None:
        trouble = Trouble(self.service, "after_disconnect", self.path, "POST", skip=self.skip, times=1)
        await example.rig.contended(trouble, self.minutes)
        await example.met(finished=True, clean=True)


@dataclass(frozen=True)
class Refuse:
    """A service takes this value in this field no more, from anybody; None: no value at all. ``told``: it says so of
    the field."""

    side: Side
    name: str
    value: str | None = None
    told: bool = False

    async def do(self, example: Example) -> None:
        field = (COLUMNS if self.side == "dynamics" else FIELDS)[self.name]
        message = {"message": f"'{field}' is none that we take"} if self.told else {}
        await example.rig.refuse(self.side, field, self.value, **message)
        example.conditions.refusing.add((self.side, self.name, self.value))
        example.conditions.refused.add((self.side, self.name, self.value))


@dataclass(frozen=True)
class Relent:
    """Everything is taken again."""

    async def do(self, example: Example) -> None:
        await example.rig.relent()
        example.conditions.refusing.clear()


@dataclass(frozen=True)
class Habit:
    """Marketo begins, or ceases, to store in a way that loses something."""

    name: str
    on: bool = True

    async def do(self, example: Example) -> None:
        await example.rig.switch(**{self.name: HABITS[self.name] if self.on else "keep"})
        if self.on:
            example.conditions.habits.add(self.name)


@dataclass(frozen=True)
class Rename:
    """An option gets another label; not while somebody's choice of it waits in Marketo under the old one."""

    option: int

    async def do(self, example: Example) -> None:
        if any(source.loose or "marketo" in source.edited for source in example.fields("source")):
            return
        await example.rig.option("UpdateOptionValue", example.option(self.option), f"R{uuid4().hex[:8]}")


@dataclass(frozen=True)
class Insert:
    """There is another option, which the edits that follow choose first."""

    async def do(self, example: Example) -> None:
        number = example.rig.options.newest + 1
        await example.rig.option("InsertOptionValue", number, f"N{uuid4().hex[:8]}")
        example.options.insert(0, number)


Hardship = Late | Execute | Skew | Contend | Refuse | Relent | Habit | Rename | Insert
