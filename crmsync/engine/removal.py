"""What becomes in Marketo of records that are gone from Dynamics, or that belong there no more.

People are flagged, deleted or left, as the tenant file says; opportunities, roles and custom objects are deleted;
companies and sales persons stay. A refused deletion is a sync error, and tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from crmsync.engine.destination import BY_ID, DELETED_FLAG, Destination
from crmsync.engine.load import BATCH, NOBODY, Loader
from crmsync.engine.report import Counts
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import find_people
from crmsync.marketo.outcomes import Outcome as Answer
from crmsync.state.records import Known, Outcome


class Remover:
    """Removes one entity's records, and records the outcomes by its loader."""

    def __init__(self, session: Session, entity: str, where: Destination, loader: Loader) -> None:
        self._session = session
        self._entity = entity
        self._where = where
        self._loader = loader

    async def flag_deleted(self, ids: Sequence[str], read_number: int) -> None:
        """These records are gone from Dynamics: people are flagged, or as the tenant file says; opportunities are
        deleted, companies and sales persons stay as they are."""
        known = await self._session.store.records.known(self._session.name, self._entity, ids)
        there = [one for one in ids if one in known and known[one].status != "deleted"]
        policy = self._session.tenant.deleted_in_dynamics
        people = self._where.target == "person" and policy != "ignore"
        held = [one for one in there if people and known[one].in_marketo]
        for start in range(0, len(held), BATCH):
            batch = held[start : start + BATCH]
            await (self._flag_batch if policy == "flag" else self._delete_batch)(batch, known, read_number)
        if self._where.delete is not None:
            held = [one for one in there if known[one].in_marketo or known[one].status == "unknown"]
            await self.delete(held, known, read_number)
        if self._entity == "contact":
            await self._look_at_leads(there)
        handled = set(held)
        rest = [_deleted(one, known[one], read_number) for one in there if one not in handled]
        if rest:
            await self._loader.land(rest, [], Counts(read=len(rest), deleted=len(rest)))

    async def _look_at_leads(self, contacts: Sequence[str]) -> None:
        """Leads that went on as these contacts are read once more: one that is open is a person of its own again."""
        store, tenant = self._session.store, self._session.name
        named = await store.succession.of(tenant, contacts) if contacts else {}
        leads = [one for some in named.values() for entity, one, _ in some if entity == "lead"]
        await store.pending.add(tenant, "lead", "again", leads)

    async def delete(self, ids: Sequence[str], known: Mapping[str, Known], read_number: int) -> None:
        """Delete these records in Marketo; one that is gone already is as good as deleted."""
        delete = self._where.delete
        assert delete is not None
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            flight, answers = await self._loader.send("delete", batch, partial(delete, batch))
            refused = {key: one for key, one in zip(batch, answers, strict=True) if one.status != "deleted"}
            await self._land_deletions(batch, refused, known, read_number, flight)

    async def _land_deletions(
        self,
        ids: Sequence[str],
        refused: Mapping[str, Answer],
        known: Mapping[str, Known],
        read_number: int,
        flight: str | None = None,
        *,
        stay: bool = False,
    ) -> None:
        """Record what became of these deletions: a refused one is tried again. ``stay``: flagged, and there still."""
        attempts = await self._session.store.errors.attempts(self._session.name, self._entity, list(refused))
        outcomes, errors = [], []
        for key in ids:
            outcome = _deleted(key, known[key], read_number)
            if key in refused:
                outcomes.append(outcome._replace(status="failed"))
                error = self._loader.error(key, refused[key], attempts.get(key, 0))
                errors.append(error.model_copy(update={"operation": "delete"}))
            else:
                outcomes.append(outcome if stay else outcome._replace(in_marketo=False))
        counts = Counts(read=len(ids), deleted=len(ids) - len(errors), failed=len(errors))
        await self._loader.land(outcomes, errors, counts, flight)

    async def _flag_batch(self, ids: Sequence[str], known: dict[str, Known], read_number: int) -> None:
        # By Marketo's ids: a person that was deleted there too is not created again, and one without its key is found.
        people = await find_people(self._session, {one: known[one].marketo_id for one in ids})
        there = [one for one in ids if one in people]
        rows = [
            {"id": person["id"], self._where.key: one, DELETED_FLAG: True} for one in there for person in people[one]
        ]
        keys = [one for one in there for _ in people[one]]
        flight, answers = await self._loader.call(keys, rows, BY_ID)
        refused = {
            key: one for key, one in zip(keys, answers, strict=True) if one.status != "updated" and one.code != NOBODY
        }
        await self._land_deletions(ids, refused, known, read_number, flight, stay=True)

    async def _delete_batch(self, ids: Sequence[str], known: dict[str, Known], read_number: int) -> None:
        """Delete the people by Marketo's ids: sent again after a lost answer, it finds them gone."""
        people = await find_people(self._session, {one: known[one].marketo_id for one in ids})
        numbers = [(one, int(person["id"])) for one in ids for person in people.get(one, ())]
        order = [one for one, _ in numbers]
        delete = partial(self._session.marketo.delete_people, [number for _, number in numbers])
        flight, answers = await self._loader.send("delete", order, delete)
        refused = {key: one for key, one in zip(order, answers, strict=True) if one.status != "deleted"}
        await self._land_deletions(ids, refused, known, read_number, flight)


def _deleted(record_id: str, known: Known, read_number: int) -> Outcome:
    return Outcome(
        record_id=record_id,
        status="deleted",
        in_marketo=known.in_marketo,
        marketo_id=known.marketo_id,
        field_set=None,
        fingerprints=None,
        waiting_owner=None,
        waiting_company=None,
        read_number=read_number,
        parent_id=known.parent_id,
        middle_id=known.middle_id,
    )
