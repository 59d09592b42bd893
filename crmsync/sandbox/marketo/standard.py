"""The fields that every subscription has, as data, and the few that this one's administrator made by hand.

A row is ``REST name | display name | type | marks``. Marks: ``r`` read-only, ``c`` belongs to the company once a
person is linked, ``k`` may be looked up by, ``m`` owned by a native CRM sync when one is on, ``a`` custom, made by
the administrator, ``s`` absent from SOAP.

Names: "Standard Fields", "Leads" (filter types), "Companies", "Sales Persons"; types and lengths as the samples of
"Leads" and "Companies" show them, and otherwise as the description reads. Names of opportunity fields beyond the
samples of "Opportunities" (closeDate, isClosed, isWon, probability and others) are assumed. The native CRM sync's share
is "Default Dynamics Field Mapping". Hand-made fields are ours.
"""

from __future__ import annotations

PEOPLE = """
id|Id|integer|rks
company|Company Name|string|cm
site|Site|string|c
billingStreet|Billing Address|string|cm
billingCity|Billing City|string|cm
billingState|Billing State|string|cm
billingCountry|Billing Country|string|cm
billingPostalCode|Billing Postal Code|string|cm
website|Website|url|cm
mainPhone|Main Phone|phone|cm
annualRevenue|Annual Revenue|currency|cm
numberOfEmployees|Num Employees|integer|cm
industry|Industry|string|cm
sicCode|SIC Code|string|cm
createdAt|Created At|datetime|rs
updatedAt|Updated At|datetime|rs
salutation|Salutation|string|m
firstName|First Name|string|m
middleName|Middle Name|string|m
lastName|Last Name|string|m
email|Email Address|email|km
phone|Phone Number|phone|m
mobilePhone|Mobile Phone Number|phone|m
fax|Fax Number|phone|m
title|Job Title|string|m
contactCompany|Contact Company|integer|rs
dateOfBirth|Date of Birth|date|
address|Address|text|m
city|City|string|m
state|State|string|m
country|Country|string|m
postalCode|Postal Code|string|m
personType|Person Type|string|rs
originalSourceType|Original Source Type|string|rs
department|Department|string|
leadRole|Role|string|
leadSource|Lead Source|string|m
leadStatus|Lead Status|string|m
rating|Lead Rating|string|m
leadScore|Lead Score|integer|
leadPartitionId|Lead Partition Id|integer|rks
unsubscribed|Unsubscribed|boolean|m
unsubscribedReason|Unsubscribed Reason|text|
doNotCall|Do Not Call|boolean|m
doNotCallReason|Do Not Call Reason|text|
emailInvalid|Email Invalid|boolean|s
emailInvalidCause|Email Invalid Cause|string|s
isAnonymous|Is Anonymous|boolean|rs
anonymousIP|Anonymous IP|string|
inferredCompany|Inferred Company|string|r
inferredCountry|Inferred Country|string|r
inferredCity|Inferred City|string|rs
inferredMetropolitanArea|Inferred Metropolitan Area|string|rs
inferredPhoneAreaCode|Inferred Phone Area Code|string|rs
inferredPostalCode|Inferred Postal Code|string|rs
inferredStateRegion|Inferred State Region|string|rs
priority|Priority|integer|rs
relativeScore|Relative Score|integer|rs
urgency|Urgency|float|rs
externalCompanyId|External Company Id|string|s
externalSalesPersonId|External Sales Person Id|string|s
cookies|Cookies|string|rks
facebookId|Facebook Id|string|ks
linkedInId|LinkedIn Id|string|ks
twitterId|Twitter Id|string|ks
sfdcAccountId|SFDC Account Id|string|rks
sfdcContactId|SFDC Contact Id|string|rks
sfdcLeadId|SFDC Lead Id|string|rks
sfdcLeadOwnerId|SFDC Lead Owner Id|string|rks
sfdcOpptyId|SFDC Opportunity Id|string|rks
personNotes|Person Notes|text|a
"""

COMPANIES = """
createdAt|Created At|datetime|r
externalCompanyId|External Company Id|string:100|rk
id|Id|integer|rk
updatedAt|Updated At|datetime|r
annualRevenue|Annual Revenue|currency|
billingCity|Billing City|string|
billingCountry|Billing Country|string|
billingPostalCode|Billing Postal Code|string|
billingState|Billing State|string|
billingStreet|Billing Address|string|
company|Company Name|string|k
externalSalesPersonId|External Sales Person Id|string|
industry|Industry|string|
mainPhone|Main Phone|string|
numberOfEmployees|Num Employees|integer|
sicCode|SIC Code|string|
site|Site|string|
website|Website|url|
companyNotes|Company Notes|text|a
businessType|Business Type|string|a
"""

SALES_PERSONS = """
id|Marketo Id|integer|rk
createdAt|Created At|datetime|r
updatedAt|Updated At|datetime|r
email|Email|string|k
externalSalesPersonId|External Sales Person Id|string|rk
fax|Fax|string|
firstName|First Name|string|
lastName|Last Name|string|
mobilePhone|Mobile Phone|string|
phone|Phone|string|
title|Title|string|
"""

OPPORTUNITIES = """
marketoGUID|Marketo GUID|string:36|rk
createdAt|Created At|datetime|r
updatedAt|Updated At|datetime|r
externalOpportunityId|External Opportunity Id|string:50|rk
name|Name|string|
description|Description|string:2000|
type|Type|string|
stage|Stage|string|
amount|Amount|currency|
closeDate|Close Date|date|
expectedRevenue|Expected Revenue|currency|
externalCompanyId|External Company Id|string:100|
externalCreatedDate|External Created Date|datetime|
externalSalesPersonId|External Sales Person Id|string|
fiscal|Fiscal|string|
fiscalQuarter|Fiscal Quarter|string|
fiscalYear|Fiscal Year|string|
forecastCategoryName|Forecast Category Name|string|
isClosed|Is Closed|boolean|
isWon|Is Won|boolean|
lastActivityDate|Last Activity Date|date|
leadSource|Lead Source|string|
nextStep|Next Step|string|
probability|Probability|integer|
quantity|Quantity|float|
source|Source|string|a
"""

ROLES = """
marketoGUID|Marketo GUID|string:36|rk
createdAt|Created At|datetime|r
updatedAt|Updated At|datetime|r
externalOpportunityId|External Opportunity Id|string:50|rk
leadId|Lead Id|integer|rk
role|Role|string:50|rk
isPrimary|Is Primary|boolean|
externalCreatedDate|External Created Date|datetime|
"""

FIELDS: dict[str, str] = {
    "person": PEOPLE,
    "company": COMPANIES,
    "sales_person": SALES_PERSONS,
    "opportunity": OPPORTUNITIES,
    "opportunity_role": ROLES,
}
"""The tables by what they belong to."""
