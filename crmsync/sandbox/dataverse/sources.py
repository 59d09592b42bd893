"""Where the rows of one query come from: a table, the joins its lookup paths need, and the parameters bound so far."""

from __future__ import annotations

import itertools
from typing import Any

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.database import quoted
from crmsync.sandbox.dataverse.errors import bad_request, no_property
from crmsync.sandbox.dataverse.privileges import hidden_columns
from crmsync.sandbox.dataverse.schema import LiveTable, Schema


class Source:
    """A table under an alias. Joined tables share the joins, the parameters and the numbering of their root."""

    def __init__(self, schema: Schema, table: LiveTable, root: Source | None = None, *, apart: bool = False) -> None:
        self.schema = schema
        self.table = table
        self._numbers: itertools.count[int] = root._numbers if root else itertools.count()
        self.alias = f"t{next(self._numbers)}"
        # A lambda's rows ("apart") have joins of their own: they live in a sub-query.
        self.joins: list[str] = root.joins if root and not apart else []
        self.parameters: dict[str, Any] = root.parameters if root else {}
        self._joined: dict[str, Source] = {}

    def bind(self, value: Any) -> str:
        """A named parameter for ``value``."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def column(self, name: str) -> tuple[Column, str]:
        """A column by its property name, and its SQL."""
        column = self.table.properties.get(name)
        if column is None:
            raise no_property(name, self.table.name)
        return column, self.sql(column.name)

    def sql(self, logical_name: str) -> str:
        """A column's SQL; a secured one that the caller may not read is nothing, wherever it is used."""
        if logical_name in hidden_columns(self.table.name):
            return "NULL"
        return f"{self.alias}.{quoted(logical_name)}"

    def join(self, navigation_name: str) -> Source:
        """The table at the other end of a single-valued navigation property."""
        navigation = self.table.navigations.get(navigation_name)
        if navigation is None:
            raise no_property(navigation_name, self.table.name)
        return self.join_column(navigation.column, navigation.target)

    def join_column(self, column: Column, target: str) -> Source:
        """The table ``target`` that a lookup points to; rows of another target join to nothing."""
        name = f"{column.name}>{target}"
        if name not in self._joined:
            other = Source(self.schema, self.schema.tables[target], self)
            on = f"{other.sql(other.table.primary_id)} = {self.sql(column.name)}"
            self.joins.append(f"LEFT JOIN {quoted(target)} AS {other.alias} ON {on}")
            self._joined[name] = other
        return self._joined[name]

    def collection(self, name: str) -> tuple[Source, str]:
        """The rows at the other end of a collection-valued property, and the condition that links them."""
        collection = self.schema.collections(self.table.name).get(name)
        if collection is None:
            raise no_property(name, self.table.name)
        inner = Source(self.schema, self.schema.tables[collection.target], self, apart=True)
        here = self.sql(self.table.primary_id)
        if collection.link:
            link, own, other = collection.link
            related = f"SELECT {other} FROM {link} WHERE {own} = {here}"
            return inner, f"{inner.sql(inner.table.primary_id)} IN ({related})"
        if collection.column is None:
            raise bad_request(f"The relationship '{name}' cannot be followed.")
        return inner, f"{inner.sql(collection.column)} = {here}"

    def from_clause(self) -> str:
        return " ".join([f"{quoted(self.table.name)} AS {self.alias}", *self.joins])
