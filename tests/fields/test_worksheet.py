"""What a person reads before anything is made in Marketo."""

from __future__ import annotations

from crmsync.fields import (
    Selection,
    describe_plan,
    mapping_markdown,
    select_fields,
    worksheet_markdown,
    worksheet_rows,
)
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, organization, subscription

CONTOSO = organization(
    lead=(column("new_notes", "Memo", 2000, display_name="Notes"), column("new_slogan", "String", 600)),
    account=(column("new_tier", "Picklist", display_name="Tier"),),
)
SELECTION = select_fields(CONTOSO, subscription(), FieldChoice())


def test_the_worksheet_says_what_to_make() -> None:
    assert {
        "Object": "Company",
        "Type": "String",
        "Name": "Tier",
        "API name": "new_tier",
        "For": "account.new_tier",
        "Why": "company fields cannot be made over the API",
    } in worksheet_rows(SELECTION)


def test_the_worksheet_is_a_page_to_hand_over() -> None:
    page = worksheet_markdown(SELECTION)

    assert "| Object | Type | Name | API name | For | Why |\n| --- |" in page
    assert (
        "| Person | Text Area | Notes | new_notes | lead.new_notes | text areas cannot be made over the API |" in page
    )
    assert "Admin > Field Management" in page


def test_an_empty_worksheet_says_so() -> None:
    assert worksheet_markdown(Selection(mappings={})) == "No Marketo field has to be made by hand.\n"


def test_the_plan_tells_what_will_be_made_for_good_what_is_lost_and_what_is_left_out() -> None:
    lines = describe_plan(SELECTION)

    assert "Marketo fields to be created, which can never be deleted again: 15" in lines
    assert "  dynamicsId (string, 'Dynamics Id')" in lines
    assert "  company: new_tier (string, 'Tier')" in lines
    assert "  lead.new_slogan to new_slogan: cut to 255 characters" in lines
    assert any(line.startswith("  lead.new_notes: Marketo has no field new_notes") for line in lines)
    assert lines[0] == "systemuser: 8 Marketo fields of the sales person object are filled"


def test_an_empty_plan_is_short() -> None:
    assert describe_plan(Selection(mappings={"lead": ()})) == ["No Marketo field has to be created"]


def test_the_map_of_a_tenant_is_a_table() -> None:
    table = mapping_markdown(SELECTION)

    assert "| lead.firstname | firstName | string |  |" in table
    assert "| lead: Lead | msType | string |  |" in table
