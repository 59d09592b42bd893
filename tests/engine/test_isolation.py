"""The search for the refused fields of one record: all others are written, opt-outs first, in few parts."""

from __future__ import annotations

from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from crmsync.engine.refusals import MOST_PARTS, Isolation

FIELDS = [f"field{number}" for number in range(24)]
OPT_OUTS = {"field3", "field17"}


def searched(fields: list[str], bad: set[str], *, named: bool, whole: bool = False) -> tuple[Isolation[str], list[str]]:
    """A search against a service that refuses a part with one of the bad fields, and maybe names one; or anything."""

    def first_bad(part: list[str] | tuple[str, ...]) -> set[str]:
        return {min(bad & set(part))} if named and bad & set(part) else set()

    search = Isolation(fields, "refused", first=OPT_OUTS, named=first_bad(fields))
    sent: list[str] = []
    while (part := search.part) is not None:
        sent.append(" ".join(part))
        if whole or bad & set(part):
            search.refuse("refused", first_bad(part))
        else:
            search.took()
    return search, sent


@given(st.sets(st.sampled_from(FIELDS), min_size=1, max_size=3), st.booleans())
def test_all_but_the_refused_fields_are_written(bad: set[str], named: bool) -> None:
    search, sent = searched(FIELDS, bad, named=named)

    assert set(search.refused) == bad
    assert search.accepted == set(FIELDS) - bad
    assert len(sent) <= (4 + len(bad) if named else 2 + 2 * len(bad) * ceil(log2(len(FIELDS))) + len(bad))


@given(st.sets(st.sampled_from(sorted(set(FIELDS) - OPT_OUTS)), min_size=1, max_size=3), st.booleans())
def test_the_opt_outs_go_first_and_alone(bad: set[str], named: bool) -> None:
    _, sent = searched(FIELDS, bad, named=named)

    assert sent[0] == "field3 field17"


def test_a_record_that_is_refused_even_without_a_field_is_not_searched() -> None:
    search, sent = searched([field for field in FIELDS if field not in OPT_OUTS], set(), named=False, whole=True)

    assert sent == [""]
    assert search.accepted == set()
    assert len(search.refused) == len(FIELDS) - len(OPT_OUTS)


def test_a_record_of_which_every_field_is_refused_ends_the_search() -> None:
    search, sent = searched([f"other{number}" for number in range(400)], {f"other{n}" for n in range(400)}, named=False)

    assert len(sent) <= MOST_PARTS + 1
    assert len(search.refused) == 400


def test_a_field_that_the_service_wants_beside_the_others_goes_along_and_is_no_fault_of_theirs() -> None:
    """An opportunity is created with a name, or not at all: 1002 names it."""
    search = Isolation(["name", "stage", "amount"], "refused", named=())
    written: set[str] = set()
    while (part := search.part) is not None:
        if "stage" in part:
            search.refuse("1001")
        elif "name" not in part:
            search.refuse("1002", {"name"})
        else:
            written |= set(part)
            search.took()

    assert set(search.refused) == {"stage"}
    assert written == search.accepted == {"name", "amount"}
