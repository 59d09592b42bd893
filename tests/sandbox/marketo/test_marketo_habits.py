"""Values that are stored in another form than they were sent in, where a switch says so; activities tell the form."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.sandbox.core import Subscription
from crmsync.sandbox.marketo.habits import HABITS
from crmsync.sandbox.marketo.switches import SWITCHES
from tests.sandbox.marketo.conftest import Marketo

CASES = [
    ("emoji", "title", "Chief 😀 of Fun", "Chief "),
    ("emoji", "title", "😀", None),
    ("outer_space", "title", " Director ", "Director"),
    ("line_ends", "title", "a\r\nb", "a\nb"),
    ("email_case", "email", "Ada@Contoso.Example", "ada@contoso.example"),
    ("phone_numbers", "mobilePhone", "+1 (425) 555-0100", "+14255550100"),
    ("urls", "website", "HTTP://Contoso.example/", "http://contoso.example"),
    ("decimals", "annualRevenue", 1234.5678, 1234.57),
]


@pytest.mark.parametrize(("habit", "field", "sent", "stored"), CASES)
@pytest.mark.parametrize("on", [True, False])
async def test_a_habit_changes_what_is_stored_where_it_is_switched_on(
    marketo: Marketo, subscription: Subscription, habit: str, field: str, sent: Any, stored: Any, on: bool
) -> None:
    subscription.switches[habit] = SWITCHES[habit][int(on)]
    [made] = await marketo.sync({"lastName": "Lovelace", "email": "other@contoso.example"}, lookupField="email")

    await marketo.sync({"id": made["id"], field: sent}, action="updateOnly", lookupField="id")

    [person] = await marketo.leads("id", made["id"], fields=field)
    assert person[field] == (pytest.approx(stored if on else sent) if habit == "decimals" else stored if on else sent)


def test_every_habit_is_tried() -> None:
    assert {case[0] for case in CASES} == set(HABITS)
