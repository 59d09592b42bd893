"""What a tenant file may say of fields: include, exclude, rename and custom."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.errors import TenantFileWrong
from crmsync.fields import select_fields
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, field, mapped, mapping, organization, reasons, subscription

CONTOSO = organization(lead=(column("new_region", "String", 50), column("new_tier", "Picklist")))


def test_custom_columns_can_be_left_out_but_for_those_that_are_named() -> None:
    choice = FieldChoice(custom="none", include={"lead": ("new_tier",)})
    selection = select_fields(CONTOSO, subscription(), choice)

    assert "new_tier" in mapped(selection, "lead")
    assert reasons(selection, "lead")["new_region"] == "the tenant file leaves custom columns out (custom: none)"


def test_a_standard_column_that_is_not_in_the_map_can_be_included() -> None:
    selection = select_fields(CONTOSO, subscription(), FieldChoice(include={"contact": ("pager",)}))

    assert mapped(selection, "contact")["pager"] == "pager"
    assert "pager" not in mapped(selection, "lead")


def test_excluded_columns_are_not_synced_and_not_made() -> None:
    choice = FieldChoice(exclude={"lead": ("new_region", "telephone2"), "contact": ("telephone2", "mkt_priority")})
    selection = select_fields(CONTOSO, subscription(), choice)

    assert reasons(selection, "lead")["new_region"] == reasons(selection, "lead")["telephone2"]
    assert reasons(selection, "contact")["mkt_priority"] == "left out by the tenant file"
    assert {"new_region", "msHomePhone"}.isdisjoint(one.name for one in selection.to_create)


def test_a_renamed_column_goes_to_the_field_of_the_tenants_choice() -> None:
    marketo = subscription((field("territory", "string"),))
    choice = FieldChoice(rename={"lead": {"new_region": "territory", "pager": "pagerNumber", "jobtitle": "jobName"}})
    selection = select_fields(CONTOSO, marketo, choice)
    names = mapped(selection, "lead")

    assert (names["new_region"], names["pager"], names["jobtitle"]) == ("territory", "pagerNumber", "jobName")
    assert {"pagerNumber", "jobName"} <= {one.name for one in selection.to_create}
    assert "territory" not in {one.name for one in selection.to_create}


def test_a_renamed_column_takes_the_field_from_the_column_that_had_it() -> None:
    contoso = organization(lead=(column("new_mail", "String", 100, format="Email"),))
    selection = select_fields(contoso, subscription(), FieldChoice(rename={"lead": {"new_mail": "email"}}))

    assert mapping(selection, "lead", "new_mail").field == "email"
    assert reasons(selection, "lead")["emailaddress1"] == "Marketo's field email is filled from new_mail already"


def test_a_secured_column_is_synced_when_it_is_named() -> None:
    contoso = organization(lead=(column("new_salary", "Money", is_secured=True),))

    assert "new_salary" in mapped(
        select_fields(contoso, subscription(), FieldChoice(include={"lead": ("new_salary",)})), "lead"
    )


def test_a_shadow_column_is_not_synced_even_when_it_is_named() -> None:
    shadow = column("owneridname", "String", 100, attribute_of="ownerid")
    choice = FieldChoice(include={"lead": ("owneridname",)})

    told = reasons(select_fields(organization(lead=(shadow,)), subscription(), choice), "lead")["owneridname"]

    assert told == "a shadow of ownerid, which is the column to choose"


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({"include": {"lead": ["new_regoin"]}}, "include: lead has no column 'new_regoin'; did you mean new_region?"),
        ({"exclude": {"lead": ["zzz"]}}, "exclude: lead has no column 'zzz'"),
        ({"rename": {"contact": {"new_region": "region"}}}, "rename: contact has no column 'new_region'"),
        (
            {"include": {"lead": ["new_region"]}, "exclude": {"lead": ["new_region"]}},
            "exclude: lead column 'new_region' is under include too",
        ),
        ({"exclude": {"lead": ["ownerid"]}}, "lead column 'ownerid' is its owner link: it is always synced"),
        ({"exclude": {"contact": ["contactid"]}}, "contact column 'contactid' is its key"),
        ({"rename": {"contact": {"parentcustomerid": "x"}}}, "is its company link"),
        ({"rename": {"lead": {"new_region": "Région"}}}, "'Région' cannot be a Marketo field"),
        ({"rename": {"lead": {"new_region": "dynamicsId"}}}, "cannot go to dynamicsId, which crmsync fills itself"),
        ({"rename": {"lead": {"new_region": "externalSalesPersonId"}}}, "cannot go to externalSalesPersonId"),
        (
            {"rename": {"lead": {"new_region": "same", "new_tier": "same"}}},
            "lead columns 'new_region' and 'new_tier' both go to same",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_a_remedy(choice: dict[str, Any], problem: str) -> None:
    with pytest.raises(TenantFileWrong) as refused:
        select_fields(CONTOSO, subscription(), FieldChoice.model_validate(choice))

    assert problem in refused.value.message
    assert "fields:" in refused.value.remedy


def test_all_problems_are_told_at_once() -> None:
    choice = FieldChoice(include={"lead": ("new_a",)}, exclude={"contact": ("new_b",)})

    with pytest.raises(TenantFileWrong, match=r"(?s)new_a.*new_b"):
        select_fields(CONTOSO, subscription(), choice)
