"""Custom columns: what their Marketo fields are called, who makes them, and which are left out."""

from __future__ import annotations

import pytest

from crmsync.dynamics.schema import Attribute
from crmsync.fields import select_fields
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, field, mapped, mapping, organization, reasons, subscription

EVERYTHING = FieldChoice()


def test_custom_columns_become_custom_fields_by_their_own_names() -> None:
    region = column("new_region", "String", 50, display_name="Región (Süd)")
    selection = select_fields(organization(lead=(region,)), subscription(), EVERYTHING)

    (made,) = (one for one in selection.to_create if one.name == "new_region")
    assert (made.display_name, made.data_type) == ("Region Sud", "string")
    assert made.description == "Written by crmsync from the Dynamics column new_region"
    assert mapping(selection, "lead", "new_region").standard is False


def test_display_names_are_unique_in_the_whole_subscription() -> None:
    columns = (
        column("new_a", "String", 50, display_name="Region"),
        column("new_b", "String", 50, display_name="region"),
        column("new_c", "String", 50, display_name="Region"),
        column("new_d", "String", 50, display_name="日本語"),
    )
    marketo = subscription((field("oldRegion", "string", display_name="REGION"),))
    selection = select_fields(organization(lead=columns), marketo, EVERYTHING)
    names = {one.name: one.display_name for one in selection.to_create}

    assert [names[one] for one in ("new_a", "new_b", "new_c", "new_d")] == [
        "Region Dynamics",
        "region Dynamics 2",
        "Region Dynamics 3",
        "new_d",
    ]


def test_lead_and_contact_share_a_field_when_the_type_is_the_same() -> None:
    same = column("new_size", "Integer"), column("new_size", "Integer")
    other = column("new_code", "String", 20), column("new_code", "Integer")
    contoso = organization(lead=(same[0], other[0]), contact=(same[1], other[1]))
    selection = select_fields(contoso, subscription(), EVERYTHING)

    assert mapped(selection, "lead")["new_size"] == mapped(selection, "contact")["new_size"] == "new_size"
    assert mapped(selection, "lead")["new_code"] == "new_code"
    assert mapped(selection, "contact")["new_code"] == "new_code_contact"
    assert [one.name for one in selection.to_create if "new_" in one.name] == [
        "new_code",
        "new_size",
        "new_code_contact",
    ]


def test_a_field_with_a_suffix_is_kept_when_the_other_column_goes() -> None:
    contoso = organization(contact=(column("new_code", "Integer"),))
    marketo = subscription((field("new_code", "string"), field("new_code_contact", "integer")))

    assert mapped(select_fields(contoso, marketo, EVERYTHING), "contact")["new_code"] == "new_code_contact"


def test_an_existing_field_that_fits_is_used() -> None:
    contoso = organization(lead=(column("new_region", "String", 50), column("new_notes", "Memo", 2000)))
    marketo = subscription((field("new_region", "string"), field("new_notes", "text"), field("msTopic", "text")))
    selection = select_fields(contoso, marketo, EVERYTHING)

    assert mapping(selection, "lead", "new_notes").convert == "text"
    assert mapping(selection, "lead", "new_notes").max_length == 30_000
    assert mapping(selection, "lead", "subject").lossy is None
    assert {"new_region", "new_notes", "msTopic"}.isdisjoint(one.name for one in selection.to_create)


def test_an_existing_field_of_another_type_is_left_alone() -> None:
    columns = (column("new_a", "String", 50), column("new_b", "Decimal"))
    marketo = subscription((field("new_a", "integer"), field("new_b", "string"), field("msHomePhone", "boolean")))
    selection = select_fields(organization(lead=columns), marketo, EVERYTHING)

    assert reasons(selection, "lead")["new_a"] == (
        "Marketo's field new_a is integer, which cannot hold String values; rename sends it to another field"
    )
    assert "telephone2" in reasons(selection, "lead")
    assert mapping(selection, "lead", "new_b").convert == "number as text"


def test_text_areas_are_for_an_administrator_to_make() -> None:
    notes = column("new_notes", "Memo", 2000, display_name="Notes")
    selection = select_fields(organization(lead=(notes,), contact=(notes,)), subscription(), EVERYTHING)
    rows = {one.field: one for one in selection.worksheet if one.object == "person"}

    assert list(rows) == ["personNotes", "new_notes"]
    assert (rows["new_notes"].display_name, rows["new_notes"].data_type) == ("Notes", "text")
    assert rows["new_notes"].why == "text areas cannot be made over the API"
    assert "see the worksheet" in reasons(selection, "lead")["new_notes"]
    assert "see the worksheet" in reasons(selection, "contact")["description"]


def test_company_fields_are_for_an_administrator_to_make() -> None:
    columns = column("new_slogan", "String", 600), column("new_tier", "Picklist")
    contoso = organization(account=columns)
    rows = select_fields(contoso, subscription(), EVERYTHING).worksheet

    assert [(one.field, one.data_type) for one in rows if one.object == "company"] == [
        ("msBillingAddress2", "string"),
        ("msBillingAddress3", "string"),
        ("businessType", "string"),
        ("msAccountNumber", "string"),
        ("msCompanyStatus", "string"),
        ("companyNotes", "text"),
        ("new_slogan", "text"),
        ("new_tier", "string"),
    ]


def test_fields_that_crmsync_makes_have_the_first_choice_of_display_names() -> None:
    tier = column("new_tier", "Picklist", display_name="Tier")
    selection = select_fields(organization(lead=(tier,), account=(tier,)), subscription(), EVERYTHING)

    assert {one.name: one.display_name for one in selection.to_create}["new_tier"] == "Tier"
    assert {one.field: one.display_name for one in selection.worksheet}["new_tier_account"] == "Tier Dynamics"


def test_company_fields_are_used_once_they_are_there() -> None:
    contoso = organization(account=(column("new_tier", "Picklist"),))
    marketo = subscription(company=(field("new_tier", "string"), field("companyNotes", "text")))
    selection = select_fields(contoso, marketo, EVERYTHING)

    assert mapped(selection, "account")["new_tier"] == "new_tier"
    assert mapped(selection, "account")["description"] == "companyNotes"
    assert {"new_tier", "companyNotes"}.isdisjoint(one.field for one in selection.worksheet)


def test_people_and_companies_never_share_a_field_by_accident() -> None:
    tier = column("new_tier", "String", 50)
    contoso = organization(lead=(tier,), account=(tier,))

    first = select_fields(contoso, subscription(), EVERYTHING)
    company_first = select_fields(contoso, subscription(company=(field("new_tier", "string"),)), EVERYTHING)

    assert mapped(first, "lead")["new_tier"] == "new_tier"
    assert "new_tier_account" in {one.field for one in first.worksheet}
    assert mapped(company_first, "account")["new_tier"] == "new_tier"
    assert mapped(company_first, "lead")["new_tier"] == "new_tier_person"


def test_sales_persons_have_no_custom_fields() -> None:
    contoso = organization(systemuser=(column("new_team", "String", 50),))
    selection = select_fields(contoso, subscription(), EVERYTHING)

    assert reasons(selection, "systemuser")["new_team"].startswith("the fields of sales persons are fixed")


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        (column("new_x", "Virtual"), "a virtual column has no value of its own"),
        (column("new_x", "Image"), "Marketo keeps no images"),
        (column("new_x", "PartyList"), "a party list is a collection of records, not a value"),
        (column("new_x", "Hologram"), "Marketo has no type for HologramType"),
        (column("new_x", "String", 50, valid_for_read=False), "the Web API does not let it be read"),
        (column("new_x", "String", 50, is_secured=True), "column security"),
        (column("new_synctomkto", "Boolean"), "it decides whether a record is synced"),
    ],
)
def test_a_custom_column_that_is_not_synced_says_why(attribute: Attribute, reason: str) -> None:
    selection = select_fields(organization(lead=(attribute,)), subscription(), EVERYTHING)

    assert list(reasons(selection, "lead").values())[-1].startswith(reason)


def test_shadow_columns_are_not_worth_a_word_and_base_amounts_are() -> None:
    columns = (
        column("new_budget", "Money"),
        column("new_budget_base", "Money"),
        column("new_partnerid", "Lookup"),
        column("new_partneridname", "String", 100, attribute_of="new_partnerid"),
    )
    selection = select_fields(organization(lead=columns), subscription(), EVERYTHING)

    assert "new_partneridname" not in reasons(selection, "lead")
    assert reasons(selection, "lead")["new_budget_base"].startswith("new_budget again")
    assert {"new_budget", "new_partnerid"} <= mapped(selection, "lead").keys()
