"""Accounts: the companies that contacts belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crmsync.sandbox.data import pools as p
from crmsync.sandbox.data.custom import custom_columns
from crmsync.sandbox.data.draw import NEWEST, Draw, record_guid, stamp
from crmsync.sandbox.data.owners import Owners

STRANGE_COMPANIES = (
    'The "Best" Company, Inc.',
    "Müller & Söhne GmbH & Co. KG",
    "株式会社さくら",
    "Company\nwith a line break",
    "🚀 Rocket Ltd.",
    "A",
    "=cmd|' /C calc'!A0",
    "null",
    " Leading and trailing ",
)


@dataclass
class Companies:
    """Makes accounts one after the other."""

    world: str
    pools: p.Pools
    owners: Owners

    def __post_init__(self) -> None:
        self._draw = Draw(self.world, "account")

    def make(self, number: int) -> dict[str, Any]:
        """The ``number``-th record."""
        draw = self._draw
        culture = draw.one(self.pools.cultures)
        name = draw.one(STRANGE_COMPANIES) if draw.chance(0.04) else draw.one(culture.companies)
        modified = draw.moment_before(NEWEST, 900)
        inactive = draw.chance(0.04)
        row: dict[str, Any] = {
            "accountid": record_guid(self.world, "account", number),
            "name": name if draw.chance(0.5) else f"{name} {number}"[:160],
            "accountnumber": f"{number:08d}" if draw.chance(0.7) else None,
            "emailaddress1": f"info{number}@example.com" if draw.chance(0.5) else None,
            "telephone1": draw.maybe(0.8, culture.phones),
            "fax": draw.maybe(0.1, culture.phones),
            "websiteurl": draw.maybe(0.6, p.URLS),
            "sic": f"{draw.below(2000):04d}" if draw.chance(0.3) else None,
            "tickersymbol": draw.maybe(0.05, ("MSFT", "ADBE", "0700", "A&B")),
            "description": draw.one(self.pools.long_notes)[:2000] if draw.chance(0.02) else self._note(),
            "industrycode": 1 + draw.below(33) if draw.chance(0.7) else None,
            "businesstypecode": 1,
            "customertypecode": 1 + draw.below(12) if draw.chance(0.4) else None,
            "ownershipcode": 1 + draw.below(4) if draw.chance(0.3) else None,
            "numberofemployees": draw.below(200_000) if draw.chance(0.5) else None,
            "revenue": draw.amount(2_000_000_000) if draw.chance(0.5) else None,
            "donotbulkemail": draw.chance(0.1),
            "address1_line1": draw.maybe(0.9, culture.streets),
            "address1_city": draw.maybe(0.9, culture.cities),
            "address1_stateorprovince": draw.maybe(0.5, culture.regions),
            "address1_postalcode": draw.maybe(0.9, culture.postcodes),
            "address1_country": draw.maybe(0.95, (culture.country,)),
            "parentaccountid": self._parent(number),
            "statecode": int(inactive),
            "statuscode": 1 + int(inactive),
            "createdon": stamp(draw.moment_before(modified, 3000)),
            "modifiedon": stamp(modified),
        }
        row.update(self.owners.draw(draw))
        row.update(custom_columns(draw, self.pools))
        return row

    def _note(self) -> str | None:
        return self._draw.maybe(0.3, self.pools.notes)

    def _parent(self, number: int) -> str | None:
        draw = self._draw
        if not number or not draw.chance(0.1):
            return None
        return record_guid(self.world, "account", draw.below(number))
