"""Reads and writes rows: filtered reads in pages, reads by id, counts, create, update, upsert, delete.

An update always says ``If-Match: *``; without it Dataverse would silently recreate a deleted record. Facts: "Query data
using the Web API", "Update and delete table rows", "Page results" (Microsoft's documents).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.pacing import together
from crmsync.dynamics.schema import Entity
from crmsync.errors import RequestRefused

IDS_PER_READ = 50
"""Keeps the URL of a read by ids well under the 8 KB that proxies commonly allow."""

_LAST_GUID = re.compile(r"\(([0-9a-fA-F-]{36})\)\s*$")
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
) -> AsyncGenerator[list[Record], None]:
    """Pages of an ordinary read; no snapshot, and the end is where no next link is."""
    path: str | None = url(entity.entity_set_name, select=",".join(select), filter=filter, orderby=orderby)
    prefer = {"Prefer": f"odata.maxpagesize={page_size}"}
    while path is not None:
        body = await channel.get(path, entity=entity.logical_name, headers=prefer)
        yield body["value"]
        path = body.get("@odata.nextLink")


async def read_by_ids(channel: Channel, entity: Entity, select: Sequence[str], ids: Sequence[str]) -> list[Record]:
    """The records of these ids that exist, in no particular order."""
    unique = list(dict.fromkeys(ids))
    chunks = [unique[start : start + IDS_PER_READ] for start in range(0, len(unique), IDS_PER_READ)]
    answers = await together(_read_chunk(channel, entity, select, chunk) for chunk in chunks)
    return [record for answer in answers for record in answer]


async def _read_chunk(channel: Channel, entity: Entity, select: Sequence[str], ids: list[str]) -> list[Record]:
    wanted = " or ".join(f"{entity.primary_id} eq {one}" for one in ids)
    return [record async for page in read(channel, entity, select, filter=wanted) for record in page]


async def record_counts(channel: Channel, logical_names: Iterable[str]) -> dict[str, int]:
    """Records per entity: a snapshot up to a day old, good for progress only."""
    names = ",".join(f'"{name}"' for name in logical_names)
    body = await channel.get(f"RetrieveTotalRecordCount(EntityNames=@p1)?@p1=[{names}]".replace('"', "%22"))
    counts = body["EntityRecordCountCollection"]
    return dict(zip(counts["Keys"], counts["Values"], strict=True))


async def create(channel: Channel, entity_set: str, record: Record, *, headers: Mapping[str, str] | None = None) -> str:
    """Create a record and return its id (lower case). Repeated only when it has surely not been executed."""
    answer = await channel.send("POST", entity_set, entity=entity_set, headers=headers, json=record, repeatable=False)
    told = answer.response.headers
    found = _LAST_GUID.search(told.get("odata-entityid") or told.get("location") or "")
    if found is None:
        raise RequestRefused(
            "Dataverse created a record without telling its id", tenant=channel.tenant, entity=entity_set
        )
    return found.group(1).lower()


async def update(channel: Channel, entity_set: str, record_id: str, changes: Record) -> None:
    """Change a record that exists; raises ``RecordMissing``."""
    await channel.send("PATCH", f"{entity_set}({record_id})", entity=entity_set, headers=_MUST_EXIST, json=changes)


async def upsert(channel: Channel, entity_set: str, record_id: str, record: Record) -> None:
    """Change a record, or create it with this id."""
    await channel.send("PATCH", f"{entity_set}({record_id})", entity=entity_set, json=record)


async def delete(channel: Channel, entity_set: str, record_id: str) -> None:
    """Delete a record; raises ``RecordMissing``."""
    await channel.send("DELETE", f"{entity_set}({record_id})", entity=entity_set)
