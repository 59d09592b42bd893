"""``$apply``: ``filter``, ``groupby`` and ``aggregate``, over no more than 50,000 rows.

"Aggregate data" (Power Apps developer documents): no grouping by parts of a date, no order by an aggregate, and nothing
but filters before the one aggregation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from crmsync.sandbox.dataverse.columns import Column
from crmsync.sandbox.dataverse.errors import ODataError, aggregate_limit, bad_request
from crmsync.sandbox.dataverse.expanding import split_outside
from crmsync.sandbox.dataverse.literals import edm_type
from crmsync.sandbox.dataverse.sources import Source

MOST_ROWS = 50_000
_COUNT = re.compile(r"^\$count\s+as\s+(\w+)$")
_ITEM = re.compile(r"^([\w/]+)\s+with\s+(\w+)\s+as\s+(\w+)$")
_CALL = re.compile(r"^(\w+)\s*\((.*)\)$", re.DOTALL)
_METHODS = {"sum": "sum", "average": "avg", "min": "min", "max": "max", "countdistinct": "count"}
_NUMBERS = {"Edm.Int32", "Edm.Int64", "Edm.Decimal", "Edm.Double"}
Make = Callable[[Any], Any]


@dataclass
class Output:
    """One value of a result row: where it goes, its SQL, and how it becomes JSON."""

    path: list[str]
    sql: str
    make: Make = lambda value: value


@dataclass
class Aggregation:
    """A parsed ``$apply``: its filters, what it groups by, what it computes."""

    filters: list[str] = field(default_factory=list)
    groups: list[Output] = field(default_factory=list)
    values: list[Output] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def objects(self, rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
        """Rows as JSON; a group column reached by a lookup stands inside an object with the lookup's name."""
        found = []
        for row in rows:
            one: dict[str, Any] = {}
            for output, value in zip([*self.groups, *self.values], row, strict=True):
                inner = one
                for step in output.path[:-1]:
                    inner = inner.setdefault(step, {})
                inner[output.path[-1]] = None if value is None else output.make(value)
            found.append(one)
        return found

    def sql(self, source: Source, conditions: list[str], order: str) -> str:
        selected = ", ".join(output.sql for output in [*self.groups, *self.values])
        grouped = f" GROUP BY {', '.join(output.sql for output in self.groups)}" if self.groups else ""
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {selected} FROM {source.from_clause()}{where}{grouped}{order}"

    def order(self, text: str | None) -> str:
        """``$orderby`` by what is grouped by; an aggregate is refused."""
        if not text:
            return f" ORDER BY {', '.join(output.sql for output in self.groups)}" if self.groups else ""
        named = {"/".join(output.path): output.sql for output in self.groups}
        parts = []
        for part in text.split(","):
            name, _, direction = part.strip().partition(" ")
            if name not in named or direction.strip() not in {"", "asc", "desc"}:
                raise bad_request(f"Could not order by '{part.strip()}': only by what the query groups by.")
            parts.append(f"{named[name]} {'DESC' if direction.strip() == 'desc' else 'ASC'}")
        return f" ORDER BY {', '.join(parts)}"


def parse_apply(text: str, source: Source) -> Aggregation:
    """Read ``$apply``; lookup paths add joins to ``source``."""
    found = Aggregation()
    for part in split_outside(text, "/"):
        call = _CALL.match(part)
        if call is None:
            raise _syntax(part)
        name, arguments = call[1], call[2]
        if found.groups or found.values:
            raise bad_request(f"The transformation '{name}' is not supported after an aggregation.")
        if name == "filter":
            found.filters.append(arguments)
        elif name == "aggregate":
            found.values += _aggregates(arguments, source)
        elif name == "groupby":
            _group(arguments, source, found)
        else:
            raise bad_request(f"The transformation '{name}' is not supported.")
    if not found.groups and not found.values:
        raise bad_request("$apply must have an aggregation: 'aggregate' or 'groupby'.")
    found.names = ["/".join(output.path) for output in [*found.groups, *found.values]]
    return found


def _group(arguments: str, source: Source, found: Aggregation) -> None:
    columns, *rest = split_outside(arguments, ",")
    if not columns.startswith("(") or not columns.endswith(")") or len(rest) > 1:
        raise _syntax(arguments)
    for path in split_outside(columns[1:-1], ","):
        steps = [step.strip() for step in path.split("/")]
        column, sql = _column(steps, source)
        found.groups.append(Output(steps, sql, _json(column)))
    if rest:
        inner = _CALL.match(rest[0])
        if inner is None or inner[1] != "aggregate":
            raise _syntax(rest[0])
        found.values += _aggregates(inner[2], source)


def _aggregates(text: str, source: Source) -> list[Output]:
    outputs: list[Output] = []
    for item in split_outside(text, ","):
        counted, computed = _COUNT.match(item), _ITEM.match(item)
        if counted:
            outputs.append(Output([counted[1]], "count(*)"))
        elif computed:
            outputs.append(_computed(computed[1], computed[2], computed[3], source))
        else:
            raise _syntax(item)
    names = [output.path[0] for output in outputs]
    if not outputs or len(set(names)) < len(names):
        raise _syntax(text)
    return outputs


def _computed(path: str, method: str, name: str, source: Source) -> Output:
    column, sql = _column(path.split("/"), source)
    if method not in _METHODS:
        raise bad_request(f"The aggregation method '{method}' is not supported.")
    if method in {"sum", "average"} and edm_type(column) not in _NUMBERS:
        raise bad_request(f"The aggregation method '{method}' cannot be used with '{column.name}'.")
    if method == "countdistinct":
        return Output([name], f"count(DISTINCT {sql})")
    return Output([name], f"{_METHODS[method]}({sql})", _json(column))


def _column(steps: list[str], source: Source) -> tuple[Column, str]:
    for step in steps[:-1]:
        source = source.join(step)
    return source.column(steps[-1])


def _json(column: Column) -> Make:
    if column.kind == "Boolean":
        return bool
    if column.kind == "Money":
        return lambda value: orjson.Fragment(f"{value:.4f}")
    return lambda value: value


def _syntax(text: str) -> ODataError:
    return bad_request(f"Syntax error in $apply at '{text}'.")


def check_size(count: int) -> None:
    """Refuse to aggregate over more rows than the service does."""
    if count > MOST_ROWS:
        raise aggregate_limit()
