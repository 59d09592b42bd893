"""Small schemas to select fields from: Contoso's organization and a Marketo subscription, each from a table."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from crmsync.dynamics.schema import Attribute, DynamicsSchema, Entity
from crmsync.fields.model import Mapping, Selection
from crmsync.marketo.schema import Field, MarketoSchema, ObjectSchema

NOW = datetime(2024, 5, 1, 10, 0, tzinfo=UTC)
YES_NO = {0: "No", 1: "Yes"}

PERSON_COLUMNS = """
createdon DateTime | salutation String 100 | firstname String 50 | middlename String 50 | lastname String 50
emailaddress1 String 100 Email | jobtitle String 100 | telephone1 String 50 Phone | telephone2 String 50 Phone
mobilephone String 50 Phone | fax String 50 | address1_line1 String 250 | address1_line2 String 250
address1_line3 String 250 | address1_city String 80 | address1_stateorprovince String 50
address1_country String 80 | address1_postalcode String 20 | statecode State | statuscode Status
description Memo 2000 | donotphone Boolean | donotbulkemail Boolean | donotemail Boolean | donotfax Boolean
donotsendmm Boolean | preferredcontactmethodcode Picklist | ownerid Owner | pager String 50
"""
LEAD_COLUMNS = """
leadsourcecode Picklist | leadqualitycode Picklist | subject String 300 | companyname String 100 | revenue Money
"""
ACCOUNT_COLUMNS = """
name String 160 | address1_line1 String 250 | address1_line2 String 250 | address1_line3 String 250
address1_city String 80 | address1_stateorprovince String 50 | address1_country String 80
address1_postalcode String 20 | telephone1 String 50 Phone | businesstypecode Picklist | accountnumber String 20
statecode State | revenue Money | description Memo 2000 | industrycode Picklist | sic String 20
websiteurl String 200 Url | numberofemployees Integer | ownerid Owner
"""
USER_COLUMNS = """
internalemailaddress String 100 Email | firstname String 64 | lastname String 64 | title String 128
jobtitle String 100 | address1_telephone1 String 50 Phone | mobilephone String 64 Phone | address1_fax String 64
"""

PERSON_FIELDS = """
salutation string | firstName string | middleName string | lastName string | email email | title string | phone phone
mobilePhone phone | fax phone | address text | city string | state string | country string | postalCode string
leadSource string | leadStatus string | doNotCall boolean | unsubscribed boolean | rating string | company string
annualRevenue currency | leadScore integer | externalSalesPersonId string | externalCompanyId string
"""
COMPANY_FIELDS = """
externalCompanyId string | company string | billingStreet text | billingCity string | billingState string
billingCountry string | billingPostalCode string | mainPhone phone | annualRevenue currency | industry string
sicCode string | website url | numberOfEmployees integer | externalSalesPersonId string
"""
SALES_PERSON_FIELDS = """
externalSalesPersonId string | email string | firstName string | lastName string | title string | phone string
mobilePhone string | fax string
"""


def column(name: str, kind: str, max_length: int | None = None, **more: Any) -> Attribute:
    """A column: ``kind`` is its type without "Type"; names with a prefix are custom."""
    if kind in ("State", "Status", "Picklist", "MultiSelectPicklist", "Boolean"):
        more.setdefault("options", YES_NO if kind == "Boolean" else {1: "First", 2: "Second"})
    if kind == "DateTime":
        more.setdefault("behavior", "UserLocal")
    return Attribute(
        logical_name=name,
        schema_name=name,
        metadata_id=more.pop("metadata_id", str(uuid.uuid5(uuid.NAMESPACE_OID, name))),
        type=f"{kind}Type",
        display_name=more.pop("display_name", name),
        is_custom=more.pop("is_custom", name.startswith(("new_", "mkt_"))),
        max_length=max_length,
        **more,
    )


def _columns(table: str) -> list[Attribute]:
    cells = [cell.split() for line in table.strip().splitlines() for cell in line.split("|")]
    return [column(name, kind, *map(int, rest[:1]), format="".join(rest[1:]) or None) for name, kind, *rest in cells]


def entity(name: str, *columns: Attribute) -> Entity:
    """An entity of these columns, with its key."""
    key = column(f"{name}id", "Uniqueidentifier", is_primary_id=True)
    return Entity(
        logical_name=name,
        schema_name=name.capitalize(),
        entity_set_name=f"{name}s",
        primary_id=key.logical_name,
        attributes={one.logical_name: one for one in (key, *columns)},
    )


def organization(
    lead: tuple[Attribute, ...] = (),
    contact: tuple[Attribute, ...] = (),
    account: tuple[Attribute, ...] = (),
    systemuser: tuple[Attribute, ...] = (),
) -> DynamicsSchema:
    """Contoso, with these columns beside the standard ones."""
    people = _columns(PERSON_COLUMNS)
    company = column("parentcustomerid", "Customer", targets=("account", "contact"))
    entities = (
        entity("systemuser", *_columns(USER_COLUMNS), *systemuser),
        entity("account", *_columns(ACCOUNT_COLUMNS), *account),
        entity("lead", *people, *_columns(LEAD_COLUMNS), *lead),
        entity("contact", *people, company, *contact),
    )
    return DynamicsSchema(taken_at=NOW, entities={one.logical_name: one for one in entities})


def field(name: str, data_type: str, **more: Any) -> Field:
    """A Marketo field, as long as Marketo makes it."""
    length = None if data_type in ("text", "boolean", "integer", "float", "currency", "date", "datetime") else 255
    return Field(name=name, data_type=data_type, **{"display_name": name, "length": length, **more})


def _object(name: str, table: str, key: str, more: tuple[Field, ...] = ()) -> ObjectSchema:
    cells = [cell.split() for line in table.strip().splitlines() for cell in line.split("|")]
    fields = (*(field(one, data_type) for one, data_type in cells), *more)
    return ObjectSchema(
        name=name,
        dedupe_fields=(key,),
        searchable_fields=((key,), ("id",)),
        fields={one.name: one for one in fields},
    )


def subscription(
    person: tuple[Field, ...] = (), company: tuple[Field, ...] = (), sales_person: tuple[Field, ...] = (), made: int = 0
) -> MarketoSchema:
    """A subscription with these fields beside Marketo's own; ``made`` of its fields were created over the API."""
    return MarketoSchema(
        taken_at=NOW,
        person=_object("person", PERSON_FIELDS, "dynamicsId", person),
        company=_object("company", COMPANY_FIELDS, "externalCompanyId", company),
        sales_person=_object("salesPerson", SALES_PERSON_FIELDS, "externalSalesPersonId", sales_person),
        api_created_fields=made,
    )


def mapped(selection: Selection, entity: str) -> dict[str, str]:
    """Column to field, of one entity."""
    return {one.attribute: one.field for one in selection.mappings[entity] if one.convert != "constant"}


def mapping(selection: Selection, entity: str, attribute: str) -> Mapping:
    """The one mapping of a column."""
    (found,) = (one for one in selection.mappings[entity] if one.attribute == attribute)
    return found


def reasons(selection: Selection, entity: str) -> dict[str, str]:
    """Why columns of one entity are not synced."""
    return {one.attribute: one.reason for one in selection.not_mapped if one.entity == entity}
