"""Static lists: found by their name or id, read member by member. Administrators make them, in folders and programs, so
that one name may be that of several; one that is deleted and made anew has another id.

Source: "Static Lists" and "List Membership" (Marketo REST API).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.marketo.answers import found_by
from crmsync.marketo.calls import LIST_MEMBERS, LISTS
from crmsync.marketo.queries import MAX_VALUES, pages
from crmsync.marketo.rest import Rest


@dataclass(frozen=True, slots=True)
class StaticList:
    """A list, and the program that it is in, if any."""

    id: int
    name: str
    program: str | None = None

    def __str__(self) -> str:
        return f"{self.id} in program '{self.program}'" if self.program else str(self.id)


async def static_lists(rest: Rest, by: dict[str, str]) -> list[StaticList]:
    """The lists of this ``name`` (however it is capitalized) or ``id``."""
    found = pages(rest, LISTS, {**by, "batchSize": str(MAX_VALUES)})
    return [
        StaticList(int(row["id"]), str(row.get("name")), row.get("programName"))
        async for answer in found
        for row in answer.result
    ]


async def members(rest: Rest, number: int, fields: Sequence[str]) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Pages of the list's members."""
    params = {"fields": ",".join(fields), "batchSize": str(MAX_VALUES)}
    async for answer in pages(rest, LIST_MEMBERS.at(list_id=number), params, result=found_by("id", fields)):
        yield answer.result
