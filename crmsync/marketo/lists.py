"""Static lists: found by their name, read member by member. The API makes no lists; an administrator does.

Source: "Static Lists" and "List Membership" (Marketo REST API).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from crmsync.marketo.answers import found_by
from crmsync.marketo.calls import LIST_MEMBERS, LISTS
from crmsync.marketo.queries import MAX_VALUES, pages
from crmsync.marketo.rest import Rest


async def list_id(rest: Rest, name: str) -> int | None:
    """The id of the list of exactly this name, or None where there is none."""
    async for answer in pages(rest, LISTS, {"name": name, "batchSize": str(MAX_VALUES)}):
        for row in answer.result:
            if row.get("name") == name:
                return int(row["id"])
    return None


async def members(rest: Rest, number: int, fields: Sequence[str]) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Pages of the list's members."""
    params = {"fields": ",".join(fields), "batchSize": str(MAX_VALUES)}
    async for answer in pages(rest, LIST_MEMBERS.at(list_id=number), params, result=found_by("id", fields)):
        yield answer.result
