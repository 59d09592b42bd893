"""What the search has found, each as its smallest example: a person's change was taken for the sync's own, or lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine.properties.actions import Block, Create, Cycle, Edit, Join
from tests.engine.properties.hardships import Habit
from tests.engine.properties.hindrances import REFUSED, Trouble
from tests.engine.properties.rig import Rig
from tests.engine.properties.steps import Example, Step
from tests.engine.properties.successions import Qualify

DIES = {"times": 40, "lost": True}
LOST_IN_MARKETO = Cycle(Trouble("marketo", "reset", "/rest/v1/leads.json", "POST", **DIES))
LOST_IN_DYNAMICS = Cycle(Trouble("dynamics", "reset", "/api/data/v9.2/$batch", "POST", skip=1, **DIES))
NEVER_IN_MARKETO = Cycle(Trouble("marketo", "reset", "/rest/v1/leads.json", "POST", times=40))
NOT_EXECUTED = Cycle(Trouble("dynamics", "reset", "/api/data/v9.2/$batch", "POST", skip=1))
CUTS = Habit("emoji")

FOUND: dict[str, list[Step]] = {
    "what a dead run wrote to Marketo is set against a later change in Dynamics": [
        Create("lead"), Cycle(), Edit(0, "title", dynamics=("B",)), LOST_IN_MARKETO, Edit(0, "title", dynamics=("C",)),
    ],
    "what a dead run wrote to Marketo comes back when Dynamics returns to the old value": [
        Create("lead"), Cycle(), Edit(0, "title", dynamics=("B",)), LOST_IN_MARKETO, Edit(0, "title", dynamics=("A",)),
    ],
    "a change in Marketo of what a dead run wrote there loses against it": [
        Create("contact"), Cycle(), Edit(0, "title", dynamics=("B",)), LOST_IN_MARKETO,
        Edit(0, "title", marketo=("C",)),
    ],
    "a change in Marketo of a person that a dead run created is overwritten": [
        Create("contact"), LOST_IN_MARKETO, Edit(0, "title", marketo=("C",)),
    ],
    "what a dead run wrote to Dynamics is set against a later change in Marketo": [
        Create("contact"), Cycle(), Edit(0, "title", marketo=("B",)), LOST_IN_DYNAMICS,
        Edit(0, "title", marketo=("C",)),
    ],
    "what somebody wrote in Marketo before is taken for what a dead run was to write there": [
        Create("contact", "B"), Cycle(), Edit(0, "title", dynamics=("A",), marketo=("A",)),
        Edit(0, "title", marketo=("C",)), NEVER_IN_MARKETO,
    ],
    "an opt-out in Dynamics is taken for what a dead run was to write there": [
        Create("lead"), Cycle(), Edit(0, "optout", marketo=(True,)), NOT_EXECUTED,
        Edit(0, "optout", dynamics=(True,), marketo=(False,)),
    ],
    "a record whose person was linked by a lost call, and then refused, is never written again": [
        Join(), LOST_IN_MARKETO, Cycle(Trouble("marketo", "marketo", "/rest/v1/leads.json", "POST", code=REFUSED)),
    ],
    "a change in Dynamics to the value that has lost in Marketo, which stays there as a refusal, is none": [
        Create("contact", "B"), Cycle(), Edit(0, "title", dynamics=("C",), marketo=("A",)),
        Cycle(Trouble("marketo", "marketo", "/rest/v1/leads.json", "POST", times=2, code=REFUSED)),
        Edit(0, "title", dynamics=("A",), marketo=("B",)),
    ],
    "what Marketo made of a value is brought to Dynamics": [
        CUTS, Create("lead"), Cycle(), Edit(0, "title", dynamics=("B 😀",)), Cycle(), Edit(0, "mobile", marketo=("B",)),
    ],
    "what Marketo made of a lead's value is brought to the contact that it became": [
        CUTS, Create("lead"), Cycle(), Edit(0, "title", dynamics=("B 😀",)), Cycle(), Qualify(0, False), Cycle(),
    ],
    "an opt-out that was made while the record was filtered is forgotten": [
        Create("contact"), Cycle(), Block(0, True), Cycle(), Edit(0, "optout", marketo=(True,)), Cycle(),
        Block(0, False),
    ],
}  # fmt: skip


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    opened = await Rig().open()
    yield opened
    await opened.close()


async def test_what_was_found_stays_found(rig: Rig) -> None:
    for steps in FOUND.values():
        await Example(rig).play(steps)
