"""Whatever happens on both sides, and to the cycles between: both sides agree in the end, and then nothing is written.

Each example makes its own records in a tenant that was connected once, does a few steps, among them cycles that fail
or are killed at any request, and then lets cycles run until one writes nothing. The examples are the same in every run,
so that chance refuses nobody's work; ``CRMSYNC_SEED`` (a number) searches others, and
``CRMSYNC_EXAMPLES`` sets how many each part plays.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.engine.properties.model import LOSSY
from tests.engine.properties.rig import REFUSED, Rig, Trouble
from tests.engine.properties.steps import (
    Block,
    CloseDeal,
    Create,
    Cycle,
    Delete,
    DeleteDeal,
    Edit,
    Example,
    Join,
    Meanwhile,
    MergeInMarketo,
    NewAccount,
    OpenDeal,
    Owner,
    Parent,
    Step,
)
from tests.engine.properties.successions import MergeInDynamics, Qualify

QUALIFY = True
MERGE_IN_DYNAMICS = True
"""Steps that are searched as well, once the engine knows of them."""

PARTS = 4
EXAMPLES = int(os.environ.get("CRMSYNC_EXAMPLES", "50"))
SEED = int(os.environ.get("CRMSYNC_SEED", "0"))

who = st.sampled_from([0, 0, 0, 1, 1, 2])
few = st.integers(0, 2)
text = st.sampled_from(["A", "B", "C", None])
sides = st.sampled_from(["dynamics", "marketo"])
WRITES = [
    ("marketo", "/rest/v1/leads.json", "POST", 0),
    ("marketo", "/rest/v1/leads.json", "POST", 0),
    ("dynamics", "/api/data/v9.2/$batch", "POST", 1),  # the first one is the look
    ("marketo", "/rest/v1/leads.json", "POST", 1),
    ("marketo", "/rest/v1/companies.json", "POST", 0),
    ("marketo", "/rest/v1/opportunities.json", "POST", 0),
]
KINDS = {
    "marketo": ["reset", "truncate", "hang", "status", "throttle", "marketo"],
    "dynamics": ["reset", "truncate", "hang", "status", "throttle"],
}


@st.composite
def deaths(draw: st.DrawFn) -> Trouble:
    """A write of which the run never hears whether it was executed, which it mostly was."""
    service, path, method, skip = draw(st.sampled_from(WRITES))
    lost = draw(st.sampled_from([True, True, False]))
    return Trouble(service, draw(st.sampled_from(["reset", "truncate", "hang"])), path, method, skip=skip, lost=lost)


@st.composite
def refusals(draw: st.DrawFn) -> Trouble:
    """Marketo refuses to write people, some or all of them."""
    skip, times = draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([1, 2, 40]))
    return Trouble("marketo", "marketo", "/rest/v1/leads.json", "POST", skip=skip, times=times, code=REFUSED)


@st.composite
def troubles(draw: st.DrawFn) -> Trouble:
    """Anything, anywhere."""
    service = draw(st.sampled_from(["marketo", "dynamics"]))
    kind = draw(st.sampled_from(KINDS[service]))
    times = draw(st.sampled_from([40, 1]))
    return Trouble(service, kind, skip=draw(st.integers(0, 12)), times=times, lost=draw(st.booleans()))


@st.composite
def edits(draw: st.DrawFn, number: int | None = None, name: str | None = None) -> Edit:
    name = name or draw(st.sampled_from(["title", "title", "mobile", "optout"]))
    value = st.tuples(st.booleans() if name == "optout" else text)
    here, there = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    number = draw(who) if number is None else number
    return Edit(number, name, draw(value) if here else (), draw(value) if there else ())


cycles = st.builds(Cycle, st.none() | deaths() | troubles() | refusals())


@st.composite
def tussles(draw: st.DrawFn) -> list[Step]:
    """One field is edited before and after a cycle that may die."""
    number, name = draw(who), draw(st.sampled_from(["title", "title", "optout"]))
    between = st.builds(Cycle, deaths()) | st.builds(Cycle, deaths()) | cycles
    return [draw(edits(number, name)), draw(between), draw(edits(number, name))]


@st.composite
def refused_edits(draw: st.DrawFn) -> list[Step]:
    """A change in Dynamics is refused by Marketo, and the field, or the record, is edited once more."""
    number, name = draw(who), draw(st.sampled_from(["title", "title", "optout"]))
    first = Edit(number, name, dynamics=(True,) if name == "optout" else ("B",))
    return [first, Cycle(draw(refusals())), draw(edits(number) | edits(number, name))]


@st.composite
def lost_edits(draw: st.DrawFn) -> list[Step]:
    """A change arrives in a run that dies of it, and the field is edited once more."""
    number, side, kind = draw(who), draw(sides), draw(st.sampled_from(["reset", "truncate", "hang"]))
    if side == "dynamics":
        first, (service, path, method, skip) = Edit(number, "title", dynamics=("B",)), WRITES[0]
    else:
        first, (service, path, method, skip) = Edit(number, "title", marketo=("B",)), WRITES[2]
    lost = draw(st.sampled_from([True, True, False]))
    return [first, Cycle(Trouble(service, kind, path, method, skip=skip, lost=lost)), draw(edits(number, "title"))]


@st.composite
def lossy_edits(draw: st.DrawFn) -> list[Step]:
    """Marketo stores a value in its own way, and the field, or the record, is edited once more."""
    number = draw(who)
    return [Edit(number, "title", dynamics=(LOSSY,)), Cycle(), draw(edits(number) | edits(number, "title"))]


creates = st.builds(
    Create, st.sampled_from(["lead", "contact"]), text, st.sampled_from([False, False, True]), st.none() | few
)
others: list[st.SearchStrategy[Step]] = [
    st.builds(Delete, who, sides),
    st.builds(MergeInMarketo, who, who),
    st.builds(Meanwhile, who),
    st.builds(Meanwhile, who),
    st.builds(Block, who, st.booleans()),
    st.builds(Block, who, st.just(True)),
    st.builds(Owner, who, few),
    st.builds(Parent, who, few) | st.builds(NewAccount),
    st.builds(Join, text, st.booleans()),
    st.builds(OpenDeal, few) | st.builds(CloseDeal, few, st.booleans()) | st.builds(DeleteDeal, few),
]
if QUALIFY:
    others.append(st.builds(Qualify, who, st.booleans()))
if MERGE_IN_DYNAMICS:
    others.append(st.builds(MergeInDynamics, who, who))
singly: list[st.SearchStrategy[Step]] = [*others, edits(), edits(), edits(), creates, cycles, cycles, cycles]
weighted = [
    *[one.map(lambda step: [step]) for one in singly],
    *[tussles()] * 6,
    *[lost_edits()] * 6,
    *[refused_edits()] * 4,
    *[lossy_edits()] * 4,
]
groups = st.lists(st.integers(0, len(weighted) - 1).flatmap(lambda number: weighted[number]), min_size=1, max_size=5)
first = st.lists(creates, min_size=1, max_size=2)
examples = st.builds(lambda made, then: [*made, Cycle(), *chain.from_iterable(then)], first, groups)
"""One or two records that are in step, mostly, and what happens then."""


class Rigs:
    """A loop and a rig for all examples of a test; one that leaves disorder gets the next a new rig."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._rig: Rig | None = None

    def play(self, some: list[Step]) -> None:
        self._runner.run(self._play(some))

    async def _play(self, some: list[Step]) -> None:
        if self._rig is None:
            self._rig = await Rig().open()
        try:
            await Example(self._rig).play(some)
        except BaseException as failure:
            if not isinstance(failure, AssertionError) or not await self._rig.recovered():
                rig, self._rig = self._rig, None
                await rig.close()
            raise

    def close(self) -> None:
        if self._rig is not None:
            self._runner.run(self._rig.close())
        self._runner.close()


@pytest.fixture
def rigs() -> Iterator[Rigs]:
    several = Rigs()
    yield several
    several.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_both_sides_agree_whatever_happened(rigs: Rigs, part: int) -> None:
    @seed(SEED * PARTS + part)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(examples)
    def converge(some: list[Step]) -> None:
        rigs.play(some)

    converge()
