"""Every row of the table corrects something that is there, so that none outlives its reason."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from tests.openapi.corrections import CORRECTIONS, MORE_OPERATIONS, Correction, MoreOperation
from tests.openapi.specification import Specification

FILES = Specification.load(corrections=(), more=())


@pytest.mark.parametrize("row", CORRECTIONS, ids=lambda row: f"{row.source} {row.definition}")
def test_a_correction_changes_what_the_files_say(row: Correction) -> None:
    found = {name: each for name, each in FILES.definitions.items() if fnmatchcase(name, row.definition)}
    required = {name for each in found.values() for name in each.get("required", ())}
    properties = {name for each in found.values() for name in each.get("properties", {})}

    assert found
    assert set(row.optional) <= required
    assert set(row.nullable) <= properties
    for name, schema in row.members.items():
        assert all(each.get("properties", {}).get(name) != schema for each in found.values())


@pytest.mark.parametrize("row", MORE_OPERATIONS, ids=lambda row: f"{row.method} {row.path}")
def test_an_operation_is_added_because_the_files_lack_it(row: MoreOperation) -> None:
    assert (row.method, row.path) not in FILES.operations
    assert row.like in FILES.operations
