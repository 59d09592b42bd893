"""The tree of errors: one class a situation, a remedy in the text."""

from __future__ import annotations

import re

import crmsync.errors
from crmsync.errors import CrmsyncError, NativeSyncOn, RecordRefused


def every_class(root: type[CrmsyncError] = CrmsyncError) -> list[type[CrmsyncError]]:
    here = [child for child in root.__subclasses__() if child.__module__ == "crmsync.errors"]
    return [root, *(one for child in here for one in every_class(child))]


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"^[│├└─ ]*([A-Z]\w+)", crmsync.errors.__doc__ or "", re.MULTILINE)
    classes = {one.__name__ for one in every_class()}

    assert classes <= set(drawn)
    assert classes == set(crmsync.errors.__all__)


def test_an_error_tells_where_and_what_to_do() -> None:
    error = RecordRefused("The value is too long", entity="lead", record="4711", code="1001", remedy="Shorten it.")

    assert str(error) == "The value is too long (entity lead, record 4711, code 1001)\nWhat to do: Shorten it."
    assert error.details()["error"] == "RecordRefused"


def test_some_remedies_are_always_the_same() -> None:
    assert "cannot share a subscription" in NativeSyncOn("on").remedy
