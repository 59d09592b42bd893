"""Opportunities and the connections that say who takes part in them.

The opportunity, connection and connection role table references of the Dataverse documents; "Connection tables".
"""

from __future__ import annotations

from crmsync.sandbox.dataverse import options as o
from crmsync.sandbox.dataverse.column_groups import currency, customized, owned
from crmsync.sandbox.dataverse.columns import (
    Reference,
    Table,
    choice,
    date,
    email,
    guid,
    integer,
    key,
    lookup,
    memo,
    moment,
    money,
    system,
    text,
    yes_no,
)
from crmsync.sandbox.dataverse.custom_tables import platform_columns

OPPORTUNITY = (
    key("opportunityid", "Opportunity"),
    text("name", "Topic", 300, primary_name=True, required="ApplicationRequired"),
    memo("description", "Description"),
    memo("customerneed", "Customer Need"),
    memo("currentsituation", "Current Situation"),
    email("emailaddress", "Email Address"),
    lookup(
        "customerid",
        "Potential Customer",
        Reference("account", "customerid_account", "opportunity_customer_accounts"),
        Reference("contact", "customerid_contact", "opportunity_customer_contacts"),
        kind="Customer",
    ),
    lookup("parentaccountid", "Account", Reference("account", "parentaccountid", "opportunity_parent_account")),
    lookup("parentcontactid", "Contact", Reference("contact", "parentcontactid", "opportunity_parent_contact")),
    lookup(
        "originatingleadid", "Originating Lead", Reference("lead", "originatingleadid", "opportunity_originating_lead")
    ),
    *money("estimatedvalue", "Est. Revenue"),
    *money("actualvalue", "Actual Revenue"),
    *money("budgetamount", "Budget Amount"),
    *money("totalamount", "Total Amount"),
    integer("closeprobability", "Probability", 0, 100),
    date("estimatedclosedate", "Est. Close Date"),
    date("actualclosedate", "Actual Close Date"),
    yes_no("isrevenuesystemcalculated", "Revenue", o.two("User Provided", "System Calculated")),
    choice("opportunityratingcode", "Rating", o.OPPORTUNITY_RATING, default=2),
    choice("salesstagecode", "Process Code", o.DEFAULT, default=1),
    choice("salesstage", "Sales Stage", o.SALES_STAGE),
    choice("budgetstatus", "Budget", o.BUDGET_STATUS),
    choice("need", "Need", o.NEED),
    choice("purchasetimeframe", "Purchase Timeframe", o.PURCHASE_TIMEFRAME),
    choice("purchaseprocess", "Purchase Process", o.PURCHASE_PROCESS),
    choice("prioritycode", "Priority", o.DEFAULT, default=1),
    text("stepname", "Pipeline Phase", 200),
    guid("stepid", "Step"),
    *currency("opportunity"),
    *owned("opportunity", o.OPPORTUNITY_STATE, o.OPPORTUNITY_STATUS),
    *customized("opportunity"),
)

_PARTICIPANTS = ("account", "contact", "lead", "opportunity", "systemuser", "team")


def _participant(number: int) -> tuple[Reference, ...]:
    return tuple(
        Reference(table, f"record{number}id_{table}", f"{table}_connections{number}") for table in _PARTICIPANTS
    )


CONNECTION = (
    key("connectionid", "Connection"),
    text("name", "Name", 500, primary_name=True, creatable=False, updatable=False),
    memo("description", "Description"),
    lookup("record1id", "Connected From", *_participant(1)),
    lookup("record2id", "Connected To", *_participant(2)),
    lookup(
        "record1roleid", "Role (From)", Reference("connectionrole", "record1roleid", "connection_role_connections1")
    ),
    lookup("record2roleid", "Role (To)", Reference("connectionrole", "record2roleid", "connection_role_connections2")),
    system(
        lookup(
            "relatedconnectionid",
            "Reciprocal Connection",
            Reference("connection", "relatedconnectionid", "connection_related_connection"),
        )
    ),
    moment("effectivestart", "Starting"),
    moment("effectiveend", "Ending"),
    system(yes_no("ismaster", "Is Master", default=True)),
    *currency("connection"),
    *owned("connection", o.ACTIVE_STATE, o.ACTIVE_STATUS),
)

CONNECTION_ROLE = (
    key("connectionroleid", "Connection Role"),
    text("name", "Name", 100, primary_name=True, required="ApplicationRequired"),
    memo("description", "Description"),
    choice("category", "Connection Role Category", o.CONNECTION_CATEGORY, global_options="connectionrole_category"),
    *platform_columns("connectionrole", "OrganizationOwned"),
)

SALES_TABLES: tuple[Table, ...] = (
    Table(
        "opportunity",
        "Opportunity",
        "opportunities",
        "Opportunity",
        "Opportunities",
        3,
        "UserOwned",
        "opportunityid",
        "name",
        OPPORTUNITY,
        tracked=True,
    ),
    Table(
        "connection",
        "Connection",
        "connections",
        "Connection",
        "Connections",
        3234,
        "UserOwned",
        "connectionid",
        "name",
        CONNECTION,
        tracked=True,
    ),
    Table(
        "connectionrole",
        "ConnectionRole",
        "connectionroles",
        "Connection Role",
        "Connection Roles",
        3231,
        "OrganizationOwned",
        "connectionroleid",
        "name",
        CONNECTION_ROLE,
    ),
)
