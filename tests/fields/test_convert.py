"""Records of Dynamics as Marketo wants them."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics.schema import Attribute
from crmsync.errors import RecordRefused
from crmsync.fields import Converter, select_fields
from crmsync.fields.model import Mapping
from crmsync.fields.typemap import fitting, preferred
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, entity, field, organization, subscription


def converter(attribute: Attribute, data_type: str | None = None, length: int | None = None) -> Converter:
    """A converter of one lead column into the Marketo field ``value``."""
    shown = field("value", data_type, length=length) if data_type and length else None
    fit = preferred(attribute) if data_type is None else fitting(attribute, data_type, shown)
    assert fit is not None
    one = Mapping(
        entity="lead",
        attribute=attribute.logical_name,
        target="person",
        field="value",
        data_type=fit.data_type,
        convert=fit.convert,
        standard=False,
        lossy=fit.lossy,
        max_length=fit.max_length,
    )
    return Converter(entity("lead", attribute), [one])


def converted(attribute: Attribute, value: Any, data_type: str | None = None, length: int | None = None) -> Any:
    """What one value of a lead becomes."""
    made = converter(attribute, data_type, length)
    return made.convert({"leadid": "1", attribute.select_name: value})["value"]


TEXT = column("new_x", "String", 100)
LONG = column("new_x", "String", 4000)
MEMO = column("new_x", "Memo", 1_000_000)
MAIL = column("new_x", "String", 100, format="Email")
MOMENT = column("new_x", "DateTime")
DAY = column("new_x", "DateTime", behavior="DateOnly", format="DateOnly")
WALL = column("new_x", "DateTime", behavior="TimeZoneIndependent")
TIERS = {1: "Gold", 2: "Silver;Plus", 3: ""}
CHOICE = column("new_x", "Picklist", options=TIERS)
CHOICES = column("new_x", "MultiSelectPicklist", options={1: "Red", 9: "Blue", 10: ""})


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        (TEXT, "Ann", "Ann"),
        (TEXT, "  007 ", "  007 "),
        (TEXT, "Zoë 日本 👩‍🚀", "Zoë 日本 👩‍🚀"),
        (TEXT, "a\tb\r\nc", "a\tb\r\nc"),
        (TEXT, "a\x00b\x07c\x85d\ud83de", "abcde"),
        (TEXT, "\x00", None),
        (TEXT, "", None),
        (TEXT, None, None),
        (LONG, "é" * 300, "é" * 255),
        (LONG, "\x00" + "x" * 255, "x" * 255),
        (MEMO, "€" * 10_001, "€" * 10_000),
        (MEMO, "x" + "😀" * 8_000, "x" + "😀" * 7_499),
        (MAIL, "ann@example.com", "ann@example.com"),
        (MAIL, "no address at all", "no address at all"),
        (MAIL, "", None),
        (column("new_x", "String", 50, format="Phone"), "+49 (0)30 1234", "+49 (0)30 1234"),
        (column("new_x", "String", 200, format="Url"), "contoso.com", "contoso.com"),
        (column("new_x", "Boolean"), True, True),
        (column("new_x", "Boolean"), False, False),
        (column("new_x", "Boolean"), None, None),
        (column("new_x", "Integer"), -5, -5),
        (column("new_x", "Integer"), 0, 0),
        (column("new_x", "BigInt"), 2**63 - 1, 2**63 - 1),
        (column("new_x", "Decimal"), 1.5, 1.5),
        (column("new_x", "Double"), 0.1, 0.1),
        (column("new_x", "Money"), 20000.0, 20000.0),
        (MOMENT, "2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
        (MOMENT, "2024-05-01T10:00:00.999Z", "2024-05-01T10:00:00Z"),
        (MOMENT, "2024-05-01T10:00:00.1234567Z", "2024-05-01T10:00:00Z"),
        (MOMENT, "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        (MOMENT, "1753-01-01T00:00:00Z", "1753-01-01T00:00:00Z"),
        (DAY, "1899-12-31", "1899-12-31"),
        (DAY, "2024-05-01T00:00:00Z", "2024-05-01"),
        (WALL, "2024-05-01T10:00:00Z", "2024-05-01T10:00:00"),
        (CHOICE, 1, "Gold"),
        (CHOICE, 3, "3"),
        (CHOICE, 77, "77"),
        (CHOICES, "1,9", "Red;Blue"),
        (CHOICES, "9,10,11", "Blue;10;11"),
        (CHOICES, "", None),
        (column("new_x", "Lookup"), "7C1E0000-0000-0000-0000-00000000000A", "7c1e0000-0000-0000-0000-00000000000a"),
    ],
)
def test_values_become_what_marketo_takes(attribute: Attribute, value: Any, expected: Any) -> None:
    assert converted(attribute, value) == expected


@pytest.mark.parametrize(
    ("attribute", "data_type", "value", "expected"),
    [
        (column("new_x", "Boolean"), "string", True, "Yes"),
        (column("new_x", "Boolean"), "string", False, "No"),
        (column("new_x", "Boolean", options={}), "string", True, "Yes"),
        (CHOICE, "integer", 2, 2),
        (column("new_x", "Decimal"), "string", 0.0000001, "0.0000001"),
        (column("new_x", "Decimal"), "string", 20000.0, "20000"),
        (column("new_x", "Integer"), "string", 20000, "20000"),
        (MOMENT, "string", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
        (TEXT, "email", "ann@example.com", "ann@example.com"),
    ],
)
def test_values_fit_fields_that_are_there_already(
    attribute: Attribute, data_type: str, value: Any, expected: Any
) -> None:
    assert converted(attribute, value, data_type) == expected


def test_a_cut_follows_the_fields_length() -> None:
    assert converted(TEXT, "x" * 80, "string", length=60) == "x" * 60
    assert converted(CHOICES, "1,9", "string", length=5) == "Red;B"
    assert converted(CHOICE, 2, "string", length=6) == "Silver"


@pytest.mark.parametrize(
    ("attribute", "value", "problem"),
    [
        (MAIL, "jörg@example.com", "not ASCII"),
        (MAIL, "a" * 260, "longer than the 255 characters"),
        (TEXT, "x" * 256, "longer than the 255 characters that Marketo's field holds"),
        (MOMENT, "yesterday", "this is no date and time"),
        (DAY, "31.12.1999 00:00", "this is no date"),
        (CHOICES, "1,red", "not of the type"),
        (TEXT, 5, "not of the type"),
    ],
)
def test_a_value_that_is_not_possible_refuses_its_record(attribute: Attribute, value: Any, problem: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        converter(attribute).convert({"leadid": "ABC-1", "new_x": value})

    assert refused.value.message.startswith("Cannot send column new_x: ")
    assert problem in refused.value.message
    assert (refused.value.entity, refused.value.record) == ("lead", "abc-1")
    assert refused.value.remedy
    assert str(value) not in str(refused.value)


def test_a_lead_becomes_a_person() -> None:
    contoso = organization(lead=(column("new_tier", "Picklist", options={1: "Gold"}),))
    selection = select_fields(contoso, subscription(), FieldChoice())
    lead = Converter(contoso.entities["lead"], selection.mappings["lead"])

    person = lead.convert(
        {
            "@odata.etag": 'W/"1"',
            "leadid": "7C1E0000-0000-0000-0000-000000000001",
            "firstname": "Ann",
            "emailaddress1": "ann@example.com",
            "_ownerid_value": "7C1E0000-0000-0000-0000-0000000000AA",
            "statecode": 1,
            "donotemail": True,
            "revenue": 12.5,
            "new_tier": 1,
            "lastname": None,
        }
    )

    assert {name: value for name, value in person.items() if value is not None} == {
        "dynamicsId": "7c1e0000-0000-0000-0000-000000000001",
        "msType": "Lead",
        "msIsDeleted": False,
        "firstName": "Ann",
        "email": "ann@example.com",
        "leadStatus": "First",
        "msDoNotEmail": True,
        "externalSalesPersonId": "7c1e0000-0000-0000-0000-0000000000aa",
        "annualRevenue": 12.5,
        "new_tier": "Gold",
    }
    assert person["lastName"] is None
    assert tuple(person) == selection.field_names("lead")


def test_a_parked_column_is_not_sent_so_that_its_field_is_kept() -> None:
    before = organization(lead=(column("new_region", "String", 50),))
    selection = select_fields(before, subscription(), FieldChoice())
    now = Converter(organization().entities["lead"], selection.mappings["lead"])

    assert "new_region" not in now.convert({"leadid": "1", "new_region": "North"})


def test_a_record_is_not_changed_and_the_next_one_starts_afresh() -> None:
    made = converter(TEXT)
    record = {"leadid": "1", "new_x": "a"}

    assert made.convert(record) == {"value": "a"}
    assert made.convert({"leadid": "2", "new_x": None}) == {"value": None}
    assert record == {"leadid": "1", "new_x": "a"}
