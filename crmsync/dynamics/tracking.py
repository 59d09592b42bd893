"""Reads what changed: the first read returns every record, its last page the link under which later changes are.

A page holds changed records (all selected columns, as they are now), then deleted ones (their ids only). Links are
opaque and carry the first read's ``$select``; when one cannot be used any more the answer is a new first read, which is
what ``ChangeTrackingExpired`` asks for.

Facts: "Use change tracking to synchronize data with external systems" (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crmsync.dynamics.answers import WHO_AM_I, as_json, change_page, data_of, fits, is_deleted
from crmsync.dynamics.batch import Operation, send_all
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.definition_changes import SHAPE, DefinitionChanges, changes_in, question
from crmsync.dynamics.errors import server_time
from crmsync.dynamics.rows import preferring
from crmsync.dynamics.schema import Entity
from crmsync.errors import ChangeTrackingExpired, RecordRefused, RequestRefused

DELETED = "deleted"
"""The reason of an entry whose record does not exist any more; "changed" is one that the answer has no more, for
whatever reason (OData 4.0 JSON format, "Deleted Entity")."""

GLANCE = 500
"""Records an entity in a glance: they are all in memory at once."""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page. ``deleted`` are ids in lower case, ``removed`` those that are told without the reason "deleted": of
    these nobody knows whether they exist. The last page has a ``delta_link``, every other a ``next_link``.

    ``server_time`` is the service's own clock when it answered (UTC).
    """

    records: list[dict[str, Any]]
    deleted: list[str]
    next_link: str | None
    delta_link: str | None
    server_time: datetime | None
    removed: tuple[str, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Whether nothing changed: the page has nothing but a new link."""
        return not (self.records or self.deleted or self.removed or self.next_link)


@dataclass(frozen=True, slots=True)
class Glance:
    """What one request found: whose organization answered, the first page of changes of each entity, and whose
    definitions have changed (None where the service does not tell). ``modified`` are the first rows of small tables
    that were modified, and whether there are more. An entity whose part of the answer was an error is absent."""

    organization_id: str | None
    pages: dict[str, ChangePage]
    definitions: DefinitionChanges | None = None
    modified: dict[str, tuple[list[dict[str, Any]], bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Modified:
    """A small table whose rows are asked for that were modified since a moment: change tracking may be off there."""

    entity: Entity
    since: datetime

    @property
    def filter(self) -> str:
        return f"modifiedon ge {self.since:%Y-%m-%dT%H:%M:%SZ}"


NAME_AND_DATES = ("name", "createdon", "modifiedon")


async def glance(
    channel: Channel,
    links: Mapping[str, str],
    lookup_types: Container[str] = (),
    *,
    stamp: str | None = None,
    also: Iterable[str] = (),
    modified: Sequence[Modified] = (),
) -> Glance:
    """The first page of changes behind each of these delta links, in one request. Rows of the entities in
    ``lookup_types`` tell what their lookups lead to; ``stamp`` is that of the definitions as they are known, those of
    the entities in ``also`` as well. Of the tables in ``modified`` the names are read."""
    defined = {*links, *also}
    looks = [Operation(link, _glancing(name in lookup_types)) for name, link in links.items()]
    asked = [Operation(_names_in(one), {"Prefer": f"odata.maxpagesize={GLANCE}"}) for one in modified]
    operations = [Operation("WhoAmI"), *looks, *asked, Operation(question(defined, stamp))]
    names = [as_json(data_of(one.entity, NAME_AND_DATES)) for one in modified]
    reads = [as_json(WHO_AM_I), *[as_json(change_page)] * len(looks), *names, as_json(SHAPE)]
    who, *parts, definitions = await send_all(channel, operations, reads)
    parts, rows = parts[: len(looks)], parts[len(looks) :]
    return Glance(
        str(who.body["OrganizationId"]).lower() if who.body else None,
        {
            name: page_from(part.body, at=server_time(part.response))
            for name, part in zip(links, parts, strict=True)
            # Whoever needs the page of an error asks again alone and is told what is wrong.
            if part.body is not None
        },
        changes_in(definitions, channel, defined),
        {
            one.entity.logical_name: (part.body["value"], "@odata.nextLink" in part.body)
            for one, part in zip(modified, rows, strict=True)
            if part.body is not None
        },
    )


def _names_in(one: Modified) -> str:
    return url(one.entity.entity_set_name, select=",".join(NAME_AND_DATES), filter=one.filter)


def _glancing(lookup_types: bool) -> dict[str, str]:
    tracked = preferring(f"odata.track-changes,odata.maxpagesize={GLANCE}", lookup_types=lookup_types)
    return {**tracked, "If-None-Match": "null"}


async def changes(
    channel: Channel,
    entity: Entity,
    select: Sequence[str],
    *,
    link: str | None,
    page_size: int,
    first: ChangePage | None = None,
    lookup_types: bool = False,
) -> AsyncGenerator[ChangePage, None]:
    """Pages from ``link`` (None: a first read) until one has no next link; ``first`` is the page that was read there
    already."""
    path: str | None = link or url(entity.entity_set_name, select=",".join(select))
    read = as_json(data_of(entity, select, tracked=True))
    if first is not None and fits(entity, select, first.records):
        yield first
        path = first.next_link
    prefer = preferring(f"odata.track-changes,odata.maxpagesize={page_size}", lookup_types=lookup_types)
    while path is not None:
        try:
            answer = await channel.send("GET", path, entity=entity.logical_name, headers=prefer, read=read)
        except (RecordRefused, RequestRefused) as error:
            if path != link or error.status not in (400, 410):
                raise
            # The service made this link itself; if it does not understand it any more, only a new one can help.
            raise ChangeTrackingExpired(
                f"Dataverse does not accept its own link any more: {error.message}",
                tenant=channel.tenant,
                entity=entity.logical_name,
                code=error.code,
                status=error.status,
                request_id=error.request_id,
            ) from error
        page = page_from(answer.body, at=server_time(answer.response))
        yield page
        path = page.next_link


def page_from(body: dict[str, Any], *, at: datetime | None) -> ChangePage:
    """Split a page's decoded JSON into records and deleted ids."""
    rows: list[dict[str, Any]] = body["value"]
    gone = [row for row in rows if is_deleted(row)]
    if gone:
        rows = [row for row in rows if not is_deleted(row)]
    return ChangePage(
        records=rows,
        deleted=[str(row["id"]).lower() for row in gone if row.get("reason") == DELETED],
        removed=tuple(str(row["id"]).lower() for row in gone if row.get("reason") != DELETED),
        next_link=body.get("@odata.nextLink"),
        delta_link=body.get("@odata.deltaLink"),
        server_time=at,
    )
