"""Whatever happens on both sides, and to the cycles between: both sides agree in the end, and then nothing is written.

Each example makes its own records in a tenant that was connected once, does up to eight steps, among them cycles that
fail or are killed at any request, and then lets cycles run until one writes nothing. ``CRMSYNC_EXAMPLES`` sets how many
examples each part runs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.properties.rig import Rig, Trouble
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
    MergeInMarketo,
    NewAccount,
    OpenDeal,
    Owner,
    Parent,
    Step,
)
from tests.engine.properties.successions import MergeInDynamics, Qualify

QUALIFY = False
MERGE_IN_DYNAMICS = False
"""Steps that are searched as well, once the engine knows of them."""

PARTS = 4
EXAMPLES = int(os.environ.get("CRMSYNC_EXAMPLES", "50"))

who = st.sampled_from([0, 0, 0, 1, 1, 2])
few = st.integers(0, 2)
text = st.sampled_from(["A", "B", "C", None])
sides = st.sampled_from(["dynamics", "marketo"])
WHERE = [
    ("marketo", "/rest/v1/leads.json", "POST"),
    ("marketo", "/rest/v1/leads.json", "POST"),
    ("marketo", "/rest/v1/leads.json", "GET"),
    ("marketo", "/rest/v1/activities*", "GET"),
    ("marketo", "/rest/v1/companies.json", "POST"),
    ("marketo", "/rest/v1/opportunities.json", "POST"),
    ("marketo", "*", "*"),
    ("dynamics", "/api/data/v9.2/$batch", "POST"),
    ("dynamics", "*", "*"),
]
KINDS = {
    "marketo": ["reset", "truncate", "hang", "status", "throttle", "marketo"],
    "dynamics": ["reset", "truncate", "hang", "status", "throttle"],
}


@st.composite
def troubles(draw: st.DrawFn) -> Trouble:
    service, path, method = draw(st.sampled_from(WHERE))
    return Trouble(
        service,
        draw(st.sampled_from(KINDS[service])),
        path,
        method,
        skip=draw(st.integers(0, 6) if path == "*" else few),
        times=draw(st.sampled_from([40, 40, 1])),
        lost=draw(st.booleans()),
    )


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    name = draw(st.sampled_from(["title", "title", "mobile", "optout"]))
    value = st.tuples(st.booleans() if name == "optout" else text)
    here, there = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    return Edit(draw(who), name, draw(value) if here else (), draw(value) if there else ())


creates = st.builds(
    Create, st.sampled_from(["lead", "contact"]), text, st.sampled_from([False, False, True]), st.none() | few
)
others: list[st.SearchStrategy[Step]] = [
    st.builds(Delete, who, sides),
    st.builds(MergeInMarketo, who, who),
    st.builds(Block, who, st.booleans()),
    st.builds(Owner, who, few),
    st.builds(Parent, who, few) | st.builds(NewAccount),
    st.builds(Join, text, st.booleans()),
    st.builds(OpenDeal, few) | st.builds(CloseDeal, few, st.booleans()) | st.builds(DeleteDeal, few),
]
if QUALIFY:
    others.append(st.builds(Qualify, who, st.booleans()))
if MERGE_IN_DYNAMICS:
    others.append(st.builds(MergeInDynamics, who, who))
cycles = st.builds(Cycle, st.none() | troubles())
steps = st.lists(st.one_of(edits(), cycles, edits(), cycles, *others, creates), max_size=8)
examples = st.tuples(st.lists(creates, min_size=1, max_size=2), steps).map(lambda some: [*some[0], Cycle(), *some[1]])
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
