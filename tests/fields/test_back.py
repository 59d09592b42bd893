"""Marketo's values as Dynamics takes them, and which must not be written there."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics.schema import Attribute
from crmsync.errors import RecordRefused
from tests.fields.schemas import column
from tests.fields.test_convert import CHOICE, CHOICES, DAY, LONG, MEMO, MOMENT, TEXT, WALL, converter

GUID = "7c1e0000-0000-0000-0000-00000000000a"


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        (TEXT, "Ann", "Ann"),
        (TEXT, "", None),
        (TEXT, None, None),
        (LONG, "short enough", "short enough"),
        (column("new_x", "Boolean"), True, True),
        (column("new_x", "Boolean"), "false", False),
        (column("new_x", "Integer"), 5, 5),
        (column("new_x", "Integer"), "5", 5),
        (column("new_x", "Integer"), 5.0, 5),
        (column("new_x", "BigInt"), 2**63 - 1, 2**63 - 1),
        (column("new_x", "Decimal"), 1.5, 1.5),
        (column("new_x", "Money"), "20000.5", 20000.5),
        (MOMENT, "2017-01-22T19:55:51Z", "2017-01-22T19:55:51Z"),
        (MOMENT, "2017-01-22T19:55:51+0000", "2017-01-22T19:55:51Z"),
        (MOMENT, "2017-01-22T11:55:51-08:00", "2017-01-22T19:55:51Z"),
        (DAY, "1899-12-31", "1899-12-31"),
        (WALL, "2024-05-01T10:00:00", "2024-05-01T10:00:00Z"),
        (CHOICE, "Gold", 1),
        (CHOICE, "3", 3),
        (CHOICE, "77", 77),
        (CHOICES, "Red;Blue", "1,9"),
        (CHOICES, "Blue;11", "9,11"),
        (column("new_x", "Lookup"), "{7C1E0000-0000-0000-0000-00000000000A}", GUID),
    ],
)
def test_values_come_back(attribute: Attribute, value: Any, expected: Any) -> None:
    assert converter(attribute).back("value", value) == expected


@pytest.mark.parametrize(
    ("attribute", "data_type", "value", "expected"),
    [
        (column("new_x", "Boolean"), "string", "Yes", True),
        (column("new_x", "Boolean"), "string", "No", False),
        (CHOICE, "integer", 2, 2),
        (column("new_x", "Decimal"), "string", "0.0000001", 0.0000001),
        (column("new_x", "Integer"), "string", "20000", 20000),
        (column("new_x", "Money"), "string", "12.34", 12.34),
    ],
)
def test_values_come_back_from_fields_of_another_type(
    attribute: Attribute, data_type: str, value: Any, expected: Any
) -> None:
    back = converter(attribute, data_type).back("value", value)

    assert back == expected
    assert type(back) is type(expected)


@pytest.mark.parametrize(
    ("attribute", "value", "problem"),
    [
        (CHOICE, "Bronze", "there is no option 'Bronze'"),
        (CHOICE, "1", "there is no option '1'"),
        (CHOICES, "Red;Green", "there is no option 'Green'"),
        (column("new_x", "Picklist", options={1: "Same", 2: "Same"}), "Same", "several options are called 'Same'"),
        (
            column("new_x", "MultiSelectPicklist", options={1: "A;B", 2: "A", 3: "B"}),
            "A;B",
            "holds the separator ';'",
        ),
        (LONG, "x" * 255, "may have been cut"),
        (MEMO, "x" * 29_998, "may have been cut"),
        (column("new_x", "MultiSelectPicklist", options={1: "x" * 250, 2: "y" * 250}), "x" * 255, "may have been cut"),
        (TEXT, "x" * 101, "longer than the column's 100 characters"),
        (MOMENT, "yesterday", "no date and time"),
        (DAY, "1 May", "no date"),
        (column("new_x", "Integer"), 1.5, "no whole number"),
        (column("new_x", "Integer"), "many", "no whole number"),
        (column("new_x", "Decimal"), "much", "no number"),
        (column("new_x", "Decimal"), True, "no number"),
        (column("new_x", "Boolean"), "perhaps", "neither true nor false"),
        (column("new_x", "Lookup"), "Ann", "no record id"),
        (TEXT, 5, "not of the type"),
    ],
)
def test_what_must_not_be_written_back_is_refused(attribute: Attribute, value: Any, problem: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        converter(attribute).back("value", value)

    assert refused.value.message.startswith("Marketo's field value cannot be written back to column new_x: ")
    assert problem in refused.value.message
    assert refused.value.remedy


def test_a_field_that_comes_from_no_column_is_not_written_back() -> None:
    with pytest.raises(RecordRefused, match="comes from no column of lead"):
        converter(TEXT).back("msType", "Lead")
