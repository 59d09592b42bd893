"""Every error code that Adobe lists can be had: by a fault rule, with the wording that Marketo gives it."""

from __future__ import annotations

import json

import pytest

from crmsync.sandbox.failing import error_answer
from crmsync.sandbox.faults import FaultRule
from crmsync.sandbox.marketo.errors import MESSAGES, sample_message


@pytest.mark.parametrize("code", sorted(MESSAGES))
def test_a_fault_gives_any_code(code: int) -> None:
    answer = error_answer(FaultRule(service="marketo", kind="marketo", code=str(code)), "marketo")
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["success"]) == (200, False)
    assert body["errors"] == [{"code": str(code), "message": sample_message(code)}]
    assert "%s" not in body["errors"][0]["message"]


def test_all_codes_of_the_reference_are_there() -> None:
    response = {*range(600, 617), *range(701, 705), *range(709, 715), 718, 719, 500, 502}
    record = {*range(1001, 1023), *range(1025, 1030), 1035, 1036, 1037, 1042, 1048, 1049, *range(1076, 1081)}
    assert response | record == set(MESSAGES)


def test_a_fault_may_have_words_of_its_own() -> None:
    rule = FaultRule(service="marketo", kind="marketo", code="1029", message="Export daily quota exceeded")
    assert json.loads(bytes(error_answer(rule, "marketo").body))["errors"][0]["message"] == rule.message
