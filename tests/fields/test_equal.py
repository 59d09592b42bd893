"""Whether a value that Marketo answers is the one that was sent."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.fields import Mapping, equal


def mapping(convert: Any, data_type: str) -> Mapping:
    return Mapping(
        entity="lead",
        attribute="new_x",
        target="person",
        field="new_x",
        data_type=data_type,
        convert=convert,
        standard=False,
    )


@pytest.mark.parametrize(
    ("convert", "data_type", "sent", "read", "same"),
    [
        ("text", "string", "Ann", "Ann", True),
        ("text", "string", "Ann", "ann", False),
        ("text", "string", None, "", True),
        ("text", "string", None, None, True),
        ("text", "string", "Ann", None, False),
        ("boolean", "boolean", True, True, True),
        ("boolean", "boolean", None, False, True),
        ("boolean", "boolean", False, None, True),
        ("boolean", "boolean", True, None, False),
        ("boolean", "boolean", True, "true", True),
        ("constant", "boolean", False, None, True),
        ("constant", "string", "Lead", "Lead", True),
        ("float", "float", 0.1, 0.10000000149011612, True),
        ("float", "float", 0.1, 0.1001, False),
        ("float", "float", 0, 0.0, True),
        ("float", "float", 0, None, False),
        ("currency", "currency", 123456.78, 123456.78125, True),
        ("integer", "integer", 2**53 + 1, 2**53 + 1, True),
        ("integer", "integer", 2**53 + 1, 2**53, False),
        ("integer", "integer", 7, "7", True),
        ("integer", "currency", 16_777_217, 16_777_216.0, True),
        ("number as text", "string", "20000", "20000.0", True),
        ("number as text", "string", "20000", "much", False),
        ("value", "integer", 1, 1, True),
        ("date", "date", "2024-05-01", "2024-05-01", True),
        ("datetime", "datetime", "2017-01-22T19:55:51Z", "2017-01-22T19:55:51+0000", True),
        ("datetime", "datetime", "2017-01-22T19:55:51Z", "2017-01-22T11:55:51-08:00", True),
        ("datetime", "datetime", "2017-01-22T19:55:51Z", "2017-01-22T19:55:52Z", False),
        ("datetime", "datetime", "2017-01-22T19:55:51Z", "soon", False),
        ("guid", "string", "7c1e", "7C1E", True),
        ("owner", "string", "7c1e", None, False),
        ("label", "string", "Gold", "Gold", True),
        ("labels", "string", "Red;Blue", "Blue;Red", False),
    ],
)
def test_equal(convert: str, data_type: str, sent: Any, read: Any, same: bool) -> None:
    assert equal(mapping(convert, data_type), sent, read) is same
