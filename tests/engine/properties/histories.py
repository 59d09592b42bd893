"""The histories that are played: which steps, in which order, how often.

Hypothesis varies what it has tried before, so that much of a search is alike. So every example has a theme, whose steps
come first, and each theme is searched by itself.
"""

from __future__ import annotations

from itertools import chain

from hypothesis import strategies as st

from tests.engine.properties.actions import (
    Block,
    CloseDeal,
    Create,
    Cycle,
    Delete,
    DeleteDeal,
    Edit,
    Join,
    Meanwhile,
    MergeInMarketo,
    NewAccount,
    OpenDeal,
    Owner,
    Parent,
)
from tests.engine.properties.conditions import HABITS
from tests.engine.properties.disorder import Blind, ClearKey, CopyKey, Hide, Repair, Restore, TidyCompany, Undo
from tests.engine.properties.hardships import Contend, Execute, Habit, Insert, Late, Refuse, Relent, Rename, Skew
from tests.engine.properties.hindrances import REFUSED, Trouble
from tests.engine.properties.model import FILTER
from tests.engine.properties.steps import Step
from tests.engine.properties.successions import MergeInDynamics, Qualify

QUALIFY = True
MERGE_IN_DYNAMICS = True
"""Steps that are searched as well, once the engine knows of them."""

who = st.sampled_from([0, 0, 0, 1, 1, 2])
few = st.integers(0, 2)
text = st.sampled_from(["A", "B", "C", None])
odd_text = st.sampled_from(["B 😀 and more", "😀", " C ", "C"])
sides = st.sampled_from(["dynamics", "marketo"])
minutes = st.sampled_from([-600, -10, 10, 600])
TEXT_HABITS = sorted(HABITS.keys() - {"phone_numbers"})
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


VALUES = {"optout": st.booleans(), "source": st.none() | few}


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
    name = name or draw(st.sampled_from(["title", "title", "mobile", "optout", "source"]))
    value = st.tuples(VALUES.get(name, text))
    here, there = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    number = draw(who) if number is None else number
    return Edit(number, name, draw(value) if here else (), draw(value) if there else ())


creates = st.builds(
    Create, st.sampled_from(["lead", "contact"]), text, st.sampled_from([False, False, True]), st.none() | few
)
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
def late_calls(draw: st.DrawFn) -> list[Step]:
    """A change arrives long after the run that sent it has died, and what it changed has been edited once more."""
    number, side = draw(who), draw(sides)
    name, values = draw(st.sampled_from([("title", "BCA"), ("title", "BCA"), ("mobile", "BCA"), ("source", (1, 0, 2)),
                                         ("optout", (True, False, False))]))  # fmt: skip
    service, path, _, skip = WRITES[0] if side == "dynamics" else WRITES[2]
    first = Edit(number, name, **{side: (values[0],)})
    again = Edit(number, name, **{side: (draw(st.sampled_from(values[1:])),)})
    before, between = st.lists(edits(number), max_size=1), st.builds(Execute) | edits(number, name) | edits(number)
    late = Late(service, path, skip=skip, naps=draw(st.integers(1, 4)))
    clock, after = st.lists(st.builds(Skew, minutes), max_size=1), st.lists(cycles, max_size=1)
    then = [again] * draw(st.sampled_from([1, 1, 1, 0])) + draw(st.lists(between, max_size=1))
    return [first, *draw(before), late, *then, *draw(clock), *draw(after)]


@st.composite
def refused_fields(draw: st.DrawFn) -> list[Step]:
    """A value is refused by the side that it goes to; beside it there is an opt-out, or another change."""
    number, side, name = draw(who), draw(sides), draw(st.sampled_from(["title", "mobile"]))
    refuse = Refuse(draw(sides), name, draw(st.sampled_from(["B", "B", None])), draw(st.booleans()))
    value, beside = ("B",), st.just(Edit(number, "optout", **{side: (True,)}))
    first = Edit(number, name, **{"marketo" if refuse.side == "dynamics" else "dynamics": value})
    steps = [refuse, first, draw(beside | beside | beside | edits(number)), Cycle()]
    steps += draw(st.lists(edits(number, name) | edits(number) | beside | cycles, max_size=3))
    return [*steps, *draw(st.lists(st.builds(Relent), max_size=1))]


@st.composite
def odd_storage(draw: st.DrawFn) -> list[Step]:
    """Marketo stores what Dynamics has in its own way; somebody edits it once more, on either side."""
    number, name = draw(who), draw(st.sampled_from(["title", "title", "mobile"]))
    habit = Habit(draw(st.sampled_from(sorted(HABITS))) if name == "mobile" else draw(st.sampled_from(TEXT_HABITS)))
    first, after = Edit(number, name, dynamics=(draw(odd_text),)), edits(number, name) | edits(number)
    odd = st.builds(lambda value: Edit(number, name, dynamics=(value,)), odd_text)
    steps = [habit, first, *draw(st.lists(after, max_size=1)), draw(cycles)]
    return [*steps, *draw(st.lists(after | odd | cycles | st.just(Habit(habit.name, on=False)), max_size=3))]


@st.composite
def new_options(draw: st.DrawFn) -> list[Step]:
    """An option is new, or has another name, and somebody chooses it, on either side."""
    number, change = draw(who), draw(st.builds(Insert) | st.builds(Rename, few))
    steps = [change, draw(edits(number, "source")), draw(edits(number) | edits(number, "source"))]
    return [*steps, *draw(st.lists(cycles | edits(number, "source") | st.builds(Rename, few), max_size=2))]


@st.composite
def contests(draw: st.DrawFn) -> list[Step]:
    """Another process, whose clock is wrong, wants the tenant while a change is on its way."""
    number, side = draw(who), draw(sides)
    service, path, _, skip = WRITES[0] if side == "dynamics" else WRITES[2]
    return [Edit(number, "title", **{side: ("B",)}), Contend(draw(minutes), service, path, skip)]


KINDS_OF_DISORDER = ["key", "copy", "undone", "undone", "company", "restored", "blind", "hidden", "hidden"]


@st.composite
def disorder(draw: st.DrawFn) -> list[Step]:
    """Somebody tidies up in Marketo, or takes a right away; both sides go on, and perhaps a repair comes in between."""
    number, what = draw(who), draw(st.sampled_from(KINDS_OF_DISORDER))
    beside = edits(number) | st.just(Edit(number, "optout", dynamics=(True,))) | cycles | st.builds(Repair)
    after: list[Step] = draw(st.lists(beside, min_size=1, max_size=3))
    match what:
        case "key":
            return [ClearKey(number), *after]
        case "copy":
            return [CopyKey(number), *after]
        case "undone":
            goes_on = draw(st.builds(Qualify, st.just(number)) | st.builds(MergeInDynamics, who, st.just(number)))
            return [Create("lead"), Cycle(), goes_on, Cycle(), Undo(0), *after]
        case "company":
            account = draw(few)
            return [Parent(number, account), Cycle(), TidyCompany(account), *after]
        case "restored":
            met = draw(st.lists(st.just(Cycle()), max_size=1))
            return [Delete(number, "dynamics"), *met, Restore(number, draw(text)), *after]
        case "hidden":
            name = draw(st.sampled_from(["mobile", "optout", "optout", FILTER]))
            before = Edit(number, "optout", **{draw(sides): (True,)})
            then: list[Step] = draw(st.lists(edits(number, name) if name != FILTER else cycles, max_size=1))
            return [before, Cycle(), Hide(name), *then, Cycle(), *after]
    deal = draw(st.builds(CloseDeal, few, st.booleans()) | st.builds(DeleteDeal, few))
    return [OpenDeal(draw(few)), Cycle(), Blind(), deal, *after]


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
singly += [st.builds(Skew, minutes), st.builds(Relent)]
weighted = [
    *[one.map(lambda step: [step]) for one in singly],
    *[tussles()] * 6,
    *[lost_edits()] * 6,
    *[refused_edits()] * 4,
    *[late_calls()] * 4,
    *[refused_fields()] * 4,
    *[odd_storage()] * 4,
    *[new_options()] * 2,
    *[disorder()] * 3,
    contests(),
]
any_group = st.integers(0, len(weighted) - 1).flatmap(lambda number: weighted[number])
synced = st.builds(
    Create, st.sampled_from(["lead", "contact"]), st.sampled_from(["A", None]), st.just(False), st.none() | few
)
some: st.SearchStrategy[list[Step]] = st.lists(creates, min_size=1, max_size=2)
in_step: st.SearchStrategy[list[Step]] = st.tuples(synced).map(list) | st.tuples(synced, creates).map(list)


def about(theme: st.SearchStrategy[list[Step]], made: st.SearchStrategy[list[Step]]) -> st.SearchStrategy[list[Step]]:
    """One or two records that are in step, mostly, and what happens then."""
    more = st.lists(any_group, max_size=2)
    return st.builds(lambda made, begun, then: [*made, Cycle(), *begun, *chain.from_iterable(then)], made, theme, more)


THEMES = {
    "anything": (about(any_group, some), 0.4),
    "late calls": (about(late_calls(), in_step), 0.2),
    "refused fields": (about(refused_fields(), in_step), 0.16),
    "odd storage": (about(odd_storage(), in_step), 0.14),
    "new options": (about(new_options(), in_step), 0.06),
    "disorder": (about(disorder(), in_step), 0.2),
    "contests": (about(contests(), in_step), 0.04),
}
"""Of each theme its examples, and how many of a part's are of it."""
