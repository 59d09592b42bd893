"""Groups of columns that several tables share: owner and state, dates and version, currency, addresses, consent.

The account, contact, lead and systemuser table references of the Dataverse documents.
"""

from __future__ import annotations

from dataclasses import replace

from crmsync.sandbox.dataverse import options as o
from crmsync.sandbox.dataverse.columns import (
    Column,
    Reference,
    bigint,
    choice,
    choices,
    date,
    decimal,
    double,
    email,
    guid,
    integer,
    lookup,
    memo,
    moment,
    money,
    phone,
    system,
    text,
    url,
    yes_no,
)


def owned(table: str, states: tuple[o.Option, ...], statuses: tuple[o.Option, ...]) -> tuple[Column, ...]:
    """The columns that every user-owned table has."""
    return (
        lookup(
            "ownerid",
            "Owner",
            Reference("systemuser", "ownerid", f"owner_{table}s"),
            Reference("team", "ownerid", f"owner_{table}s"),
            kind="Owner",
            required="SystemRequired",
        ),
        system(lookup("owninguser", "Owning User", Reference("systemuser", "owninguser", f"{table}_owning_user"))),
        system(lookup("owningteam", "Owning Team", Reference("team", "owningteam", f"{table}_owning_team"))),
        system(
            lookup(
                "owningbusinessunit",
                "Owning Business Unit",
                Reference("businessunit", "owningbusinessunit", f"business_unit_{table}s"),
            )
        ),
        Column("statecode", "State", "Status", options=states, creatable=False, required="SystemRequired"),
        Column("statuscode", "Status", "Status Reason", options=statuses),
        *stamped(table),
        replace(moment("overriddencreatedon", "Record Created On"), updatable=False, behavior="UserLocal"),
        integer("importsequencenumber", "Import Sequence Number", updatable=False),
    )


def stamped(table: str) -> tuple[Column, ...]:
    """Who wrote the row when, and its version."""
    return (
        system(moment("createdon", "Created On")),
        system(lookup("createdby", "Created By", Reference("systemuser", "createdby", f"lk_{table}base_createdby"))),
        system(moment("modifiedon", "Modified On")),
        system(
            lookup("modifiedby", "Modified By", Reference("systemuser", "modifiedby", f"lk_{table}base_modifiedby"))
        ),
        system(bigint("versionnumber", "Version Number")),
    )


def currency(table: str) -> tuple[Column, ...]:
    """The currency of a row's money columns and its rate."""
    return (
        lookup(
            "transactioncurrencyid",
            "Currency",
            Reference("transactioncurrency", "transactioncurrencyid", f"transactioncurrency_{table}"),
        ),
        system(decimal("exchangerate", "Exchange Rate", precision=10)),
    )


def address(number: int, label: str) -> tuple[Column, ...]:
    """One of the addresses of a row, stored by Dataverse in another table (``IsLogical``)."""
    a = f"address{number}_"
    columns = (
        guid(f"{a}addressid", f"{label}: ID"),
        choice(f"{a}addresstypecode", f"{label}: Address Type", o.ADDRESS_TYPE),
        text(f"{a}name", f"{label}: Name", 200),
        text(f"{a}line1", f"{label}: Street 1", 250),
        text(f"{a}line2", f"{label}: Street 2", 250),
        text(f"{a}line3", f"{label}: Street 3", 250),
        text(f"{a}city", f"{label}: City", 80),
        text(f"{a}county", f"{label}: County", 50),
        text(f"{a}stateorprovince", f"{label}: State/Province", 50),
        text(f"{a}postalcode", f"{label}: ZIP/Postal Code", 20),
        text(f"{a}country", f"{label}: Country/Region", 80),
        text(f"{a}postofficebox", f"{label}: Post Office Box", 20),
        phone(f"{a}telephone1", f"{label}: Phone"),
        text(f"{a}fax", f"{label}: Fax", 50),
        double(f"{a}latitude", f"{label}: Latitude", low=-90, high=90),
        double(f"{a}longitude", f"{label}: Longitude", low=-180, high=180),
    )
    return tuple(replace(column, logical=True) for column in columns)


CONSENT = (
    yes_no("donotphone", "Do not allow Phone Calls", o.ALLOW),
    yes_no("donotemail", "Do not allow Emails", o.ALLOW),
    yes_no("donotbulkemail", "Do not allow Bulk Emails", o.ALLOW),
    yes_no("donotfax", "Do not allow Faxes", o.ALLOW),
    yes_no("donotpostalmail", "Do not allow Mails", o.ALLOW),
    yes_no("donotsendmm", "Marketing Material", o.SEND),
    choice("preferredcontactmethodcode", "Preferred Method of Contact", o.CONTACT_METHOD, default=1),
)

PERSON = (
    text("fullname", "Full Name", 160, creatable=False, updatable=False, primary_name=True),
    text("salutation", "Salutation", 100),
    text("firstname", "First Name", 50, required="Recommended"),
    text("middlename", "Middle Name", 50),
    text("lastname", "Last Name", 50, required="ApplicationRequired"),
    text("jobtitle", "Job Title", 100),
    email("emailaddress1", "Email"),
    email("emailaddress2", "Email Address 2"),
    email("emailaddress3", "Email Address 3"),
    phone("telephone1", "Business Phone"),
    phone("telephone2", "Home Phone"),
    phone("telephone3", "Telephone 3"),
    phone("mobilephone", "Mobile Phone"),
    text("fax", "Fax", 50),
    text("pager", "Pager", 50),
    url("websiteurl", "Website"),
    memo("description", "Description"),
)

IMAGE = (
    Column("entityimage", "Image", "Entity Image"),
    system(guid("entityimageid", "Entity Image Id")),
)


def customized(table: str) -> tuple[Column, ...]:
    """What this organization added itself: the sync filter, and one column of every attribute type."""
    columns = (
        yes_no("new_synctomkto", "Sync to Marketo", default=None),
        text("new_favouritecolour", "Favourite Colour", 60),
        email("new_billingemail", "Billing Email"),
        url("new_portal", "Customer Portal"),
        phone("new_hotline", "Hotline"),
        text("new_directions", "Directions", 600, "TextArea"),
        memo("new_history", "History", 10000),
        integer("new_visits", "Visits", 0, 100000),
        bigint("new_legacynumber", "Legacy Number"),
        decimal("new_score", "Score", precision=3),
        double("new_distance", "Distance"),
        *money("new_budget", "Budget"),
        yes_no("new_isvip", "VIP", default=False),
        date("new_renewalon", "Renewal On"),
        moment("new_lastcallon", "Last Call"),
        moment("new_eventstart", "Event Start", "TimeZoneIndependent"),
        choice("new_segment", "Segment", o.SEGMENT, global_options="new_segment"),
        choices("new_interests", "Interests", o.INTERESTS),
        lookup(
            "new_referredby",
            "Referred By",
            Reference("contact", "new_ReferredBy", f"new_{table}_ReferredBy_contact"),
            schema_name="new_ReferredBy",
        ),
    )
    return tuple(replace(column, custom=True) for column in columns)
