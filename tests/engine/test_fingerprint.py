"""Fingerprints: the same values are known again, also when the selection of fields has changed meanwhile."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crmsync.engine.fingerprint import WIDTH, changed, fingerprints

values = st.one_of(
    st.none(), st.booleans(), st.text(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)
)


def of(record: dict[str, Any]) -> tuple[list[str], bytes]:
    return list(record), fingerprints(record.values())


@given(st.dictionaries(st.text(min_size=1), values))
def test_equal_records_have_equal_fingerprints(record: dict[str, Any]) -> None:
    names, marks = of(record)

    assert len(marks) == WIDTH * len(names)
    assert not changed(names, marks, *of(dict(record)))


@given(st.dictionaries(st.text(min_size=1), values, min_size=1), st.data())
def test_one_other_value_is_a_change(record: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(record)))
    other = data.draw(values.filter(lambda value: repr(value or None) != repr(record[name] or None)))

    assert changed(*of(record), *of(record | {name: other})) or {record[name], other} <= {None, ""}


@given(st.dictionaries(st.text(min_size=1), values, min_size=2), st.data())
def test_a_field_that_is_no_longer_synced_is_no_change(record: dict[str, Any], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(record)))

    assert not changed(*of(record), *of({name: value for name, value in record.items() if name != gone}))


def test_a_new_field_is_a_change_only_for_records_with_a_value_in_it() -> None:
    before = of({"email": "ann@example.com"})

    assert not changed(*before, *of({"nickname": None, "email": "ann@example.com"}))
    assert changed(*before, *of({"nickname": "Buddy", "email": "ann@example.com"}))


def test_a_number_and_the_same_number_as_text_are_different_values() -> None:
    """A field whose type was changed in Dynamics is written anew."""
    assert changed(*of({"rating": 3}), *of({"rating": "3"}))


def test_the_order_of_the_fields_does_not_matter() -> None:
    assert not changed(*of({"a": 1, "b": 2}), *of({"b": 2, "a": 1}))
