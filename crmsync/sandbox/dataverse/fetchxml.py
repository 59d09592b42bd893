"""``?fetchXml=``: rows of a table and of tables linked to it.

"Query data using FetchXml" (Power Apps developer documents): attributes, filters, orders, link entities (inner and
outer), paging by ``page`` and ``count``. Aggregates are asked for by ``$apply`` here; a fetch with them is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.crm_functions import stored_text
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import ODataError, bad_request, not_implemented
from crmsync.sandbox.dataverse.expanding import require_read
from crmsync.sandbox.dataverse.messages import MAX_PAGE, Request
from crmsync.sandbox.dataverse.paging import Cookie
from crmsync.sandbox.dataverse.privileges import current_user
from crmsync.sandbox.dataverse.rows import Annotations, RowShape
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.visibility import visible_rows

_COMPARED = {"eq": "=", "ne": "<>", "neq": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_PATTERNS: dict[str, Callable[[str], str]] = {
    "like": lambda text: text,
    "not-like": lambda text: text,
    "begins-with": lambda text: f"{text}%",
    "ends-with": lambda text: f"%{text}",
}
_JOINS = {"inner": "JOIN", "outer": "LEFT JOIN"}


@dataclass
class Fetch:
    """A read query, ready to run."""

    source: Source
    shape: RowShape
    linked: list[tuple[str, RowShape]] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    size: int = MAX_PAGE
    page: int = 1
    distinct: bool = False

    @property
    def sql(self) -> str:
        shapes = [self.shape, *(shape for _, shape in self.linked)]
        columns = ", ".join(expression for shape in shapes for expression in shape.expressions)
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        orders = [*self.orders, self.source.sql(self.source.table.primary_id)]
        distinct = "DISTINCT " if self.distinct else ""
        return (
            f"SELECT {distinct}{columns} FROM {self.source.from_clause()}{where} ORDER BY {', '.join(orders)} "
            f"LIMIT {self.size + 1} OFFSET {(self.page - 1) * self.size}"
        )

    def objects(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Rows as JSON; columns of a linked table are ``alias.column``, and not there when they are empty."""
        width = len(self.shape.keys)
        found = self.shape.objects(row[:width] for row in rows)
        for alias, shape in self.linked:
            end = width + len(shape.keys)
            for one, more in zip(found, shape.objects(row[width:end] for row in rows), strict=True):
                one |= {f"{alias}.{_plain(shape, name)}": value for name, value in more.items() if value is not None}
            width = end
        return found

    def paging(self, store: DataverseStore, wanted: Annotations, *, more: bool) -> dict[str, Any]:
        """The annotations that a client pages by, if it asked for annotations."""
        notes: dict[str, Any] = {"Microsoft.Dynamics.CRM.morerecords": more}
        if more:
            cookie = Cookie(self.page + 1, {}).write(store.org.organization_id, self.source.table.name)
            notes["Microsoft.Dynamics.CRM.fetchxmlpagingcookie"] = cookie
        return {f"@{name}": value for name, value in notes.items() if wanted.includes(name)}


def parse_fetch(store: DataverseStore, table: LiveTable, request: Request, text: str) -> Fetch:
    """Read a fetch; its entity must be the table of the request."""
    try:
        root = fromstring(text)  # noqa: S314
    except ParseError as error:
        raise bad_request(f"Invalid XML: {error}", "0x80041102") from None
    entity = root.find("entity")
    if root.tag != "fetch" or entity is None or entity.get("name") != table.name:
        raise bad_request(f"The fetch must have an entity element named '{table.name}'.", "0x80041102")
    if root.get("aggregate") == "true":
        raise not_implemented("A fetch with aggregates is not implemented here; use $apply.")
    source = Source(store.schema, table)
    parser = _Parser(store, request)
    fetch = Fetch(source, parser.shape(source, entity), distinct=root.get("distinct") == "true")
    fetch.size = min(_whole(root, "top") or _whole(root, "count") or request.prefer.page_size or MAX_PAGE, MAX_PAGE)
    fetch.page = _whole(root, "page") or 1
    fetch.conditions = visible_rows(store, source, request.caller)
    parser.read(fetch, source, entity)
    return fetch


def _plain(shape: RowShape, name: str) -> str:
    """A key of a linked row; a lookup goes by its logical name, also in its annotations."""
    own, at, note = name.partition("@")
    column = shape.source.table.properties.get(own)
    return f"{column.name if column else own}{at}{note}"


def _whole(element: Element, name: str) -> int | None:
    value = element.get(name)
    if value is None:
        return None
    if not value.isdigit() or int(value) < 1:
        raise _malformed(f"{name}='{value}'")
    return int(value)


class _Parser:
    """Reads the elements below an entity or a link entity."""

    def __init__(self, store: DataverseStore, request: Request) -> None:
        self._store, self._request = store, request
        self._annotations = Annotations(request.prefer.annotations)
        self._sources: dict[str, Source] = {}

    def shape(self, source: Source, element: Element, *, linked: bool = False) -> RowShape:
        table = source.table
        columns = [_column(table, one.get("name")) for one in element.findall("attribute")]
        if element.find("all-attributes") is not None:
            columns = list(table.properties.values())
        if not linked:
            columns = [table.columns[table.primary_id], *(one for one in columns if one.name != table.primary_id)]
        return RowShape(source, list(dict.fromkeys(columns)), self._annotations, etag=not linked)

    def read(self, fetch: Fetch, source: Source, element: Element) -> None:
        """Filters, orders and links of one table."""
        for number, link in enumerate(element.findall("link-entity"), 1):
            self._link(fetch, source, link, number)
        fetch.conditions += [self._filter(source, one) for one in element.findall("filter")]
        for order in element.findall("order"):
            column = _column(source.table, order.get("attribute"))
            direction = "DESC" if order.get("descending") == "true" else "ASC"
            fetch.orders.append(f"{source.sql(column.name)} {direction}")

    def _link(self, fetch: Fetch, source: Source, link: Element, number: int) -> None:
        table = self._store.schema.tables.get(str(link.get("name")))
        join = _JOINS.get(link.get("link-type", "inner"))
        if table is None or join is None:
            raise _malformed(f"link-entity '{link.get('name')}'")
        require_read(self._request, table)
        other = Source(self._store.schema, table, source)
        alias = link.get("alias") or f"{table.name}{number}"
        self._sources[alias] = other
        own, far = _column(source.table, link.get("to")), _column(table, link.get("from"))
        inner = [f"{other.sql(far.name)} = {source.sql(own.name)}"]
        inner += [self._filter(other, one) for one in link.findall("filter")]
        source.joins.append(f"{join} {quoted(table.name)} AS {other.alias} ON {' AND '.join(inner)}")
        shape = self.shape(other, link, linked=True)
        if shape.columns:
            fetch.linked.append((alias, shape))
        for nested, one in enumerate(link.findall("link-entity"), 1):
            self._link(fetch, other, one, 10 * number + nested)

    def _filter(self, source: Source, element: Element) -> str:
        parts = list(self._parts(source, element))
        joined = " OR " if element.get("type") == "or" else " AND "
        return f"({joined.join(parts)})" if parts else "1"

    def _parts(self, source: Source, element: Element) -> Iterator[str]:
        for one in element:
            if one.tag == "filter":
                yield self._filter(source, one)
            elif one.tag == "condition":
                yield _condition(self._sources.get(one.get("entityname", ""), source), one)
            else:
                raise _malformed(one.tag)


def _column(table: LiveTable, name: str | None) -> Column:
    column = table.columns.get(str(name))
    if column is None or not column.selectable:
        raise bad_request(f"'{table.name}' entity doesn't contain attribute with Name = '{name}'.", "0x80041103")
    return column


def _condition(source: Source, element: Element) -> str:
    column, how = _column(source.table, element.get("attribute")), element.get("operator", "")
    sql = source.sql(column.name)
    given = [one.text or "" for one in element.findall("value")] or [str(element.get("value", ""))]
    if how in {"null", "not-null"}:
        return f"{sql} IS {'NOT ' if how == 'not-null' else ''}NULL"
    if how in {"eq-userid", "ne-userid"}:
        return f"{sql} {'=' if how == 'eq-userid' else '<>'} {source.bind(current_user())}"
    if how in _PATTERNS:
        test = f"crm_like({source.bind(_PATTERNS[how](given[0]))}, {sql})"
        return f"NOT {test}" if how == "not-like" else test
    marks = [source.bind(stored_text(column, one)) for one in given]
    if how in _COMPARED:
        compared = f"{sql} {_COMPARED[how]} {marks[0]}"
        return f"({compared} OR {sql} IS NULL)" if how in {"ne", "neq"} else compared
    if how in {"in", "not-in"}:
        return f"{sql} {'NOT ' if how == 'not-in' else ''}IN ({', '.join(marks)})"
    if how == "between" and len(marks) == 2:
        return f"{sql} BETWEEN {marks[0]} AND {marks[1]}"
    raise _malformed(f"condition operator '{how}'")


def _malformed(what: str) -> ODataError:
    return bad_request(f"The fetch is malformed or not supported at {what}.", "0x80041102")
