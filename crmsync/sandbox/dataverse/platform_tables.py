"""Tables of the platform beside the four that are synced: organization, business unit, team, currency, role, privilege.

Their table references in the Dataverse documents; only columns that clients of a sync read.
"""

from __future__ import annotations

from crmsync.sandbox.dataverse.columns import (
    Reference,
    Table,
    bigint,
    decimal,
    guid,
    integer,
    key,
    lookup,
    moment,
    system,
    text,
    yes_no,
)

VERSION = system(bigint("versionnumber", "Version Number"))
CREATED = (system(moment("createdon", "Created On")), system(moment("modifiedon", "Modified On")))

ORGANIZATION = (
    key("organizationid", "Organization"),
    text("name", "Organization Name", 160, primary_name=True, creatable=False, updatable=False),
    integer("languagecode", "Language", 0),
    integer("localeid", "Locale", 0),
    integer("expirechangetrackingindays", "Days to Expire Change Tracking Deltas", 0, 365),
    integer("expiresubscriptionsindays", "Days to Expire Subscriptions", 0, 365),
    text("schemanameprefix", "Customization Name Prefix", 8),
    text("orgdborgsettings", "Organization Database Organization Settings", 4000),
    lookup(
        "basecurrencyid",
        "Currency",
        Reference("transactioncurrency", "basecurrencyid", "basecurrency_organization"),
    ),
    *CREATED,
    VERSION,
)

BUSINESS_UNIT = (
    key("businessunitid", "Business Unit"),
    text("name", "Name", 160, primary_name=True),
    lookup(
        "parentbusinessunitid",
        "Parent Business",
        Reference("businessunit", "parentbusinessunitid", "business_unit_parent_business_unit"),
    ),
    yes_no("isdisabled", "Is Disabled"),
    *CREATED,
    VERSION,
)

TEAM = (
    key("teamid", "Team"),
    text("name", "Team Name", 160, primary_name=True),
    yes_no("isdefault", "Is Default"),
    lookup("businessunitid", "Business Unit", Reference("businessunit", "businessunitid", "business_unit_teams")),
    *CREATED,
    VERSION,
)

CURRENCY = (
    key("transactioncurrencyid", "Transaction Currency"),
    text("currencyname", "Currency Name", 100, primary_name=True),
    text("isocurrencycode", "Currency Code", 5),
    text("currencysymbol", "Currency Symbol", 13),
    integer("currencyprecision", "Currency Precision", 0, 4),
    decimal("exchangerate", "Exchange Rate", precision=10),
    *CREATED,
    VERSION,
)

ROLE = (
    key("roleid", "Role"),
    text("name", "Name", 100, primary_name=True),
    lookup("businessunitid", "Business Unit", Reference("businessunit", "businessunitid", "business_unit_roles")),
    lookup("parentroleid", "Parent Role", Reference("role", "parentroleid", "role_parent_role")),
    lookup("parentrootroleid", "Parent Root Role", Reference("role", "parentrootroleid", "role_parent_root_role")),
    system(yes_no("ismanaged", "State")),
    system(guid("solutionid", "Solution")),
    *CREATED,
    VERSION,
)

PRIVILEGE = (
    key("privilegeid", "Privilege"),
    text("name", "Name", 100, primary_name=True),
    integer("accessright", "Access Right"),
    yes_no("canbebasic", "Can Be Basic"),
    yes_no("canbelocal", "Can Be Local"),
    yes_no("canbedeep", "Can Be Deep"),
    yes_no("canbeglobal", "Can Be Global"),
    guid("privilegerowid", "Privilege Row Id"),
    VERSION,
)

PLATFORM_TABLES: tuple[Table, ...] = (
    Table(
        "organization",
        "Organization",
        "organizations",
        "Organization",
        "Organizations",
        1019,
        "None",
        "organizationid",
        "name",
        ORGANIZATION,
        can_be_tracked=False,
    ),
    Table(
        "businessunit",
        "BusinessUnit",
        "businessunits",
        "Business Unit",
        "Business Units",
        10,
        "BusinessOwned",
        "businessunitid",
        "name",
        BUSINESS_UNIT,
    ),
    Table("team", "Team", "teams", "Team", "Teams", 9, "BusinessOwned", "teamid", "name", TEAM),
    Table(
        "transactioncurrency",
        "TransactionCurrency",
        "transactioncurrencies",
        "Currency",
        "Currencies",
        9105,
        "OrganizationOwned",
        "transactioncurrencyid",
        "currencyname",
        CURRENCY,
    ),
    Table(
        "role",
        "Role",
        "roles",
        "Security Role",
        "Security Roles",
        1036,
        "BusinessOwned",
        "roleid",
        "name",
        ROLE,
        can_be_tracked=False,
    ),
    Table(
        "privilege",
        "Privilege",
        "privileges",
        "Privilege",
        "Privileges",
        1023,
        "None",
        "privilegeid",
        "name",
        PRIVILEGE,
        can_be_tracked=False,
    ),
)
