"""What each field type takes, as JSON and as text."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.marketo.errors import MarketoError
from crmsync.sandbox.marketo.values import json_check, text_check


def never() -> bool:
    return False


def always() -> bool:
    return True


@pytest.mark.parametrize(
    ("data_type", "value", "stored"),
    [
        ("string", "Ann", "Ann"),
        ("string", " 007 ", " 007 "),
        ("string", 12, "12"),
        ("url", "no scheme", "no scheme"),
        ("integer", 2**63 - 1, 2**63 - 1),
        ("percent", -5, -5),
        ("float", 16_777_217, 16_777_216.0),
        ("currency", 0.1, 0.10000000149011612),
        ("boolean", False, False),
        ("date", "1899-12-31", "1899-12-31"),
        ("datetime", "2010-05-07T15:41:32-05:00", "2010-05-07T20:41:32Z"),
        ("datetime", "2010-05-07T15:41:32Z", "2010-05-07T15:41:32Z"),
        ("datetime", "2010-05-07T15:41:32+0000", "2010-05-07T15:41:32Z"),
    ],
)
def test_json_values_that_fit(data_type: str, value: Any, stored: Any) -> None:
    assert json_check(data_type, None, never)(value) == stored


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("string", True),
        ("string", ["a"]),
        ("string", "x" * 256),
        ("text", "ä" * 15_001),
        ("integer", "12"),
        ("integer", 1.0),
        ("integer", True),
        ("integer", 2**63),
        ("float", "1.5"),
        ("currency", 1e39),
        ("boolean", "true"),
        ("boolean", 1),
        ("date", "2010-02-30"),
        ("date", "2010-05-07T00:00:00Z"),
        ("datetime", "2010-05-07"),
        ("datetime", "2010-05-07T15:41:32"),
        ("datetime", "2010-05-07T15:41:32.5Z"),
        ("datetime", "0001-01-01T00:00:00+05:00"),
        ("formula", 1),
    ],
)
def test_json_values_that_do_not(data_type: str, value: Any) -> None:
    with pytest.raises(MarketoError) as refusal:
        json_check(data_type, None, never)(value)
    assert refusal.value.code == 1001


@pytest.mark.parametrize(
    ("data_type", "cell", "stored"),
    [
        ("string", "true", "true"),
        ("integer", "-12", -12),
        ("float", "1.5", 1.5),
        ("currency", "100", 100.0),
        ("boolean", "TRUE", True),
        ("boolean", "false", False),
        ("date", "2010-05-07", "2010-05-07"),
        ("datetime", "2010-05-07T15:41:32Z", "2010-05-07T15:41:32Z"),
    ],
)
def test_cells_that_fit(data_type: str, cell: str, stored: Any) -> None:
    assert text_check(data_type, None, never)(cell) == stored


@pytest.mark.parametrize(
    ("data_type", "cell"),
    [
        ("integer", "1.0"),
        ("integer", "1,000"),
        ("integer", "99999999999999999999"),
        ("float", "1,5"),
        ("float", "nan"),
        ("boolean", "yes"),
        ("boolean", "1"),
        ("date", "07.05.2010"),
    ],
)
def test_cells_that_do_not(data_type: str, cell: str) -> None:
    with pytest.raises(MarketoError) as refusal:
        text_check(data_type, None, never)(cell)
    assert refusal.value.message == f"Invalid value '{cell}'. Required of type '{data_type}'"


def test_too_long_may_be_cut_instead() -> None:
    assert json_check("string", 5, always)("abcdefg") == "abcde"
    assert len(json_check("text", None, always)("ä" * 20_000)) == 15_000
