"""``$orderby`` as SQL, and the condition "after this row" that paging by keys needs.

"Order rows" (Power Apps developer documents): lookups sort by the name of their target, choices by their number, and
empty values come first, as in SQL Server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crmsync.sandbox.dataverse.errors import bad_request
from crmsync.sandbox.dataverse.sources import Source


@dataclass(frozen=True)
class Order:
    """One sort key: an SQL expression and its direction."""

    expression: str
    descending: bool = False

    @property
    def sql(self) -> str:
        return f"{self.expression} {'DESC' if self.descending else 'ASC'}"


def parse_order(text: str | None, source: Source) -> list[Order]:
    """The sort keys, always ending in the primary key, so that the order is total."""
    orders = [_order(part, source) for part in text.split(",")] if text else []
    return [*orders, Order(source.sql(source.table.primary_id))]


def _order(part: str, source: Source) -> Order:
    words = part.split()
    if not words or len(words) > 2 or (len(words) == 2 and words[1] not in {"asc", "desc"}):
        raise bad_request(f"Syntax error at position {len(part)} in '{part}'.")
    *steps, name = words[0].split("/")
    for step in steps:
        source = source.join(step)
    column, sql = source.column(name)
    if column.is_lookup:
        target = source.join_column(column, column.references[0].target)
        sql = target.sql(target.table.primary_name)
    return Order(sql, words[-1] == "desc" and len(words) == 2)


def after(orders: list[Order], last: list[Any], source: Source) -> str:
    """The condition of rows that come after the row with the sort values ``last``."""
    alternatives = []
    for index, order in enumerate(orders):
        equal = [f"{one.expression} IS {source.bind(value)}" for one, value in zip(orders[:index], last, strict=False)]
        alternatives.append(" AND ".join([*equal, _beyond(order, last[index], source)]))
    condition = f"({' OR '.join(f'({one})' for one in alternatives)})"
    first = orders[0]
    if len(orders) > 1 and last[0] is not None and not first.descending:
        # Redundant, but it lets SQLite use an index on the first key.
        condition += f" AND {first.expression} >= {source.bind(last[0])}"
    return condition


def _beyond(order: Order, value: Any, source: Source) -> str:
    if value is None:
        return "0" if order.descending else f"{order.expression} IS NOT NULL"
    if order.descending:
        return f"({order.expression} < {source.bind(value)} OR {order.expression} IS NULL)"
    return f"{order.expression} > {source.bind(value)}"
