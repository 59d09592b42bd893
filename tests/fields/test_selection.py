"""Selecting fields: what goes where, what has to be made, and what is left out."""

from __future__ import annotations

import pytest

from crmsync.errors import FeatureMissing, FieldBudgetExceeded, NativeSyncOn
from crmsync.fields import Selection, select_fields
from crmsync.tenants import FieldChoice
from tests.fields.schemas import column, field, mapped, mapping, organization, reasons, subscription

EVERYTHING = FieldChoice()


def test_a_new_subscription_gets_the_key_and_the_fields_of_the_map() -> None:
    selection = select_fields(organization(), subscription(), EVERYTHING)

    assert {one.name: one.data_type for one in selection.to_create} == {
        "dynamicsId": "string",
        "msType": "string",
        "msIsDeleted": "boolean",
        "msOwnerTeam": "string",
        "msCreatedDate": "datetime",
        "msAddress2": "string",
        "msAddress3": "string",
        "msStatusReason": "string",
        "msDoNotEmail": "boolean",
        "msDoNotFax": "boolean",
        "msDoNotSendMarketingMaterial": "boolean",
        "msHomePhone": "phone",
        "msPreferredMethodOfContact": "string",
        "msTopic": "string",
    }
    assert selection.to_create[0].display_name == "Dynamics Id"


def test_every_entity_is_mapped_in_the_order_of_the_sync() -> None:
    selection = select_fields(organization(), subscription(), EVERYTHING)

    assert list(selection.mappings) == ["systemuser", "account", "lead", "contact"]
    assert selection.field_names("lead")[:5] == ("dynamicsId", "msType", "msIsDeleted", "msOwnerTeam", "msCreatedDate")
    assert mapped(selection, "systemuser") == {
        "systemuserid": "externalSalesPersonId",
        "internalemailaddress": "email",
        "firstname": "firstName",
        "lastname": "lastName",
        "title": "title",
        "address1_telephone1": "phone",
        "mobilephone": "mobilePhone",
        "address1_fax": "fax",
    }
    assert mapped(selection, "account")["websiteurl"] == "website"


def test_a_record_is_told_apart_by_constants() -> None:
    selection = select_fields(organization(), subscription(), EVERYTHING)

    constants = {
        entity: {one.field: one.value for one in mappings if one.convert == "constant"}
        for entity, mappings in selection.mappings.items()
    }
    assert constants["lead"] == {"msType": "Lead", "msIsDeleted": False}
    assert constants["contact"] == {"msType": "Contact", "msIsDeleted": False}
    assert constants["account"] == constants["systemuser"] == {}


def test_links_are_always_there() -> None:
    selection = select_fields(organization(), subscription(), FieldChoice(custom="none"))

    assert {one.convert for one in selection.mappings["lead"] if one.attribute == "ownerid"} == {"owner", "team"}
    assert mapping(selection, "account", "ownerid").field == "externalSalesPersonId"
    assert mapping(selection, "contact", "parentcustomerid").convert == "company"
    assert mapping(selection, "contact", "parentcustomerid").field == "externalCompanyId"


def test_columns_are_selected_by_the_names_that_rows_carry() -> None:
    contoso = organization(lead=(column("new_synctomkto", "Boolean"),))
    selection = select_fields(contoso, subscription(), EVERYTHING)
    names = selection.select(contoso.entities["lead"])

    assert {"_ownerid_value", "new_synctomkto", "statecode", "emailaddress1"} <= set(names)
    assert names == tuple(sorted(names))
    assert "leadid" not in names
    assert "pager" not in names
    assert "new_synctomkto" not in mapped(selection, "lead")
    assert "new_synctomkto" not in selection.select(contoso.entities["contact"])


def test_a_column_that_is_gone_is_no_longer_selected() -> None:
    before = organization(lead=(column("new_region", "String", 50),))
    selection = select_fields(before, subscription(), EVERYTHING)

    assert "new_region" in selection.select(before.entities["lead"])
    assert "new_region" not in selection.select(organization().entities["lead"])
    assert "new_region" not in mapped(selection.without("lead", {"new_region"}), "lead")


def test_mkt_columns_are_synced_where_they_exist_and_marketo_lets_them_be_written() -> None:
    contoso = organization(contact=(column("mkt_urgency", "Double"), column("mkt_priority", "Integer")))
    marketo = subscription((field("relativeUrgency", "float"), field("priority", "integer", updateable=False)))
    selection = select_fields(contoso, marketo, EVERYTHING)

    assert mapped(selection, "contact")["mkt_urgency"] == "relativeUrgency"
    assert reasons(selection, "contact")["mkt_priority"] == "Marketo's field priority is read-only"
    assert reasons(selection, "contact")["mkt_relativescore"] == "the organization has no such column"
    assert reasons(selection, "lead")["mkt_urgency"] == "the organization has no such column"


def test_the_person_score_stays_with_marketo_unless_it_is_included() -> None:
    contoso = organization(contact=(column("mkt_leadscore", "Integer"),))

    told = reasons(select_fields(contoso, subscription(), EVERYTHING), "contact")["mkt_leadscore"]
    included = select_fields(contoso, subscription(), FieldChoice(include={"contact": ("mkt_leadscore",)}))

    assert told.startswith("Marketo keeps the person score")
    assert mapped(included, "contact")["mkt_leadscore"] == "leadScore"


def test_a_field_of_marketos_own_that_is_missing_is_never_made() -> None:
    marketo = subscription()
    marketo.person.fields.pop("middleName")
    selection = select_fields(organization(), marketo, EVERYTHING)

    assert reasons(selection, "lead")["middlename"] == "the subscription has no field middleName"
    assert "middleName" not in {one.name for one in selection.to_create}


def test_the_job_title_stands_in_for_a_missing_title() -> None:
    contoso = organization()
    contoso.entities["systemuser"].attributes.pop("title")

    assert mapped(select_fields(contoso, subscription(), EVERYTHING), "systemuser")["jobtitle"] == "title"


def test_fields_of_a_native_sync_are_refused() -> None:
    marketo = subscription()
    marketo.person.fields["email"] = field("email", "email", crm_managed=True)

    with pytest.raises(NativeSyncOn, match="field email is managed by a native CRM sync"):
        select_fields(organization(), marketo, EVERYTHING)


def test_more_than_a_hundred_created_fields_are_refused_with_a_way_out() -> None:
    contoso = organization(lead=tuple(column(f"new_c{number:02}", "Integer") for number in range(90)))

    with pytest.raises(FieldBudgetExceeded) as refused:
        select_fields(contoso, subscription(made=1), EVERYTHING)

    assert "104 Marketo fields would have to be created and 1 were created" in refused.value.message
    assert "5 too many" in refused.value.message
    assert "exclude" in refused.value.remedy
    assert "Columns that need a new field: lead.new_c00, lead.new_c01" in refused.value.remedy


def test_a_hundred_created_fields_are_allowed() -> None:
    contoso = organization(lead=tuple(column(f"new_c{number:02}", "Integer") for number in range(80)))

    assert len(select_fields(contoso, subscription(made=6), EVERYTHING).to_create) == 94


@pytest.mark.parametrize(("data_type", "problem"), [("integer", "is of type integer"), ("string", "lets no records")])
def test_a_key_field_that_is_of_no_use_is_refused(data_type: str, problem: str) -> None:
    marketo = subscription((field("dynamicsId", data_type),))
    marketo = marketo.model_copy(update={"person": marketo.person.model_copy(update={"searchable_fields": (("id",),)})})

    with pytest.raises(FeatureMissing, match=problem):
        select_fields(organization(), marketo, EVERYTHING)


def test_once_made_nothing_is_made_again() -> None:
    contoso = organization(lead=(column("new_region", "String", 50),), contact=(column("new_region", "Memo", 50),))
    first = select_fields(contoso, subscription(), EVERYTHING)
    made = tuple(field(one.name, one.data_type, display_name=one.display_name) for one in first.to_create)
    second = select_fields(contoso, subscription(made, made=len(made)), EVERYTHING)

    assert second.to_create == ()
    assert second.mappings == first.mappings


def test_a_selection_survives_being_stored() -> None:
    selection = select_fields(organization(lead=(column("new_tier", "Picklist"),)), subscription(), EVERYTHING)

    assert Selection.model_validate_json(selection.model_dump_json()) == selection
