"""Every code of Marketo's error tables is mapped to one class, with a remedy where a person can do something."""

from __future__ import annotations

import pytest

from crmsync import errors
from crmsync.marketo.codes import ROWS, Reaction, row_of
from crmsync.marketo.errors import classify, error_from_code

HTTP = ["HTTP 401", "HTTP 404", "HTTP 413", "HTTP 414"]
RESPONSE_LEVEL = (
    500, 502, 600, 601, 602, 603, 604, 605, 606, 607, 608, 609, 610, 611, 612, 613, 614, 615, 616, 701, 702, 703,
    704, 709, 710, 711, 712, 713, 714, 718, 719,
)  # fmt: skip
RECORD_LEVEL = (
    1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018,
    1019, 1020, 1021, 1022, 1025, 1026, 1027, 1028, 1029, 1035, 1036, 1037, 1042, 1048, 1049, 1076, 1077, 1078,
    1079, 1080,
)  # fmt: skip
DOCUMENTED = [*HTTP, *map(str, RESPONSE_LEVEL + RECORD_LEVEL)]


def test_the_table_has_every_documented_code_exactly_once() -> None:
    assert [row.code for row in ROWS] == DOCUMENTED


@pytest.mark.parametrize("code", DOCUMENTED)
def test_each_code_is_one_error_class_and_tells_what_to_do(code: str) -> None:
    error = error_from_code(code, "told by Marketo", request_id="e42b#1", tenant="contoso")

    assert type(error) is row_of(code).error
    assert type(error) not in (errors.CrmsyncError, errors.TryAgainLater, errors.SchemaChanged)
    assert (error.code, error.request_id, error.tenant) == (code, "e42b#1", "contoso")
    assert error.remedy or row_of(code).reaction is Reaction.DONE


@pytest.mark.parametrize(
    ("reaction", "codes"),
    [
        (Reaction.RE_AUTH, "600 601 602"),
        (Reaction.RETRY, "500 502 608 611 614 713 719 1014"),
        (Reaction.WAIT, "606 607 615 1016 1019 1022 1029"),
        (Reaction.SPLIT, "604 1036 1080"),
        (Reaction.DONE, "702 1015 1037"),
        (Reaction.PER_RECORD, "709 712 714 718 1001 1002 1003 1004 1005 1007 1008 1010 1013 1017 1021 1049 1076 1079"),
        (Reaction.FATAL, "603 605 609 610 612 613 616 701 703 704 1006 1009 1011 1018 1026 1035 1048"),
    ],
)
def test_the_classes_of_the_documented_codes(reaction: Reaction, codes: str) -> None:
    assert {code: row_of(code).reaction for code in codes.split()} == dict.fromkeys(codes.split(), reaction)


def test_only_what_may_pass_by_itself_is_tried_again() -> None:
    again = [row.code for row in ROWS if row.tries > 1]

    assert " ".join(again) == "HTTP 404 HTTP 413 HTTP 414 500 502 600 601 602 604 606 608 611 614 615 713 719 1014"


@pytest.mark.parametrize(
    ("code", "reaction", "tries"),
    [("699", Reaction.RETRY, 3), ("799", Reaction.RETRY, 3), ("1999", Reaction.PER_RECORD, 1)],
)
def test_an_unknown_code_is_retried_or_the_records_fault(code: str, reaction: Reaction, tries: int) -> None:
    assert (row_of(code).reaction, row_of(code).tries) == (reaction, tries)


@pytest.mark.parametrize(
    ("message", "reaction", "error"),
    [
        ("Too many jobs (10) in queue", Reaction.WAIT, errors.QueueFull),
        ("Export daily quota 500MB exceeded", Reaction.WAIT, errors.QuotaExhausted),
        ("Job is already queued", Reaction.DONE, errors.RecordRefused),
    ],
)
def test_three_situations_share_1029(message: str, reaction: Reaction, error: type[errors.CrmsyncError]) -> None:
    assert classify("1029", message).reaction is reaction
    assert type(error_from_code("1029", message)) is error


def test_access_denied_names_the_permission() -> None:
    error = error_from_code("603", "Access denied", permission="Read-Write Company")

    assert "Read-Write Company" in error.message
    assert "Read-Write Company" in error.remedy
    assert "allowlist" in error.remedy


def test_a_missing_field_is_named_where_marketo_names_it() -> None:
    named = error_from_code("1006", "Field 'favouriteColour' not found")
    silent = error_from_code("1006", "Field not found")

    assert isinstance(named, errors.ColumnMissing)
    assert isinstance(silent, errors.ColumnMissing)
    assert (named.column, silent.column) == ("favouriteColour", None)
