"""The activity types of this subscription, as data: id, name, primary attribute, attributes, and how long kept.

Ids and attributes: "Setting up Marketo Lead Activity Data Stream"; which types are pruned after 90 days and which after
25 months: the CRM-synchronization white paper. The sandbox writes those that its own calls cause; the rest are listed,
as in any subscription.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NEW_LEAD = 12
CHANGE_DATA_VALUE = 13
ADD_TO_LIST = 24
REMOVE_FROM_LIST = 25
MERGE_LEADS = 32
ADD_TO_OPPORTUNITY = 34
DELETE_LEAD = 37
CHANGE_PARTITION = 100

DAY = 24 * 3600
LONG = 760 * DAY
SHORT = 90 * DAY


@dataclass(frozen=True)
class ActivityType:
    """One type; attributes are pairs of name and data type."""

    id: int
    name: str
    description: str
    primary: tuple[str, str]
    attributes: tuple[tuple[str, str], ...]
    kept: int = LONG

    def as_json(self) -> dict[str, Any]:
        """As ``types.json`` lists it."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "primaryAttribute": _attribute(self.primary),
            "attributes": [_attribute(each) for each in self.attributes],
        }


def _attribute(pair: tuple[str, str]) -> dict[str, str]:
    return {"name": pair[0], "dataType": pair[1]}


_LEAD = ("Lead ID", "integer")
_SOURCE = (("Reason", "string"), ("Source", "string"))

TYPES: tuple[ActivityType, ...] = (
    ActivityType(
        NEW_LEAD,
        "New Lead",
        "New person/record is added to the lead database",
        _LEAD,
        (("Created Date", "date"), ("Source Type", "string")),
    ),
    ActivityType(
        CHANGE_DATA_VALUE,
        "Change Data Value",
        "Changed attribute value for a person/record",
        ("Attribute Name", "string"),
        (("New Value", "string"), ("Old Value", "string"), *_SOURCE),
        SHORT,
    ),
    ActivityType(
        22,
        "Change Score",
        "Modify the value of a score field",
        ("Score Name", "string"),
        (("New Value", "integer"), ("Old Value", "integer"), ("Change Value", "string"), ("Reason", "string")),
        SHORT,
    ),
    ActivityType(23, "Change Owner", "Change the lead owner", ("Owner", "string"), (("Old Owner", "string"),)),
    ActivityType(
        ADD_TO_LIST,
        "Add to List",
        "Add a person/record to a list",
        ("List ID", "integer"),
        (("Source", "string"),),
        SHORT,
    ),
    ActivityType(
        REMOVE_FROM_LIST,
        "Remove from List",
        "Remove this lead from a list",
        ("List ID", "integer"),
        (("Source", "string"),),
        SHORT,
    ),
    ActivityType(
        MERGE_LEADS,
        "Merge Leads",
        "Merge two or more leads into a single record",
        _LEAD,
        (("Merge IDs", "string"), ("Merge Fields", "string"), ("Merge Source", "string")),
    ),
    ActivityType(
        ADD_TO_OPPORTUNITY,
        "Add to Opportunity",
        "Add to an opportunity",
        ("Oppty ID", "integer"),
        (("Role", "string"), ("Is Primary", "boolean")),
    ),
    ActivityType(
        35,
        "Remove from Opportunity",
        "Remove from an opportunity",
        ("Oppty ID", "integer"),
        (("Role", "string"), ("Is Primary", "boolean")),
    ),
    ActivityType(
        36,
        "Update Opportunity",
        "Update an opportunity",
        ("Oppty ID", "integer"),
        (("Attribute Name", "string"), ("New Value", "string"), ("Old Value", "string")),
    ),
    ActivityType(DELETE_LEAD, "Delete Lead", "Lead is deleted from the lead database", _LEAD, ()),
    ActivityType(
        46,
        "Interesting Moment",
        "Record an interesting moment",
        ("Type", "string"),
        (("Date", "datetime"), ("Description", "string"), ("Source", "string")),
    ),
    ActivityType(
        CHANGE_PARTITION,
        "Change Lead Partition",
        "Change the partition of a person/record",
        ("New Partition ID", "integer"),
        (("Old Partition ID", "integer"), ("Reason", "string")),
    ),
    ActivityType(
        104,
        "Change Status in Progression",
        "Change the status in a program",
        ("Program ID", "integer"),
        (("New Status", "string"), ("Old Status", "string"), ("Success", "boolean"), ("Reason", "string")),
    ),
)

BY_ID = {each.id: each for each in TYPES}
