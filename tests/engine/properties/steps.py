"""Who carries out the steps of an example: on the wire, and in the model. A step that does not apply is passed over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.engine.both_sides import KEYS, SETS
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
from tests.engine.properties.conditions import Conditions
from tests.engine.properties.disorder import Disorder, Repair, see_again
from tests.engine.properties.hardships import Hardship, Relent
from tests.engine.properties.model import COLUMNS, FIELDS, Deal, Field, Joiner, Record, Seen, names_of, plain
from tests.engine.properties.rig import AS, Rig
from tests.engine.properties.successions import MergeInDynamics, Qualify, Succession, left_alone, merge, qualify

PERSON = ["id", "dynamicsId", "msType", "msIsDeleted", "externalSalesPersonId", "externalCompanyId", *FIELDS.values()]
DEAL = ["externalOpportunityId", "isClosed", "isWon", "externalCompanyId"]
WON, LOST = 3, 4


Step = (
    Create | Edit | Delete | MergeInMarketo | Block | Owner | Parent | NewAccount | Join | OpenDeal | CloseDeal
    | DeleteDeal | Cycle | Meanwhile | MergeInDynamics | Qualify | Hardship | Disorder
)  # fmt: skip


@dataclass
class Example:
    """One example in a rig: its own records, and what both sides should hold of them."""

    rig: Rig
    records: list[Record] = field(default_factory=list)
    deals: list[Deal] = field(default_factory=list)
    joiners: list[Joiner] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    successions: list[Succession] = field(default_factory=list)
    conditions: Conditions = field(default_factory=Conditions)
    options: list[int] = field(default_factory=lambda: [1, 2])
    sent: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    """Of the run that was killed last: what both sides had of each record then."""
    blind: bool = False
    disordered: bool = False
    """Whether there may be something that only a comparison finds."""

    async def play(self, steps: list[Step]) -> None:
        """Do the steps, let cycles run until quiet, and see whether both sides agree."""
        self.accounts = list(self.rig.accounts)
        self.rig.executed = self._executed
        for step in steps:
            if isinstance(step, Hardship | Disorder):
                await step.do(self)
            else:
                await getattr(self, f"_{type(step).__name__.lower()}")(step)
        if self.rig.held is not None:
            await self._cycle(Cycle())
        await Relent().do(self)
        await see_again(self)
        await self.rig.until_quiet()
        await self.met(finished=True)
        if self.disordered:
            await Repair().do(self)
            await self.rig.until_quiet()
            await self.met(finished=True)
            await self.rig.compare()
        await self._agreed()
        await self.rig.fair()

    # Steps

    async def _create(self, step: Create) -> None:
        title = None if self.conditions.refuses("dynamics", "title", step.title) else step.title
        row: dict[str, Any] = {"firstname": "Ada", "lastname": f"L{uuid4().hex[:8]}", "jobtitle": title}
        row |= {"new_synctomkto": not step.blocked, "ownerid@odata.bind": f"/systemusers({self.rig.users[0]})"}
        account = None
        if step.entity == "contact" and step.account is not None:
            account = self._one(self.accounts, step.account)
            row["parentcustomerid_account@odata.bind"] = f"/accounts({account})"
        record = await self.rig.admin.create(SETS[step.entity], row)
        self.records.append(
            Record.new(
                step.entity, record, {"title": title}, blocked=step.blocked, owner=self.rig.users[0],
                account=account,
            )
        )  # fmt: skip

    async def _edit(self, step: Edit) -> None:
        record = self.record(step.who)
        if record is None:
            return
        one = record.fields.get(step.name)
        if one is None:
            return
        if step.dynamics and record.exists:
            value = self._value(step.name, step.dynamics[0])
            if not self.conditions.refuses("dynamics", step.name, value):
                await self._write(record, {COLUMNS[step.name]: value})
                one.edit("dynamics", value)
        if step.marketo and record.has_person:
            value = self._value(step.name, step.marketo[0])
            if not self.conditions.refuses("marketo", step.name, value) and not self._would_be_proof(
                record, one, value
            ):
                await self._write_in_marketo(record, one, value)

    async def _delete(self, step: Delete) -> None:
        record = self.record(step.who)
        if record is None:
            return
        if step.side == "dynamics" and record.exists:
            await self.rig.admin.delete(SETS[record.entity], record.id)
            record.exists = False
        restored = record.exists and record.buried  # the next cycle makes who is deleted now anew
        if step.side == "marketo" and record.has_person and record.met and self.rig.held is None and not restored:
            await self.rig.marketo.delete_people([record.person_id or 0])
            record.person_gone, record.has_person = True, False

    async def _mergeinmarketo(self, step: MergeInMarketo) -> None:
        winner, loser = self.record(step.winner), self.record(step.loser)
        if winner is None or loser is None or winner is loser or self.rig.held is not None:
            return
        if not (winner.has_person and winner.met and loser.has_person and loser.met):
            return
        await self.rig.in_marketo(
            f"/rest/v1/leads/{winner.person_id}/merge.json", params={"leadId": loser.person_id}, body=None
        )
        loser.person_gone, loser.has_person = True, False
        [person] = await self._people([str(winner.person_id)], by="id")
        winner.merged_into_by_marketo(person)

    async def _qualify(self, step: Qualify) -> None:
        lead = self.record(step.who)
        if lead is not None and lead.exists and lead.entity == "lead":
            await Relent().do(self)
            self.successions.append(await qualify(self.rig, lead, step))

    async def _mergeindynamics(self, step: MergeInDynamics) -> None:
        winner, loser = self.record(step.winner), self.record(step.loser)
        if winner is None or loser is None or winner is loser or winner.entity != loser.entity:
            return
        if winner.exists and loser.exists:
            self.successions.append(await merge(self.rig, winner, loser))

    async def _block(self, step: Block) -> None:
        record = self.record(step.who)
        if record is not None and record.exists:
            await self._write(record, {"new_synctomkto": not step.blocked})
            record.blocked = step.blocked

    async def _owner(self, step: Owner) -> None:
        record = self.record(step.who)
        if record is not None and record.exists:
            record.owner = self._one(self.rig.users, step.user)
            await self._write(record, {"ownerid@odata.bind": f"/systemusers({record.owner})"})

    async def _parent(self, step: Parent) -> None:
        record = self.record(step.who)
        if record is not None and record.exists and record.entity == "contact":
            record.account = self._one(self.accounts, step.account)
            await self._write(record, {"parentcustomerid_account@odata.bind": f"/accounts({record.account})"})

    async def _newaccount(self, _: NewAccount) -> None:
        row = {"name": f"Fabrikam {uuid4().hex[:8]}", "new_synctomkto": True}
        self.accounts.append(await self.rig.admin.create("accounts", row))

    async def _join(self, step: Join) -> None:
        name = f"J{uuid4().hex[:8]}"
        title = None if self.conditions.refuses("marketo", "title", step.title) else step.title
        row = {"email": f"{name}@marketo.example", "lastName": name, "title": title, "unsubscribed": step.optout}
        [made] = await self.rig.marketo.sync_people([row], action="createOnly", lookup_field="email")
        await self.rig.in_marketo(f"/rest/v1/lists/{self.rig.list_id}/leads.json", body={"input": [{"id": made.id}]})
        self.joiners.append(Joiner(int(made.id or 0), name, {"title": title, "optout": step.optout}))

    async def _opendeal(self, step: OpenDeal) -> None:
        account = self._one(self.accounts, step.account)
        row = {"name": "Deal", "new_synctomkto": True, "customerid_account@odata.bind": f"/accounts({account})"}
        self.deals.append(Deal(await self.rig.admin.create("opportunities", row), account))

    async def _closedeal(self, step: CloseDeal) -> None:
        deal = self._one(self.deals, step.deal) if self.deals else None
        if deal is None or not deal.exists or deal.state != "open":
            return
        action, status = ("WinOpportunity", WON) if step.won else ("LoseOpportunity", LOST)
        close = {"subject": "closed", "opportunityid@odata.bind": f"/opportunities({deal.id})"}
        await self.rig.act(action, {"Status": status, "OpportunityClose": close})
        deal.state = "won" if step.won else "lost"

    async def _deletedeal(self, step: DeleteDeal) -> None:
        deal = self._one(self.deals, step.deal) if self.deals else None
        if deal is not None and deal.exists:
            await self.rig.admin.delete("opportunities", deal.id)
            deal.exists = False

    async def _cycle(self, step: Cycle) -> None:
        if step.trouble is None:
            await self.rig.cycle()
            await self.met(finished=True, clean=True)
        else:
            await self.met(finished=await self.rig.troubled(step.trouble))

    async def _meanwhile(self, step: Meanwhile) -> None:
        """Whether the write comes first or is refused: the value of Dynamics goes to both."""
        record = self.record(step.who)
        if record is None or record.entity != "contact":
            return
        await self._edit(Edit(step.who, "title", marketo=("B",)))
        theirs = Edit(step.who, "title", dynamics=("C",))
        hit = await self.rig.interrupted(lambda: self._edit(theirs))
        await self.met(finished=True)
        if not hit:
            await self._edit(theirs)

    # What is seen

    async def _seen(self, records: list[Record]) -> list[Seen]:
        rows: dict[str, dict[str, Any]] = {}
        for entity, key in KEYS.items():
            ids = [one.id for one in records if one.entity == entity]
            if ids:
                wanted = " or ".join(f"{key} eq {one}" for one in ids)
                found = await self.rig.rows(entity, *[COLUMNS[name] for name in names_of(entity)], filter=wanted)
                rows |= {row[key]: row for row in found}
        people: dict[str, list[dict[str, Any]]] = {}
        for person in await self._people([one.id for one in records]):
            people.setdefault(person["dynamicsId"], []).append(person)
        for one in records:
            if one.copied:
                people[one.id] = [person for person in people[one.id] if person["id"] == one.person_id]
            if (one.keyless or one.copied) and not people.get(one.id):
                people[one.id] = await self._people([str(one.person_id)], by="id")
        return [Seen(rows.get(one.id), people.get(one.id, []), self.conditions) for one in records]

    async def _people(self, ids: list[str], by: str = "dynamicsId") -> list[dict[str, Any]]:
        """These records' people; an option is told by its number, as in Dynamics."""
        source, numbers, found = FIELDS["source"], self.rig.options, await self.rig.people(ids, PERSON, by)
        return [person | {source: numbers.number(person[source])} for person in found]

    async def _executed(self) -> None:
        mine = [record for record in self._mine() if record.id in self.sent]
        for record, seen in zip(mine, await self._seen(mine), strict=True):
            record.executed(seen, self.sent[record.id])
        self.sent = {}

    def remember_sent(self) -> None:
        """A run was killed: its call, if one is held back, carries what the records have now."""
        held = self.rig.held is not None
        self.sent = {
            record.id: {name: (one.dynamics, one.marketo) for name, one in record.fields.items()}
            for record in (self._mine() if held else [])
        }

    async def met(self, *, finished: bool, clean: bool = False) -> None:
        mine = self._mine()
        for record, seen in zip(mine, await self._seen(mine), strict=True):
            record.meet(seen, finished=finished, clean=clean)
        for joiner in list(self.joiners):
            await self._joined(joiner, finished=finished)
        if finished:
            await self.rig.execute()  # nobody waits for it any more

    async def _joined(self, joiner: Joiner, *, finished: bool) -> None:
        """A person of the list: at most one row, and once there is one in the ledger it is a record as any other."""
        rows = await self.rig.rows(AS, KEYS[AS], "_ownerid_value", filter=f"lastname eq '{joiner.last_name}'")
        assert len(rows) <= 1, f"{joiner}: made {len(rows)} times"
        if finished:
            assert rows, f"{joiner}: was not made"
            record = Record.new(AS, rows[0][KEYS[AS]], joiner.values, has_person=True, person_id=joiner.person)
            record.owner = rows[0]["_ownerid_value"]
            for name, value in joiner.values.items():
                record.fields[name].marketo = value
                if self.conditions.has_refused("dynamics", name, value) or name in self.conditions.hidden:
                    record.fields[name].dynamics, record.fields[name].edited = plain(name, None), {"marketo"}
            self.records.append(record)
            self.joiners.remove(joiner)
            record.meet((await self._seen([record]))[0], finished=True)
            assert record.person_id == joiner.person, f"{joiner}: {record}"

    async def _agreed(self) -> None:
        mine = self._mine()
        for record, seen in zip(mine, await self._seen(mine), strict=True):
            record.check_agreed(seen)
        for one in self.successions:
            one.check(*await self._seen([one.old, one.new]))
        for deal in self.deals:
            deal.check_agreed(await self.rig.marketo.opportunities("externalOpportunityId", [deal.id], DEAL))
        left = await self.rig.left_over()
        assert not left, f"there is something left to do: {left}"

    # Small things

    def option(self, number: int) -> int:
        return int(self._one(self.options, number))

    def fields(self, name: str) -> list[Field]:
        """This field of all records that have it."""
        return [record.fields[name] for record in self.records if name in record.fields]

    def _value(self, name: str, value: Any) -> Any:
        return self.option(value) if name == "source" and value is not None else value

    def _would_be_proof(self, record: Record, one: Field, value: Any) -> bool:
        """Whether the value, written by hand, would be taken for what a call that is held back writes."""
        sent = self.sent.get(record.id, {}).get(one.name) if self.rig.held is not None else None
        return sent is not None and value in self.conditions.forms(one.name, sent[0])

    async def _write_in_marketo(self, record: Record, one: Field, value: Any) -> None:
        given = self.rig.options.label(value) if one.name == "source" else value
        row = {"id": record.person_id, FIELDS[one.name]: given}
        [answer] = await self.rig.marketo.sync_people([row], action="updateOnly", lookup_field="id")
        assert answer.status == "updated", answer
        if self.conditions.habits:
            [person] = await self.rig.people([str(record.person_id)], PERSON, by="id")
            value = plain(one.name, person[FIELDS[one.name]]) if one.name != "source" else value
        one.edit("marketo", value)

    async def _write(self, record: Record, values: dict[str, Any]) -> None:
        for one in record.fields.values():
            # Who wrote last is somebody else now: what a dead run had brought is not to be told from that one's values.
            one.loose = one.loose or "dynamics" in one.carried
        await self.rig.admin.update(SETS[record.entity], record.id, values)

    def record(self, number: int) -> Record | None:
        mine = self._mine()
        return self._one(mine, number) if mine else None

    def _mine(self) -> list[Record]:
        """The records that are not on their way to become another."""
        busy = left_alone(self.successions)
        return [one for one in self.records if one.id not in busy]

    def _one(self, several: list[Any], number: int) -> Any:
        return several[number % len(several)]
