"""Whatever Marketo holds: once it was brought to Dynamics, cycle and comparison say that both sides are equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crmsync.dynamics.schema import Attribute
from crmsync.engine.back.decide import decide
from crmsync.engine.back.fields import PersonFields
from crmsync.engine.fingerprint import fingerprints
from crmsync.errors import RecordRefused
from crmsync.fields import Mapping, Selection
from crmsync.fields.typemap import fitting
from crmsync.tenants import Conflicts
from tests.fields.schemas import entity
from tests.fields.test_values_survive import COLUMNS, TIERS, patient

WAYS = [
    pytest.param(name, data_type, id=f"{name} in {data_type}")
    for name, data_type in [
        ("short text", "string"), ("text", "string"), ("memo", "text"), ("email", "email"), ("phone", "phone"),
        ("url", "url"), ("boolean", "boolean"), ("integer", "integer"), ("integer", "float"), ("big integer", "string"),
        ("decimal", "float"), ("double", "float"), ("money", "currency"), ("moment", "datetime"), ("day", "date"),
        ("wall time", "datetime"), ("choice", "string"), ("choices", "string"),
    ]
    if fitting(COLUMNS[name][0], data_type) is not None
]  # fmt: skip

anything = st.text(st.characters(), max_size=60) | st.text("ab\x00\x01\x1f\x7f\x85\t\r\n \ud800", max_size=12)
moments = st.datetimes().map(lambda moment: f"{moment.replace(microsecond=0).isoformat()}+0000")
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "big integer": st.integers(-(2**63), 2**63 - 1).map(lambda number: f" {number}"),
    "choice": st.sampled_from([label for label in TIERS.values() if label] + ["77", "3"]),
    "choices": st.lists(st.sampled_from(["Red", "Blue", "日本", "77"]), min_size=1).map(";".join),
}
HELD: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans() | st.sampled_from(["true", "false", "1", "0"]),
    "integer": st.integers(-(2**40), 2**40) | st.integers(-99, 99).map(str),
    "float": st.floats(-(2.0**40), 2.0**40, width=32),
    "currency": st.floats(-(2.0**40), 2.0**40, width=32),
    "date": st.dates().map(str),
    "datetime": moments | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
}


def fields_of(attribute: Attribute, data_type: str) -> PersonFields:
    fit = fitting(attribute, data_type)
    assert fit is not None
    mapping = Mapping(
        entity="lead", attribute="new_x", target="person", field="x", data_type=fit.data_type, convert=fit.convert,
        standard=False, lossy=fit.lossy, max_length=fit.max_length,
    )  # fmt: skip
    return PersonFields(entity("lead", attribute), Selection(mappings={"lead": (mapping,)}))


@pytest.mark.parametrize(("name", "data_type"), WAYS)
@patient
@given(data=st.data())
def test_what_was_brought_to_dynamics_is_equal_on_both_sides(name: str, data_type: str, data: st.DataObject) -> None:
    fields = fields_of(COLUMNS[name][0], data_type)
    held = data.draw(st.none() | st.just("") | BY_NAME.get(name, HELD.get(data_type, anything)))
    try:
        written = fields.back("x", held)
        agreed = fields.mark_of("x", written)
        row = {fields.attribute("x").select_name: written}
        sent = fields.sent("x", row)
    except RecordRefused:
        assume(False)

    assert fields.same("x", sent, held)
    assert fields.unchanged("x", agreed, held)
    assert decide(fields, Conflicts(), "x", agreed, row, held).move == "nothing"
    assert decide(fields, Conflicts(), "x", fingerprints(["before"]), row, held).move == "agreed"
