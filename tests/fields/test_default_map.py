"""The default map says what Adobe's default field mapping says."""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml
from pydantic import ValidationError

from crmsync.fields import KEY_FIELDS, default_map
from crmsync.fields.catalogue import read_map
from crmsync.marketo.schema import CREATABLE_TYPES

BOTH = """
createdon msCreatedDate | salutation salutation | firstname firstName | middlename middleName | lastname lastName
emailaddress1 email | jobtitle title | telephone1 phone | mobilephone mobilePhone | address1_line1 address
address1_line2 msAddress2 | address1_line3 msAddress3 | address1_city city | address1_stateorprovince state
address1_country country | address1_postalcode postalCode | statecode leadStatus | statuscode msStatusReason
description personNotes | donotphone doNotCall | donotbulkemail unsubscribed | donotemail msDoNotEmail
donotfax msDoNotFax | donotsendmm msDoNotSendMarketingMaterial | telephone2 msHomePhone
preferredcontactmethodcode msPreferredMethodOfContact
mkt_lastinterestingmomentdate msiLastInterestingMomentDate
mkt_lastinterestingmomenttype msiLastInterestingMomentType
mkt_lastinterestingmomentdesc msiLastInterestingMomentDesc
mkt_leadinterestingmomentsource msiLastInterestingMomentSource
mkt_priority priority | mkt_urgency urgency/relativeUrgency | mkt_relativescore relativeScore/relativeScoring
ownerid externalSalesPersonId
"""
EXPECTED = {
    "lead": BOTH
    + """fax fax | leadsourcecode leadSource | leadqualitycode rating | subject msTopic | companyname company
revenue annualRevenue""",
    "contact": BOTH + "mkt_leadscore leadScore | parentcustomerid externalCompanyId",
    "account": """
name company | address1_line1 billingStreet | address1_line2 msBillingAddress2 | address1_line3 msBillingAddress3
address1_city billingCity | address1_country billingCountry | address1_postalcode billingPostalCode
address1_stateorprovince billingState | telephone1 mainPhone | businesstypecode businessType
accountnumber msAccountNumber | statecode msCompanyStatus | revenue annualRevenue | description companyNotes
industrycode industry | sic sicCode | websiteurl website | numberofemployees numberOfEmployees
ownerid externalSalesPersonId""",
    "opportunity": """
name name | description description | statecode stage | closeprobability probability
createdon externalCreatedDate | customerid externalCompanyId | ownerid externalSalesPersonId""",
    "systemuser": """
internalemailaddress email | firstname firstName | lastname lastName | title title | jobtitle title
address1_telephone1 phone | mobilephone mobilePhone | address1_fax fax""",
}


@pytest.mark.parametrize("entity", EXPECTED)
def test_every_column_goes_where_the_default_field_mapping_says(entity: str) -> None:
    rows = (cell.split() for line in EXPECTED[entity].strip().splitlines() for cell in line.split("|"))
    entries = default_map().attributes(entity)

    assert {name: entry.link_field or "/".join(entry.field) for name, entry in entries.items()} == dict(rows)


def test_system_fields_hold_the_key_and_what_a_record_is() -> None:
    system = default_map().system

    assert list(system["person"]) == ["dynamicsId", "msType", "msIsDeleted"]
    assert system["person"]["msType"].constant == {"lead": "Lead", "contact": "Contact"}
    assert system["person"]["msIsDeleted"].constant == {"lead": False, "contact": False}
    keys = {target: next(name for name, one in fields.items() if one.key) for target, fields in system.items()}
    assert keys | {"custom_object": "dynamicsId"} == KEY_FIELDS


def test_fields_that_crmsync_makes_have_types_that_the_api_can_make() -> None:
    made = [one for entity in EXPECTED for one in default_map().attributes(entity).values() if one.create is not None]

    assert made
    assert all(one.create in CREATABLE_TYPES and one.field[0].startswith("ms") for one in made)


def test_no_column_stands_twice_in_the_file() -> None:
    def no_twins(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[object, object]:
        keys = [loader.construct_object(key) for key, _ in node.value]  # type: ignore[no-untyped-call]
        assert len(keys) == len(set(keys)), f"line {node.start_mark.line + 1}"
        return loader.construct_mapping(node, deep=True)

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, no_twins)
    text = files("crmsync.fields").joinpath("default_map.yaml").read_text(encoding="utf-8")

    assert yaml.load(text, Loader)["entities"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{}", "either a field or a link"),
        ("{field: a, link: owner}", "either a field or a link"),
        ("{field: a, create: text, display: A}", "creates no text fields"),
        ("{field: a, create: string}", "needs a display name"),
        ("{feld: a}", "Extra inputs"),
    ],
)
def test_a_map_that_cannot_be_is_refused(entry: str, problem: str) -> None:
    text = f"system: {{}}\nentities: {{lead: {{target: person, attributes: {{a: {entry}}}}}}}"

    with pytest.raises(ValidationError, match=problem):
        read_map(text)


def test_a_map_that_creates_company_fields_is_refused() -> None:
    text = "system: {}\nentities: {account: {target: company, attributes: {a: {field: a, create: string, display: A}}}}"

    with pytest.raises(ValidationError, match="only person fields can be created: a"):
        read_map(text)
