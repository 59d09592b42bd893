"""``$expand``: rows at the other end of a navigation property, put into the rows of an answer.

"Join tables using navigation properties" (Power Apps developer documents).
"""

from __future__ import annotations

import re
from typing import Any

from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import bad_request, no_property
from crmsync.sandbox.dataverse.messages import Request
from crmsync.sandbox.dataverse.privileges import privilege
from crmsync.sandbox.dataverse.rows import Annotations, RowShape, selected_columns
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.sources import Source
from crmsync.sandbox.dataverse.store import DataverseStore


def require_read(request: Request, table: LiveTable, *, depth: str = "Basic") -> None:
    name = privilege("Read", table.definition.schema_name)
    request.caller.require(name, table.name, table.definition.type_code, depth=depth)


def split_expand(text: str | None) -> list[str]:
    """Items of ``$expand``; commas inside parentheses belong to the item."""
    items, depth, start = [], 0, 0
    for index, character in enumerate(text or ""):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            items.append((text or "")[start:index])
            start = index + 1
    return [item.strip() for item in [*items, (text or "")[start:]] if item.strip()]


class Expand:
    """One expanded navigation property: related rows are read by id and put into each row."""

    def __init__(self, store: DataverseStore, shape: RowShape, item: str, request: Request) -> None:
        match = re.fullmatch(r"(\w+)(?:\((.*)\))?", item, re.DOTALL)
        if match is None:
            raise bad_request(f"Syntax error in $expand at '{item}'.")
        self.name = match[1]
        inner = dict(part.split("=", 1) for part in (match[2] or "").split(";") if "=" in part)
        self.select = inner.get("$select")
        if unknown := next((name for name in inner if name != "$select"), None):
            raise bad_request(f"The query parameter {unknown} is not supported inside this $expand.")
        self._store = store
        self._table = table = shape.source.table
        self._key = table.primary_id
        self._annotations = Annotations(request.prefer.annotations)
        self._navigation = table.navigations.get(self.name)
        self._collection = None if self._navigation else store.schema.collections(table.name).get(self.name)
        if self._navigation is None and self._collection is None:
            raise no_property(self.name, table.name)
        target = self._navigation.target if self._navigation else self._collection.target  # type: ignore[union-attr]
        self._target = store.schema.tables[target]
        require_read(request, self._target)
        self._columns = selected_columns(self._target, self.select)

    def attach(self, rows: list[dict[str, Any]]) -> None:
        """Put the related rows into ``rows`` under the property's name."""
        related = self._related([row[self._key] for row in rows])
        for row in rows:
            found = related.get(row[self._key], [])
            row[self.name] = (found[0] if found else None) if self._navigation else found

    def _related(self, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        source = Source(self._store.schema, self._target)
        shape = RowShape(source, self._columns, self._annotations)
        related: dict[str, list[dict[str, Any]]] = {}
        for start in range(0, len(ids), 1000):
            chunk = ids[start : start + 1000]
            owner, joined = self._link(source)
            marks = ", ".join("?" * len(chunk))
            sql = (
                f"SELECT {', '.join([*shape.expressions, owner])} FROM {source.from_clause()} {joined} "
                f"WHERE {owner} IN ({marks})"
            )
            found = self._store.database.look(sql, chunk)
            objects = shape.objects(row[:-1] for row in found)
            for row, one in zip(found, objects, strict=True):
                related.setdefault(row[-1], []).append(one)
        return related

    def _link(self, source: Source) -> tuple[str, str]:
        """The SQL of the expanding row's id, and the join that leads to it."""
        there = source.sql(source.table.primary_id)
        if self._navigation:
            name = quoted(self._navigation.column.name)
            return f"here.{self._key}", f"JOIN {quoted(self._table.name)} AS here ON here.{name} = {there}"
        if self._collection and self._collection.link:
            table, own, other = self._collection.link
            return f"link.{own}", f"JOIN {table} AS link ON link.{other} = {there}"
        column = self._collection.column if self._collection else None
        return source.sql(str(column)), ""
