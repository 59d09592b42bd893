"""Leads and contacts: what both have, and what each has of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from crmsync.sandbox.data import pools as p
from crmsync.sandbox.data.custom import custom_columns
from crmsync.sandbox.data.draw import NEWEST, Draw, record_guid, stamp
from crmsync.sandbox.data.owners import Owners
from crmsync.sandbox.dataverse import options as o

DIRTY_NAME, SAME_EMAIL, NO_EMAIL, FOREIGN_EMAIL, BROKEN_EMAIL = 0.04, 0.02, 0.05, 0.01, 0.01
_FIRST_DAY = date(1753, 1, 1)
_STATUS = tuple((state.value, s.value) for state in o.LEAD_STATE for s in o.LEAD_STATUS if s.state == state.value)


@dataclass
class People:
    """Makes an entity's persons one after the other. ``world`` is the seed and the tenant's name."""

    world: str
    entity: str
    pools: p.Pools
    owners: Owners
    accounts: int = 0

    def __post_init__(self) -> None:
        self._draw = Draw(self.world, self.entity)
        self._last_email: str | None = None

    def make(self, number: int) -> dict[str, Any]:
        """The ``number``-th record."""
        row = self._person(number)
        row.update(self._lead(number) if self.entity == "lead" else self._contact(number))
        row.update(custom_columns(self._draw, self.pools))
        return row

    def _person(self, number: int) -> dict[str, Any]:
        draw = self._draw
        culture = draw.one(self.pools.cultures)
        first, last = draw.one(culture.first), draw.one(culture.last)
        if draw.chance(DIRTY_NAME):
            first, last = (draw.one(p.STRANGE_NAMES), last) if draw.chance(0.5) else (first, draw.one(p.STRANGE_NAMES))
        middle = draw.maybe(0.15, culture.first)
        modified = draw.moment_before(NEWEST, 900)
        row: dict[str, Any] = {
            "salutation": draw.maybe(0.4, p.SALUTATIONS),
            "firstname": None if draw.chance(0.03) else first,
            "middlename": middle,
            "lastname": last,
            "jobtitle": draw.maybe(0.7, p.TITLES),
            "emailaddress1": self._email(number, first, last),
            "emailaddress2": f"alias{number}@example.net" if draw.chance(0.05) else None,
            "telephone1": draw.maybe(0.8, culture.phones),
            "telephone2": draw.maybe(0.1, culture.phones),
            "mobilephone": draw.maybe(0.5, culture.phones),
            "fax": draw.maybe(0.1, culture.phones),
            "websiteurl": draw.maybe(0.1, p.URLS),
            "description": self._description(),
            "preferredcontactmethodcode": 1 + draw.below(5) if draw.chance(0.4) else 1,
            "donotphone": draw.chance(0.1),
            "donotemail": draw.chance(0.05),
            "donotbulkemail": draw.chance(0.15),
            "donotfax": draw.chance(0.02),
            "donotpostalmail": draw.chance(0.05),
            "donotsendmm": draw.chance(0.1),
            "address1_line1": draw.maybe(0.85, culture.streets),
            "address1_line2": draw.maybe(0.1, ("2nd floor, left", "Hinterhaus", 'c/o "Müller"', "Bldg #4; Apt 007")),
            "address1_line3": draw.maybe(0.03, ("P.O. Box 0042", "", "〒100-0001")),
            "address1_city": draw.maybe(0.85, culture.cities),
            "address1_stateorprovince": draw.maybe(0.5, culture.regions),
            "address1_postalcode": draw.maybe(0.85, culture.postcodes),
            "address1_country": draw.maybe(0.9, (culture.country,)),
            "createdon": stamp(draw.moment_before(modified, 3000)),
            "modifiedon": stamp(modified),
        }
        row.update(self.owners.draw(draw))
        return row

    def _email(self, number: int, first: str, last: str) -> str | None:
        """Mostly good and unique; some shared with the record before, some not ASCII, some broken, some missing."""
        draw = self._draw
        lot = draw.source.random()
        if lot < NO_EMAIL:
            return None if draw.chance(0.9) else ""
        lot -= NO_EMAIL
        if lot < SAME_EMAIL and self._last_email:
            return self._last_email.upper() if draw.chance(0.2) else self._last_email
        lot -= SAME_EMAIL
        if lot < FOREIGN_EMAIL:
            return f"jürgen{number}@exämple.example" if draw.chance(0.5) else f"用户{number}@例え.example"
        lot -= FOREIGN_EMAIL
        if lot < BROKEN_EMAIL:
            return draw.one(p.BROKEN_EMAILS)
        name = f"{first}.{last}".lower()
        local = name if name.isascii() and name.replace(".", "").isalnum() else self.entity
        self._last_email = f"{local[:40]}.{number}@{draw.one(('example.com', 'example.org', 'mail.example'))}"
        return self._last_email

    def _description(self) -> str | None:
        draw = self._draw
        if draw.chance(0.02):
            return draw.one(self.pools.long_notes)[:2000]
        return draw.maybe(0.4, self.pools.notes)

    def _lead(self, number: int) -> dict[str, Any]:
        draw = self._draw
        culture = draw.one(self.pools.cultures)
        state, status = draw.one(_STATUS) if draw.chance(0.3) else (0, 1)
        return {
            "leadid": record_guid(self.world, "lead", number),
            "subject": draw.one(p.TOPICS),
            "companyname": draw.maybe(0.85, culture.companies),
            "leadsourcecode": 1 + draw.below(10) if draw.chance(0.7) else None,
            "leadqualitycode": 1 + draw.below(3),
            "industrycode": 1 + draw.below(33) if draw.chance(0.4) else None,
            "sic": f"{draw.below(2000):04d}" if draw.chance(0.2) else None,
            "numberofemployees": draw.below(20000) if draw.chance(0.3) else None,
            "revenue": draw.amount(50_000_000) if draw.chance(0.3) else None,
            "budgetamount": draw.amount(100_000) if draw.chance(0.2) else None,
            "estimatedclosedate": draw.day(date(2024, 1, 1), 900) if draw.chance(0.2) else None,
            "decisionmaker": draw.chance(0.3),
            "statecode": state,
            "statuscode": status,
        }

    def _contact(self, number: int) -> dict[str, Any]:
        draw = self._draw
        inactive = draw.chance(0.05)
        row = {
            "contactid": record_guid(self.world, "contact", number),
            "department": draw.maybe(0.3, ("Sales", "R&D", "Einkauf", "法務部", "Ops, EMEA", "")),
            "employeeid": f"{draw.below(100000):08d}" if draw.chance(0.2) else None,
            "birthdate": self._birthday(),
            "anniversary": draw.day(date(1960, 1, 1), 22000) if draw.chance(0.05) else None,
            "gendercode": 1 + draw.below(2) if draw.chance(0.4) else None,
            "familystatuscode": 1 + draw.below(4) if draw.chance(0.2) else None,
            "accountrolecode": 1 + draw.below(3) if draw.chance(0.3) else None,
            "annualincome": draw.amount(400_000) if draw.chance(0.1) else None,
            "statecode": int(inactive),
            "statuscode": 1 + int(inactive),
        }
        row.update(self._parent(number))
        return row

    def _birthday(self) -> str | None:
        """Some lie before 1900, where spreadsheets and other calendars end; the earliest is Dataverse's first day."""
        draw = self._draw
        if not draw.chance(0.4):
            return None
        if draw.chance(0.03):
            return draw.day(_FIRST_DAY, 53000) if draw.chance(0.8) else _FIRST_DAY.isoformat()
        return draw.day(date(1935, 1, 1), 26000)

    def _parent(self, number: int) -> dict[str, Any]:
        """The company: most have one, some have none, and a few belong to another contact instead."""
        draw = self._draw
        if self.accounts == 0 or draw.chance(0.2):
            return {}
        if number and draw.chance(0.02):
            other = record_guid(self.world, "contact", draw.below(number))
            return {"parentcustomerid": other, "parentcustomeridtype": "contact"}
        company = record_guid(self.world, "account", draw.below(self.accounts))
        return {"parentcustomerid": company, "parentcustomeridtype": "account"}
