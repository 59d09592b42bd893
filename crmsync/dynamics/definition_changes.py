"""Whether definitions of tables or columns have changed since a stamp: one small question, which fits into a batch.

A label, a range, a length or a behavior may change without any row changing, so change tracking does not tell. The
service gives a stamp with each answer, and later only what changed since. A stamp expires after 90 days, as the
organization says; then everything may have changed.

Facts: "Query schema definitions" and the RetrieveMetadataChanges function (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from crmsync.dynamics.answers import Definitions
from crmsync.dynamics.channel import Answer, Channel
from crmsync.dynamics.errors import error_from
from crmsync.errors import ChangeTrackingExpired
from crmsync.shapes import shaped

SHAPE = shaped(Definitions)


@dataclass(frozen=True, slots=True)
class DefinitionChanges:
    """The entities whose definitions have changed, and the stamp to ask with the next time; None: ask for all."""

    entities: frozenset[str]
    stamp: str | None


def question(entities: Iterable[str], stamp: str | None) -> str:
    """The path that asks what of these entities, their columns and their options has changed."""
    conditions = [
        {"PropertyName": "LogicalName", "ConditionOperator": "Equals", "Value": _text(name)}
        for name in sorted(entities)
    ]
    query = {
        "Criteria": {"FilterOperator": "Or", "Conditions": conditions},
        "Properties": {"AllProperties": False, "PropertyNames": ["LogicalName", "Attributes"]},
        "AttributeQuery": {"Properties": {"AllProperties": False, "PropertyNames": ["LogicalName", "OptionSet"]}},
    }
    given = {"p1": orjson.dumps(query).decode()} | ({"p2": f"'{stamp}'"} if stamp else {})
    named = "Query=@p1" + (",ClientVersionStamp=@p2" if stamp else "")
    values = "&".join(f"@{name}={quote(value, safe='')}" for name, value in given.items())
    return f"RetrieveMetadataChanges({named})?{values}"


def changes_in(answer: Answer, channel: Channel, entities: Iterable[str]) -> DefinitionChanges | None:
    """What the answer tells; None where the service does not tell."""
    if answer.body is None:
        expired = isinstance(error_from(answer.response, tenant=channel.tenant), ChangeTrackingExpired)
        return DefinitionChanges(frozenset(entities), None) if expired else None
    changed = frozenset(str(row["LogicalName"]) for row in answer.body["EntityMetadata"])
    return DefinitionChanges(changed, str(answer.body["ServerVersionStamp"]))


def _text(value: str) -> dict[str, Any]:
    return {"Type": "System.String", "Value": value}
