"""A value sent to Marketo and read back is the same, or the mapping has said that it would not be."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.dynamics.schema import Attribute
from crmsync.fields import Converter, Mapping, equal
from crmsync.fields.typemap import TYPE_TABLE, row
from crmsync.fields.typemap import fitting as fitting_
from tests.fields.schemas import column, entity

TIERS = {1: "Gold", 2: "Silver", 3: "", 900_000_000: "Très bien; sehr gut"}
COLOURS = {1: "Red", 2: "Green", 9: "Blue", 10: "日本"}

# A loaded machine is slow; that says nothing about the code.
patient = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

addresses = st.from_regex(r"[a-z0-9.+_-]{1,40}@[a-z0-9-]{1,30}\.(com|org)", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\t\n\r"), max_size=400)


def texts_of(length: int) -> st.SearchStrategy[str]:
    """Texts that a column of this length holds: Dataverse counts UTF-16 units."""
    return texts.map(lambda text: text.encode("utf-16-le")[: 2 * length].decode("utf-16-le", errors="ignore"))


moments = st.datetimes(datetime(1753, 1, 1), datetime(9999, 12, 30))  # noqa: DTZ001
whole_seconds = moments.map(lambda moment: f"{moment.replace(microsecond=0).isoformat()}Z")
days = moments.map(lambda moment: moment.date().isoformat())
guids = st.uuids().map(str)
amounts = st.floats(-9.2e14, 9.2e14).map(lambda amount: round(amount, 4))

COLUMNS: dict[str, tuple[Attribute, st.SearchStrategy[Any]]] = {
    "short text": (column("new_x", "String", 255), texts_of(255)),
    "text": (column("new_x", "String", 4000), texts),
    "memo": (column("new_x", "Memo", 1_048_576), texts | texts.map(lambda text: text * 300)),
    "email": (column("new_x", "String", 100, format="Email"), addresses),
    "phone": (column("new_x", "String", 50, format="Phone"), texts_of(50)),
    "url": (column("new_x", "String", 200, format="Url"), texts_of(200)),
    "boolean": (column("new_x", "Boolean"), st.booleans()),
    "integer": (column("new_x", "Integer"), st.integers(-(2**31), 2**31 - 1)),
    "big integer": (column("new_x", "BigInt"), st.integers(-(2**63), 2**63 - 1)),
    "decimal": (column("new_x", "Decimal"), st.floats(-1e11, 1e11).map(lambda number: round(number, 10))),
    "double": (column("new_x", "Double"), st.floats(-1e11, 1e11).map(lambda number: round(number, 5))),
    "money": (column("new_x", "Money"), amounts),
    "moment": (column("new_x", "DateTime"), whole_seconds),
    "moment with a fraction": (column("new_x", "DateTime"), moments.map(lambda moment: f"{moment.isoformat()}Z")),
    "midnight": (column("new_x", "DateTime", format="DateOnly"), whole_seconds),
    "day": (column("new_x", "DateTime", behavior="DateOnly", format="DateOnly"), days),
    "wall time": (column("new_x", "DateTime", behavior="TimeZoneIndependent"), whole_seconds),
    "choice": (column("new_x", "Picklist", options=TIERS), st.sampled_from([*TIERS, 77])),
    "choices": (
        column("new_x", "MultiSelectPicklist", options=COLOURS),
        st.lists(st.sampled_from([*COLOURS, 77]), min_size=1, unique=True).map(lambda v: ",".join(map(str, v))),
    ),
    "lookup": (column("new_x", "Lookup"), guids),
    "customer": (column("new_x", "Customer"), guids),
    "id": (column("new_x", "Uniqueidentifier"), guids),
}

WAYS = [
    pytest.param(name, fit.data_type, id=f"{name} in {fit.data_type}")
    for name, (attribute, _) in COLUMNS.items()
    for fit in row(attribute)
]


def way(attribute: Attribute, data_type: str) -> tuple[Mapping, Converter]:
    fit = fitting_(attribute, data_type)
    assert fit is not None
    mapping = Mapping(
        entity="lead",
        attribute="new_x",
        target="person",
        field="value",
        data_type=fit.data_type,
        convert=fit.convert,
        standard=False,
        lossy=fit.lossy,
        max_length=fit.max_length,
    )
    return mapping, Converter(entity("lead", attribute), [mapping])


def held(value: Any, data_type: str) -> Any:
    """The value as Marketo holds and answers it."""
    if value is None:
        return False if data_type == "boolean" else None
    if data_type in ("float", "currency"):
        return struct.unpack("<f", struct.pack("<f", value))[0]
    return value


@pytest.mark.parametrize(("name", "data_type"), WAYS)
@patient
@given(data=st.data())
def test_what_marketo_answers_equals_what_was_sent(name: str, data_type: str, data: st.DataObject) -> None:
    attribute, values = COLUMNS[name]
    mapping, converter = way(attribute, data_type)
    value = data.draw(st.none() | _possible(values, data_type))
    sent = converter.convert({"leadid": "1", attribute.select_name: value})["value"]

    assert equal(mapping, sent, held(sent, data_type))


@pytest.mark.parametrize(("name", "data_type"), WAYS)
@patient
@given(data=st.data())
def test_a_value_comes_back_as_it_was_unless_the_mapping_says_lossy(
    name: str, data_type: str, data: st.DataObject
) -> None:
    attribute, values = COLUMNS[name]
    mapping, converter = way(attribute, data_type)
    value = data.draw(st.none() | _possible(values, data_type))
    sent = converter.convert({"leadid": "1", attribute.select_name: value})["value"]

    if mapping.lossy is None:
        assert converter.back("value", held(sent, data_type)) == (value or None if value == "" else value)


@pytest.mark.parametrize("name", ["choice", "choices"])
@patient
@given(data=st.data())
def test_labels_lead_back_to_their_options(name: str, data: st.DataObject) -> None:
    attribute, values = COLUMNS[name]
    _, converter = way(attribute, "string")
    value = data.draw(values)
    sent = converter.convert({"leadid": "1", "new_x": value})["value"]

    assert converter.back("value", sent) == value


@patient
@given(text=st.text(st.characters(), max_size=600))
def test_no_text_is_longer_than_its_field_or_impossible_to_write(text: str) -> None:
    for attribute, data_type in ((COLUMNS["text"][0], "string"), (COLUMNS["memo"][0], "text")):
        mapping, converter = way(attribute, data_type)
        sent = converter.convert({"leadid": "1", "new_x": text * 20})["value"] or ""
        length = len(sent.encode()) if data_type == "text" else len(sent)

        assert length <= (mapping.max_length or 0)
        assert not any(character < " " and character not in "\t\n\r" for character in sent)


def test_every_row_of_the_type_table_is_tried() -> None:
    tried = {row(attribute) for attribute, _ in COLUMNS.values()}
    alike = {"PicklistType", "StateType", "StatusType", "OwnerType", "EntityNameType"}
    rest = {"DateTimeType TimeZoneIndependent date", "DateTimeType UserLocal date, with a time_zone"}

    assert {key for key, fits in TYPE_TABLE.items() if fits not in tried} - alike == rest


def _possible(values: st.SearchStrategy[Any], data_type: str) -> st.SearchStrategy[Any]:
    """E-mail fields take ASCII only; another value refuses its record, which is another test's business."""
    return addresses if data_type == "email" else values
