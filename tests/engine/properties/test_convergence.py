"""Whatever happens on both sides, and to the cycles between: both sides agree in the end, and then nothing is written.

Each example makes its own records in a tenant that was connected once, does a few steps, and then lets cycles run until
one writes nothing. Among the steps are cycles that fail or are killed at any request, calls of a dead run that are
executed while the next one waits for them, clocks that are wrong, values that a side refuses, with opt-outs beside
them, options that are new or renamed, and ways of storing that lose something (``hardships``).

The examples are the same in every run, so that chance refuses nobody's work; ``CRMSYNC_SEED`` (a number) searches
others, and ``CRMSYNC_EXAMPLES`` sets how many each part plays.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.engine.properties.histories import THEMES
from tests.engine.properties.rig import Rig
from tests.engine.properties.steps import Example, Step

PARTS = 4
EXAMPLES = int(os.environ.get("CRMSYNC_EXAMPLES", "10"))
SEED = int(os.environ.get("CRMSYNC_SEED", "0"))


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
    for number, (examples, share) in enumerate(THEMES.values()):

        @seed((SEED * PARTS + part) * len(THEMES) + number)
        @settings(
            max_examples=max(1, round(EXAMPLES * share)),
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(examples)
        def converge(some: list[Step]) -> None:
            rigs.play(some)

        converge()
