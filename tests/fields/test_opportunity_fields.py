"""Opportunities: what follows from several columns, what an administrator must make, and subscriptions without them."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics.schema import Entity
from crmsync.fields import Converter, Selection, select_fields
from crmsync.fields.model import KEY_FIELDS
from crmsync.marketo.schema import MarketoSchema, ObjectSchema
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, entity, field, mapped, organization, reasons, subscription

OPPORTUNITY = entity(
    "opportunity",
    column("name", "String", 300),
    column("description", "Memo", 2000),
    column("statecode", "State", options={0: "Open", 1: "Won", 2: "Lost"}),
    column("estimatedvalue", "Money"),
    column("actualvalue", "Money"),
    column("estimatedclosedate", "DateTime", behavior="DateOnly"),
    column("actualclosedate", "DateTime", behavior="DateOnly"),
    column("closeprobability", "Integer"),
    column("createdon", "DateTime"),
    column("customerid", "Customer", targets=("account", "contact")),
    column("parentcontactid", "Lookup", targets=("contact",)),
    column("ownerid", "Owner"),
    column("new_color", "String", 50, display_name="Color"),
)
FIELDS = """externalOpportunityId string|name string|description string|stage string|amount currency|closeDate date
isClosed boolean|isWon boolean|probability integer|externalCreatedDate datetime|externalCompanyId string
externalSalesPersonId string"""


def with_opportunities(**more: str) -> MarketoSchema:
    """A subscription that has opportunities, with these fields beside Marketo's own."""
    cells = [cell.split() for line in FIELDS.splitlines() for cell in line.split("|")]
    fields = {name: field(name, data_type) for name, data_type in (*cells, *more.items())}
    searchable = ((KEY_FIELDS["opportunity"],), ("marketoGUID",))
    found = ObjectSchema(name="opportunity", searchable_fields=searchable, fields=fields)
    return subscription().model_copy(update={"opportunity": found})


def selected(choice: FieldChoice | None = None, opportunity: Entity = OPPORTUNITY, **more: str) -> Selection:
    contoso = organization().with_entities([opportunity])
    return select_fields(contoso, with_opportunities(**more), choice or FieldChoice())


def converted(**row: Any) -> dict[str, Any]:
    return Converter(OPPORTUNITY, selected().mappings["opportunity"]).convert({"opportunityid": "o", **row})


def test_every_column_goes_where_the_default_field_mapping_says() -> None:
    selection = selected()

    assert {one.field: one.attribute for one in selection.mappings["opportunity"]} == {
        "externalOpportunityId": "opportunityid",
        "amount": "estimatedvalue",
        "closeDate": "estimatedclosedate",
        "isClosed": "statecode",
        "isWon": "statecode",
        "name": "name",
        "description": "description",
        "stage": "statecode",
        "probability": "closeprobability",
        "externalCreatedDate": "createdon",
        "externalCompanyId": "customerid",
        "externalSalesPersonId": "ownerid",
    }
    assert {"actualvalue", "actualclosedate", "_parentcontactid_value"} <= set(selection.select(OPPORTUNITY))


@pytest.mark.parametrize(
    ("state", "stage", "amount", "date", "closed", "won"),
    [
        (0, "Open", 1000.0, "2027-03-01", False, False),
        (1, "Won", 800.0, "2026-12-01", True, True),
        (2, "Lost", 800.0, "2026-12-01", True, False),
    ],
)
def test_amount_stage_closed_and_won_tell_the_same_story(
    state: int, stage: str, amount: float, date: str, closed: bool, won: bool
) -> None:
    found = converted(
        statecode=state,
        estimatedvalue=1000.0,
        actualvalue=800.0,
        estimatedclosedate="2027-03-01",
        actualclosedate="2026-12-01",
    )

    assert (found["stage"], found["amount"], found["closeDate"]) == (stage, amount, date)
    assert (found["isClosed"], found["isWon"]) == (closed, won)


@pytest.mark.parametrize("name", [None, "", " "])
def test_an_opportunity_without_a_topic_gets_a_name(name: str | None) -> None:
    assert converted(name=name)["name"] == "Opportunity"


def test_custom_columns_are_for_an_administrator() -> None:
    selection = selected()

    [row] = [one for one in selection.worksheet if one.object == "opportunity"]
    assert (row.field, row.display_name, row.why) == (
        "new_color",
        "Color",
        "opportunity fields cannot be made over the API",
    )
    assert mapped(selected(new_color="string"), "opportunity")["new_color"] == "new_color"


def test_what_follows_from_a_column_is_left_out_with_it() -> None:
    selection = selected(FieldChoice(exclude={"opportunity": ("actualvalue",)}))

    assert reasons(selection, "opportunity")["actualvalue"] == "left out by the tenant file"
    assert "amount" not in selection.field_names("opportunity")


def test_a_subscription_without_opportunities_selects_none_and_says_why() -> None:
    marketo = subscription().model_copy(update={"left_out": {"opportunity": "the feature is not enabled"}})

    selection = select_fields(organization().with_entities([OPPORTUNITY]), marketo, FieldChoice())

    assert "opportunity" not in selection.mappings
    assert selection.left_out == {"opportunity": "the feature is not enabled"}


def test_a_team_that_owns_a_person_has_a_field() -> None:
    selection = select_fields(organization(), subscription(), FieldChoice())

    [team] = [one for one in selection.mappings["contact"] if one.field == "msOwnerTeam"]
    assert (team.attribute, team.convert) == ("ownerid", "team")
    assert "msOwnerTeam" in {one.name for one in selection.to_create}
