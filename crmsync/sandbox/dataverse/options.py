"""Option sets of the standard columns, with the values and English labels that Microsoft ships.

The account, contact, lead and systemuser table references of the Dataverse documents ("Choices/Options").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One choice; ``state`` is set on status reasons, ``default_status`` on states."""

    value: int
    label: str
    state: int | None = None
    default_status: int | None = None


def numbered(labels: str, first: int = 1) -> tuple[Option, ...]:
    """Options numbered from ``first``, labels separated by ``|``."""
    return tuple(Option(first + index, label) for index, label in enumerate(labels.split("|")))


def two(no: str = "No", yes: str = "Yes") -> tuple[Option, ...]:
    """The two labels of a Two Options column."""
    return (Option(0, no), Option(1, yes))


NO_YES = two()
ALLOW = two("Allow", "Do Not Allow")
SEND = two("Send", "Do Not Send")
DEFAULT = numbered("Default Value")

LEAD_SOURCE = numbered(
    "Advertisement|Employee Referral|External Referral|Partner|Public Relations|Seminar|Trade Show|Web|"
    "Word of Mouth|Other"
)
LEAD_QUALITY = numbered("Hot|Warm|Cold")
INDUSTRY = numbered(
    "Accounting|Agriculture and Non-petrol Natural Resource Extraction|Broadcasting Printing and Publishing|Brokers|"
    "Building Supply Retail|Business Services|Consulting|Consumer Services|"
    "Design, Direction and Creative Management|Distributors, Dispatchers and Processors|"
    "Doctor's Offices and Clinics|Durable Manufacturing|Eating and Drinking Places|Entertainment Retail|"
    "Equipment Rental and Leasing|Financial|Food and Tobacco Processing|Inbound Capital Intensive Processing|"
    "Inbound Repair and Services|Insurance|Legal Services|Non-Durable Merchandise Retail|Outbound Consumer Service|"
    "Petrochemical Extraction and Distribution|Service Retail|SIG Affiliations|Social Services|"
    "Special Outbound Trade Contractors|Specialty Realty|Transportation|Utility Creation and Distribution|"
    "Vehicle Retail|Wholesale"
)
CONTACT_METHOD = numbered("Any|Email|Phone|Fax|Mail")
APPOINTMENT_TIME = numbered("Morning|Afternoon|Evening")
RELATIONSHIP_TYPE = numbered(
    "Competitor|Consultant|Customer|Investor|Partner|Influencer|Press|Prospect|Reseller|Supplier|Vendor|Other"
)
ACCOUNT_CATEGORY = numbered("Preferred Customer|Standard")
OWNERSHIP = numbered("Public|Private|Subsidiary|Other")
PAYMENT_TERMS = numbered("Net 30|2% 10, Net 30|Net 45|Net 60")
GENDER = numbered("Male|Female")
FAMILY_STATUS = numbered("Single|Married|Divorced|Widowed")
CONTACT_ROLE = numbered("Decision Maker|Employee|Influencer")
ADDRESS_TYPE = numbered("Bill To|Ship To|Primary|Other")
BUDGET_STATUS = numbered("No Committed Budget|May Buy|Can Buy|Will Buy", first=0)
NEED = numbered("Must have|Should have|Good to have|No need", first=0)
PURCHASE_TIMEFRAME = numbered("Immediate|This Quarter|Next Quarter|This Year|Unknown", first=0)
PURCHASE_PROCESS = numbered("Individual|Committee|Unknown", first=0)
INITIAL_COMMUNICATION = numbered("Contacted|Not Contacted", first=0)
ACCESS_MODE = numbered("Read-Write|Administrative|Read|Support User|Non-interactive|Delegated Admin", first=0)
CAL_TYPE = numbered("Professional|Administrative|Basic|Device Professional|Device Basic|Essential", first=0)
DELETED_STATE = numbered("Not deleted|Soft deleted", first=0)

LEAD_STATE = (
    Option(0, "Open", default_status=1),
    Option(1, "Qualified", default_status=3),
    Option(2, "Disqualified", default_status=4),
)
LEAD_STATUS = (
    Option(1, "New", state=0),
    Option(2, "Contacted", state=0),
    Option(3, "Qualified", state=1),
    Option(4, "Lost", state=2),
    Option(5, "Cannot Contact", state=2),
    Option(6, "No Longer Interested", state=2),
    Option(7, "Canceled", state=2),
)
ACTIVE_STATE = (Option(0, "Active", default_status=1), Option(1, "Inactive", default_status=2))
ACTIVE_STATUS = (Option(1, "Active", state=0), Option(2, "Inactive", state=1))

SEGMENT = (Option(100000000, "Enterprise"), Option(100000001, "Mid-Market"), Option(100000002, "Small Business"))
INTERESTS = (
    Option(100000000, "Email; newsletters"),
    Option(100000001, "Webinars"),
    Option(100000002, "Trade fairs"),
    Option(100000003, "Product news"),
    Option(100000004, "Données & analyses"),
)

OPPORTUNITY_RATING = numbered("Hot|Warm|Cold")
SALES_STAGE = numbered("Qualify|Develop|Propose|Close", first=0)
CONNECTION_CATEGORY = (
    Option(1, "Business"),
    Option(2, "Family"),
    Option(3, "Social"),
    Option(4, "Sales"),
    Option(5, "Other"),
    Option(1000, "Stakeholder"),
    Option(1001, "Sales Team"),
    Option(1002, "Service"),
)
OPPORTUNITY_STATE = (
    Option(0, "Open", default_status=1),
    Option(1, "Won", default_status=3),
    Option(2, "Lost", default_status=4),
)
OPPORTUNITY_STATUS = (
    Option(1, "In Progress", state=0),
    Option(2, "On Hold", state=0),
    Option(3, "Won", state=1),
    Option(4, "Canceled", state=2),
    Option(5, "Out-Sold", state=2),
)
ATTENDANCE = (Option(100000000, "Registered"), Option(100000001, "Attended"), Option(100000002, "No show"))
SESSIONS = (Option(100000000, "Keynote"), Option(100000001, "Workshop; hands-on"), Option(100000002, "Dinner"))
