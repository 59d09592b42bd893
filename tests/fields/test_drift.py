"""What changed in a schema, as lines for a log."""

from __future__ import annotations

import pytest

from crmsync.dynamics.schema import Attribute, DynamicsSchema
from crmsync.fields import difference
from tests.fields.schemas import NOW, column, entity, field, organization, subscription


def leads(*columns: Attribute) -> DynamicsSchema:
    return DynamicsSchema(taken_at=NOW, entities={"lead": entity("lead", *columns)})


def test_nothing_changed() -> None:
    found = difference(organization(), organization())

    assert found.empty
    assert found.lines() == []


def test_columns_come_and_go() -> None:
    before = leads(column("new_region", "String", 50))
    after = leads(column("new_x", "String", 50, display_name="Label"))
    found = difference(before, after)

    assert not found.empty
    assert found.lines() == ["lead: column new_region was deleted", "lead: new column new_x (string, 'Label')"]
    assert found.deleted("lead") == {"new_region"}
    assert found.deleted("contact") == frozenset()


def test_a_column_made_again_is_another_column() -> None:
    before = leads(column("new_x", "String", 50, metadata_id="1"))
    after = leads(column("new_x", "Integer", metadata_id="2", display_name="X"))

    assert difference(before, after).lines() == [
        "lead: column new_x was deleted",
        "lead: new column new_x (integer, 'X')",
    ]


@pytest.mark.parametrize(
    ("was", "now", "line"),
    [
        (column("a", "Integer"), column("a", "Decimal"), "type of a changed from integer to decimal"),
        (column("a", "String", 50), column("a", "String", 90), "maximum length of a changed from 50 to 90"),
        (
            column("a", "Decimal", precision=2),
            column("a", "Decimal", precision=0),
            "precision of a changed from 2 to 0",
        ),
        (
            column("a", "Integer", min_value=-5, max_value=9),
            column("a", "Integer", min_value=0, max_value=9),
            "minimum of a changed from -5 to 0",
        ),
        (
            column("a", "Integer", min_value=0, max_value=9),
            column("a", "Integer", min_value=0, max_value=5),
            "maximum of a changed from 9 to 5",
        ),
        (
            column("a", "String", 50),
            column("a", "String", 50, format="Email"),
            "format of a changed from none to Email",
        ),
        (
            column("a", "DateTime"),
            column("a", "DateTime", behavior="DateOnly"),
            "behavior of a changed from UserLocal to DateOnly",
        ),
        (
            column("a", "Integer", display_name="A"),
            column("a", "Integer", display_name="B"),
            "label of a changed from A to B",
        ),
        (
            column("a", "Integer"),
            column("a", "Integer", valid_for_read=False),
            "readable of a changed from yes to no",
        ),
        (
            column("a", "Integer"),
            column("a", "Integer", is_secured=True),
            "column security of a changed from no to yes",
        ),
        (
            column("a", "Lookup", targets=("account",)),
            column("a", "Lookup", targets=("account", "contact")),
            "targets of a changed from account to account, contact",
        ),
    ],
)
def test_what_changed_of_a_column(was: Attribute, now: Attribute, line: str) -> None:
    assert difference(leads(was), leads(now)).lines() == [f"lead: {line}"]


def test_a_snapshot_that_did_not_read_ranges_is_not_a_change() -> None:
    was, now = column("a", "Integer"), column("a", "Integer", min_value=0, max_value=9)

    assert difference(leads(was), leads(now)).empty


def test_options_come_go_and_change_their_names() -> None:
    was = column("new_tier", "Picklist", options={1: "Gold", 2: "Silver"})
    now = column("new_tier", "Picklist", options={1: "Gold plus", 3: "Bronze"})

    assert difference(leads(was), leads(now)).lines() == [
        "lead: option 1 of new_tier was renamed from 'Gold' to 'Gold plus'",
        "lead: option 2 'Silver' of new_tier was removed",
        "lead: new option 3 'Bronze' of new_tier",
    ]


def test_entities_come_and_go_and_lose_change_tracking() -> None:
    before = DynamicsSchema(taken_at=NOW, entities={"lead": entity("lead"), "contact": entity("contact")})
    tracked = entity("lead").model_copy(update={"change_tracking_enabled": True})
    after = DynamicsSchema(taken_at=NOW, entities={"lead": tracked, "account": entity("account")})

    assert difference(before, after).lines() == [
        "account: new entity with 1 columns",
        "contact: the entity was deleted",
        "lead: change tracking was switched on",
    ]


def test_shadow_columns_are_not_told() -> None:
    shadow = column("new_partneridname", "String", 100, attribute_of="new_partnerid")

    assert difference(leads(), leads(shadow)).empty


def test_fields_of_marketo_are_compared_alike() -> None:
    before = subscription((field("old", "string"), field("region", "string")))
    after = subscription(
        (field("region", "text", display_name="Region"), field("new", "integer", display_name="New")),
        company=(field("tier", "string", display_name="Tier"),),
    )

    assert difference(before, after).lines() == [
        "person: new field new (integer, 'New')",
        "person: field old was deleted",
        "person: type of region changed from string to text",
        "person: length of region changed from 255 to none",
        "person: display name of region changed from region to Region",
        "company: new field tier (string, 'Tier')",
    ]


def test_two_sides_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="same side"):
        difference(organization(), subscription())  # type: ignore[call-overload]
