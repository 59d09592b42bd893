"""Unites people in Marketo: a person goes on under its heir's key, or is merged into the person the heir has already.

What is done is decided by who stands in Marketo under which key just before, not by what a run remembers that may have
been killed in between; so it can be done again. A key is changed by Marketo's id, which creates nobody.

"Lead conversion" (Adobe's white paper on CRM synchronization): into an existing contact the two people are merged, the
contact's being the winner. "Merge Leads" (Marketo REST API): the winner's values stay unless it has none, so the heir
is written as a whole afterwards; an opt-out of the loser's is kept and goes to Dynamics as a change of the winner's.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from crmsync.engine.back.fields import OPT_OUTS, Ledger, PersonFields
from crmsync.engine.destination import DELETED_FLAG, PERSON_KEY
from crmsync.engine.fingerprint import NEVER_AGREED
from crmsync.engine.load import NOBODY
from crmsync.engine.session import Session
from crmsync.engine.settle import SECONDS, Patience, by_id
from crmsync.engine.succession import Predecessor, person_of, tombstone
from crmsync.engine.whereabouts import find_people
from crmsync.errors import CrmsyncError, RecordMissing, RecordRefused, TransportFailed
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.brakes import Loss
from crmsync.state.flights import Flight
from crmsync.state.inbox import Waiting
from crmsync.state.records import DEAD, Known, Outcome
from crmsync.state.succession import Continuation, Tombstone
from crmsync.state.syncerrors import TO_MARKETO, SyncError

log = logging.getLogger("crmsync.engine")

TYPES = {"lead": "Lead", "contact": "Contact"}

Key = tuple[str, str]
Row = dict[str, Any]


@dataclass
class Inheritance:
    """One heir, its row in Dynamics (None: not there, or not synced at all), and whom it continues."""

    entity: str
    heir: str
    row: Row | None
    of: list[Predecessor] = field(default_factory=list)


class Uniting:
    """Unites the people of one tenant's heirs with those whom they continue. ``is_held``: the brake holds merges."""

    def __init__(self, session: Session, fields: Mapping[str, PersonFields]) -> None:
        self._session = session
        self._fields = fields
        self.is_held = False

    async def unite(self, wanted: Sequence[Inheritance]) -> set[Key]:
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
        if not await self._may_merge([loser for one, loser in merges if one.heir in people]):
            self.is_held, merges = True, []
        return {
            (one.entity, one.heir)
            for one, loser in merges
            if one.heir in people and await self._merge(one, loser, people[one.heir], people[loser.record_id])
        }

    async def _may_merge(self, losers: Sequence[Predecessor]) -> bool:
        """Whether the brake lets so many people be merged into others."""
        losses: dict[Loss, list[str]] = defaultdict(list)
        for one in losers:
            losses[Loss(one.entity, "merge", TO_MARKETO)].append(one.record_id)
        if await self._session.brake.refused(losses):
            return False
        await self._session.brake.wrote({loss: len(ids) for loss, ids in losses.items()})
        return True

    async def _people(self, wanted: Sequence[Inheritance]) -> dict[str, Row]:
        """The people of heirs and predecessors: whoever is remembered, else who stands in Marketo under the key."""
        if not wanted:
            return {}
        numbers: dict[str, int | None] = dict.fromkeys(one.heir for one in wanted)
        for entity in {one.entity for one in wanted}:
            heirs = [one.heir for one in wanted if one.entity == entity]
            known = await self._session.store.records.known(self._session.name, entity, heirs)
            numbers |= {heir: state.marketo_id for heir, state in known.items() if state.in_marketo}
        numbers |= {each.record_id: each.known.marketo_id if each.known else None for one in wanted for each in one.of}
        opt_outs = {name for fields in self._fields.values() for name in _opt_outs(fields)}
        found = await find_people(self._session, numbers, sorted(opt_outs))
        return {key: rows[0] for key, rows in found.items()}

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
        async with by_id(self._session, pairs[0][0].entity, "link", [one.heir for one, _ in pairs]):
            answers = await self._session.marketo.sync_people(changes, action="updateOnly", lookup_field="id")
            return await self._continued(pairs, people, answers)

    async def _continued(
        self,
        pairs: Sequence[tuple[Inheritance, Predecessor]],
        people: Mapping[str, Row],
        answers: Sequence[Answer],
    ) -> list[tuple[Inheritance, Predecessor]]:
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
        forms = self._session.store.forms
        own = (await forms.of(tenant, of.entity, [of.record_id])).get(of.record_id, {})
        await forms.put(tenant, one.entity, {one.heir: own})
        sets = await records.field_sets(tenant, of.entity)
        before = Ledger(names, sets[known.field_set], known.fingerprints)
        shared = set(sets[known.field_set])
        # A field that only the heir's entity knows is written whatever it holds.
        marks = b"".join(before[name] if name in shared else NEVER_AGREED for name in names)
        number = await records.field_set(tenant, one.entity, names)
        return outcome._replace(status="synced", field_set=number, fingerprints=marks)

    async def _merge(self, one: Inheritance, loser: Predecessor, winner: Row, person: Row) -> bool:
        """Merge the predecessor's person into the heir's; whether that is done."""
        left = tombstone(loser, one.entity, one.heir)._replace(
            heir=one.heir, in_marketo=False, marketo_id=int(person["id"])
        )
        if person["id"] != winner["id"]:
            try:
                async with by_id(self._session, loser.entity, "merge", [loser.record_id]) as flight:
                    await self._keep_opt_outs(one, winner, person)
                    await self._until_merged(int(winner["id"]), int(person["id"]), flight)
            except RecordRefused as refusal:
                await self._refuse(loser, refusal)
                return False
        await self._session.store.succession.land(self._session.name, [left])
        log.info("%s: the person of %s is merged into that of %s", self._session.name, loser.record_id, one.heir)
        return True

    async def _until_merged(self, winner: int, loser: int, flight: Flight) -> None:
        """Merge; when the answer is lost, wait until the loser is gone, or the merge cannot be under way any more."""
        try:
            await self._session.marketo.merge_people(winner, [loser])
        except RecordMissing as missing:
            if await self._session.marketo.people("id", [str(loser)], ["id"]):
                raise RecordRefused(missing.message, remedy=missing.remedy, code=missing.code) from missing
        except TransportFailed:
            patience = Patience(self._session)
            while await self._session.marketo.people("id", [str(loser)], ["id"]):
                if patience.waited >= SECONDS["merge"]:
                    await self._session.store.flights.settle(self._session.name, flight)
                    raise
                await patience.nap(SECONDS["merge"])
            log.warning("%s: the answer to the merge of %s was lost; it was done", self._session.name, flight.keys[0])

    async def _keep_opt_outs(self, one: Inheritance, winner: Row, loser: Row) -> None:
        """What the loser said no to, the winner says no to as well, on both sides: a merge is no consent."""
        fields = self._fields[one.entity]
        lost = {name: True for name in _opt_outs(fields) if loser.get(name) is True and winner.get(name) is not True}
        if lost:
            change = {"id": winner["id"], **lost}
            [answer] = await self._session.marketo.sync_people([change], action="updateOnly", lookup_field="id")
            if answer.status != "updated":
                raise RecordRefused(answer.reason or "Marketo gave no reason", code=answer.code)
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
