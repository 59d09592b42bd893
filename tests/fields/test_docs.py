"""docs/fields.md says what the map and the type table say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.fields import default_map
from crmsync.fields.catalogue import MapEntry
from crmsync.fields.typemap import TYPE_TABLE, UNMAPPED

DOCUMENT = (Path(__file__).parents[2] / "docs" / "fields.md").read_text(encoding="utf-8")


def made_by(entry: MapEntry) -> str:
    if entry.create:
        return f"crmsync ({entry.create})"
    return f"an administrator ({entry.admin})" if entry.admin else ""


def rows() -> Iterator[str]:
    for name in ("lead", "account", "systemuser", "opportunity"):
        for column, entry in default_map().attributes(name).items():
            field = " or ".join(f"`{one}`" for one in entry.field or (entry.link_field,))
            yield f"| `{column}` | {field} | {made_by(entry)} |"


@pytest.mark.parametrize("row", tuple(rows()))
def test_every_column_of_the_map_stands_in_the_document(row: str) -> None:
    assert row in DOCUMENT


def test_what_sets_contacts_apart_stands_in_the_document() -> None:
    for column in (*default_map().entities["contact"].without, "parentcustomerid", "mkt_leadscore"):
        assert f"`{column}`" in DOCUMENT.split("Contacts are the same")[1].split("\n\n")[0]


@pytest.mark.parametrize("key", tuple(TYPE_TABLE))
def test_every_row_of_the_type_table_stands_in_the_document(key: str) -> None:
    first, *others = dict.fromkeys(fit.data_type for fit in TYPE_TABLE[key])
    lost = "; ".join(dict.fromkeys(fit.lossy for fit in TYPE_TABLE[key][:1] if fit.lossy))

    assert f"| {key} | {first} | {', '.join(others)} | {lost} |" in DOCUMENT


def test_every_type_that_is_left_out_stands_in_the_document() -> None:
    for name, reason in UNMAPPED.items():
        assert f"- {name}: {reason}." in DOCUMENT
