"""Every type of column has a place in Marketo, or a reason why not."""

from __future__ import annotations

import pytest

from crmsync.dynamics.schema import Attribute
from crmsync.fields.typemap import TYPE_TABLE, UNMAPPED, fitting, preferred, why_unmapped
from tests.fields.schemas import column, field

ALL_TYPES = """
String Memo Integer BigInt Decimal Double Money Boolean DateTime Picklist State Status MultiSelectPicklist Image File
Virtual Lookup Customer Owner Uniqueidentifier PartyList EntityName ManagedProperty CalendarRules
"""
REFUSED = "a record whose address is not ASCII is refused"


@pytest.mark.parametrize("name", ALL_TYPES.split())
def test_every_type_is_mapped_or_has_a_reason(name: str) -> None:
    mapped = any(key.split()[0] == f"{name}Type" for key in TYPE_TABLE)

    assert mapped != (f"{name}Type" in UNMAPPED)


@pytest.mark.parametrize(
    ("attribute", "data_type", "convert", "lossy"),
    [
        (column("a", "String", 255), "string", "text", None),
        (column("a", "String", 256), "string", "cut text", "cut to 255 characters"),
        (column("a", "String", 4000, format="TextArea"), "string", "cut text", "cut to 255 characters"),
        (column("a", "String", 10, format="TickerSymbol"), "string", "text", None),
        (column("a", "String", 10, format="RichText"), "string", "text", None),
        (column("a", "String", 100, format="Email"), "email", "email", REFUSED),
        (column("a", "String", 50, format="Phone"), "phone", "phone", None),
        (column("a", "String", 200, format="Url"), "url", "url", None),
        (column("a", "String", 600, format="Url"), "url", "url", "cut to 255 characters"),
        (column("a", "Memo", 2000), "text", "text", None),
        (column("a", "Memo", 1_048_576), "text", "cut text", "cut to 30,000 bytes"),
        (column("a", "Boolean"), "boolean", "boolean", "no value reads back as false"),
        (column("a", "Integer"), "integer", "integer", None),
        (column("a", "BigInt"), "integer", "integer", None),
        (column("a", "Decimal"), "float", "float", "kept as a 32-bit float: about 7 significant digits"),
        (column("a", "Double"), "float", "float", "kept as a 32-bit float: about 7 significant digits"),
        (column("a", "DateTime"), "datetime", "datetime", "fractions of a second are dropped"),
        (column("a", "DateTime", behavior=None), "datetime", "datetime", "fractions of a second are dropped"),
        (column("a", "DateTime", behavior="DateOnly", format="DateOnly"), "date", "date", None),
        (column("a", "DateTime", behavior="TimeZoneIndependent"), "string", "wall time", None),
        (column("a", "Lookup"), "string", "guid", None),
        (column("a", "Customer"), "string", "guid", "whether it is an account or a contact is not kept"),
        (column("a", "Owner"), "string", "guid", "whether it is a user or a team is not kept"),
        (column("a", "Uniqueidentifier"), "string", "guid", None),
        (column("a", "EntityName"), "string", "text", None),
    ],
)
def test_what_a_column_becomes(attribute: Attribute, data_type: str, convert: str, lossy: str | None) -> None:
    fit = preferred(attribute)

    assert fit is not None
    assert (fit.data_type, fit.convert, fit.lossy) == (data_type, convert, lossy)


def test_money_tells_that_its_currency_is_lost() -> None:
    fit = preferred(column("a", "Money"))

    assert fit is not None
    assert (fit.data_type, fit.convert) == ("currency", "currency")
    assert "the currency is not kept" in (fit.lossy or "")


@pytest.mark.parametrize("kind", ["Picklist", "State", "Status", "MultiSelectPicklist"])
def test_choices_become_labels(kind: str) -> None:
    fit = preferred(column("a", kind))

    assert fit is not None
    assert (fit.data_type, fit.convert) == ("string", "labels" if kind.startswith("Multi") else "label")
    assert (
        fit.lossy == "an option renamed in Dynamics keeps its old label in Marketo until its record changes or a resync"
    )


def test_labels_that_cannot_be_told_apart_or_hold_the_separator_are_told() -> None:
    fit = preferred(column("a", "MultiSelectPicklist", options={1: "A;B", 2: "C", 3: "C", 4: "D" * 260}))

    assert fit is not None
    assert "several options are called 'C'" in (fit.lossy or "")
    assert "the label 'A;B' holds the separator ';'" in (fit.lossy or "")
    assert "cut to 255 characters" in (fit.lossy or "")


@pytest.mark.parametrize(
    ("attribute", "data_type", "convert"),
    [
        (column("a", "String", 100), "email", "email"),
        (column("a", "String", 100), "phone", "phone"),
        (column("a", "String", 100, format="Phone"), "string", "text"),
        (column("a", "String", 4000), "text", "text"),
        (column("a", "String", 9000), "text", "cut text"),
        (column("a", "Memo", 2000), "string", "cut text"),
        (column("a", "Picklist"), "integer", "value"),
        (column("a", "Boolean"), "string", "label"),
        (column("a", "Integer"), "score", "integer"),
        (column("a", "Integer"), "currency", "integer"),
        (column("a", "Decimal"), "currency", "float"),
        (column("a", "Money"), "float", "currency"),
        (column("a", "Money"), "string", "number as text"),
        (column("a", "DateTime"), "string", "datetime"),
        (column("a", "DateTime", behavior="TimeZoneIndependent", format="DateOnly"), "date", "date"),
        (column("a", "Integer"), "boolean", None),
        (column("a", "String", 10), "integer", None),
        (column("a", "Boolean"), "integer", None),
        (column("a", "DateTime"), "date", None),
        (column("a", "DateTime", behavior="DateOnly"), "datetime", None),
        (column("a", "DateTime", behavior="TimeZoneIndependent"), "datetime", None),
        (column("a", "Decimal"), "integer", None),
        (column("a", "String", 10), "formula", None),
    ],
)
def test_which_existing_fields_fit(attribute: Attribute, data_type: str, convert: str | None) -> None:
    fit = fitting(attribute, data_type)

    assert (fit and fit.convert) == convert


def test_a_shorter_field_cuts_sooner() -> None:
    fit = fitting(column("a", "String", 100), "string", field("a", "string", length=60))

    assert fit is not None
    assert (fit.convert, fit.max_length, fit.lossy) == ("cut text", 60, "cut to 60 characters")


def test_calculated_columns_tell_that_a_change_may_go_unnoticed() -> None:
    fit = preferred(column("a", "Integer", source_type=2))

    assert fit is not None
    assert "may not be noticed" in (fit.lossy or "")


def test_an_unknown_type_is_not_mapped_and_says_so() -> None:
    unknown = column("a", "Hologram")

    assert preferred(unknown) is None
    assert why_unmapped(unknown) == "Marketo has no type for HologramType"
