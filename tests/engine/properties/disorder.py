"""Steps in which somebody tidies up in Marketo, takes a right away or brings back what was gone.

Each does itself to an example. Until the example ends, the tenant may be out of step in ways that only a comparison
finds; a repair, at the latest at the end, puts it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.engine.both_sides import KEYS, SETS
from tests.engine.properties.model import COLUMNS, names_of, plain
from tests.engine.unprepared import lower_privilege

if TYPE_CHECKING:
    from tests.engine.properties.steps import Example


@dataclass(frozen=True)
class ClearKey:
    """A marketer clears a person's key."""

    who: int

    async def do(self, example: Example) -> None:
        record = example.record(self.who)
        if record is None or not (record.has_person and record.met) or example.rig.held is not None:
            return
        row = {"id": record.person_id, "dynamicsId": None}
        [answer] = await example.rig.marketo.sync_people([row], action="updateOnly", lookup_field="id")
        assert answer.status == "updated", answer
        record.keyless = example.disordered = True


@dataclass(frozen=True)
class CopyKey:
    """Somebody copies a person, with its key, into another one."""

    who: int

    async def do(self, example: Example) -> None:
        record = example.record(self.who)
        if record is None or not (record.has_person and record.met) or record.keyless or example.rig.held is not None:
            return
        name = f"C{uuid4().hex[:8]}"
        row = {"email": f"{name}@marketo.example", "lastName": name, "dynamicsId": record.id}
        await example.rig.marketo.sync_people([row], action="createOnly", lookup_field="email")
        record.copied = example.disordered = True


@dataclass(frozen=True)
class Undo:
    """A lead that was qualified is open again, a record that was merged is active again."""

    which: int

    async def do(self, example: Example) -> None:
        if not example.successions:
            return
        one = example.successions[self.which % len(example.successions)]
        await example.rig.admin.update(SETS[one.old.entity], one.old.id, {"statecode": 0, "statuscode": 1})
        one.undone = example.disordered = True


@dataclass(frozen=True)
class TidyCompany:
    """A company is deleted in Marketo, where people hang on it."""

    account: int

    async def do(self, example: Example) -> None:
        if example.rig.held is not None:
            return
        account = example.rig.accounts[self.account % len(example.rig.accounts)]
        body = {"deleteBy": "dedupeFields", "input": [{"externalCompanyId": account}]}
        await example.rig.in_marketo("/rest/v1/companies/delete.json", body=body)
        example.disordered = True


@dataclass(frozen=True)
class Restore:
    """A record that was deleted in Dynamics is there again, with the same id."""

    who: int
    title: str | None = "A"

    async def do(self, example: Example) -> None:
        record = example.record(self.who)
        if record is None or record.exists or example.conditions.refuses("dynamics", "title", self.title):
            return
        row: dict[str, Any] = {KEYS[record.entity]: record.id, "firstname": "Ada", "lastname": "Restored"}
        row |= {"jobtitle": self.title, "new_synctomkto": True}
        row |= {"ownerid@odata.bind": f"/systemusers({example.rig.users[0]})"}
        await example.rig.admin.create(SETS[record.entity], row)
        record.exists, record.blocked, record.stale = True, False, True
        record.owner, record.account = example.rig.users[0], None
        for name in names_of(record.entity):
            one = record.fields[name]
            one.edit("dynamics", plain(name, row.get(COLUMNS[name])))
            one.loose = one.loose or name != "optout" or not record.buried


@dataclass(frozen=True)
class Blind:
    """The sync user sees no opportunities but its own any more."""

    async def do(self, example: Example) -> None:
        await lower_privilege(example.rig.world, "prvReadOpportunity", "Basic")
        example.blind = example.disordered = True


@dataclass(frozen=True)
class Repair:
    """An operator compares both sides, and has repaired what differs."""

    async def do(self, example: Example) -> None:
        await example.rig.repair()
        for record in example.records:
            record.copied = False
        await example.met(finished=True)


@dataclass(frozen=True)
class Hide:
    """The sync user loses the profile by which it may read this field's column, or the sync filter."""

    name: str

    async def do(self, example: Example) -> None:
        if self.name not in example.conditions.hidden and example.rig.held is None:
            await example.rig.hide(COLUMNS.get(self.name, self.name))
            example.conditions.hidden.add(self.name)
            example.disordered = True  # what is changed in Marketo meanwhile, nobody hears of


@dataclass(frozen=True)
class Show:
    """It has the profile again, and an operator resyncs."""

    async def do(self, example: Example) -> None:
        hidden = {one for one in example.conditions.hidden if one in COLUMNS}
        if not example.conditions.hidden:
            return
        await example.rig.show()
        example.conditions.hidden.clear()
        for name in hidden:
            for one in example.fields(name):
                one.edited, one.loose = {"dynamics", "marketo"}, name != "optout"
        await example.rig.resync()
        await example.rig.cycle()  # a resync brings nothing to Dynamics
        await example.met(finished=True)


Disorder = ClearKey | CopyKey | Undo | TidyCompany | Restore | Blind | Hide | Show | Repair


async def see_again(example: Example) -> None:
    """All rights are back."""
    await Show().do(example)
    if example.blind:
        await lower_privilege(example.rig.world, "prvReadOpportunity", "Global")
        example.blind = False
