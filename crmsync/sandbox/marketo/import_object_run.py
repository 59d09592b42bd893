"""A job that imports custom objects: insert or update by the dedupe fields.

"Bulk Custom Object Import": header names must be API names exactly, ``missing.dedupe.fields``; developer blog, "June
2019 Updates" ("Invalid data type in field"). The wording for a link to nobody is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field
from crmsync.sandbox.marketo.import_file import ImportFailedError, Row
from crmsync.sandbox.marketo.import_run import ImportRun, Order
from crmsync.sandbox.marketo.record_writer import MISSING_KEY, Draft, RecordWriter

if TYPE_CHECKING:
    from crmsync.sandbox.marketo.service import Marketo


class ObjectRun(ImportRun):
    """The work on one file of custom objects."""

    def __init__(self, marketo: Marketo, number: int, order: Order) -> None:
        super().__init__(marketo, number, order)
        try:
            self._kind = marketo.custom_types.kind(str(order.object_name))
        except MarketoError as error:
            raise ImportFailedError(f"Import failed: {error.message}") from None
        self._writer = RecordWriter(marketo, self._kind)
        self._columns: list[tuple[int, Field]] = []
        for index, name in enumerate(self._file.header):
            field = self._kind.fields.get(name)
            if field is not None and field.updateable:
                self._columns.append((index, field))
            else:
                self._ignored.append(name)
        self._clears_empty = marketo.switches.on("empty_csv_cell", "clear")
        self._clears_null = marketo.switches.on("null_csv_cell", "clear")

    def _write(self, rows: Sequence[Row]) -> list[str | None]:
        outcomes = self._writer.write([self._read(row) for row in rows])
        self._writer.created.clear()
        return [each.message if isinstance(each, MarketoError) else None for each in outcomes]

    def _read(self, row: Row) -> Draft:
        draft = Draft()
        try:
            if len(row) > len(self._file.header):
                raise MarketoError(1003, f"Row has {len(row)} columns, the header has {len(self._file.header)}")
            for index, field in self._columns:
                self._read_cell(draft, field, row[index] if index < len(row) else "")
            if any(draft.values.get(name) is None for name in self._kind.key):
                raise MarketoError(1003, MISSING_KEY)
            self._writer.finish(draft)
        except MarketoError as error:
            draft.refusal = error
        return draft

    def _read_cell(self, draft: Draft, field: Field, cell: str) -> None:
        if not cell:
            if self._clears_empty:
                draft.values[field.name] = None
        elif self._clears_null and cell in ("null", "NULL"):
            draft.values[field.name] = None
        else:
            try:
                draft.values[field.name] = field.from_text(cell)
            except MarketoError:
                raise MarketoError(1003, f"Invalid data type in field {field.name}") from None
