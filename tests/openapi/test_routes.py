"""What the sandbox serves and what crmsync calls is what Adobe's files describe."""

from __future__ import annotations

import pytest

from crmsync.marketo.calls import CALLS, Call
from crmsync.sandbox.marketo.routes import ROUTES
from tests.openapi.specification import Specification

SPECIFICATION = Specification.load()
SERVED = [(method, path) for path, endpoints in ROUTES.items() for method in endpoints]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_a_call_of_crmsync_is_in_the_files_with_its_permission(call: Call) -> None:
    operation, placeholders = SPECIFICATION.find(call.method, call.path)

    assert operation is not None
    assert operation.path.count("{") == call.path.count("{") == len(placeholders)
    assert call.permission in (operation.permissions or {None})


@pytest.mark.parametrize(("method", "path"), SERVED, ids=lambda word: str(word))
def test_a_path_of_the_sandbox_is_in_the_files(method: str, path: str) -> None:
    operation, placeholders = SPECIFICATION.find(method, path)

    assert operation is not None
    assert operation.path.count("{") == path.count("{") == len(placeholders)
