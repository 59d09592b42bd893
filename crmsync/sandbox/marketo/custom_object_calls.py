"""Custom objects as records: which kind a path names, the list of kinds, and their description.

"Custom Objects" (List, Describe). A subscription without custom objects answers 1026: a switch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.describe import custom_object_shape
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.record_kinds import RecordKind

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo


def custom_object(marketo: Marketo, call: Call) -> RecordKind:
    """The approved type in the path; 1013 when there is none."""
    check_enabled(marketo)
    return marketo.custom_types.kind(call.path["type"])


async def list_custom_objects(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/customobjects.json``."""
    check_enabled(marketo)
    names = {name.lower() for name in call.listed("names")}
    approved = [each for each in marketo.custom_types if each.approved is not None]
    chosen = [each for each in approved if not names or each.name.lower() in names]
    return Answer([custom_object_shape(each, fields=False) for each in chosen])


async def describe_custom_object(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/customobjects/{type}/describe.json``."""
    custom_object(marketo, call)
    return Answer([custom_object_shape(marketo.custom_types.named(call.path["type"]), fields=True)])


def check_enabled(marketo: Marketo) -> None:
    """1026 in a subscription without custom objects."""
    if marketo.switches.on("custom_objects", "off"):
        raise MarketoError(1026)
