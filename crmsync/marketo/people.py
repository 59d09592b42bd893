"""People: written by a key of our choice, read by any searchable field, deleted by Marketo's id.

Source: "Leads". ``lookupField`` must be in every record; results stand in input order; an explicit null clears.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crmsync.marketo.calls import DELETE_PEOPLE, MERGE_PEOPLE, QUERY_PEOPLE, SYNC_PEOPLE
from crmsync.marketo.outcomes import Outcome
from crmsync.marketo.queries import query
from crmsync.marketo.rest import Rest
from crmsync.marketo.writes import write

KEYED_ACTIONS = frozenset({"createOrUpdate", "updateOnly"})
"""Actions that may be repeated: the second time finds what the first wrote."""


async def sync_people(
    rest: Rest, records: Sequence[Mapping[str, Any]], *, action: str, lookup_field: str
) -> list[Outcome]:
    """Sync Leads."""
    call = SYNC_PEOPLE if action in KEYED_ACTIONS else SYNC_PEOPLE.never_twice()
    return await write(rest, call, {"action": action, "lookupField": lookup_field}, records, key=lookup_field)


async def find_people(
    rest: Rest, filter_type: str, values: Sequence[str], fields: Sequence[str]
) -> list[dict[str, Any]]:
    """Get Leads by Filter."""
    return await query(rest, QUERY_PEOPLE, filter_type, values, fields)


async def delete_people(rest: Rest, marketo_ids: Sequence[int]) -> list[Outcome]:
    """Delete Leads; a person who is gone already (1004) counts as deleted."""
    outcomes = await write(rest, DELETE_PEOPLE, {}, [{"id": marketo_id} for marketo_id in marketo_ids], key="id")
    return [replace(outcome, status="deleted") if outcome.code == "1004" else outcome for outcome in outcomes]


MOST_LOSERS = 25
"""So many people one call merges into another ("Merge Leads", error 1080)."""


async def merge_people(rest: Rest, winner: int, losers: Sequence[int]) -> None:
    """Merge Leads, for good: the winner's values stay, but where it has none a loser's are taken."""
    for start in range(0, len(losers), MOST_LOSERS):
        some = ",".join(map(str, losers[start : start + MOST_LOSERS]))
        await rest.send(MERGE_PEOPLE.at(winner=winner), params={"leadIds": some})
