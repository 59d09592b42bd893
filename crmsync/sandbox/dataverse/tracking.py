"""Change tracking: the first read of all rows, and later reads of what changed or was deleted since a delta link.

The version is fixed at the first page of either read, so that what changes while a client pages comes with the next
delta link: nothing is lost, some rows may come twice.

"Use change tracking to synchronize data with external systems" (Power Apps developer documents).
"""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import ODataError, not_with_tracking, stamp_expired, tracking_not_enabled
from crmsync.sandbox.dataverse.expanding import require_read
from crmsync.sandbox.dataverse.messages import MAX_PAGE, Answer, Request
from crmsync.sandbox.dataverse.paging import Cookie, link, read_delta_token, write_delta_token
from crmsync.sandbox.dataverse.reading import check_options, context, fetch
from crmsync.sandbox.dataverse.rows import Annotations, RowShape, selected_columns
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.switches import choice

_UNSUPPORTED = ("$filter", "$orderby", "$expand", "$top")
Deleted = list[dict[str, str]]


def is_tracked(request: Request) -> bool:
    """Whether a read is one of change tracking: by header, delta link, or a next link of such a read."""
    in_progress = 'istracking="True"' in request.query.get("$skiptoken", "")
    return request.prefer.track_changes or in_progress or "$deltatoken" in request.query


def _check(request: Request, table: LiveTable) -> None:
    options = check_options(request)
    for name in _UNSUPPORTED:
        if name in options:
            raise not_with_tracking(name)
    if not table.tracked:
        raise tracking_not_enabled(table.name)
    require_read(request, table, depth="Global")


async def read_tracked(store: DataverseStore, table: LiveTable, request: Request) -> Answer:
    """A page of the first read or of a delta read, with the next link or, at the end, the delta link."""
    _check(request, table)
    return await TrackedRead(store, table, request).answer()


async def count_changes(store: DataverseStore, table: LiveTable, request: Request) -> Answer:
    """``leads/$count?$deltatoken=...``: how many changes a delta read would give."""
    _check(request, table)
    since = _since(store, request)
    sql = (
        f"SELECT (SELECT count(*) FROM {quoted(table.name)} WHERE versionnumber > :since) + "
        f"(SELECT count(*) FROM _deleted WHERE entity = :entity AND versionnumber > :since "
        f"AND id NOT IN (SELECT {table.primary_id} FROM {quoted(table.name)} WHERE versionnumber > :since))"
    )
    rows = await fetch(store, sql, {"since": since, "entity": table.name}, MAX_PAGE)
    return Answer(200, {"Content-Type": "text/plain"}, f"\ufeff{rows[0][0]}".encode())


def _since(store: DataverseStore, request: Request) -> int:
    days = store.database.look("SELECT expirechangetrackingindays FROM organization")[0][0]
    token = request.query["$deltatoken"]
    return read_delta_token(token, store.org.clock.now(), store.version, int(days))


class TrackedRead:
    """One page. What goes from page to page: ``upto`` the fixed version, ``since`` of a delta, ``last`` position."""

    def __init__(self, store: DataverseStore, table: LiveTable, request: Request) -> None:
        self._store, self._table, self._request = store, table, request
        self._select = request.query.get("$select")
        self._source = Source(store.schema, table)
        columns = self._columns()
        self._shape = RowShape(self._source, columns, Annotations(request.prefer.annotations))
        self._size = request.prefer.page_size or MAX_PAGE
        self._secret, self._scope = store.org.organization_id, f"{table.name}?{self._select}"
        token = request.query.get("$skiptoken")
        self._page, self._state = 1, self._first_state() if token is None else {}
        if token is not None:
            cookie = Cookie.read(token, self._secret, self._scope)
            self._page, self._state = cookie.page, cookie.state

    def _columns(self) -> list[Column]:
        """The selected columns. A link that was given out may name one that is gone."""
        try:
            return selected_columns(self._table, self._select)
        except ODataError:
            issued = self._request.query.keys() & {"$deltatoken", "$skiptoken"}
            if issued and choice(self._store.org, "deleted_column_in_a_link") == "0x80044352":
                raise stamp_expired() from None
            raise

    def _first_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"upto": self._store.version, "time": self._token_time()}
        if "$deltatoken" in self._request.query:
            state |= {"since": _since(self._store, self._request)}
        return state

    def _token_time(self) -> str:
        return write_delta_token(self._store.version, self._store.org.clock.now())

    @property
    def _is_delta(self) -> bool:
        return "since" in self._state

    async def answer(self) -> Answer:
        deleted: Deleted = []
        if not self._is_delta:
            rows, state = await self._all_rows()
        elif "deleted" in self._state:
            rows, (deleted, state) = [], await self._deletions(self._size)
        else:
            rows, state = await self._changed_rows()
            if state is None:
                self._state = {**self._state, "deleted": self._state["since"]}
                deleted, state = await self._deletions(self._size - len(rows))
        return self._body(rows, deleted, state)

    async def _rows(self, condition: str, order: str) -> tuple[list[dict[str, Any]], Any]:
        """Rows of one page, and the position of the last one when more follow."""
        sql = (
            f"SELECT {', '.join([*self._shape.expressions, order])} FROM {self._source.from_clause()} "
            f"WHERE {condition} ORDER BY {order} LIMIT {self._size + 1}"
        )
        found = await fetch(self._store, sql, self._source.parameters, self._size)
        more = len(found) > self._size
        rows = self._shape.objects(row[:-1] for row in found[: self._size])
        return rows, found[self._size - 1][-1] if more else None

    async def _all_rows(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        key = self._source.sql(self._table.primary_id)
        rows, last = await self._rows(f"{key} > {self._source.bind(self._state.get('last', ''))}", key)
        return rows, None if last is None else {**self._state, "last": last}

    async def _changed_rows(self) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        version = self._source.sql("versionnumber")
        start = self._source.bind(self._state.get("last", self._state["since"]))
        condition = f"{version} > {start} AND {version} <= {self._source.bind(self._state['upto'])}"
        rows, last = await self._rows(condition, version)
        return rows, None if last is None else {**self._state, "last": last}

    async def _deletions(self, room: int) -> tuple[Deleted, dict[str, Any] | None]:
        """Deleted entries; an id that was created again since is a changed row instead."""
        sql = (
            f"SELECT id, versionnumber FROM _deleted WHERE entity = ? AND versionnumber > ? AND versionnumber <= ? "
            f"AND NOT EXISTS (SELECT 1 FROM {quoted(self._table.name)} WHERE {self._table.primary_id} = id) "
            f"ORDER BY versionnumber LIMIT {room + 1}"
        )
        after = self._state["deleted"]
        found = self._store.database.read(sql, (self._table.name, after, self._state["upto"]))
        about = f"{self._request.root}$metadata#{self._table.set_name}/$deletedEntity"
        entries = [{"@odata.context": about, "id": row[0], "reason": "deleted"} for row in found[:room]]
        if len(found) <= room:
            return entries, None
        return entries, {**self._state, "deleted": found[room - 1][1] if room else after}

    def _body(self, rows: list[dict[str, Any]], deleted: Deleted, state: dict[str, Any] | None) -> Answer:
        suffix = "/$delta" if self._is_delta else ""
        body: dict[str, Any] = {
            "@odata.context": context(self._request, self._table, self._select, suffix=suffix),
            "value": [*rows, *deleted],
        }
        options = {"$select": self._select} if self._select else {}
        if state is None:
            options["$deltatoken"] = self._state["time"]
            body["@odata.deltaLink"] = self._link(options)
        else:
            cookie = Cookie(self._page + 1, state, tracking=True)
            options["$skiptoken"] = cookie.write(self._secret, self._scope)
            body["@odata.nextLink"] = self._link(options)
        tracked = self._request.prefer.track_changes
        return Answer.json(body, headers=self._request.prefer.applied(paged=True, tracked=tracked))

    def _link(self, options: dict[str, str]) -> str:
        return link(self._request.root, self._table.set_name, options)
