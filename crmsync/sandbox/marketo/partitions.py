"""Person partitions: read them, move people between them.

"Leads" (Partitions). A subscription without workspaces has only the partition Default; a switch adds a second one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from crmsync.sandbox.marketo.activity_types import CHANGE_PARTITION
from crmsync.sandbox.marketo.call import Call
from crmsync.sandbox.marketo.envelope import Answer
from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.people import PARTITION, PARTITION_FIELD, Person
from crmsync.sandbox.marketo.switches import Switches
from crmsync.sandbox.marketo.values import whole_number

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

DEFAULT = "Default"
SECOND = "Europe"


def partition_names(switches: Switches) -> dict[str, int]:
    """Id by name."""
    names = {DEFAULT: PARTITION}
    return names | {SECOND: PARTITION + 1} if switches.on("partitions", "default_and_europe") else names


def partition_id(switches: Switches, name: object) -> int:
    """The id of a partition that a call names; 1008 when there is none, as for one the user has no access to."""
    number = partition_names(switches).get(str(name))
    if number is None:
        raise MarketoError(1008, name)
    return number


async def partitions(marketo: Marketo, call: Call) -> Answer:
    """``GET /rest/v1/leads/partitions.json``."""
    return Answer([{"id": number, "name": name} for name, number in partition_names(marketo.switches).items()])


async def move_to_partition(marketo: Marketo, call: Call) -> Answer:
    """``POST /rest/v1/leads/partitions.json``."""
    records = call.input(call.json())
    await marketo.work("write", len(records))
    with marketo.database.transaction():
        people = marketo.people.load({number for record in records if (number := _id(record)) is not None})
        results = [_move(marketo, people, record) for record in records]
        marketo.people.save(people.values(), marketo.moment())
    return Answer(results)


def _id(record: Any) -> int | None:
    return whole_number(str(record.get("id"))) if isinstance(record, dict) else None


def _move(marketo: Marketo, people: dict[int, Person], record: Any) -> dict[str, Any]:
    number = _id(record)
    members: dict[str, Any] = {} if number is None else {"id": number}
    try:
        name = record.get("partitionName") if isinstance(record, dict) else None
        if not name:
            raise MarketoError(1009)
        new = partition_id(marketo.switches, name)
        person = people.get(number) if number is not None else None
        if person is None:
            raise MarketoError(1004)
        old = person.body.get(PARTITION_FIELD, PARTITION)
        if old != new:
            person.body[PARTITION_FIELD] = new
            person.changed = True
            marketo.activities.add([(CHANGE_PARTITION, person.id, orjson.dumps([old, new]).decode())])
    except MarketoError as error:
        return members | {"status": "skipped", "reasons": [error.as_dict()]}
    return members | {"status": "updated"}
