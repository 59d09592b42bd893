"""The activity calls: paging tokens, types, activities, changes of people's fields, deleted people.

"Activities" and "Paging Tokens". Now and then a page is short or empty and says that there is more, as "Activities"
warns; after the last page a token stands for its own second, so that what happened in that second comes again. The
refusal of a list of 10,000 members begins on the earlier of the two dates that Adobe names. How long a token lives, and
what an old one answers (1003), is assumed.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.activities import Row
from crmsync.sandbox.marketo.activity_rows import Activity, Reader
from crmsync.sandbox.marketo.activity_types import BY_ID, CHANGE_DATA_VALUE, DAY, DELETE_LEAD, LONG, NEW_LEAD, TYPES
from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.leads import requested_fields
from crmsync.sandbox.marketo.list_calls import list_of
from crmsync.sandbox.marketo.values import whole_number

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

MOST_TYPES = 10
MOST_LEADS = 30
BIG_LIST = 10_000
BIG_LISTS_REFUSED = datetime(2026, 9, 30, tzinfo=UTC)
DELETED_KEPT = 14 * DAY
EMPTY_EVERY, SHORT_EVERY = 5, 3

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d))?", re.ASCII)
_TOKEN = struct.Struct(">4sqqHq")
_MARK = b"act1"


@dataclass(frozen=True)
class Position:
    """Where a page begins: at a row, after ``done`` of its activities."""

    second: int
    number: int = 0
    done: int = 0


@dataclass
class _Filter:
    """Which rows a call is after, and what it makes of one."""

    types: tuple[int, ...]
    activities: Callable[[Row], list[Activity]]
    leads: list[int] | None = None
    members_of: int | None = None
    kept: dict[int, int] = field(default_factory=lambda: {each.id: each.kept for each in TYPES})


async def activity_types(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/activities/types.json``."""
    return Answer([each.as_json() for each in TYPES])


async def paging_token(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/activities/pagingtoken.json``."""
    since = call.text("sinceDatetime")
    if since is None:
        raise MarketoError(1002, "sinceDatetime")
    if not _MOMENT.fullmatch(since):
        raise MarketoError(704)
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise MarketoError(704) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Answer(next_page_token=_token(marketo, Position(int(moment.timestamp()))))


async def activities(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/activities.json``."""
    types = [_number(value, "activityTypeIds") for value in call.listed("activityTypeIds")]
    if not types:
        raise MarketoError(1002, "activityTypeIds")
    if len(types) > MOST_TYPES:
        raise MarketoError(1003, f"Too many activityTypeIds: {len(types)}, at most {MOST_TYPES} are allowed")
    assets = {_number(value, "assetIds") for value in call.listed("assetIds")}
    reader = Reader(marketo)

    def made(row: Row) -> list[Activity]:
        found = reader.activities(row)
        return [each for each in found if not assets or each.get("primaryAttributeValueId") in assets]

    return _page(marketo, call, _scoped(marketo, call, _Filter(tuple(n for n in types if n in BY_ID), made)))


async def lead_changes(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/activities/leadchanges.json``."""
    wanted = set(requested_fields(call, marketo.person_fields))
    if not wanted:
        raise MarketoError(1002, "fields")
    reader = Reader(marketo)
    made = _Filter((NEW_LEAD, CHANGE_DATA_VALUE), lambda row: reader.lead_changes(row, wanted))
    return _page(marketo, call, _scoped(marketo, call, made))


async def deleted_leads(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/activities/deletedleads.json``."""
    found = _Filter((DELETE_LEAD,), Reader(marketo).activities, kept={DELETE_LEAD: DELETED_KEPT})
    return _page(marketo, call, found)


def _scoped(marketo: Marketo, call: Call, found: _Filter) -> _Filter:
    leads = [_number(value, "leadIds") for value in call.listed("leadIds")]
    if len(leads) > MOST_LEADS:
        raise MarketoError(1003, f"Too many leadIds: {len(leads)}, at most {MOST_LEADS} are allowed")
    list_id = call.text("listId")
    if list_id is not None and leads:
        raise MarketoError(1003, "Either listId or leadIds may be given")
    if list_id is not None:
        found.members_of = list_of(marketo, list_id).id
        late = marketo.subscription.clock.now() >= BIG_LISTS_REFUSED
        if late and marketo.lists.size(found.members_of) >= BIG_LIST:
            raise MarketoError(1003, f"List {list_id} has {BIG_LIST} or more leads")
    found.leads = leads or None
    return found


def _page(marketo: Marketo, call: Call, found: _Filter) -> Answer:
    size, now = call.page_size(), int(marketo.subscription.clock.time())
    start = _position(marketo, call)
    most = _shortened(marketo, size)
    oldest = now - LONG
    if start.second < oldest:
        start = Position(oldest)
    rows = marketo.activities.after(
        start.second, start.number, found.types, size + 1, leads=found.leads, members_of=found.members_of
    )
    result: list[Activity] = []
    for row in rows:
        if row[0] < now - found.kept[row[2]]:
            continue
        made = found.activities(row)
        first = start.done if (row[0], row[1]) == (start.second, start.number) else 0
        room = most - len(result)
        result += made[first : first + room]
        if len(made) - first > room:
            return _answer(marketo, result, Position(row[0], row[1], first + room), more=True)
    if len(rows) > size:
        return _answer(marketo, result, Position(rows[-1][0], rows[-1][1] + 1), more=True)
    return _answer(marketo, result, Position(max(now, start.second)), more=False)


def _shortened(marketo: Marketo, size: int) -> int:
    """How many activities this page may have: fewer now and then, or none."""
    marketo.activity_pages += 1
    if marketo.switches.on("activity_pages", "full"):
        return size
    if marketo.activity_pages % EMPTY_EVERY == 0:
        return 0
    return max(1, size // 2) if marketo.activity_pages % SHORT_EVERY == 0 else size


def _answer(marketo: Marketo, result: list[Activity], following: Position, *, more: bool) -> Answer:
    token = _token(marketo, following)
    return Answer(result, next_page_token=token, more_result=more)


def _token(marketo: Marketo, position: Position) -> str:
    issued = int(marketo.subscription.clock.time())
    packed = _TOKEN.pack(_MARK, position.second, position.number, position.done, issued)
    return base64.b32encode(packed).decode()


def _position(marketo: Marketo, call: Call) -> Position:
    token = call.text("nextPageToken")
    if token is None:
        raise MarketoError(1002, "nextPageToken")
    try:
        mark, second, number, done, issued = _TOKEN.unpack(base64.b32decode(token))
    except (binascii.Error, ValueError, struct.error):
        mark = b""
    if mark != _MARK:
        raise MarketoError(1003, "Invalid nextPageToken")
    hours: Any = marketo.switches["paging_token_hours"]
    if marketo.subscription.clock.time() - issued > int(hours) * 3600:
        raise MarketoError(1003, "The nextPageToken has expired")
    return Position(second, number, done)


def _number(value: str, name: str) -> int:
    number = whole_number(value)
    if number is None:
        raise MarketoError(1001, value, f"{name}: integer")
    return number
