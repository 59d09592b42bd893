"""Ordinary reads: pages of a collection, counts, one row, one property of a row, expanded lookups.

"Query data using the Web API" (Power Apps developer documents).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from crmsync.sandbox.dataverse.aggregates import MOST_ROWS, check_size, parse_apply
from crmsync.sandbox.dataverse.errors import bad_request, no_property, no_row, not_implemented
from crmsync.sandbox.dataverse.expanding import Expand, expansions, require_read
from crmsync.sandbox.dataverse.fetchxml import parse_fetch
from crmsync.sandbox.dataverse.filters import where
from crmsync.sandbox.dataverse.messages import MAX_PAGE, Answer, Request
from crmsync.sandbox.dataverse.ordering import after, parse_order
from crmsync.sandbox.dataverse.paging import Cookie, link
from crmsync.sandbox.dataverse.rows import Annotations, RowShape, selected_columns
from crmsync.sandbox.dataverse.schema import Collection, LiveTable
from crmsync.sandbox.dataverse.sources import Source
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.visibility import require_row, visible_rows

ALLOWED = {"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$apply", "$skiptoken", "$deltatoken"}
_OTHER_LANGUAGES = {"sql", "savedquery", "userquery"}
_ROWS_WORTH_A_THREAD = 500


def check_options(request: Request) -> dict[str, str]:
    """The query options; unknown ones with ``$`` are refused as the service refuses them."""
    for name in request.query:
        if name.startswith("$") and name not in ALLOWED:
            raise bad_request(f"The query parameter {name} is not supported.")
        if name.lower() in _OTHER_LANGUAGES:
            raise not_implemented(f"Queries by '{name}' are not implemented here.")
    return request.query


def context(request: Request, table: LiveTable, select: str | None, *, suffix: str = "", expand: str = "") -> str:
    """``@odata.context`` of an answer about rows."""
    parts = ",".join(part for part in (select or "", expand) if part)
    names = f"({parts})" if parts else ""
    return f"{request.root}$metadata#{table.set_name}{names}{suffix}"


async def fetch(store: DataverseStore, sql: str, parameters: dict[str, Any], expected: int) -> list[tuple[Any, ...]]:
    """Rows of a statement; a long one in a thread, so that the event loop goes on."""
    if expected < _ROWS_WORTH_A_THREAD:
        return store.database.read(sql, parameters)
    return await asyncio.to_thread(store.database.read, sql, parameters)


def number(option: str, text: str) -> int:
    if not text.isdigit():
        raise bad_request(
            f"Invalid value '{text}' for {option} query option found. {option} must be a non-negative integer."
        )
    return int(text)


@dataclass(frozen=True)
class Related:
    """Only the rows that belong to one row: ``accounts(<guid>)/contact_customer_accounts``."""

    collection: Collection
    row_id: str

    def condition(self, source: Source) -> str:
        here = source.bind(self.row_id)
        if self.collection.link:
            link, own, other = self.collection.link
            return f"{source.sql(source.table.primary_id)} IN (SELECT {other} FROM {link} WHERE {own} = {here})"
        return f"{source.sql(str(self.collection.column))} = {here}"


async def read_collection(
    store: DataverseStore, table: LiveTable, request: Request, related: Related | None = None
) -> Answer:
    """A page of rows."""
    options = check_options(request)
    require_read(request, table)
    source = Source(store.schema, table)
    if "fetchXml" in options and related is None:
        return await _read_fetch(store, table, request)
    if "$apply" in options:
        return await _read_aggregates(store, source, request, related)
    shape = RowShape(source, selected_columns(table, options.get("$select")), Annotations(request.prefer.annotations))
    expands = expansions(store, shape, options.get("$expand"), request)
    conditions = _conditions(store, source, request) + ([related.condition(source)] if related else [])
    count = await _counted(store, source, conditions) if options.get("$count") == "true" else None
    orders = parse_order(options.get("$orderby"), source)
    secret, scope = store.org.organization_id, f"{table.name}?{options.get('$filter')}&{options.get('$orderby')}"
    cookie = Cookie.read(options["$skiptoken"], secret, scope) if "$skiptoken" in options else None
    paged = conditions + ([after(orders, cookie.state["last"], source)] if cookie else [])
    top = number("$top", options["$top"]) if "$top" in options and request.prefer.page_size is None else None
    size = min(top, MAX_PAGE) if top is not None else request.prefer.page_size or MAX_PAGE
    keys = [order.expression for order in orders]
    found = await fetch(
        store,
        f"SELECT {', '.join(shape.expressions + keys)} FROM {source.from_clause()} {_where(paged)} "
        f"ORDER BY {', '.join(order.sql for order in orders)} LIMIT {size + 1}",
        source.parameters,
        size,
    )
    rows = shape.objects(row[: len(shape.keys)] for row in found[:size])
    for expand in expands:
        expand.attach(rows)
    body: dict[str, Any] = {"@odata.context": context(request, table, options.get("$select"), expand=_names(expands))}
    body |= _collection_annotations(store, request, count)
    if count is not None:
        body["@odata.count"] = min(count, MAX_PAGE)
    body["value"] = rows
    if len(found) > size and top is None:
        page = (cookie.page if cookie else 1) + 1
        token = Cookie(page, {"last": list(found[size - 1][-len(keys) :])}).write(secret, scope)
        body["@odata.nextLink"] = link(request.root, request.path, {**_without_token(options), "$skiptoken": token})
    return Answer.json(body, headers=request.prefer.applied(paged=top is None))


async def _read_aggregates(store: DataverseStore, source: Source, request: Request, related: Related | None) -> Answer:
    """The rows of ``$apply``."""
    options = request.query
    if beside := {"$select", "$filter", "$expand", "$count", "$skiptoken", "$deltatoken"} & options.keys():
        raise bad_request(f"The query parameter {min(beside)} is not supported together with $apply.")
    aggregation = parse_apply(options["$apply"], source)
    conditions = [where(text, source, _aliases(request), store.now()) for text in aggregation.filters]
    conditions += visible_rows(store, source, request.caller) + ([related.condition(source)] if related else [])
    order = aggregation.order(options.get("$orderby"))
    check_size(await _counted(store, source, conditions, MOST_ROWS))
    size = min(number("$top", options.get("$top", str(MAX_PAGE))), MAX_PAGE)
    sql = f"{aggregation.sql(source, conditions, order)} LIMIT {size}"
    rows = aggregation.objects(await fetch(store, sql, source.parameters, _ROWS_WORTH_A_THREAD))
    about = f"{request.root}$metadata#{source.table.set_name}({','.join(aggregation.names)})"
    return Answer.json({"@odata.context": about, "value": rows})


async def _read_fetch(store: DataverseStore, table: LiveTable, request: Request) -> Answer:
    """A page of the rows of a FetchXml query."""
    fetched = parse_fetch(store, table, request, request.query["fetchXml"])
    found = await fetch(store, fetched.sql, fetched.source.parameters, fetched.size)
    notes = fetched.paging(store, Annotations(request.prefer.annotations), more=len(found) > fetched.size)
    body = {"@odata.context": context(request, table, None), **notes}
    return Answer.json(body | {"value": fetched.objects(found[: fetched.size])}, headers=request.prefer.applied())


def _aliases(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.query.items() if name.startswith("@")}


def _without_token(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name != "$skiptoken"}


def _names(expands: list[Expand]) -> str:
    return ",".join(one.context for one in expands)


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _conditions(store: DataverseStore, source: Source, request: Request) -> list[str]:
    """``$filter``, and the caller's own rows only when its privilege is no deeper than that."""
    conditions = []
    if "$filter" in request.query:
        conditions.append(where(request.query["$filter"], source, _aliases(request), store.now()))
    return conditions + visible_rows(store, source, request.caller)


async def _counted(store: DataverseStore, source: Source, conditions: list[str], most: int = MAX_PAGE) -> int:
    """How many rows there are, counted no further than just above the limit that the service reports."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {source.from_clause()} {_where(conditions)} LIMIT {most + 1})"
    rows = await fetch(store, sql, source.parameters, most)
    return int(rows[0][0])


def _collection_annotations(store: DataverseStore, request: Request, count: int | None) -> dict[str, Any]:
    notes = {
        "Microsoft.Dynamics.CRM.totalrecordcount": -1 if count is None else min(count, MAX_PAGE),
        "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded": (count or 0) > MAX_PAGE,
        "Microsoft.Dynamics.CRM.globalmetadataversion": str(store.schema.stamp),
    }
    wanted = Annotations(request.prefer.annotations)
    return {f"@{name}": value for name, value in notes.items() if wanted.includes(name)}


async def count_rows(store: DataverseStore, table: LiveTable, request: Request) -> Answer:
    """``/$count``: a number as plain text."""
    check_options(request)
    require_read(request, table)
    source = Source(store.schema, table)
    total = min(await _counted(store, source, _conditions(store, source, request)), MAX_PAGE)
    return Answer(200, {"Content-Type": "text/plain"}, f"\ufeff{total}".encode())


def read_row(store: DataverseStore, table: LiveTable, row_id: str, request: Request, status: int = 200) -> Answer:
    """One row; 304 when the client's etag is still current."""
    options = check_options(request)
    require_read(request, table)
    source = Source(store.schema, table)
    shape = RowShape(source, selected_columns(table, options.get("$select")), Annotations(request.prefer.annotations))
    expands = expansions(store, shape, options.get("$expand"), request)
    test = f"{source.sql(table.primary_id)} = {source.bind(row_id)}"
    sql = f"SELECT {', '.join(shape.expressions)} FROM {source.from_clause()} WHERE {test}"
    found = store.database.look(sql, source.parameters)
    if not found:
        raise no_row(table.name, row_id)
    require_row(store, request.caller, table, row_id, "Read")
    row = shape.objects(found)[0]
    etag = row["@odata.etag"]
    if request.method == "GET" and request.headers.get("if-none-match") == etag:
        return Answer(304, {"ETag": etag})
    for expand in expands:
        expand.attach([row])
    where_from = context(request, table, options.get("$select"), suffix="/$entity", expand=_names(expands))
    return Answer.json({"@odata.context": where_from, **row}, status, {"ETag": etag, **request.prefer.applied()})


def read_property(store: DataverseStore, table: LiveTable, row_id: str, name: str, request: Request) -> Answer:
    """``GET leads(<guid>)/subject``."""
    require_read(request, table)
    column = table.properties.get(name)
    if column is None:
        raise no_property(name, table.name)
    source = Source(store.schema, table)
    shape = RowShape(source, [column], Annotations(None), etag=False)
    sql = f"SELECT {shape.expressions[0]} FROM {source.from_clause()} WHERE {table.primary_id} = ?"
    found = store.database.look(sql, (row_id,))
    if not found:
        raise no_row(table.name, row_id)
    require_row(store, request.caller, table, row_id, "Read")
    value = shape.objects(found)[0][name]
    if value is None:
        return Answer(204)
    about = f"{request.root}$metadata#{table.set_name}({row_id})/{name}"
    return Answer.json({"@odata.context": about, "value": value})
