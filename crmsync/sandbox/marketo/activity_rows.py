"""The activity log as it is read: stored rows become activities with names, attributes and values.

"Activities" (samples): ``marketoGUID`` identifies an activity and ``id`` does not, so all activities of one row share
their ``id`` here. Values are text; an attribute without a value is left out. A field's ``primaryAttributeValue`` is its
display name, its id is the one that describe gives ("Bulk Activity Extract", primary attributes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from crmsync.sandbox.marketo.activities import Change, Row
from crmsync.sandbox.marketo.activity_types import (
    ADD_TO_LIST,
    ADD_TO_OPPORTUNITY,
    CHANGE_DATA_VALUE,
    CHANGE_PARTITION,
    DELETE_LEAD,
    MERGE_LEADS,
    NEW_LEAD,
    REMOVE_FROM_LIST,
)
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.values import format_datetime

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

SOURCE = "Web service API"
MOST_FIELDS = 1024
"""No row holds more changes than this, so that number and place make a ``marketoGUID``."""

Activity = dict[str, Any]


class Reader:
    """Makes activities of rows; names of fields and lists are those of now."""

    def __init__(self, marketo: Marketo) -> None:
        self._marketo = marketo
        self._fields = {field.id: field for field in marketo.person_fields}
        self._with_id = marketo.switches.on("activity_ids", "present")

    def activities(self, row: Row) -> list[Activity]:
        """A row's activities, as ``activities.json`` answers them."""
        _, _, kind, _, body = row
        if kind == CHANGE_DATA_VALUE:
            changes, reason = _changes(body)
            return [
                self._changed(row, place, self._fields[change[0]], change, reason)
                for place, change in enumerate(changes)
                if change[0] in self._fields
            ]
        return [self._activity(row, 0) | _PARTS[kind](self, row)]

    def lead_changes(self, row: Row, wanted: set[str]) -> list[Activity]:
        """A row's activities, as ``leadchanges.json`` answers them: new people, and changes of the wanted fields."""
        _, _, kind, lead, body = row
        if kind == NEW_LEAD:
            return [self._activity(row, 0) | {"fields": [], "attributes": self._new_lead(row)["attributes"]}]
        changes, reason = _changes(body)
        found = []
        for place, (number, old, new) in enumerate(changes):
            field = self._fields.get(number)
            if field is None or field.name not in wanted:
                continue
            change = {"id": number, "name": field.name, "newValue": _text(new), "oldValue": _text(old)}
            attributes = _attributes({"Reason": reason, "Source": SOURCE, "Lead ID": lead})
            found.append(self._activity(row, place) | {"fields": [change], "attributes": attributes})
        return found

    def _activity(self, row: Row, place: int) -> Activity:
        second, number, kind, lead, _ = row
        members: Activity = {"id": number} if self._with_id else {}
        members["marketoGUID"] = str(number * MOST_FIELDS + place)
        members["leadId"] = lead
        members["activityDate"] = format_datetime(datetime.fromtimestamp(second, UTC))
        members["activityTypeId"] = kind
        return members

    def _changed(self, row: Row, place: int, field: Field, change: Change, reason: str) -> Activity:
        _, old, new = change
        values = {"New Value": _text(new), "Old Value": _text(old), "Reason": reason, "Source": SOURCE}
        primary = {"primaryAttributeValueId": field.id, "primaryAttributeValue": field.display_name}
        return self._activity(row, place) | primary | {"attributes": _attributes(values)}

    def _new_lead(self, row: Row) -> Activity:
        day = datetime.fromtimestamp(row[0], UTC).date().isoformat()
        values = {"Created Date": day, "Source Type": SOURCE}
        return {"primaryAttributeValueId": row[3], "attributes": _attributes(values)}

    def _list(self, row: Row) -> Activity:
        found = self._marketo.lists.by_id(int(row[4]))
        primary: Activity = {"primaryAttributeValueId": int(row[4])}
        if found is not None:
            primary["primaryAttributeValue"] = found.name
        return primary | {"attributes": _attributes({"Source": SOURCE})}

    def _merged(self, row: Row) -> Activity:
        body = orjson.loads(row[4])
        ids = ",".join(map(str, body["losers"]))
        values = {"Merge IDs": ids, "Merge Fields": ",".join(body["fields"]), "Merge Source": SOURCE}
        return {"primaryAttributeValueId": row[3], "attributes": _attributes(values)}

    def _opportunity(self, row: Row) -> Activity:
        body = orjson.loads(row[4])
        values = {"Role": body["role"], "Is Primary": body["primary"]}
        primary = {"primaryAttributeValueId": body["id"], "primaryAttributeValue": body["name"]}
        return primary | {"attributes": _attributes(values)}

    def _deleted(self, row: Row) -> Activity:
        return {"primaryAttributeValueId": row[3], "primaryAttributeValue": row[4], "attributes": []}

    def _partition(self, row: Row) -> Activity:
        old, new = orjson.loads(row[4])
        values = {"Old Partition ID": old, "Reason": SOURCE}
        return {"primaryAttributeValueId": new, "attributes": _attributes(values)}


_PARTS: dict[int, Callable[[Reader, Row], Activity]] = {
    NEW_LEAD: Reader._new_lead,
    ADD_TO_LIST: Reader._list,
    REMOVE_FROM_LIST: Reader._list,
    MERGE_LEADS: Reader._merged,
    ADD_TO_OPPORTUNITY: Reader._opportunity,
    DELETE_LEAD: Reader._deleted,
    CHANGE_PARTITION: Reader._partition,
}


def _changes(body: str) -> tuple[list[Change], str]:
    stored = orjson.loads(body)
    return (stored, SOURCE) if isinstance(stored, list) else (stored["changes"], stored["reason"])


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return list(_present(values))


def _present(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in values.items():
        if value is not None:
            yield {"name": name, "value": value}


def _text(value: Any) -> str | None:
    """A value as activities carry it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
