"""``$expand``: rows at the other end of a navigation property, put into the rows of an answer.

Every option inside an expansion works: ``$select``, ``$filter``, ``$orderby``, ``$top`` and a further ``$expand``. The
related rows of all rows are read together; for each no more than a page, with a next link to the rest.

"Join tables using navigation properties" (Power Apps developer documents): at most 15 expansions in a query.
"""

from __future__ import annotations

import re
from typing import Any

from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import bad_request, no_property
from crmsync.sandbox.dataverse.filters import where
from crmsync.sandbox.dataverse.messages import MAX_PAGE, Request
from crmsync.sandbox.dataverse.ordering import parse_order
from crmsync.sandbox.dataverse.paging import Cookie, link
from crmsync.sandbox.dataverse.privileges import hidden_columns, privilege
from crmsync.sandbox.dataverse.rows import Annotations, RowShape, selected_columns
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.dataverse.visibility import visible_rows

MOST_EXPANSIONS = 15
_OPTIONS = {"$select", "$filter", "$orderby", "$top", "$expand", "$count"}
_ON_ONE_ROW = {"$select", "$expand"}
_CHUNK = 1000
Rows = list[dict[str, Any]]


def require_read(request: Request, table: LiveTable, *, depth: str = "Basic") -> None:
    name = privilege("Read", table.definition.schema_name)
    request.caller.require(name, table.name, table.definition.type_code, depth=depth)


def split_outside(text: str, separator: str) -> list[str]:
    """Parts of a text; separators inside parentheses and quotes part nothing."""
    parts, depth, quote, start = [], 0, False, 0
    for index, character in enumerate(text):
        if character == "'":
            quote = not quote
        elif not quote:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if character == separator and depth == 0:
                parts.append(text[start:index])
                start = index + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def split_expand(text: str | None) -> list[str]:
    """Items of ``$expand``; commas inside parentheses belong to the item."""
    return split_outside(text or "", ",")


def inner_options(text: str) -> dict[str, str]:
    """``$select=a,b;$filter=...`` inside an expansion."""
    return {name.strip(): value for name, _, value in (part.partition("=") for part in split_outside(text, ";"))}


def expansions(store: DataverseStore, shape: RowShape, text: str | None, request: Request) -> list[Expand]:
    """The expansions of a query, no more than the service takes."""
    if (text or "").count("(") + (text or "").count(",") >= MOST_EXPANSIONS and _number_of(text) > MOST_EXPANSIONS:
        raise bad_request(f"The number of $expand options exceeds the limit of {MOST_EXPANSIONS}.")
    return [Expand(store, shape, item, request) for item in split_expand(text)]


def _number_of(text: str | None) -> int:
    items = split_expand(text)
    inner = (inner_options(item.partition("(")[2].removesuffix(")")).get("$expand") for item in items)
    return len(items) + sum(_number_of(one) for one in inner)


class Expand:
    """One expanded navigation property: related rows are read by id and put into each row."""

    def __init__(self, store: DataverseStore, shape: RowShape, item: str, request: Request) -> None:
        match = re.fullmatch(r"(\w+)\s*(?:\((.*)\))?", item, re.DOTALL)
        if match is None:
            raise bad_request(f"Syntax error in $expand at '{item}'.")
        self.name = match[1]
        self._store, self._request = store, request
        self._table = table = shape.source.table
        self._navigation = table.navigations.get(self.name)
        self._collection = None if self._navigation else store.schema.collections(table.name).get(self.name)
        self._options = self._checked(inner_options(match[2] or ""))
        self.select = self._options.get("$select")
        target = self._navigation.target if self._navigation else self._collection.target  # type: ignore[union-attr]
        self._target = store.schema.tables[target]
        require_read(request, self._target)
        self._annotations = Annotations(request.prefer.annotations)
        self._columns = selected_columns(self._target, self.select)

    def _checked(self, options: dict[str, str]) -> dict[str, str]:
        if self._navigation is None and self._collection is None:
            raise no_property(self.name, self._table.name)
        allowed = _ON_ONE_ROW if self._navigation else _OPTIONS
        for name, value in options.items():
            if name not in allowed:
                raise bad_request(f"The query parameter {name} is not supported inside this $expand.")
            if name == "$top" and not value.isdigit():
                raise bad_request(f"Invalid value '{value}' for $top query option found.")
        return options

    @property
    def context(self) -> str:
        """How the answer's ``@odata.context`` names it."""
        nested = (f"{one.partition('(')[0]}()" for one in split_expand(self._options.get("$expand")))
        return f"{self.name}({','.join(part for part in (self.select or '', *nested) if part)})"

    def attach(self, rows: Rows) -> None:
        """Put the related rows into ``rows`` under the property's name."""
        ids = [row[self._table.primary_id] for row in rows]
        related = self._related(list(dict.fromkeys(ids)))
        size = self._size()
        for row, row_id in zip(rows, ids, strict=True):
            found = related.get(row_id, [])
            if self._navigation:
                row[self.name] = found[0][1] if found else None
                continue
            row[self.name] = [one for _, one in found[:size]]
            if self._options.get("$count") == "true":
                row[f"{self.name}@odata.count"] = min(len(found), MAX_PAGE)
            if len(found) > size and "$top" not in self._options:
                row[f"{self.name}@odata.nextLink"] = self._next(row_id, found[size - 1][0])

    def _size(self) -> int:
        top = self._options.get("$top")
        return min(int(top), MAX_PAGE) if top is not None else self._request.prefer.page_size or MAX_PAGE

    def _next(self, row_id: str, last: list[Any]) -> str:
        """Where the rest of one row's related rows is."""
        options = {name: value for name, value in self._options.items() if name != "$count"}
        scope = f"{self._target.name}?{options.get('$filter')}&{options.get('$orderby')}"
        token = Cookie(2, {"last": last}).write(self._store.org.organization_id, scope)
        path = f"{self._table.set_name}({row_id})/{self.name}"
        return link(self._request.root, path, {**options, "$skiptoken": token})

    def _related(self, ids: list[str]) -> dict[str, list[tuple[list[Any], dict[str, Any]]]]:
        """The related rows of each id, with their sort values, in order."""
        related: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {}
        for start in range(0, len(ids), _CHUNK):
            self._read(ids[start : start + _CHUNK], related)
        return related

    def _read(self, ids: list[str], related: dict[str, list[tuple[list[Any], dict[str, Any]]]]) -> None:
        source = Source(self._store.schema, self._target)
        shape = RowShape(source, self._columns, self._annotations)
        nested = expansions(self._store, shape, self._options.get("$expand"), self._request)
        orders = parse_order(self._options.get("$orderby"), source)
        keys = [order.expression for order in orders]
        conditions = visible_rows(self._store, source, self._request.caller)
        if "$filter" in self._options:
            aliases = {name: value for name, value in self._request.query.items() if name.startswith("@")}
            conditions.append(where(self._options["$filter"], source, aliases, self._store.now()))
        owner, joined = self._link(source)
        conditions.append(f"{owner} IN ({', '.join(source.bind(one) for one in ids)})")
        sql = (
            f"SELECT {', '.join([*shape.expressions, *keys, owner])} FROM {source.from_clause()} {joined} "
            f"WHERE {' AND '.join(conditions)} ORDER BY {', '.join(order.sql for order in orders)}"
        )
        found = self._store.database.look(sql, source.parameters)
        width = len(shape.keys)
        objects = shape.objects(row[:width] for row in found)
        for expand in nested:
            expand.attach(objects)
        for row, one in zip(found, objects, strict=True):
            related.setdefault(row[-1], []).append((list(row[width:-1]), one))

    def _link(self, source: Source) -> tuple[str, str]:
        """The SQL of the expanding row's id, and the join that leads to it."""
        there = source.sql(source.table.primary_id)
        if self._navigation:
            column = self._navigation.column
            kind = f" AND here.{quoted(f'{column.name}type')} = '{self._target.name}'" if column.polymorphic else ""
            hidden = column.name in hidden_columns(self._table.name)
            on = f"{'NULL' if hidden else f'here.{quoted(column.name)}'} = {there}{kind}"
            return f"here.{self._table.primary_id}", f"JOIN {quoted(self._table.name)} AS here ON {on}"
        if self._collection and self._collection.link:
            table, own, other = self._collection.link
            return f"link.{own}", f"JOIN {quoted(table)} AS link ON link.{other} = {there}"
        return source.sql(str(self._collection.column if self._collection else None)), ""
