"""SDK messages, the tables they exist for, and the steps that a solution registers on them.

Steps do nothing here; they are rows whose state an administrator reads and changes. Ids of the four messages that
solutions name are the platform's own, the same in every organization.

"Event framework" and the sdkmessage, sdkmessagefilter, sdkmessageprocessingstep table references (Power Apps developer
documents).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from crmsync.sandbox.dataverse.schema import NAMES, LiveTable

_KNOWN_IDS = {
    "Assign": "8cbdbb1b-ea3e-db11-86a7-000a3a5473e8",
    "Create": "9ebdbb1b-ea3e-db11-86a7-000a3a5473e8",
    "Delete": "a1bdbb1b-ea3e-db11-86a7-000a3a5473e8",
    "Update": "20bebb1b-ea3e-db11-86a7-000a3a5473e8",
}
_EVERY_TABLE = ("Create", "Update", "Delete", "Retrieve", "RetrieveMultiple")
_DATA_TABLE = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
_MERGED = ("account", "contact", "lead")
MESSAGES = (*_EVERY_TABLE, *_DATA_TABLE, "Assign", "SetState", "Merge", "QualifyLead", "Associate", "Disassociate")


def message_id(name: str) -> str:
    """The id of an SDK message."""
    return _KNOWN_IDS.get(name) or str(uuid.uuid5(NAMES, f"message {name}"))


def filter_id(message: str, table: str) -> str:
    return str(uuid.uuid5(NAMES, f"message {message} of {table}"))


def message_rows() -> list[dict[str, Any]]:
    """The rows of ``sdkmessages``."""
    return [{"sdkmessageid": message_id(name), "name": name} for name in MESSAGES]


def filter_rows(tables: Iterable[LiveTable]) -> list[dict[str, Any]]:
    """The rows of ``sdkmessagefilters``: which messages these tables have."""
    return [
        {
            "sdkmessagefilterid": filter_id(message, table.name),
            "name": table.name,
            "primaryobjecttypecode": table.name,
            "secondaryobjecttypecode": "none",
            "sdkmessageid": message_id(message),
        }
        for table in tables
        for message in _messages(table)
    ]


def _messages(table: LiveTable) -> Iterable[str]:
    yield from _EVERY_TABLE
    if table.definition.ownership in {"UserOwned", "OrganizationOwned"}:
        yield from _DATA_TABLE
    if table.definition.ownership == "UserOwned":
        yield "Assign"
    if "statecode" in table.stored:
        yield "SetState"
    if table.name in _MERGED:
        yield "Merge"
    if table.name == "lead":
        yield "QualifyLead"
