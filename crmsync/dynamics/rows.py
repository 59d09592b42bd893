"""Reads and writes rows: filtered reads in pages, reads by id, counts, create, update, upsert, delete.

An update always says ``If-Match: *``; without it Dataverse would silently recreate a deleted record. Facts: "Query data
using the Web API", "Update and delete table rows", "Page results" (Microsoft's documents).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

from crmsync.dynamics.answers import RECORD_COUNTS, anything, created, data_of, done
from crmsync.dynamics.batch import Operation, send_all
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.errors import error_from
from crmsync.dynamics.pacing import together
from crmsync.dynamics.schema import Entity
from crmsync.errors import CrmsyncError, RecordMissing

log = logging.getLogger("crmsync.dynamics")

IDS_PER_READ = 50
"""Keeps the URL of a read by ids well under the 8 KB that proxies commonly allow."""

ASKED_AT_ONCE = 100
"""Records that one batch asks for, each by its id."""

LOOKUP_TYPE = "Microsoft.Dynamics.CRM.lookuplogicalname"
"""The annotation that tells what entity a lookup leads to."""

_MUST_EXIST = {"If-Match": "*"}

Record = dict[str, Any]


async def read(
    channel: Channel,
    entity: Entity,
    select: Sequence[str],
    *,
    filter: str | None = None,
    orderby: str | None = None,
    page_size: int = 5000,
    lookup_types: bool = False,
) -> AsyncGenerator[list[Record], None]:
    """Pages of an ordinary read; no snapshot, and the end is where no next link is."""
    path: str | None = url(entity.entity_set_name, select=",".join(select), filter=filter, orderby=orderby)
    prefer = preferring(f"odata.maxpagesize={page_size}", lookup_types=lookup_types)
    shape = data_of(entity, select)
    while path is not None:
        body = await channel.get(path, shape, entity=entity.logical_name, headers=prefer)
        yield body["value"]
        path = body.get("@odata.nextLink")


def preferring(preferences: str, *, lookup_types: bool) -> dict[str, str]:
    """The header that asks for these preferences, and for the types of lookups where they are needed."""
    return {"Prefer": preferences + (f',odata.include-annotations="{LOOKUP_TYPE}"' if lookup_types else "")}


def lookup(row: Record, column: str) -> tuple[str, str] | None:
    """The entity and the id (lower case) that a lookup leads to; the row was read with ``lookup_types``."""
    value = row.get(f"_{column}_value")
    return (str(row.get(f"_{column}_value@{LOOKUP_TYPE}") or ""), str(value).lower()) if value else None


async def read_by_ids(
    channel: Channel,
    entity: Entity,
    select: Sequence[str],
    ids: Sequence[str],
    *,
    by: str | None = None,
    lookup_types: bool = False,
) -> list[Record]:
    """The records that have one of these ids, in no particular order: their own, or that of a lookup's column ``by``
    (``_record1id_value``)."""
    unique = list(dict.fromkeys(ids))
    chunks = [unique[start : start + IDS_PER_READ] for start in range(0, len(unique), IDS_PER_READ)]
    column = by or entity.primary_id
    answers = await together(_read_chunk(channel, entity, select, column, chunk, lookup_types) for chunk in chunks)
    return [record for answer in answers for record in answer]


async def _read_chunk(
    channel: Channel, entity: Entity, select: Sequence[str], column: str, ids: list[str], lookup_types: bool
) -> list[Record]:
    wanted = " or ".join(f"{column} eq {one}" for one in ids)
    pages = read(channel, entity, select, filter=wanted, lookup_types=lookup_types)
    return [record async for page in pages for record in page]


async def missing(channel: Channel, entity: Entity, ids: Sequence[str]) -> list[str]:
    """Those of these records of which the service says that they do not exist, asked for each by its id: a filter's
    empty answer may as well mean that the user may not read it. Raises ``PermissionMissing`` where it says that."""
    gone: list[str] = []
    for start in range(0, len(ids), ASKED_AT_ONCE):
        some = ids[start : start + ASKED_AT_ONCE]
        paths = [url(f"{entity.entity_set_name}({one})", select=entity.primary_id) for one in some]
        asked = [Operation(path) for path in paths]
        answers = await send_all(channel, asked, [anything] * len(asked), entity=entity.logical_name)
        for one, answer in zip(some, answers, strict=True):
            if not answer.response.is_success:
                error = error_from(answer.response, tenant=channel.tenant, entity=entity.logical_name)
                if not isinstance(error, RecordMissing):
                    raise error
                gone.append(one)
    return gone


async def record_counts(channel: Channel, logical_names: Iterable[str]) -> dict[str, int]:
    """Records per entity: a snapshot up to a day old, good for progress only. Those that Dataverse does not tell are
    absent: nothing depends on it."""
    names = ",".join(f'"{name}"' for name in logical_names)
    path = f"RetrieveTotalRecordCount(EntityNames=@p1)?@p1=[{names}]".replace('"', "%22")
    try:
        counts = (await channel.get(path, RECORD_COUNTS))["EntityRecordCountCollection"]
    except CrmsyncError as error:
        log.info("%s: how many records there are is not known: %s", channel.tenant, error.message)
        return {}
    return dict(zip(counts["Keys"], counts["Values"], strict=False))


async def create(channel: Channel, entity_set: str, record: Record, *, headers: Mapping[str, str] | None = None) -> str:
    """Create a record and return its id (lower case). Repeated only when it has surely not been executed."""
    sent = channel.send(
        "POST", entity_set, entity=entity_set, headers=headers, json=record, repeatable=False, read=created
    )
    return str((await sent).body)


async def update(channel: Channel, entity_set: str, record_id: str, changes: Record) -> None:
    """Change a record that exists; raises ``RecordMissing``."""
    await channel.send(
        "PATCH", f"{entity_set}({record_id})", entity=entity_set, headers=_MUST_EXIST, json=changes, read=done
    )


async def upsert(channel: Channel, entity_set: str, record_id: str, record: Record) -> None:
    """Change a record, or create it with this id."""
    await channel.send("PATCH", f"{entity_set}({record_id})", entity=entity_set, json=record, read=done)


async def delete(channel: Channel, entity_set: str, record_id: str) -> None:
    """Delete a record; raises ``RecordMissing``."""
    await channel.send("DELETE", f"{entity_set}({record_id})", entity=entity_set, read=done)
