"""A job that imports people. It finds out at its start who has its keys, and writes afterwards, as Sync Leads does.

"Bulk Lead Import": insert or update by the lookup field, update only by ``id``; with ``listId`` everybody who was
imported is put into the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.import_file import ImportFailedError, Row, RowReader, keys
from crmsync.sandbox.marketo.import_run import ImportRun, Order
from crmsync.sandbox.marketo.person_rules import PersonRules, check_links

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo

FIND_CHUNK = 600


class LeadRun(ImportRun):
    """The work on one file of people."""

    def __init__(self, marketo: Marketo, number: int, order: Order) -> None:
        super().__init__(marketo, number, order)
        lookup = marketo.person_fields.get(order.lookup_field)
        if lookup is None:
            raise ImportFailedError(f"Import failed: field '{order.lookup_field}' not found")
        self._lookup = lookup
        action = "updateOnly" if lookup.name == "id" else "createOrUpdate"
        rules = PersonRules(marketo.person_fields, marketo.switches, action=action, lookup=lookup)
        self._reader = RowReader(self._file, marketo.person_fields, rules, lookup, marketo.switches)
        self._writer = marketo.person_writer(action, lookup, order.partition)
        self._ignored = self._reader.ignored

    async def _prepare(self) -> None:
        if self._lookup.name == "id":
            return
        found = keys(self._file, self._lookup)
        while chunk := list(islice(found, FIND_CHUNK)):
            self._writer.find(chunk)
            await asyncio.sleep(0)

    def _write(self, rows: Sequence[Row]) -> list[str | None]:
        marketo = self._marketo
        prepared = [self._reader.read(row) for row in rows]
        check_links(prepared, marketo.companies, marketo.sales_persons, marketo.switches)
        outcomes = self._writer.write(prepared, marketo.moment())
        if self._order.list_id is not None:
            marketo.lists.put(self._order.list_id, [each[1] for each in outcomes if not isinstance(each, MarketoError)])
        return [each.message if isinstance(each, MarketoError) else None for each in outcomes]
