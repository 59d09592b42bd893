"""Names behind lookups: a team or a connection role that is renamed has its name in records that did not change.

Marketo holds the name of a team that owns a record, and the names of roles. Of these tables the look asks, in its one
request, what was modified since it was asked last; whether change tracking is on for them is not known. A name that is
another than was sent has the records read again, and the roles worked out again, that have it.

Every other name in Marketo comes with a record of its own (users, accounts), and an option's with its definition.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.dynamics.tracking import NAME_AND_DATES, Modified
from crmsync.engine.fingerprint import fingerprints
from crmsync.engine.links import STANDARD
from crmsync.engine.session import Session
from crmsync.errors import EntityMissing, PermissionMissing
from crmsync.fields.model import OWNER_TEAM, Selection
from crmsync.fields.values import instant
from crmsync.state.inbox import Watermark

log = logging.getLogger("crmsync.engine")

TEAM, ROLE_NAME = "team", "connectionrole"
STREAM = "names"
"""The watermark: its token is the moment from which on every name that is sent is remembered."""

OVERLAP = timedelta(minutes=10)
"""A row is there only when its transaction ends, and clocks differ; what comes twice is known by its name."""

OWNERS_AT_ONCE = 25

Renamed = dict[str, dict[str, str]]
"""The new names by table and id."""


def named(selection: Selection, carried: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The tables whose names are sent, and the entities whose records have them."""
    owned = tuple(name for name in carried if any(one.field == OWNER_TEAM for one in selection.mappings.get(name, ())))
    roles = ("opportunity",) if "connection" in carried else ()
    return {table: names for table, names in ((TEAM, owned), (ROLE_NAME, roles)) if names}


async def begin(session: Session) -> None:
    """From now on names are remembered as they are sent, so later ones can be told from them."""
    if await _mark(session) is None:
        now = session.clock()
        await session.store.inbox.move(session.name, Watermark(stream=STREAM, token=now.isoformat(), moved_at=now))


async def questions(session: Session, tables: Mapping[str, Sequence[str]]) -> list[Modified]:
    """What the look asks: nothing before the first name was sent."""
    mark = await _mark(session) if tables else None
    return [Modified(STANDARD[name], mark.moved_at - OVERLAP) for name in tables] if mark is not None else []


async def are_renamed(session: Session, found: Mapping[str, tuple[Sequence[dict[str, Any]], bool]]) -> bool:
    """Whether any of the modified rows has another name than was sent, or may have."""
    return any([more or bool(await _changed(session, name, rows)) for name, (rows, more) in found.items()])


async def follow(session: Session, schema: DynamicsSchema, tables: Mapping[str, Sequence[str]]) -> list[str]:
    """Mark what has a name that was changed, to be written again in this run; what to tell of it."""
    at, notes = session.clock(), list[str]()
    mark = await _mark(session)
    for asked in await questions(session, tables):
        name = asked.entity.logical_name
        try:
            async for rows in session.dynamics.read(asked.entity, NAME_AND_DATES, filter=asked.filter):
                if changed := await _changed(session, name, rows):
                    await _mark_what_has(session, schema, name, list(changed), tables[name])
                    await session.store.names.keep(session.name, name, _fingerprints(changed))
                    notes.append(
                        f"{_TOLD[name]} renamed in Dynamics, and are in Marketo: {', '.join(changed.values())}"
                    )
        except (EntityMissing, PermissionMissing) as error:
            log.warning("%s: the names of %s cannot be read: %s", session.name, name, error)
    if mark is not None:
        await session.store.inbox.move(session.name, mark.model_copy(update={"moved_at": at}))
    return notes


async def remember(session: Session, entity: str, names: Mapping[str, str]) -> None:
    """These names are about to be sent. One that was sent otherwise before is followed by the next look."""
    await session.store.names.keep(session.name, entity, _fingerprints(names), only_new=True)


_TOLD = {TEAM: "Teams were", ROLE_NAME: "Connection roles were"}


async def _mark(session: Session) -> Watermark | None:
    return (await session.store.inbox.watermarks(session.name)).get(STREAM)


def _fingerprints(names: Mapping[str, str]) -> dict[str, bytes]:
    return {one: fingerprints([name]) for one, name in names.items()}


async def _changed(session: Session, entity: str, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The names that are others than were sent. Of a name that nobody remembers it is not known; but not one that was
    never modified, or whose row was made since names are remembered: it was not sent."""
    key = STANDARD[entity].primary_id
    names = {row[key].lower(): str(row["name"] or "") for row in rows}
    known = await session.store.names.known(session.name, entity, _fingerprints(names)) if names else {}
    mark = await _mark(session) if names.keys() - known.keys() else None
    since = datetime.fromisoformat(mark.token) if mark is not None else None
    maybe = {row[key].lower() for row in rows if since is not None and _is_older(row, since)}
    marks = _fingerprints(names)
    return {one: name for one, name in names.items() if (known[one] != marks[one] if one in known else one in maybe)}


def _is_older(row: Mapping[str, Any], since: datetime) -> bool:
    made, modified = row["createdon"], row["modifiedon"]
    return made is None or (made != modified and instant(made) < since)


async def _mark_what_has(
    session: Session, schema: DynamicsSchema, table: str, ids: Sequence[str], entities: Sequence[str]
) -> None:
    store, tenant = session.store, session.name
    if table == ROLE_NAME:
        await store.participants.mark_those_with(tenant, ids)
        return
    for name in entities:
        entity = schema.entities[name]
        for start in range(0, len(ids), OWNERS_AT_ONCE):
            owned = " or ".join(f"_ownerid_value eq {one}" for one in ids[start : start + OWNERS_AT_ONCE])
            async for rows in session.dynamics.read(entity, [entity.primary_id], filter=owned):
                found = {row[entity.primary_id].lower() for row in rows}
                there = await store.records.in_marketo(tenant, name, found)
                await store.pending.add(tenant, name, "again", there)
