"""Many writes in one request: independent operations in a ``$batch``, each with an outcome of its own.

Up to 100 operations go together, outside of any change set and with ``odata.continue-on-error``: one refused record
never stops the others. A batch may be sent again after its answer was lost, because each of its writes says which
version of the row it is for (``If-Match``), or that the row must not exist (``If-None-Match: *``).

Duplicate detection is chosen in every write: ``MSCRM.SuppressDuplicateDetection`` is ``true`` unless the tenant asks
for it. Marketo's own connector always asks, and users complain that updates of a field that is in no rule are refused
because the record has a twin already ("Marketo Triggering MSCRM's Duplicate Detection").

Facts: "Execute batch operations using the Web API", "Perform conditional operations", "Detect duplicate data"
(Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from crmsync.dynamics.answers import done
from crmsync.dynamics.batch import Operation, send_all
from crmsync.dynamics.channel import Channel
from crmsync.dynamics.errors import error_from
from crmsync.errors import CrmsyncError

MOST_OPERATIONS = 100
ANY_VERSION = "*"


@dataclass(frozen=True, slots=True)
class Write:
    """One operation: ``values`` for the row ``record_id`` of ``entity_set``.

    ``etag`` is the version that the values were decided upon, ``*`` for whichever there is; None creates the row, and
    is refused when it exists.
    """

    entity_set: str
    record_id: str
    values: Mapping[str, Any]
    etag: str | None


async def write_batch(
    channel: Channel, writes: Sequence[Write], *, entity: str, detect_duplicates: bool
) -> list[CrmsyncError | None]:
    """What became of each write, in order: None, or its error. Raises only what concerns the request as a whole."""
    outcomes: list[CrmsyncError | None] = []
    for start in range(0, len(writes), MOST_OPERATIONS):
        outcomes += await _send(channel, writes[start : start + MOST_OPERATIONS], entity, detect_duplicates)
    return outcomes


async def _send(
    channel: Channel, writes: Sequence[Write], entity: str, detect_duplicates: bool
) -> list[CrmsyncError | None]:
    operations = [_operation(one, detect_duplicates) for one in writes]
    parts = [one.response for one in await send_all(channel, operations, [done] * len(writes), entity=entity)]
    return [None if part.is_success else error_from(part, tenant=channel.tenant, entity=entity) for part in parts]


def _operation(write: Write, detect_duplicates: bool) -> Operation:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "MSCRM.SuppressDuplicateDetection": "false" if detect_duplicates else "true",
    }
    headers |= {"If-None-Match": "*"} if write.etag is None else {"If-Match": write.etag}
    path = f"{write.entity_set}({write.record_id})"
    return Operation(path, headers, "PATCH", orjson.dumps(dict(write.values)))
