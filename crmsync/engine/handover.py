"""Hands people over: a person goes on under its heir's key, or is merged into the person that the heir has already.

What is done is decided by who stands in Marketo under which key just before, not by what a run remembers that may have
been killed in between; so it can be done again. A key is changed by Marketo's id, which creates nobody. Only then are
the heirs written like every other record: company first, then the link to it, the owner, the contact's fields.

"Lead conversion" (Adobe's white paper on CRM synchronization): into an existing contact the two people are merged, the
contact's being the winner. "Merge Leads" (Marketo REST API): the winner's values stay unless it has none, so the heir
is written as a whole; an opt-out of the loser's is kept and goes to Dynamics as a change of the winner's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.back.fields import OPT_OUTS, Ledger, PersonFields
from crmsync.engine.destination import DELETED_FLAG, PERSON_KEY
from crmsync.engine.lane import Lane
from crmsync.engine.load import NOBODY
from crmsync.engine.plan import SYNC_FILTER
from crmsync.engine.session import Session
from crmsync.engine.succession import Predecessor, Succession, contact_of, master_of, person_of, tombstone
from crmsync.errors import CrmsyncError, RecordMissing, RecordRefused, TransportFailed
from crmsync.fields.model import Selection
from crmsync.state.inbox import Waiting
from crmsync.state.records import DEAD, Known, Outcome
from crmsync.state.succession import LONGEST_CHAIN, Continuation, Tombstone
from crmsync.state.syncerrors import SyncError

log = logging.getLogger("crmsync.engine")

BATCH = 300
TYPES = {"lead": "Lead", "contact": "Contact"}
MERGE_SECONDS = 210
"""Marketo ends a merge after 180 seconds ("Performance"); half a minute more for the way."""

POLL_SECONDS = 2
NEVER_AGREED = b"\xff" * 6
"""A mark that no value has: a field that only the heir's entity knows is written whatever it holds."""

Key = tuple[str, str]
Row = dict[str, Any]


@dataclass
class Inheritance:
    """One heir, its row in Dynamics (None: not there, or not synced at all), and whom it continues."""

    entity: str
    heir: str
    row: Row | None
    of: list[Predecessor] = field(default_factory=list)


class Handover:
    """Settles what ``Succession`` put aside. ``open_lane`` gives an entity's way to Marketo, ``read_number`` that of
    its last reading."""

    def __init__(
        self,
        session: Session,
        shape: tuple[DynamicsSchema, Selection],
        carried: Collection[str],
        lane: Callable[[str], Awaitable[tuple[Lane, int]]],
    ) -> None:
        self._session = session
        self._schema, self._selection = shape
        self._carried = carried
        self._lane = lane
        self._succession = Succession(session, carried)
        self._fields = {
            name: PersonFields(self._schema.entities[name], self._selection) for name in TYPES if name in carried
        }

    async def run(self) -> None:
        """Work on everything that is marked."""
        for name in self._fields:
            pending, tenant = self._session.store.pending, self._session.name
            while some := await pending.first(tenant, name, "heir", limit=BATCH):
                await self._settle(name, some)
                await pending.done(tenant, name, "heir", some)

    async def _settle(self, name: str, ids: Sequence[str]) -> None:
        rows = await self._rows(name, ids)
        inheritances, own = await self._inheritances(name, ids, rows)
        to_write: dict[str, set[str]] = {name: own}
        wanted: list[Inheritance] = []
        for one in inheritances:
            if one.row is None or one.row.get(SYNC_FILTER) is False:
                await self._wait(one)
            else:
                to_write.setdefault(one.entity, set()).add(one.heir)
                wanted.append(one)
        whole = await self._hand_over(wanted)
        for entity, some in to_write.items():
            lane, read_number = await self._lane(entity)
            heirs = {one for one in some if (entity, one) in whole}
            await lane.again(sorted(heirs), read_number, mode="whole", settled=True)
            await lane.again(sorted(some - heirs), read_number, settled=True)
            if entity == name:
                await lane.left_out(len(rows) - len(own))

    # Who and whom

    async def _inheritances(
        self, name: str, ids: Sequence[str], rows: Mapping[str, Row]
    ) -> tuple[list[Inheritance], set[str]]:
        """Every heir that these records concern; and those of the records that go on, or may, as themselves."""
        known = await self._session.store.records.known(self._session.name, name, ids)
        named: list[tuple[Key, Predecessor]] = []
        for one, row in rows.items():
            if (master := master_of(row)) is not None:
                named.append(((name, master), Predecessor(name, one, known.get(one))))
            elif (contact := contact_of(name, row)) is not None and row.get(SYNC_FILTER) is not False:
                named.append((("contact", contact), Predecessor(name, one, known.get(one))))
        own = {one for one, row in rows.items() if master_of(row) is None}
        inherits = await self._succession.predecessors(name, {one: rows[one] for one in own})
        named += [((name, heir), one) for heir, some in inherits.items() for one in some]
        named = [(key, one) for key, one in named if person_of(one.known) != "settled"]
        finals = await self._finals({key for key, _ in named}, {(name, one): row for one, row in rows.items()})
        found: dict[Key, Inheritance] = {}
        for key, predecessor in named:
            (entity, heir), heirs_row = finals[key]
            mine = found.setdefault((entity, heir), Inheritance(entity, heir, heirs_row))
            if predecessor.record_id not in {heir, *(other.record_id for other in mine.of)}:
                mine.of.append(predecessor)
        return list(found.values()), own

    async def _finals(self, keys: set[Key], rows: dict[Key, Row]) -> dict[Key, tuple[Key, Row | None]]:
        """Each heir as it is, or the heir's own heir: the one that nobody continues, with its row."""
        store, tenant = self._session.store, self._session.name
        finals = {key: key for key in keys}
        for _ in range(LONGEST_CHAIN):
            further = await store.succession.heirs(tenant, {one for _, one in finals.values()})
            contacts = await store.records.known(tenant, "contact", sorted(set(further.values())))
            for key, (entity, one) in finals.items():
                if one in further:
                    finals[key] = ("contact" if further[one] in contacts else entity), further[one]
            for entity in TYPES:
                missing = [one for kind, one in finals.values() if kind == entity and (kind, one) not in rows]
                rows |= {(entity, one): row for one, row in (await self._rows(entity, missing)).items()}
            masters = {key: master for key, at in finals.items() if at in rows and (master := master_of(rows[at]))}
            for key, master in masters.items():
                finals[key] = finals[key][0], master
            if not masters:
                break
        return {key: (at, rows.get(at)) for key, at in finals.items()}

    async def _rows(self, name: str, ids: Sequence[str]) -> dict[str, Row]:
        if name not in self._fields or not ids:
            return {}
        entity = self._fields[name].entity
        rows = await self._session.dynamics.read_by_ids(entity, self._selection.select(entity), ids)
        return {str(row[entity.primary_id]).lower(): row for row in rows}

    async def _wait(self, one: Inheritance) -> None:
        """The heir is not synced: a merged record's person stays as it is until the heir is, a lead goes on."""
        store, tenant = self._session.store, self._session.name
        heir = one.heir if one.row is not None else None
        await store.succession.land(
            tenant,
            [
                tombstone(each, one.entity, one.heir)
                if person_of(each.known) == "nobody"
                else tombstone(each, one.entity, one.heir)._replace(heir=heir, in_marketo=True)
                for each in one.of
                if each.entity == one.entity
            ],
        )
        if heir is not None:
            leads = {each.record_id: heir for each in one.of if each.entity != one.entity}
            await store.succession.expect(tenant, "lead", leads)

    # Marketo

    async def _people(self, wanted: Sequence[Inheritance]) -> dict[str, Row]:
        """Who stands in Marketo under the keys of heirs and predecessors; of several, the one that is remembered."""
        keys = {one.heir for one in wanted} | {each.record_id for one in wanted for each in one.of}
        if not keys:
            return {}
        opt_outs = {name for fields in self._fields.values() for name in _opt_outs(fields)}
        found: dict[str, list[Row]] = {}
        for row in await self._session.marketo.people(PERSON_KEY, sorted(keys), ["id", PERSON_KEY, *sorted(opt_outs)]):
            found.setdefault(str(row[PERSON_KEY]).lower(), []).append(row)
        numbers = {each.record_id: each.known.marketo_id for one in wanted for each in one.of if each.known}
        return {
            key: min(rows, key=lambda row: (row["id"] != numbers.get(key), row["id"])) for key, rows in found.items()
        }

    async def _hand_over(self, wanted: Sequence[Inheritance]) -> set[Key]:
        """Give these heirs their people; which of them have to be written as a whole."""
        people = await self._people(wanted)
        left: list[Tombstone] = []
        found: list[Continuation] = []
        first: list[tuple[Inheritance, Predecessor]] = []
        merges: list[tuple[Inheritance, Predecessor]] = []
        for one in wanted:
            # Of several the one of the heir's own kind goes on, and the others are merged into it.
            order = sorted(one.of, key=lambda each: (each.entity != one.entity, each.record_id))
            with_person = [each for each in order if each.record_id in people and person_of(each.known) != "stale"]
            left += [tombstone(each, one.entity, one.heir) for each in order if each not in with_person]
            if one.heir in people:
                found += await self._met(one, int(people[one.heir]["id"]))
            elif with_person:
                first.append((one, with_person.pop(0)))
            merges += [(one, each) for each in with_person]
        await self._session.store.succession.land(self._session.name, left, found)
        for one, of in await self._continue(first, people):
            people[one.heir] = people[of.record_id]
        return {
            (one.entity, one.heir)
            for one, loser in merges
            if one.heir in people and await self._merge(one, loser, people[one.heir], people[loser.record_id])
        }

    async def _met(self, one: Inheritance, person: int) -> list[Continuation]:
        """A heir whose person is there, though nobody remembers it."""
        known = (await self._session.store.records.known(self._session.name, one.entity, [one.heir])).get(one.heir)
        if known is not None and known.in_marketo and known.status not in DEAD:
            return []
        return [Continuation(one.entity, _found(one.heir, person, known))]

    async def _continue(
        self, pairs: Sequence[tuple[Inheritance, Predecessor]], people: Mapping[str, Row]
    ) -> list[tuple[Inheritance, Predecessor]]:
        """The predecessors' people get the heirs' keys; Marketo's ids stay, and with them the people's history. The
        answer is those for whom it was done."""
        if not pairs:
            return []
        changes = [
            {
                "id": people[of.record_id]["id"],
                PERSON_KEY: one.heir,
                "msType": TYPES[one.entity],
                DELETED_FLAG: False,
            }
            for one, of in pairs
        ]
        answers = await self._session.marketo.sync_people(changes, action="updateOnly", lookup_field="id")
        left, go_on, done = [], [], []
        for (one, of), answer in zip(pairs, answers, strict=True):
            person = int(people[of.record_id]["id"])
            if answer.status != "updated" and answer.code != NOBODY:
                await self._refuse(of, RecordRefused(answer.reason or "Marketo gave no reason", code=answer.code))
                continue
            left.append(
                tombstone(of, one.entity, one.heir)._replace(heir=one.heir, in_marketo=False, marketo_id=person)
            )
            if answer.status == "updated":
                heir = await self._carried_on(one, of, person)
                go_on.append(Continuation(one.entity, heir, (of.entity, of.record_id)))
                done.append((one, of))
        await self._session.store.succession.land(self._session.name, left, go_on)
        return done

    async def _carried_on(self, one: Inheritance, of: Predecessor, person: int) -> Outcome:
        """What is remembered of the heir: what both sides had agreed on of its predecessor, field by field."""
        outcome = _found(one.heir, person, None)
        known = of.known
        if known is None or known.fingerprints is None or known.field_set is None:
            return outcome
        records, tenant, names = self._session.store.records, self._session.name, self._fields[one.entity].names
        sets = await records.field_sets(tenant, of.entity)
        before = Ledger(names, sets[known.field_set], known.fingerprints)
        shared = set(sets[known.field_set])
        marks = b"".join(before[name] if name in shared else NEVER_AGREED for name in names)
        number = await records.field_set(tenant, one.entity, names)
        return outcome._replace(status="synced", field_set=number, fingerprints=marks)

    async def _merge(self, one: Inheritance, loser: Predecessor, winner: Row, person: Row) -> bool:
        """Merge the predecessor's person into the heir's; whether that is done."""
        left = tombstone(loser, one.entity, one.heir)._replace(
            heir=one.heir, in_marketo=False, marketo_id=int(person["id"])
        )
        if person["id"] != winner["id"]:
            await self._keep_opt_outs(one, winner, person)
            try:
                await self._until_merged(int(winner["id"]), int(person["id"]), loser.record_id)
            except RecordRefused as refusal:
                await self._refuse(loser, refusal)
                return False
        await self._session.store.succession.land(self._session.name, [left])
        log.info("%s: the person of %s is merged into that of %s", self._session.name, loser.record_id, one.heir)
        return True

    async def _until_merged(self, winner: int, loser: int, key: str) -> None:
        """Merge; when the answer is lost, wait until the loser is gone, or the merge cannot be under way any more."""
        try:
            await self._session.marketo.merge_people(winner, [loser])
        except RecordMissing as missing:
            if await self._session.marketo.people("id", [str(loser)], ["id"]):
                raise RecordRefused(missing.message, remedy=missing.remedy, code=missing.code) from missing
        except TransportFailed:
            until = self._session.clock() + timedelta(seconds=MERGE_SECONDS)
            while await self._session.marketo.people("id", [str(loser)], ["id"]):
                if self._session.clock() >= until:
                    raise
                await self._session.sleep(POLL_SECONDS)
            log.warning("%s: the answer to the merge of %s was lost; it was done", self._session.name, key)

    async def _keep_opt_outs(self, one: Inheritance, winner: Row, loser: Row) -> None:
        """What the loser said no to, the winner says no to as well, on both sides: a merge is no consent."""
        fields = self._fields[one.entity]
        lost = {name: True for name in _opt_outs(fields) if loser.get(name) is True and winner.get(name) is not True}
        if lost:
            change = {"id": winner["id"], **lost}
            await self._session.marketo.sync_people([change], action="updateOnly", lookup_field="id")
            waiting = Waiting(one.heir, int(winner["id"]), frozenset(lost))
            await self._session.store.inbox.wait(self._session.name, one.entity, [waiting])

    async def _refuse(self, of: Predecessor, refusal: CrmsyncError) -> None:
        store, tenant = self._session.store, self._session.name
        attempts = (await store.errors.attempts(tenant, of.entity, [of.record_id])).get(of.record_id, 0)
        error = SyncError(
            entity=of.entity,
            record_id=of.record_id,
            operation="merge",
            code=(refusal.code or "unknown")[:40],
            reason=refusal.message,
            remedy=refusal.remedy or "Merge the two people in Marketo.",
            next_attempt=self._session.clock() + timedelta(hours=min(24, 2**attempts)),
        )
        await store.records.land(tenant, of.entity, [], errors=[error])


def _opt_outs(fields: PersonFields) -> list[str]:
    return [name for name, mapping in fields.mappings.items() if mapping.attribute in OPT_OUTS]


def _found(heir: str, person: int, known: Known | None) -> Outcome:
    """A heir whose person is there, and nothing more is known."""
    return Outcome(
        record_id=heir,
        status="unknown",
        in_marketo=True,
        marketo_id=person,
        field_set=None,
        fingerprints=None,
        waiting_owner=None,
        waiting_company=None,
        read_number=known.read_number if known else 1,
    )
