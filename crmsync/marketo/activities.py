"""What happened to people in Marketo: changed fields, deletions, merges, additions to lists; page by page.

A paging token stands for a moment. A page may be short, or empty, and say that there is more: reading goes on until it
says that there is none. The last page's token is the watermark of the next read; its second comes again, so what was
seen already is dropped by ``marketoGUID``, also if another read has seen it.

Source: "Activities" and "Paging Tokens" (Marketo REST API); that ``id`` identifies nothing since 2017: "Important
Change to Activity Records". How an old token is refused is not documented: any refusal of the token counts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from crmsync.errors import CrmsyncError, PagingTokenRefused
from crmsync.marketo.calls import ACTIVITIES, DELETED_LEADS, LEAD_CHANGES, PAGING_TOKEN, Call
from crmsync.marketo.queries import BYTES_OF_A_URI
from crmsync.marketo.rest import Rest

CHANGE_DATA_VALUE, ADD_TO_LIST, MERGE_LEADS, DELETE_LEAD = 13, 24, 32, 37

MOST_SEEN = 1_000

Kind = Literal["changed", "listed", "merged", "deleted"]


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that happened to the person ``lead_id``.

    ``changed``: ``values`` holds each changed field's new value as text (None: emptied). ``listed``: ``list_id``.
    ``merged``: ``losers`` are the people that ``lead_id`` took in. ``deleted``: the person is gone.
    """

    kind: Kind
    lead_id: int
    values: Mapping[str, str | None] = field(default_factory=dict)
    list_id: int | None = None
    losers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """A page, the token of what comes after it, and whether there is more now. ``seen`` are the ids of the newest
    second's activities, the last 1,000: they may come again from that token on."""

    activities: list[Activity]
    token: str
    more: bool
    seen: tuple[str, ...] = ()


async def paging_token(rest: Rest, since: datetime) -> str:
    """The token of a moment."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = await rest.send(PAGING_TOKEN, params={"sinceDatetime": moment})
    return str(answer.token)


def lead_changes(
    rest: Rest, token: str, fields: Sequence[str], *, seen: Sequence[str] = ()
) -> AsyncGenerator[ActivityPage, None]:
    """Changes of these fields since ``token``, but for those ``seen``. Raises ``PagingTokenRefused``."""
    return _pages(rest, LEAD_CHANGES, token, {"fields": ",".join(fields)}, seen)


def deletions(rest: Rest, token: str, *, seen: Sequence[str] = ()) -> AsyncGenerator[ActivityPage, None]:
    """People deleted since ``token`` (and less than 14 days ago). Raises ``PagingTokenRefused``."""
    return _pages(rest, DELETED_LEADS, token, {}, seen)


def activities(
    rest: Rest, token: str, types: Sequence[int], *, seen: Sequence[str] = ()
) -> AsyncGenerator[ActivityPage, None]:
    """Activities of these types since ``token``. Raises ``PagingTokenRefused``."""
    return _pages(rest, ACTIVITIES, token, {"activityTypeIds": ",".join(map(str, types))}, seen)


def field_chunks(fields: Sequence[str]) -> list[tuple[str, ...]]:
    """The fields in as many lists as are needed for each to fit into a URI: usually one."""
    chunks: list[list[str]] = [[]]
    for name in fields:
        if chunks[-1] and len(urlencode({"fields": ",".join([*chunks[-1], name])})) > BYTES_OF_A_URI - 1_000:
            chunks.append([])
        chunks[-1].append(name)
    return [tuple(chunk) for chunk in chunks if chunk]


async def _pages(
    rest: Rest, call: Call, token: str, params: dict[str, str], before: Sequence[str]
) -> AsyncGenerator[ActivityPage, None]:
    seen, newest = set(before), _Newest(before)
    more, first = True, True
    while more:
        try:
            answer = await rest.send(call, params={**params, "nextPageToken": token})
        except CrmsyncError as error:
            if first and error.code == "1003" and "token" in error.message.lower():
                raise PagingTokenRefused(error.message, tenant=rest.tenant, code=error.code) from error
            raise
        first = False
        newest.add(answer.result)
        fresh = {_identity(row): row for row in answer.result if _identity(row) not in seen}
        seen.update(fresh)
        if answer.token is not None:
            token = answer.token
        more = answer.more
        made = [one for row in fresh.values() if (one := _activity(row)) is not None]
        yield ActivityPage(made, token, more, newest.ids)
        if len(seen) > 100_000:
            seen.clear()  # repeats are harmless, memory without an end is not


class _Newest:
    """The ids of the newest second's activities; those seen before, as long as none came."""

    def __init__(self, before: Sequence[str]) -> None:
        self._second = ""
        self.ids = tuple(before)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        second = max([self._second, *(str(row["activityDate"]) for row in rows)])
        kept = self.ids if second == self._second else ()
        found = [_identity(row) for row in rows if row["activityDate"] == second]
        self._second, self.ids = second, tuple(dict.fromkeys([*kept, *found]))[-MOST_SEEN:]


def _identity(row: dict[str, Any]) -> str:
    return str(row.get("marketoGUID", row.get("id")))


def _activity(row: dict[str, Any]) -> Activity | None:
    kind, lead = row.get("activityTypeId"), int(row["leadId"])
    if kind == CHANGE_DATA_VALUE:
        changed = row.get("fields") or []
        return Activity("changed", lead, {one["name"]: one.get("newValue") for one in changed})
    if kind == ADD_TO_LIST:
        return Activity("listed", lead, list_id=int(row["primaryAttributeValueId"]))
    if kind == DELETE_LEAD:
        return Activity("deleted", lead)
    if kind == MERGE_LEADS:
        return Activity("merged", lead, losers=_losers(row))
    return None


def _losers(row: dict[str, Any]) -> tuple[int, ...]:
    """``Merge IDs``: one id, or several with commas between them, in brackets or not."""
    for one in row.get("attributes") or []:
        if one.get("name") in ("Merge IDs", "Merge Ids"):
            return tuple(
                int(number) for number in str(one.get("value")).strip("[]").replace(" ", "").split(",") if number
            )
    return ()
