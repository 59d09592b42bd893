"""Settles requests whose answer was lost, in this run or in one that was killed (invariant 2).

A call without an answer may still be executed in Marketo, and sending its records again meanwhile would create
duplicates ("Leads": concurrent upserts of one key). It is over when all its keys are there, when its import has ended,
or when Marketo's own time-out has passed; a deletion is over when none of its keys is there. Only then may its records
be sent again, but for what is seen to have arrived (``crmsync.engine.landed``). A write to Dynamics names the version
that it changes, or an id of its own, so it cannot be executed later and do harm: what it did is looked at, at once.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from crmsync.engine.destination import (
    CUSTOM_KEY,
    ROLE,
    TARGETS,
    Destination,
    destination,
    destination_in,
    destination_of_roles,
)
from crmsync.engine.landed import learned
from crmsync.engine.session import Session
from crmsync.errors import RecordMissing
from crmsync.fields.model import Selection
from crmsync.marketo.bulk import Imports
from crmsync.state.flights import Flight

log = logging.getLogger("crmsync.engine")

IMPORT_SECONDS = 600
"""How long an import whose number was lost may wait in Marketo's queue before its keys show up."""

POLL_SECONDS = 2


async def settle_all(session: Session) -> int:
    """Settle every request that an earlier run left in flight; the answer is how many there were."""
    flights = await session.store.flights.all(session.name)
    for flight in flights:
        log.info(
            "%s: settling a request of %d %s records, sent %s",
            session.name,
            len(flight.keys),
            flight.entity,
            flight.sent_at.isoformat(timespec="seconds"),
        )
        await settle(session, await _where(session, flight.entity), flight)
    return len(flights)


async def _where(session: Session, entity: str) -> Destination:
    """Where records of this name in the ledger go."""
    if entity == ROLE:
        return destination_of_roles(session)
    if entity in TARGETS:
        return destination(entity, session.marketo)
    body = await session.store.schemas.selection(session.name)
    selection = Selection.model_validate_json(body) if body else None
    if selection is None or entity not in selection.custom_objects:
        return Destination("custom_object", CUSTOM_KEY, _nothing, _nothing, call_seconds=150)
    return destination_in(selection, entity, session.marketo)


async def _nothing(*_: object) -> list[Any]:
    """What is found of a custom entity that is not selected any more."""
    return []


async def settle(session: Session, where: Destination, flight: Flight) -> None:
    """Wait until this request is over, then let its records be sent again."""
    if flight.job is not None and where.imports is not None:
        await _until_ended(session, where.imports, flight.job)
    elif flight.kind != "back":
        seconds = IMPORT_SECONDS if flight.kind == "import" else where.call_seconds
        await _until_over(session, where, flight, timedelta(seconds=seconds))
    await session.store.flights.settle(session.name, flight, await learned(session, flight))


async def _until_over(session: Session, where: Destination, flight: Flight, patience: timedelta) -> None:
    open_keys = list(flight.keys)
    while open_keys:
        some = open_keys[:300]
        try:
            there = await where.present(some)
        except RecordMissing:
            return  # their custom object was deleted in Marketo, with all that there was of it
        over = set(some) - there if flight.kind == "delete" else there
        if over:
            open_keys = [key for key in open_keys if key not in over]
        elif session.clock() >= flight.sent_at + patience:
            return
        else:
            await session.sleep(POLL_SECONDS)


async def _until_ended(session: Session, imports: Imports, job: int) -> None:
    while True:
        try:
            status = await imports.status(job)
        except RecordMissing:
            return
        if status.is_over:
            return
        await session.sleep(POLL_SECONDS)
