"""Judges what a comparison sees: whether it differs, waits to be carried, or was refused, and since when.

What is equal by its values is equal, whatever the ledger says of it. What is not is explained, field by field, by what
the store knows: an open sync error in the field's direction, or something that waits. Only where each field that
differs is explained, the record is called refused (as soon as one field is), else waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine.absence import Absence
from crmsync.engine.comparison import Difference
from crmsync.engine.links import COMPANY_LINK, OWNER_LINK
from crmsync.engine.session import Session
from crmsync.fields.model import SYNC_FLAG
from crmsync.fields.sync_filter import keeps_out
from crmsync.state.syncerrors import TO_DYNAMICS, TO_MARKETO, SyncError
from crmsync.state.waits import WAITING, Kind, Wait

LINKS: dict[str, Kind] = {OWNER_LINK: "owner", COMPANY_LINK: "company"}
_WHOLE: frozenset[Kind] = frozenset({"again", "delete", "roles", "heir", "request", "parent", "creation"})
_TO_COME = frozenset({"failed", "unknown", "synced"})
"""Parents that the ledger has so come to Marketo some time; the others are kept out by choice, or gone."""


async def judged(
    session: Session, entity: str, seen: Sequence[Difference], links: Mapping[str, Iterable[Kind]]
) -> list[Difference]:
    """What these differences are called; ``links`` tells of the records that wait for their owner, company or parent
    which it is."""
    ids = [one.record_id for one in seen]
    if not ids:
        return []
    store, tenant = session.store, session.name
    waits, errors = await store.waits.of(tenant, entity, ids), await store.errors.of(tenant, entity, ids)
    written = await store.waits.written_at(tenant, entity, list(links)) if links else {}
    found = []
    for one in seen:
        linked = [Wait(kind, written.get(one.record_id)) for kind in links.get(one.record_id, ())]
        found.append(judge(one, [*waits.get(one.record_id, ()), *linked], errors.get(one.record_id, ())))
    return found


def judge(seen: Difference, waits: Sequence[Wait], errors: Sequence[SyncError]) -> Difference:
    """One difference, and what is known to wait and to have been refused of its record."""
    refusals = [error for error in errors if error.code != WAITING]
    if seen.kind == "refused":
        return _refused(seen, [error for error in refusals if error.direction == TO_MARKETO])
    if seen.kind == "twice in Marketo":
        return seen
    held = frozenset[str]().union(*(wait.fields for wait in waits if wait.kind == "change"))
    whys = [_explained(name, held, waits, refusals) for name in seen.fields or [""]]
    if not all(whys):
        return seen
    if said := [one for why in whys for one in why if isinstance(one, SyncError)]:
        return _refused(seen, said)
    reasons = [one for why in whys for one in why if isinstance(one, Wait)]
    since = _oldest(one.since for one in reasons)
    kinds = list(dict.fromkeys(one.kind for one in reasons))
    return seen.model_copy(update={"kind": "waiting", "since": since, "waits_for": kinds})


def _explained(
    field: str, held: frozenset[str], waits: Sequence[Wait], refusals: Sequence[SyncError]
) -> list[SyncError | Wait]:
    """Why this field differs; '' is the record as a whole."""
    to_dynamics = field in held or any(wait.kind == "creation" for wait in waits)
    direction = TO_DYNAMICS if to_dynamics else TO_MARKETO
    found: list[SyncError | Wait] = [
        error for error in refusals if error.direction == direction and error.field in ("", field)
    ]
    for wait in waits:
        if wait.kind in _WHOLE or field in wait.fields or (field in LINKS and LINKS[field] == wait.kind):
            found.append(wait)
    return found


def _refused(seen: Difference, said: Sequence[SyncError]) -> Difference:
    since = _oldest(error.first_at for error in said)
    code = said[0].code if said else seen.code
    return seen.model_copy(update={"kind": "refused", "since": since, "code": code})


class Coming:
    """Which of the parents that records name, and that Marketo does not have, are to come there."""

    def __init__(self, session: Session, schema: DynamicsSchema, carried: Sequence[str]) -> None:
        self._session = session
        self._schema = schema
        self._carried = carried
        self._absence = Absence(session)
        self._known: dict[tuple[str, str], bool] = {}

    async def among(self, entities: Sequence[str], ids: Iterable[str]) -> set[str]:
        """Those of these records, of one of these entities, that a cycle brings. One that is kept out by a filter,
        was deleted, or is no such record at all does not come."""
        wanted, found = set(ids), set[str]()
        for entity in entities:
            if entity in self._carried:
                found |= await self._of(entity, {one for one in wanted if (entity, one) not in self._known})
                found |= {one for one in wanted if self._known[entity, one]}
        return found

    async def _of(self, name: str, ids: set[str]) -> set[str]:
        if not ids:
            return set()
        ledger = await self._session.store.records.known(self._session.name, name, sorted(ids))
        entity, unknown = self._schema.entities[name], sorted(ids - ledger.keys())
        select = [entity.primary_id, *({SYNC_FLAG} & entity.attributes.keys())]
        rows = await self._session.dynamics.read_by_ids(entity, select, unknown) if unknown else []
        if len(rows) < len(unknown):
            await self._absence.prove(entity)
        there = {str(row[entity.primary_id]).lower() for row in rows if not keeps_out(entity, row)}
        coming = there | {one for one, known in ledger.items() if known.status in _TO_COME}
        self._known |= {(name, one): one in coming for one in ids}
        return coming


def _oldest(moments: Iterable[datetime | None]) -> datetime | None:
    """The first of these moments that is known."""
    return min((moment for moment in moments if moment is not None), default=None)
