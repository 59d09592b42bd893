"""Settles requests whose answer was lost, in this run or in one that was killed (invariant 2).

A call without an answer may still be executed: sent again meanwhile its records would be created twice ("Leads":
concurrent upserts of one key), and what is written meanwhile would be overwritten by it. It is over when its effect is
seen on each of its records (``crmsync.engine.landed``), when its import has ended, or when the service cannot execute
it any more. Only then may its records be sent again, but for what is seen to have arrived.

How long is waited is counted from when this run began to look, by what it slept: no clock of the machine that sent the
request, or that was set since, is believed. Of the services it is assumed that they execute nothing later than their
own time-outs say.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from crmsync.engine.destination import (
    CUSTOM_KEY,
    ROLE,
    TARGETS,
    Destination,
    destination,
    destination_in,
    destination_of_roles,
)
from crmsync.engine.landed import executed, learned
from crmsync.engine.session import Session
from crmsync.engine.whereabouts import still_there
from crmsync.errors import CrmsyncError, RecordMissing, ServiceUnavailable, TransportFailed
from crmsync.fields.model import Selection
from crmsync.marketo.bulk import Imports
from crmsync.state.flights import Flight, FlightKind
from crmsync.state.records import Outcome

log = logging.getLogger("crmsync.engine")

SECONDS: dict[FlightKind, int] = {"import": 600, "back": 150, "merge": 210}
"""How long a request may be executed after it was sent: an import whose number was lost waits in Marketo's queue, a
batch of Dataverse is given up after two minutes, a merge after 180 seconds ("Performance"). Where nothing stands here
the destination says it."""

KEYS_A_LOOK = 300
POLL_SECONDS = 2
LONGEST_PAUSE = 30


class Patience:
    """How long was waited for what was in flight already when this began."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.waited = 0.0

    async def nap(self, until: float) -> None:
        """Wait a while, longer each time, but not beyond ``until`` in all."""
        pause = min(max(POLL_SECONDS, self.waited), LONGEST_PAUSE, until - self.waited)
        await self._session.sleep(pause)
        self.waited += pause


@asynccontextmanager
async def by_id(
    session: Session, entity: str, kind: Literal["link", "merge"], keys: Sequence[str]
) -> AsyncIterator[Flight]:
    """Note a call that names people by Marketo's ids while it is under way and until its outcomes are written: a run
    that comes after a crash writes nothing before it is over."""
    flights = session.store.flights
    flight = await flights.take_off(session.name, entity, kind, keys)
    try:
        yield flight
    except (TransportFailed, ServiceUnavailable):
        raise
    except CrmsyncError:
        await flights.never_left(flight.id)
        raise
    await flights.settle(session.name, flight)


async def settle_all(session: Session) -> int:
    """Settle every request that an earlier run left in flight; the answer is how many there were."""
    flights = await session.store.flights.all(session.name)
    patience = Patience(session)
    for flight in flights:
        log.info(
            "%s: settling a request of %d %s records, sent %s",
            session.name,
            len(flight.keys),
            flight.entity,
            flight.sent_at.isoformat(timespec="seconds"),
        )
        await settle(session, await _where(session, flight.entity), flight, patience)
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


async def settle(session: Session, where: Destination, flight: Flight, patience: Patience | None = None) -> None:
    """Wait until this request is over, then let its records be sent again."""
    if flight.job is not None and where.imports is not None:
        await _until_ended(session, where.imports, flight.job)
    else:
        seconds = SECONDS.get(flight.kind, where.call_seconds)
        await _until_over(session, where, flight, patience or Patience(session), seconds)
    outcomes = await (_deleted if flight.kind == "delete" else _learned)(session, where, flight)
    await session.store.flights.settle(session.name, flight, outcomes)


async def _until_over(session: Session, where: Destination, flight: Flight, patience: Patience, seconds: float) -> None:
    open_keys = list(flight.keys)
    while open_keys and patience.waited < seconds:
        some = open_keys[:KEYS_A_LOOK]
        try:
            over = await executed(session, where, flight, some)
        except RecordMissing:
            return  # their custom object was deleted in Marketo, with all that there was of it
        if over:
            open_keys = [key for key in open_keys if key not in over]
        else:
            await patience.nap(seconds)


async def _learned(session: Session, _: Destination, flight: Flight) -> list[Outcome]:
    return await learned(session, flight)


async def _deleted(session: Session, where: Destination, flight: Flight) -> list[Outcome]:
    """The rows of what is gone: that it is says nothing about a deletion that is sent from now on."""
    known = await session.store.records.known(session.name, flight.entity, flight.keys)
    try:
        there = await still_there(session, where, known)
    except RecordMissing:
        there = set()
    gone = {key: row for key, row in known.items() if key not in there}
    return [Outcome(key, **{**row._asdict(), "in_marketo": False}) for key, row in gone.items()]


async def _until_ended(session: Session, imports: Imports, job: int) -> None:
    while True:
        try:
            status = await imports.status(job)
        except RecordMissing:
            return
        if status.is_over:
            return
        await session.sleep(POLL_SECONDS)
