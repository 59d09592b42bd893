"""What steps tell: figures in words, and tables whose cells may hold anything."""

from __future__ import annotations

import pytest

from crmsync.engine.report import Progress
from tasks.markdown import MOST_ROWS, section, table
from tasks.telling import counted, describe, duration, percent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (4.24, "4.2 s"), (59.6, "1 min 0 s"), (184, "3 min 4 s"), (7500, "2 h 5 min")],
)
def test_a_duration_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_in_words() -> None:
    known = Progress(tenant="contoso", entity="lead", done=1200, total=5000, rate=340, seconds_left=12)
    unknown = Progress(tenant="contoso", entity="lead", done=7)

    assert describe(known) == "lead: 1,200 of about 5,000 records, 340 a second, 12 s left"
    assert describe(unknown) == "lead: 7 records"


def test_an_estimate_that_was_too_small_stays_at_all_of_it() -> None:
    assert percent(Progress(tenant="contoso", entity="lead", done=1200, total=5000)) == 24.0
    assert percent(Progress(tenant="contoso", entity="lead", done=6000, total=5000)) == 100.0
    assert percent(Progress(tenant="contoso", entity="lead", done=6000)) == 0.0


def test_counts_with_their_noun() -> None:
    assert [counted(1, "field"), counted(0, "field"), counted(1035, "record")] == [
        "1 field",
        "0 fields",
        "1,035 records",
    ]


def test_a_table_of_anything() -> None:
    assert table(("Name", "Rows"), [("a|b\nc", 1200), (None, True)]) == (
        "| Name | Rows |\n| --- | --- |\n| a\\|b<br>c | 1,200 |\n|  | True |"
    )


def test_a_table_without_rows_and_one_with_too_many() -> None:
    assert table(("Name",), [], empty="None.") == "None."
    assert section("Empty", table(("Name",), [])) == ""
    assert table(("Name",), [(number,) for number in range(MOST_ROWS + 3)]).endswith("… and 3 more.")
