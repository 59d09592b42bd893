"""Two records that become one in Dynamics: a lead that is qualified, a record that is merged into another.

From the step on until all is quiet the two are left alone; then who goes on, and as whom, is held against the tables
of "Microsoft Dynamics Sync Filter: Qualify" and "... Merge". Edits that were under way may have gone either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.engine.both_sides import KEYS, SETS
from tests.engine.properties.model import Field, Record, Seen, names_of
from tests.engine.properties.rig import Rig

TYPE = "Microsoft.Dynamics.CRM."
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Qualify:
    """A lead becomes a contact; ``blocked``: the contact gets No in the sync filter."""

    who: int
    blocked: bool = False


@dataclass(frozen=True)
class MergeInDynamics:
    """The loser becomes an inactive row that names the winner."""

    winner: int
    loser: int


@dataclass
class Succession:
    """``new`` goes on in place of ``old``; ``syncs`` says of both whether they did when it happened."""

    how: Literal["qualified", "merged"]
    old: Record
    new: Record
    old_synced: bool
    undone: bool = False

    def check(self, old: Seen, new: Seen) -> None:
        """All is quiet."""
        assert len(old.people) <= 1, f"{self}: duplicates: {old.people}"
        assert len(new.people) <= 1, f"{self}: duplicates: {new.people}"
        if self.undone:
            self._check_undone(old, new)
        elif self.how == "qualified":
            self._check_qualified(old, new)
        elif not self.new.blocked:
            assert not old.people, f"{self}: the loser has still a person"
            assert new.people or self.new.person_gone or self.old.person_gone, f"{self}: nobody goes on"
            self._check_same(new)

    def _check_qualified(self, old: Seen, new: Seen) -> None:
        if self.new.blocked:
            assert not new.people, f"{self}: the contact is not synced"
            assert bool(old.people) is (self.old.has_person or self.old_synced), f"{self}: the lead's person: {old}"
        elif not self.old.person_gone:
            assert new.people, f"{self}: nobody goes on"
            if self.old_synced and self.old.person_id is not None:
                assert not old.people, f"{self}: the lead has still a person"
                assert int(new.people[0]["id"]) == self.old.person_id, f"{self}: another person: {new}"
            self._check_same(new)

    def _check_undone(self, old: Seen, new: Seen) -> None:
        """Each has a person of its own again."""
        for record, seen in ((self.old, old), (self.new, new)):
            if not record.blocked and not record.person_gone:
                assert len(seen.people) == 1, f"{self}: {record} has nobody"
        assert {one["id"] for one in old.people}.isdisjoint(one["id"] for one in new.people), f"{self}: one person"
        self._check_same(new)

    def _check_same(self, seen: Seen) -> None:
        for name in names_of(self.new.entity):
            if seen.people:
                here, there = seen.value("dynamics", name), seen.value("marketo", name)
                assert there in seen.conditions.forms(name, here), (
                    f"{self}: {name} is {here!r} in Dynamics and {there!r} in Marketo"
                )


async def qualify(rig: Rig, lead: Record, step: Qualify) -> Succession:
    body = {"CreateAccount": False, "CreateContact": True, "CreateOpportunity": False, "Status": 3}
    answer = await rig.admin.channel.send("POST", f"leads({lead.id})/{TYPE}QualifyLead", json=body, repeatable=False)
    [contact] = [one["contactid"] for one in answer.body["value"] if one["@odata.type"].endswith(".contact")]
    await rig.admin.update(SETS["contact"], contact, {"new_synctomkto": not step.blocked})
    lost = {name: lead.fields[name] for name in names_of("contact")}
    fields = {name: Field(name, one.dynamics, one.marketo) for name, one in lost.items()}
    new = Record("contact", contact, fields, blocked=step.blocked)
    return Succession("qualified", lead, new, lead.syncs)


async def merge(rig: Rig, winner: Record, loser: Record) -> Succession:
    kind, key = {"@odata.type": TYPE + winner.entity}, KEYS[winner.entity]
    body: dict[str, Any] = {
        "Target": {key: winner.id, **kind},
        "Subordinate": {key: loser.id, **kind},
        "UpdateContent": {**kind, key: NOBODY},
        "PerformParentingChecks": False,
    }
    await rig.act("Merge", body)
    return Succession("merged", loser, winner, loser.syncs)


def left_alone(some: Sequence[Succession]) -> set[str]:
    """The ids of all records that are on their way to become one."""
    return {one.id for each in some for one in (each.old, each.new)}
