"""An import file: its header and rows, how a row becomes a record, and the files of failed and warned rows.

"Bulk Lead Import" gives formats, header and the extra column; Adobe does not write down the details. Assumed: RFC 4180
quoting, UTF-8 (a byte order mark is part of the first name), an empty cell keeps the old value, a column that is no
writable field is ignored with one warning. Empty cell, the word null, and unknown columns are switches.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.fields import Field, FieldTable
from crmsync.sandbox.marketo.person_rules import PersonRules, Prepared
from crmsync.sandbox.marketo.switches import Switches
from crmsync.sandbox.marketo.values import Check, whole_number

DELIMITERS = {"csv": ",", "tsv": "\t", "ssv": ";"}
FAILURE_COLUMN = "Import Failure Reason"
WARNING_COLUMN = "Import Warning Reason"

Row = list[str]


class ImportFailedError(Exception):
    """The file as a whole cannot be imported."""


@dataclass(frozen=True, slots=True)
class _Column:
    index: int
    name: str
    check: Check
    company: bool


class ImportFile:
    """The text of a file in one of the three formats."""

    def __init__(self, content: bytes, file_format: str) -> None:
        self._delimiter = DELIMITERS[file_format]
        try:
            self._text = content.decode()
        except UnicodeDecodeError:
            raise ImportFailedError("Import failed: the file is not UTF-8") from None
        self.header = next(self._read(), [])
        if not self.header:
            raise ImportFailedError("Import failed: the file has no header")

    def rows(self) -> Iterator[Row]:
        """The rows below the header; blank lines are none."""
        rows = self._read()
        next(rows)
        return rows

    def column(self, name: str) -> int | None:
        """Where the column of that exact name stands."""
        return self.header.index(name) if name in self.header else None

    def listing(self, rows: Sequence[tuple[Row, str]], column: str) -> str:
        """Rows in the file's own format with a reason behind each."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
        writer.writerow([*self.header, column])
        width = len(self.header)
        writer.writerows([*(row + [""] * width)[:width], reason] for row, reason in rows)
        return text.getvalue()

    def _read(self) -> Iterator[Row]:
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter)
        try:
            yield from (row for row in reader if row)
        except csv.Error as error:
            raise ImportFailedError(f"Import failed: line {reader.line_num}: {error}") from None


class RowReader:
    """Turns the rows of one file into records."""

    def __init__(
        self, file: ImportFile, fields: FieldTable, rules: PersonRules, lookup: Field, switches: Switches
    ) -> None:
        self._rules = rules
        self._lookup = lookup
        self._by_id = file.column("id") if lookup.name == "id" else None
        self._width = len(file.header)
        self._columns: list[_Column] = []
        self.ignored: list[str] = []
        for index, name in enumerate(file.header):
            field = fields.get(name)
            if field is not None and field.updateable:
                self._columns.append(_Column(index, name, field.from_text, field.company))
            elif index != self._by_id:
                self.ignored.append(name)
        self._clears_empty = switches.on("empty_csv_cell", "clear")
        self._clears_null = switches.on("null_csv_cell", "clear")

    def read(self, row: Row) -> Prepared:
        """A row as a record, or as its refusal."""
        prepared = Prepared({})
        try:
            if len(row) > self._width:
                raise MarketoError(1003, f"Row has {len(row)} columns, the header has {self._width}")
            self._read(row, prepared)
            self._rules.finish(prepared)
        except MarketoError as error:
            prepared.refusal = error
        return prepared

    def _read(self, row: Row, prepared: Prepared) -> None:
        width, values = len(row), prepared.values
        for column in self._columns:
            cell = row[column.index] if column.index < width else ""
            if not cell:
                if self._clears_empty:
                    values[column.name] = None
                continue
            if self._clears_null and cell in ("null", "NULL"):
                values[column.name] = None
            else:
                values[column.name] = column.check(cell)
            if column.company:
                prepared.company_fields = True
        if self._by_id is not None and self._by_id < width and row[self._by_id]:
            prepared.id = _whole(row[self._by_id])


def keys(file: ImportFile, lookup: Field) -> Iterator[str | int]:
    """The lookup values of all rows; what is no key is left out."""
    index = file.column(lookup.name)
    for row in file.rows() if index is not None else ():
        cell = row[index] if index is not None and index < len(row) else ""
        if not lookup.whole:
            if cell:
                yield cell
        elif (number := whole_number(cell)) is not None:
            yield number


def _whole(cell: str) -> int:
    number = whole_number(cell)
    if number is None:
        raise MarketoError(1001, cell, "integer")
    return number
