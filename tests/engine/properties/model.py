"""What both sides should hold: an expectation of each record that every step and every cycle moves on.

A field is *settled* when both sides hold one value after a cycle has met them. An edit makes it unsettled on the side
that was edited. One side edited: that value goes to both. Both edited: an opt-out wins, else Marketo for a lead and
Dynamics for a contact ("Cadence, direction, conflicts"). A cycle may carry a field or leave it for the next one; it
never brings back a value that an edit replaced, and never one that nobody wrote.

A cycle that died may have done any part of its work. Where the model cannot know which, a field is *loose*: either
side's last value may win.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.engine.properties.conditions import Conditions, Side

FILTER = "new_synctomkto"
COLUMNS = {"title": "jobtitle", "mobile": "mobilephone", "optout": "donotbulkemail", "source": "leadsourcecode"}
FIELDS = {"title": "title", "mobile": "mobilePhone", "optout": "unsubscribed", "source": "leadSource"}


def names_of(entity: str) -> list[str]:
    """The fields that this entity's people have; only leads have a source."""
    return [name for name in COLUMNS if entity == "lead" or name != "source"]


def plain(name: str, value: Any) -> Any:
    """The value as both sides are compared: for a boolean, nothing is as good as false."""
    return bool(value) if name == "optout" else (value or None)


@dataclass
class Field:
    """One two-way field of one record. ``carried``: a cycle that died had brought its value to these sides; if somebody
    edits it there before the next one, nobody can tell whether that was before or after. ``sent``: what cycles that
    died may have sent to Marketo; if somebody writes the same there, nobody can tell who did. ``lossy``: what both
    sides hold where Marketo stored Dynamics' value in its own way; that is agreed on. ``fresh``: nobody had time for
    the last edit yet."""

    name: str
    dynamics: Any
    marketo: Any
    edited: set[Side] = field(default_factory=set)
    loose: bool = False
    carried: set[Side] = field(default_factory=set)
    sent: set[Any] = field(default_factory=set)
    agreed: Any = "never"
    lossy: tuple[Any, Any] | None = None
    fresh: bool = False

    @property
    def is_same(self) -> bool:
        """Whether both sides hold the same, if need be in Marketo's form."""
        return self.dynamics == self.marketo or (self.dynamics, self.marketo) == self.lossy

    def edit(self, side: Side, value: Any) -> None:
        """Somebody writes this value; the one that is there already is no change."""
        if getattr(self, side) != value:
            setattr(self, side, value)
            self.edited.add(side)
            self.fresh = True
            if value == self.agreed or (side == "marketo" and (self.agreed, value) == self.lossy):
                self.edited.discard(side)  # back to what both had: no change
            if side == "marketo" and value == self.agreed:
                self.lossy = None  # it can hold the original after all
            self.loose = self.loose or side in self.carried or (side == "marketo" and value in self.sent)

    def targets(self, entity: str, *, anew: bool) -> set[Any]:
        """What both sides may end with. ``anew``: the record is written as a whole, as it is in Dynamics."""
        both = {self.dynamics, self.marketo}
        if self.loose:
            return both
        if anew:
            return {True} if self.name == "optout" and True in both else {self.dynamics}
        if len(self.edited) == 1 or self.is_same:
            return {getattr(self, next(iter(self.edited), "dynamics"))}
        if self.name == "optout" and True in both:
            return {True}
        return {self.marketo if entity == "lead" else self.dynamics}

    def settle(self) -> None:
        """Both sides agree, and the store knows it."""
        self.edited.clear()
        self.loose = False
        self.agreed = self.dynamics

    def overwrite(self, side: Side, value: Any, agreed: Any) -> None:
        """A call that was under way for long has brought what was the other side's value, ``agreed``, and is on record:
        it is an edit of nobody, and what was there before is gone."""
        setattr(self, side, value)
        if side == "dynamics":
            self.carried.add(side)
        if value != agreed:
            self.lossy = (agreed, value)
            self.loose = True  # nobody can tell Marketo's form of it from somebody's edit
        if not self.loose:
            other: Side = "marketo" if side == "dynamics" else "dynamics"
            self.agreed = agreed
            self.edited = {other} if getattr(self, other) != agreed else set()


@dataclass
class Seen:
    """A record as it was read: its row and its people, each with the values of ``COLUMNS`` and what else there is."""

    row: dict[str, Any] | None
    people: list[dict[str, Any]]
    conditions: Conditions = field(default_factory=Conditions)

    def value(self, side: Side, name: str) -> Any:
        if side == "dynamics":
            return plain(name, self.row[COLUMNS[name]]) if self.row is not None else None
        return plain(name, self.people[0][FIELDS[name]])


@dataclass
class Record:
    """A lead or a contact, and its person. ``blocked``: ``new_synctomkto`` is No. ``stale``: a cycle met it so.
    ``met``: a cycle that came to its end has met it, so that the store knows its person. ``keyless``: its person's key
    was cleared, ``copied``: somebody else carries it, too. ``buried``: a cycle has met its deletion."""

    entity: str
    id: str
    fields: dict[str, Field]
    blocked: bool = False
    stale: bool = False
    exists: bool = True
    has_person: bool = False
    person_gone: bool = False
    person_id: int | None = None
    met: bool = False
    keyless: bool = False
    copied: bool = False
    buried: bool = False
    owner: str | None = None
    account: str | None = None

    @classmethod
    def new(cls, entity: str, id: str, values: dict[str, Any], **more: Any) -> Record:
        fields = {name: Field(name, plain(name, values.get(name)), plain(name, None)) for name in names_of(entity)}
        return cls(entity, id, fields, **more)

    @property
    def syncs(self) -> bool:
        """Whether values go to and fro."""
        return self.exists and not self.blocked and not self.person_gone

    def meet(self, seen: Seen, *, finished: bool, clean: bool = False) -> None:
        """A cycle is over: check that it did nothing wrong, and go on from what is there now. ``clean``: it met no
        trouble but refused fields."""
        if FILTER in seen.conditions.hidden:
            self._check_stopped(seen)
            return
        self._check_presence(seen)
        appeared = bool(seen.people) and not self.has_person
        if clean and not appeared:
            self._check_consent(seen)
        for one in self.fields.values():
            if seen.people and seen.row is not None and self.syncs and one.name in seen.conditions.hidden:
                self._meet_hidden(one, seen, appeared=appeared)
            elif seen.people and seen.row is not None and self.syncs:
                self._meet_field(one, seen, appeared=appeared, finished=finished)
            else:
                self._check_untouched(one, seen)
        self.has_person = bool(seen.people)
        if seen.people:
            self.person_id = int(seen.people[0]["id"])
        if self.blocked:
            self._met_blocked(finished=finished)
        elif finished:
            self.stale = False
        self.met = self.met or finished
        self.buried = not self.exists and (self.buried or finished)

    def _check_consent(self, seen: Seen) -> None:
        """An opt-out arrives in the next cycle, whatever else of the record is refused."""
        optout = self.fields["optout"]
        if not (optout.fresh and seen.people and self.syncs) or self.stale or optout.loose:
            return
        if optout.targets(self.entity, anew=False) == {True} and optout.name not in seen.conditions.hidden:
            found = seen.value("dynamics", optout.name), seen.value("marketo", optout.name)
            assert found == (True, True), f"{self}: the opt-out did not arrive: {found}"

    def executed(self, seen: Seen, sent: dict[str, tuple[Any, Any]]) -> None:
        """A call was executed late: what differs from before, and was ``sent`` then, is its doing. By field, what
        Dynamics and Marketo had when the run was killed."""
        appeared = bool(seen.people) and not self.has_person
        if appeared:
            self.has_person, self.person_id = True, int(seen.people[0]["id"])
        for name, (dynamics, marketo) in sent.items():
            known = self.fields[name]
            there = seen.value("marketo", name) if seen.people else known.marketo
            here = seen.value("dynamics", name)
            if (appeared or there != known.marketo) and there in seen.conditions.forms(name, dynamics):
                known.overwrite("marketo", there, dynamics)
            if seen.row is not None and here != known.dynamics and here == marketo:
                known.overwrite("dynamics", here, marketo)

    def _met_blocked(self, *, finished: bool) -> None:
        """What is known of a blocked record is forgotten; whether a cycle that died did so, nobody knows."""
        if finished:
            self.stale = True
            for one in self.fields.values():
                one.loose = False
        elif not self.stale:
            for one in self.fields.values():
                one.loose = True

    def _check_presence(self, seen: Seen) -> None:
        assert (seen.row is not None) is self.exists, f"{self}: the row in Dynamics is {seen.row}"
        assert len(seen.people) <= 1, f"{self}: duplicates: {seen.people}"
        if seen.people:
            assert not self.person_gone, f"{self}: was created again: {seen.people}"
            assert self.has_person or self.syncs, f"{self}: was created though it is not synced: {seen.people}"
        else:
            assert not self.has_person or self.person_gone, f"{self}: the person is gone"

    def _meet_field(self, one: Field, seen: Seen, *, appeared: bool, finished: bool) -> None:
        targets = one.targets(self.entity, anew=appeared or self.stale)
        here, there = seen.value("dynamics", one.name), seen.value("marketo", one.name)
        stored = {form for target in targets for form in seen.conditions.forms(one.name, target)}
        may_stay = {one.marketo} if not appeared else set()
        if appeared and seen.conditions.has_refused("marketo", one.name, one.dynamics):
            may_stay = {None}  # made without it
        assert here in targets | {one.dynamics}, f"{self}: {one} became {here!r} in Dynamics"
        assert there in stored | may_stay, f"{self}: {one} became {there!r} in Marketo"
        was_equal = one.is_same and not appeared
        one.carried.clear()
        one.fresh = False
        if finished:
            one.sent.clear()
        elif one.dynamics != one.marketo:
            one.sent.add(one.dynamics)
        if not finished and self.stale:
            one.carried |= {"dynamics", "marketo"}
        elif not finished and here != one.dynamics:
            one.carried.add("dynamics")
        is_form = here != there and here in targets and there in seen.conditions.forms(one.name, here)
        if is_form and (there != one.marketo or "marketo" not in one.edited):
            one.lossy = (here, there)
        # A run that died has not seen what Marketo made of its value: it may have been somebody's.
        doubtful = is_form and not finished and there != one.marketo
        one.dynamics, one.marketo = here, there
        if not one.is_same:
            if appeared or (finished and self.stale):
                one.edited, one.agreed = {"dynamics"}, None  # refused: nothing is agreed on
            return
        if finished or not (doubtful or (was_equal and (one.edited or self.stale))):
            one.settle()
        else:
            one.loose = True

    def _meet_hidden(self, one: Field, seen: Seen, *, appeared: bool) -> None:
        """Nothing goes to or fro; who is made is made without it."""
        here, there = seen.value("dynamics", one.name), seen.value("marketo", one.name)
        assert here == one.dynamics, f"{self}: {one} became {here!r} in Dynamics"
        assert there == one.marketo or (appeared and not there), f"{self}: {one} became {there!r} in Marketo"
        one.marketo = there

    def _check_stopped(self, seen: Seen) -> None:
        """Nobody knows whether the record is to be synced."""
        self._check_presence(seen)
        assert self.has_person or not seen.people, f"{self}: was created though nobody knows whether it is synced"
        for one in self.fields.values():
            self._check_untouched(one, seen)

    def _check_untouched(self, one: Field, seen: Seen) -> None:
        if seen.row is not None:
            here = seen.value("dynamics", one.name)
            assert here == one.dynamics, f"{self}: {one} became {here!r} in Dynamics"
        if seen.people:
            there = seen.value("marketo", one.name)
            assert there == one.marketo, f"{self}: {one} became {there!r} in Marketo"

    def check_agreed(self, seen: Seen) -> None:
        """All is quiet: both sides agree."""
        if self.syncs:
            assert len(seen.people) == 1, f"{self}: has {len(seen.people)} people"
            for one in self.fields.values():
                assert one.is_same, f"{self}: {one} differs"
                one.settle()
            person = seen.people[0]
            assert person["msType"] == self.entity.capitalize(), f"{self}: {person}"
            assert not person["msIsDeleted"], f"{self}: {person}"
            assert self.owner is None or person["externalSalesPersonId"] == self.owner, f"{self}: {person}"
            if self.account is not None:
                assert person["externalCompanyId"] == self.account, f"{self}: {person}"
        elif seen.people and not self.exists:
            assert seen.people[0]["msIsDeleted"] is True, f"{self}: {seen.people[0]}"

    # Steps

    def merged_into_by_marketo(self, seen: dict[str, Any]) -> None:
        """Its person has won a merge: what it took over from the loser are edits in Marketo."""
        for one in self.fields.values():
            one.edit("marketo", plain(one.name, seen[FIELDS[one.name]]))


@dataclass
class Deal:
    """An opportunity: open, won or lost."""

    id: str
    account: str
    state: Literal["open", "won", "lost"] = "open"
    exists: bool = True

    def check_agreed(self, found: list[dict[str, Any]]) -> None:
        assert len(found) == int(self.exists), f"{self}: {found}"
        for one in found:
            told = (bool(one["isClosed"]), bool(one["isWon"]), one["externalCompanyId"])
            assert told == (self.state != "open", self.state == "won", self.account), f"{self}: {one}"


@dataclass
class Joiner:
    """A person of Marketo who was put on the list: to be made in Dynamics, once."""

    person: int
    last_name: str
    values: dict[str, Any]
