"""Rows of the organization's own tables: event registrations of contacts, order lines of opportunities."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from crmsync.sandbox.data import pools as p
from crmsync.sandbox.data.draw import NEWEST, Draw, record_guid, stamp
from crmsync.sandbox.data.owners import Owners
from crmsync.sandbox.dataverse import options as o

_EVENTS = ("Spring Summit 2025", 'Webinar: "Clean data"', "Messe München; Halle 4", "ユーザー会", "Roadshow\nPraha", "")
_ARTICLES = ("0042", "A-17/b", "SKU,7", "000-000", "größe L", " 12 ")
_SESSIONS = tuple(option.value for option in o.SESSIONS)
_ATTENDANCE = tuple(option.value for option in o.ATTENDANCE)


@dataclass
class Registrations:
    """Makes event registrations one after the other."""

    world: str
    pools: p.Pools
    owners: Owners
    contacts: int

    def __post_init__(self) -> None:
        self._draw = Draw(self.world, "new_eventregistration")

    def make(self, number: int) -> dict[str, Any]:
        """The ``number``-th record; a few belong to no contact."""
        draw = self._draw
        inactive, modified, event = draw.chance(0.05), draw.moment_before(NEWEST, 600), draw.one(_EVENTS)
        contact = record_guid(self.world, "contact", draw.below(self.contacts)) if self.contacts else None
        row: dict[str, Any] = {
            "new_eventregistrationid": record_guid(self.world, "new_eventregistration", number),
            "new_name": f"{event} #{number}"[:200],
            "new_contactid": contact if draw.chance(0.96) else None,
            "new_event": event or None,
            "new_registeredon": stamp(draw.moment_before(modified, 300)) if draw.chance(0.9) else None,
            "new_eventday": draw.day(date(2024, 1, 1), 700) if draw.chance(0.9) else None,
            "new_attendance": draw.maybe(0.8, _ATTENDANCE),
            "new_sessions": self._sessions(),
            "new_vegetarian": draw.chance(0.2),
            "new_invoiceemail": f"invoice{number}@example.com" if draw.chance(0.3) else None,
            "new_remark": draw.one(self.pools.long_notes)[:4000] if draw.chance(0.05) else None,
            "new_fee": draw.amount(2_000) if draw.chance(0.6) else None,
            "statecode": int(inactive),
            "statuscode": 1 + int(inactive),
            "createdon": stamp(draw.moment_before(modified, 400)),
            "modifiedon": stamp(modified),
        }
        row.update(self.owners.draw(draw))
        return row

    def _sessions(self) -> str | None:
        draw = self._draw
        if not draw.chance(0.6):
            return None
        return ",".join(str(one) for one in sorted(draw.source.sample(_SESSIONS, 1 + draw.below(3))))


@dataclass
class OrderLines:
    """Makes order lines one after the other."""

    world: str
    owners: Owners
    opportunities: int

    def __post_init__(self) -> None:
        self._draw = Draw(self.world, "new_orderline")

    def make(self, number: int) -> dict[str, Any]:
        """The ``number``-th record."""
        draw = self._draw
        inactive, modified, article = draw.chance(0.03), draw.moment_before(NEWEST, 600), draw.one(_ARTICLES)
        opportunity = None
        if self.opportunities:
            opportunity = record_guid(self.world, "opportunity", draw.below(self.opportunities))
        row: dict[str, Any] = {
            "new_orderlineid": record_guid(self.world, "new_orderline", number),
            "new_name": f"Line {number}: {article}",
            "new_opportunityid": opportunity if draw.chance(0.97) else None,
            "new_sku": article,
            "new_quantity": draw.below(500) if draw.chance(0.95) else None,
            "new_discount": round(draw.source.uniform(0, 60), 2) if draw.chance(0.4) else None,
            "new_deliveryon": draw.day(date(2025, 1, 1), 500) if draw.chance(0.7) else None,
            "new_price": draw.amount(90_000) if draw.chance(0.95) else None,
            "statecode": int(inactive),
            "statuscode": 1 + int(inactive),
            "createdon": stamp(draw.moment_before(modified, 400)),
            "modifiedon": stamp(modified),
        }
        row.update(self.owners.draw(draw))
        return row
