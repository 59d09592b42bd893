"""What an extract job is to write: fields, headers and filter, checked when the job is created.

"Bulk Lead Extract", "Bulk Activity Extract", "Bulk Custom Object Extract" (filters, options, 31 days, 1035). Smart
lists are not part of this sandbox, so their filters answer 1035, as on subscriptions that lack them; so does
``updatedAt`` by a switch. Codes of the other refusals (1002, 1003, 1006) are assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.marketo.activity_types import BY_ID, DAY, DELETE_LEAD
from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.import_file import DELIMITERS
from crmsync.sandbox.marketo.list_calls import list_of
from crmsync.sandbox.marketo.values import format_datetime

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

MOST_SECONDS = 31 * DAY
MOST_PRIMARY = 50
SMART = ("smartListId", "smartListName")
ACTIVITY_COLUMNS = (
    "marketoGUID",
    "leadId",
    "activityDate",
    "activityTypeId",
    "campaignId",
    "primaryAttributeValueId",
    "primaryAttributeValue",
    "attributes",
)
ACTION_RESULT = "actionResult"

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:?\d\d)", re.ASCII)


@dataclass
class ExportOrder:
    """A checked request; ``object`` names a custom object. Dates are inclusive at both ends, in UTC."""

    format: str
    fields: list[str]
    headers: list[str]
    filter: str
    start: str = ""
    end: str = ""
    list_id: int | None = None
    types: list[int] = field(default_factory=list)
    primary_ids: list[int] = field(default_factory=list)
    primary_values: list[str] = field(default_factory=list)
    object: str | None = None


def lead_order(marketo: Marketo, call: Call) -> ExportOrder:
    """A job for people: exactly one filter."""
    members = call.json()
    names = _fields(members, lambda name: marketo.person_fields.get(name) is not None)
    return _filtered(marketo, _order(members, names), members, ("createdAt", "updatedAt"))


def object_order(marketo: Marketo, call: Call, name: str) -> ExportOrder:
    """A job for a custom object that is linked to people."""
    kind = marketo.custom_types.kind(name)
    if not any(link.to == "lead" for link in kind.links):
        raise MarketoError(1003, f"Custom object '{name}' is not linked to leads")
    members = call.json()
    names = _fields(members, lambda each: kind.field(each) is not None)
    order = _order(members, names)
    order.object = name
    return _filtered(marketo, order, members, ("updatedAt",))


def activity_order(marketo: Marketo, call: Call) -> ExportOrder:
    """A job for activities: ``createdAt``, and types if wanted."""
    members = call.json()
    known = (*ACTIVITY_COLUMNS, ACTION_RESULT)
    names = _fields(members, lambda name: name in known) if members.get("fields") else list(ACTIVITY_COLUMNS)
    order = _order(members, names)
    chosen = _filter(members)
    if "createdAt" not in chosen:
        raise MarketoError(1002, "createdAt")
    order.filter = "createdAt"
    order.start, order.end = _range(chosen["createdAt"])
    order.types = _listed(chosen, "activityTypeIds", int)
    order.primary_ids = _listed(chosen, "primaryAttributeValueIds", int)
    order.primary_values = _listed(chosen, "primaryAttributeValues", str)
    if DELETE_LEAD in order.types:
        raise MarketoError(1003, "Delete Lead activities cannot be exported")
    if order.primary_ids and order.primary_values:
        raise MarketoError(1003, "Either primaryAttributeValueIds or primaryAttributeValues may be given")
    if (order.primary_ids or order.primary_values) and not order.types:
        raise MarketoError(1002, "activityTypeIds")
    order.types = [each for each in order.types or BY_ID if each != DELETE_LEAD]
    return order


def _order(members: dict[str, Any], names: list[str]) -> ExportOrder:
    file_format = members.get("format") or "CSV"
    if str(file_format).lower() not in DELIMITERS:
        raise MarketoError(1003, f"Invalid value '{file_format}' for format")
    headers = members.get("columnHeaderNames") or {}
    if not isinstance(headers, dict):
        raise MarketoError(1001, headers, "object")
    unknown = next((name for name in headers if name not in names), None)
    if unknown is not None:
        raise MarketoError(1003, f"columnHeaderNames names '{unknown}', which is not exported")
    return ExportOrder(str(file_format).upper(), names, [str(headers.get(name, name)) for name in names], "")


def _fields(members: dict[str, Any], known: Callable[[str], bool]) -> list[str]:
    names = members.get("fields")
    if not names:
        raise MarketoError(1002, "fields")
    if not isinstance(names, list):
        raise MarketoError(1001, names, "array")
    unknown = next((name for name in names if not known(str(name))), None)
    if unknown is not None:
        raise MarketoError(1006, unknown)
    return [str(name) for name in names]


def _filter(members: dict[str, Any]) -> dict[str, Any]:
    chosen = members.get("filter")
    if not chosen:
        raise MarketoError(1002, "filter")
    if not isinstance(chosen, dict):
        raise MarketoError(1001, chosen, "object")
    return {name: value for name, value in chosen.items() if value is not None}


def _filtered(marketo: Marketo, order: ExportOrder, members: dict[str, Any], dates: Sequence[str]) -> ExportOrder:
    chosen = _filter(members)
    if len(chosen) != 1:
        raise MarketoError(1003, "Exactly one filter type must be given")
    ((order.filter, value),) = chosen.items()
    unsupported = order.filter == "updatedAt" and marketo.switches.on("updated_at_extract", "unsupported")
    if order.filter in SMART or unsupported:
        raise MarketoError(1035)
    if order.filter in dates:
        order.start, order.end = _range(value)
    elif order.filter == "staticListId":
        order.list_id = list_of(marketo, str(value)).id
    elif order.filter == "staticListName":
        found = marketo.lists.by_name(str(value))
        if found is None:
            raise MarketoError(1013, f"Static list '{value}' not found")
        order.list_id = found.id
    else:
        raise MarketoError(1003, f"Invalid filter type '{order.filter}'")
    return order


def _range(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise MarketoError(1001, value, "date range")
    start, end = (_moment(value.get(name), name) for name in ("startAt", "endAt"))
    if not 0 <= (end - start).total_seconds() <= MOST_SECONDS:
        raise MarketoError(1003, "The date range must be 31 days or fewer")
    return format_datetime(start), format_datetime(end)


def _moment(value: Any, name: str) -> datetime:
    if value is None or value == "":
        raise MarketoError(1002, name)
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise MarketoError(1001, value, "datetime")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise MarketoError(1001, value, "datetime") from None


def _listed(chosen: dict[str, Any], name: str, kind: type) -> list[Any]:
    values = chosen.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise MarketoError(1001, values, "array")
    if name.startswith("primary") and len(values) > MOST_PRIMARY:
        raise MarketoError(1003, f"At most {MOST_PRIMARY} {name} may be given")
    return values
