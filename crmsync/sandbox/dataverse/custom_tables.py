"""The organization's own tables: event registrations of contacts, and order lines of opportunities (two levels below
the account: order line, opportunity, account).

"Create and update table definitions using the Web API" (Power Apps developer documents): what a custom table has of
its own accord.
"""

from __future__ import annotations

from dataclasses import replace

from crmsync.sandbox.dataverse import options as o
from crmsync.sandbox.dataverse.column_groups import currency, owned
from crmsync.sandbox.dataverse.columns import (
    Column,
    Reference,
    Table,
    choice,
    choices,
    date,
    decimal,
    email,
    integer,
    key,
    lookup,
    memo,
    moment,
    money,
    text,
    yes_no,
)

FIRST_TYPE_CODE = 10_000
"""Custom tables are numbered from here."""


def own(*columns: Column) -> tuple[Column, ...]:
    """The same columns, marked as custom."""
    return tuple(replace(column, custom=True) for column in columns)


def platform_columns(table: str, ownership: str = "UserOwned") -> tuple[Column, ...]:
    """What the platform adds to every custom table: owner or organization, state, dates, version."""
    columns = owned(table, o.ACTIVE_STATE, o.ACTIVE_STATUS)
    if ownership == "UserOwned":
        return columns
    without = {"ownerid", "owninguser", "owningteam", "owningbusinessunit"}
    organization = lookup(
        "organizationid", "Organization", Reference("organization", "organizationid", f"organization_{table}")
    )
    kept = (column for column in columns if column.name not in without)
    return (replace(organization, creatable=False, updatable=False), *kept)


REGISTRATION = (
    key("new_eventregistrationid", "Event Registration"),
    *own(
        text("new_name", "Name", 200, primary_name=True, required="ApplicationRequired", schema_name="new_Name"),
        lookup(
            "new_contactid",
            "Contact",
            Reference("contact", "new_ContactId", "new_contact_new_eventregistration_ContactId"),
            schema_name="new_ContactId",
        ),
        text("new_event", "Event", 200, schema_name="new_Event"),
        moment("new_registeredon", "Registered On", schema_name="new_RegisteredOn"),
        date("new_eventday", "Event Day", schema_name="new_EventDay"),
        choice("new_attendance", "Attendance", o.ATTENDANCE, schema_name="new_Attendance"),
        choices("new_sessions", "Sessions", o.SESSIONS, schema_name="new_Sessions"),
        yes_no("new_vegetarian", "Vegetarian", schema_name="new_Vegetarian"),
        email("new_invoiceemail", "Invoice Email", schema_name="new_InvoiceEmail"),
        memo("new_remark", "Remark", 4000, schema_name="new_Remark"),
        *money("new_fee", "Fee"),
    ),
    *currency("new_eventregistration"),
    *platform_columns("new_eventregistration"),
)

ORDER_LINE = (
    key("new_orderlineid", "Order Line"),
    *own(
        text("new_name", "Name", 200, primary_name=True, required="ApplicationRequired", schema_name="new_Name"),
        lookup(
            "new_opportunityid",
            "Opportunity",
            Reference("opportunity", "new_OpportunityId", "new_opportunity_new_orderline_OpportunityId"),
            schema_name="new_OpportunityId",
        ),
        text("new_sku", "Article Number", 40, schema_name="new_SKU"),
        integer("new_quantity", "Quantity", 0, 1_000_000, schema_name="new_Quantity"),
        decimal("new_discount", "Discount (%)", schema_name="new_Discount"),
        date("new_deliveryon", "Delivery On", schema_name="new_DeliveryOn"),
        *money("new_price", "Price"),
    ),
    *currency("new_orderline"),
    *platform_columns("new_orderline"),
)

CUSTOM_TABLES: tuple[Table, ...] = (
    Table(
        "new_eventregistration",
        "new_EventRegistration",
        "new_eventregistrations",
        "Event Registration",
        "Event Registrations",
        FIRST_TYPE_CODE,
        "UserOwned",
        "new_eventregistrationid",
        "new_name",
        REGISTRATION,
        tracked=True,
        custom=True,
    ),
    Table(
        "new_orderline",
        "new_OrderLine",
        "new_orderlines",
        "Order Line",
        "Order Lines",
        FIRST_TYPE_CODE + 1,
        "UserOwned",
        "new_orderlineid",
        "new_name",
        ORDER_LINE,
        custom=True,
    ),
)
