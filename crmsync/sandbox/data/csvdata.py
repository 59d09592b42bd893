"""A user's own export instead of made data: one CSV file an entity, checked cell by cell before it is let in.

``account.csv``, ``contact.csv``, ``lead.csv``, ``systemuser.csv``, ``opportunity.csv``, ``connection.csv`` and the
custom tables' ``new_eventregistration.csv`` and ``new_orderline.csv``; the header holds logical names. Choices may be
numbers or labels, lookups are GUIDs (``parentcustomerid`` or ``_parentcustomerid_value``), the table that a customer
or owner is in may stand in ``parentcustomeridtype`` and ``owneridtype``, an empty cell is no value. A wrong cell is
told with its file, line and column.

What a column takes: "Column data types" (Power Apps developer documents).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crmsync.sandbox.data.cells import CellWrong, Parse, parser, target_parser
from crmsync.sandbox.dataverse.schema import LiveTable
from crmsync.sandbox.dataverse.store import DataverseStore
from crmsync.sandbox.options import OptionsWrong

FILES = (
    *("systemuser", "account", "contact", "lead"),
    *("opportunity", "connection", "new_eventregistration", "new_orderline"),
)
"""In the order in which they are read; each may be missing, but not all."""


def read_folder(folder: Path, store: DataverseStore) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Each entity that has a file, with its rows."""
    found = [entity for entity in FILES if (folder / f"{entity}.csv").is_file()]
    if not found:
        raise OptionsWrong(f"{folder} holds none of {', '.join(f'{entity}.csv' for entity in FILES)}")
    for entity in found:
        yield entity, read_file(folder / f"{entity}.csv", store.schema.tables[entity], store.ids.business_unit)


def read_file(path: Path, table: LiveTable, business_unit: str) -> Iterator[dict[str, Any]]:
    """The file's rows, ready for ``insert_many``."""
    csv.field_size_limit(1 << 24)
    fixed = {"businessunitid": business_unit} if table.name == "systemuser" else {}
    seen: set[str] = set()
    # "utf-8-sig", because spreadsheets write a byte order mark that would become part of the first name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            columns = _header(path, next(reader, []), table)
            for cells in reader:
                if not cells:
                    continue
                row = _row(f"{path.name} line {reader.line_num}", cells, columns)
                _check_key(f"{path.name} line {reader.line_num}", row.get(table.primary_id), table, seen)
                yield {**fixed, **row}
        except csv.Error as error:
            raise OptionsWrong(f"{path.name} line {reader.line_num}: this is not CSV: {error}") from None
        except UnicodeDecodeError:
            raise OptionsWrong(f"{path.name}: this is not UTF-8; save the file as 'CSV UTF-8'") from None


def _header(path: Path, names: list[str], table: LiveTable) -> list[tuple[str, Parse]]:
    """The column of each header cell and how to read it."""
    if not names:
        raise OptionsWrong(f"{path.name} line 1: there is no header")
    columns: dict[str, Parse] = {}
    for number, name in enumerate(names, 1):
        where = f"{path.name} line 1, column {number} '{name}'"
        logical = name.removeprefix("_").removesuffix("_value") if name.startswith("_") else name
        parse = _parser(table, logical)
        if parse is None:
            raise OptionsWrong(
                f"{where}: the {table.name} table has no such column to fill; use logical names, "
                "and take this one out if it is not needed"
            )
        if logical in columns:
            raise OptionsWrong(f"{where}: this column stands there twice")
        columns[logical] = parse
    return list(columns.items())


def _parser(table: LiveTable, name: str) -> Parse | None:
    lookup = table.columns.get(name.removesuffix("type"))
    if name.endswith("type") and lookup is not None and lookup.polymorphic:
        return target_parser(lookup)
    column = table.columns.get(name)
    return parser(column) if column is not None and column.stored else None


def _row(where: str, cells: list[str], columns: list[tuple[str, Parse]]) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise OptionsWrong(
            f"{where}: {len(cells)} cells under {len(columns)} names; a cell with a comma needs quotes around it"
        )
    row: dict[str, Any] = {}
    for cell, (name, parse) in zip(cells, columns, strict=True):
        if cell == "":
            continue
        try:
            row[name] = parse(cell)
        except CellWrong as wrong:
            shown = cell if len(cell) <= 60 else cell[:57] + "..."
            raise OptionsWrong(f"{where}, column '{name}': '{shown}': {wrong}") from None
    return row


def _check_key(where: str, key: str | None, table: LiveTable, seen: set[str]) -> None:
    if key is None:
        raise OptionsWrong(f"{where}: column '{table.primary_id}' must hold the record's GUID")
    if key in seen:
        raise OptionsWrong(f"{where}: column '{table.primary_id}': {key} stands in this file already")
    seen.add(key)
