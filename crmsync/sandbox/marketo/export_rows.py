"""The rows of an extract file, a chunk at a time, so that a large one does not stand in memory.

"Bulk Lead Extract" (``updatedAt`` is the last change of any field), "Bulk Activity Extract" (``attributes`` is a JSON
object), "Bulk Custom Object Extract" (records of the people on a list, or changed in a range). That ``updatedAt``
counts creation and changes of the company, and that all partitions are seen, are assumptions; the latter two are
switches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from crmsync.sandbox.marketo.activity_rows import Activity, Reader
from crmsync.sandbox.marketo.export_orders import ACTION_RESULT, ExportOrder
from crmsync.sandbox.marketo.people import COMPANY_KEY, PARTITION, PARTITION_FIELD
from crmsync.sandbox.marketo.record_kinds import Link, RecordKind

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

CHUNK = 500
Rows = list[list[Any]]


def export_rows(marketo: Marketo, kind: str, order: ExportOrder) -> Iterator[Rows]:
    """The rows of a job in chunks; None where there is nothing."""
    if kind == "leads":
        return _leads(marketo, order)
    return _activities(marketo, order) if kind == "activities" else _objects(marketo, order)


def _leads(marketo: Marketo, order: ExportOrder) -> Iterator[Rows]:
    for ids in _lead_ids(marketo, order):
        records = marketo.people.answer(ids, order.fields)
        yield [[record.get(name) for name in order.fields] for record in records]


def _lead_ids(marketo: Marketo, order: ExportOrder) -> Iterator[list[int]]:
    condition, values = _condition(marketo, order)
    if marketo.switches.on("extract_partitions", "default"):
        condition += f" AND coalesce(json_extract(body, '$.{PARTITION_FIELD}'), {PARTITION}) = {PARTITION}"
    last = 0
    while ids := marketo.people.page(condition, values, last, CHUNK):
        yield ids
        last = ids[-1]


def _condition(marketo: Marketo, order: ExportOrder) -> tuple[str, Sequence[Any]]:
    if order.list_id is not None:
        return "id IN (SELECT lead FROM members WHERE list = ?)", (order.list_id,)
    between = (order.start, order.end)
    if order.filter == "createdAt":
        return "created_at BETWEEN ? AND ?", between
    if not marketo.switches["company_change_in_extract"]:
        return "touched_at BETWEEN ? AND ?", between
    companies = "SELECT key FROM companies WHERE updated_at BETWEEN ? AND ?"
    column = f"json_extract(body, '$.{COMPANY_KEY}') COLLATE NOCASE"
    return f"touched_at BETWEEN ? AND ? OR {column} IN ({companies})", (*between, *between)


def _activities(marketo: Marketo, order: ExportOrder) -> Iterator[Rows]:
    reader = Reader(marketo)
    second, until = (int(datetime.fromisoformat(moment).timestamp()) for moment in (order.start, order.end))
    number = 0
    while stored := marketo.activities.after(second, number, order.types, CHUNK, until=until):
        made = (activity for row in stored for activity in reader.activities(row))
        yield [_activity(each, order.fields) for each in made if _wanted(each, order)]
        second, number = stored[-1][0], stored[-1][1] + 1


def _wanted(activity: Activity, order: ExportOrder) -> bool:
    if order.primary_ids:
        return activity.get("primaryAttributeValueId") in order.primary_ids
    return not order.primary_values or activity.get("primaryAttributeValue") in order.primary_values


def _activity(activity: Activity, names: Sequence[str]) -> list[Any]:
    attributes = {each["name"]: each["value"] for each in activity["attributes"]}
    values = activity | {"attributes": orjson.dumps(attributes).decode(), ACTION_RESULT: "succeeded"}
    return [values.get(name) for name in names]


def _objects(marketo: Marketo, order: ExportOrder) -> Iterator[Rows]:
    kind = marketo.custom_types.kind(str(order.object))
    fields = [field.name for name in order.fields if (field := kind.field(name))]
    link = next(link for link in kind.links if link.to == "lead")
    if order.list_id is None:
        last = 0
        while records := marketo.records.page(kind.store, last, CHUNK, (order.start, order.end)):
            yield [[record.members().get(name) for name in fields] for record in records]
            last = records[-1].id
        return
    for ids in _lead_ids(marketo, order):
        yield _linked(marketo, kind, link, ids, fields)


def _linked(marketo: Marketo, kind: RecordKind, link: Link, ids: list[int], fields: list[str]) -> Rows:
    people = marketo.people.answer(ids, [link.to_field])
    values = [person[link.to_field] for person in people if person[link.to_field] is not None]
    records = marketo.records.by_member(kind.store, link.field, values)
    return [[record.members().get(name) for name in fields] for record in records]
