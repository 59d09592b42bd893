"""The activity log as it is written: a row for each thing that happened to a person, in the compactest form.

A row of type 13 holds every field that one write changed; ``activity_rows`` makes an activity a field of it when it is
read. Times are whole seconds, as Marketo's are.
"""

# ruff: noqa: S608 (only question marks are put into the statements)
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from crmsync.sandbox.core import Clock
from crmsync.sandbox.marketo.activity_types import CHANGE_DATA_VALUE, DELETE_LEAD, NEW_LEAD
from crmsync.sandbox.marketo.database import Database, marks

Entry = tuple[int, int, str]
"""Activity type, person, and what ``activity_rows`` needs to know beside them."""

Change = tuple[int, Any, Any]
"""A field's id, its old value and its new one."""

Row = tuple[int, int, int, int, str]
"""Second, number, type, person, body: as stored."""


class Activities:
    """The log of one subscription."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._connection = database.connection
        self._clock = clock

    def add(self, entries: Sequence[Entry]) -> None:
        """Log what just happened; inside a transaction."""
        if not entries:
            return
        now = int(self._clock.time())
        numbers = self._database.take_numbers("activities", len(entries))
        rows = [(now, number, *entry) for number, entry in zip(numbers, entries, strict=True)]
        self._connection.executemany("INSERT INTO activities VALUES (?, ?, ?, ?, ?)", rows)

    def after(
        self, second: int, number: int, types: Iterable[int], most: int, *, leads: Sequence[int] | None = None,
        members_of: int | None = None, until: int | None = None,
    ) -> list[Row]:  # fmt: skip
        """The first rows from ``(second, number)`` on, in order of time."""
        kinds = tuple(types)
        statement = (
            f"SELECT at, id, type, lead, body FROM activities WHERE (at, id) >= (?, ?) AND type IN ({marks(kinds)})"
        )
        values: list[Any] = [second, number, *kinds]
        if leads is not None:
            statement += f" AND lead IN ({marks(leads)})"
            values += leads
        if members_of is not None:
            statement += " AND lead IN (SELECT lead FROM members WHERE list = ?)"
            values.append(members_of)
        if until is not None:
            statement += " AND at <= ?"
            values.append(until)
        statement += " ORDER BY at, id LIMIT ?"
        return self._connection.execute(statement, (*values, most)).fetchall()

    def move(self, losers: Sequence[int], winner: int) -> None:
        """A merge gives the winner all that happened to the losers, but that they were deleted."""
        statement = f"UPDATE activities SET lead = ? WHERE lead IN ({marks(losers)}) AND type <> ?"
        self._connection.execute(statement, (winner, *losers, DELETE_LEAD))


def created(lead: int) -> Entry:
    """New Lead."""
    return NEW_LEAD, lead, ""


def changed(lead: int, changes: Sequence[Change], reason: str | None = None) -> Entry:
    """Change Data Value, for all fields of one write."""
    body = changes if reason is None else {"reason": reason, "changes": changes}
    return CHANGE_DATA_VALUE, lead, orjson.dumps(body).decode()
