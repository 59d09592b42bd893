"""Opportunities of the accounts, and the connections that say which contacts take part in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from crmsync.sandbox.data import pools as p
from crmsync.sandbox.data.custom import custom_columns
from crmsync.sandbox.data.draw import NEWEST, Draw, record_guid, stamp
from crmsync.sandbox.data.owners import Owners
from crmsync.sandbox.dataverse import options as o
from crmsync.sandbox.dataverse.connections import ROLES, SALES_TEAM, STAKEHOLDER, mirrored, role_id

_STATUS = tuple(
    (state.value, one.value)
    for state in o.OPPORTUNITY_STATE
    for one in o.OPPORTUNITY_STATUS
    if one.state == state.value
)
_STAKEHOLDERS = tuple(role_id(name) for name, category in ROLES if category == STAKEHOLDER)
_SALES_ROLES = tuple(role_id(name) for name, category in ROLES if category == SALES_TEAM)
_ODD_NAMES = ('Renewal "2025"; +10%', "Großauftrag\nPhase 2", "案件 №7", "=HYPERLINK(1)", " ", "null", "🚀")


@dataclass
class Opportunities:
    """Makes opportunities one after the other. ``accounts`` and ``contacts``: how many there are."""

    world: str
    pools: p.Pools
    owners: Owners
    accounts: int
    contacts: int

    def __post_init__(self) -> None:
        self._draw = Draw(self.world, "opportunity")

    def make(self, number: int) -> dict[str, Any]:
        """The ``number``-th record."""
        draw = self._draw
        modified = draw.moment_before(NEWEST, 900)
        state, status = draw.one(_STATUS) if draw.chance(0.5) else (0, 1)
        value = draw.amount(5_000_000) if draw.chance(0.85) else None
        closed = draw.day(date(2024, 1, 1), 500) if state else None
        row: dict[str, Any] = {
            "opportunityid": record_guid(self.world, "opportunity", number),
            "name": draw.one(_ODD_NAMES) if draw.chance(0.04) else f"{draw.one(p.TOPICS)} {number}",
            "description": draw.one(self.pools.long_notes)[:2000] if draw.chance(0.02) else self._note(),
            "estimatedvalue": value,
            "actualvalue": (value if state == 1 else 0.0) if state and draw.chance(0.95) else None,
            "closeprobability": draw.below(101) if draw.chance(0.7) else None,
            "estimatedclosedate": draw.day(date(2025, 1, 1), 500) if draw.chance(0.8) else None,
            "actualclosedate": closed,
            "opportunityratingcode": 1 + draw.below(3),
            "salesstage": draw.below(4) if draw.chance(0.8) else None,
            "need": draw.below(4) if draw.chance(0.2) else None,
            "statecode": state,
            "statuscode": status,
            "createdon": stamp(draw.moment_before(modified, 1500)),
            "modifiedon": stamp(modified),
        }
        row.update(self._customer())
        row.update(self.owners.draw(draw))
        row.update(custom_columns(draw, self.pools))
        return row

    def _note(self) -> str | None:
        return self._draw.maybe(0.4, self.pools.notes)

    def _customer(self) -> dict[str, Any]:
        """Most belong to an account, some to a contact, a few to nobody."""
        draw, lot = self._draw, self._draw.source.random()
        if self.accounts and lot < 0.88:
            account = record_guid(self.world, "account", draw.below(self.accounts))
            contact = record_guid(self.world, "contact", draw.below(self.contacts)) if self.contacts else None
            parents = {"parentaccountid": account, "parentcontactid": contact if draw.chance(0.5) else None}
            return {"customerid": account, "customeridtype": "account", **parents}
        if self.contacts and lot < 0.96:
            contact = record_guid(self.world, "contact", draw.below(self.contacts))
            return {"customerid": contact, "customeridtype": "contact", "parentcontactid": contact}
        return {}


@dataclass
class Connections:
    """Makes connections, each two rows: opportunities with contacts, some with users, a few between contacts."""

    world: str
    owners: Owners
    opportunities: int
    contacts: int

    def __post_init__(self) -> None:
        self._draw = Draw(self.world, "connection")

    def pairs(self, number: int) -> int:
        """How many connections ``number`` rows are."""
        return math.ceil(number / 2) if self.contacts and self.opportunities else 0

    def rows(self, pairs: int) -> Iterator[dict[str, Any]]:
        """Both rows of each."""
        for number in range(pairs):
            row = self._row(number)
            other = mirrored(row)
            other |= {
                "connectionid": record_guid(self.world, "connection mirror", number),
                "relatedconnectionid": row["connectionid"],
                "ismaster": False,
            }
            yield {**row, "relatedconnectionid": other["connectionid"], "ismaster": True}
            yield other

    def _row(self, number: int) -> dict[str, Any]:
        draw = self._draw
        inactive, modified = draw.chance(0.06), draw.moment_before(NEWEST, 900)
        row: dict[str, Any] = {
            "connectionid": record_guid(self.world, "connection", number),
            "description": draw.maybe(0.1, ("", "met at the fair; keep warm", '"gatekeeper"', "担当者")),
            "effectivestart": stamp(draw.moment_before(modified, 700)) if draw.chance(0.3) else None,
            "effectiveend": stamp(draw.moment_before(NEWEST, 100)) if draw.chance(0.1) else None,
            "statecode": int(inactive),
            "statuscode": 1 + int(inactive),
            "createdon": stamp(draw.moment_before(modified, 1000)),
            "modifiedon": stamp(modified),
        }
        row.update(self._ends())
        row.update(self.owners.draw(draw))
        return row

    def _ends(self) -> dict[str, Any]:
        draw, lot = self._draw, self._draw.source.random()
        contact = record_guid(self.world, "contact", draw.below(self.contacts))
        opportunity = record_guid(self.world, "opportunity", draw.below(self.opportunities))
        if lot < 0.04:
            other = record_guid(self.world, "contact", draw.below(self.contacts))
            return _ends((contact, "contact", None), (other, "contact", role_id("Friend")))
        if lot < 0.1:
            owner = draw.one(self.owners.user_ids)
            return _ends((opportunity, "opportunity", None), (owner, "systemuser", draw.one(_SALES_ROLES)))
        role = draw.one(_STAKEHOLDERS) if draw.chance(0.9) else None
        if lot < 0.3:  # made from the contact's side
            return _ends((contact, "contact", role), (opportunity, "opportunity", None))
        return _ends((opportunity, "opportunity", None), (contact, "contact", role))


def _ends(one: tuple[str, str, str | None], other: tuple[str, str, str | None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, (record, table, role) in enumerate((one, other), 1):
        found |= {f"record{number}id": record, f"record{number}idtype": table, f"record{number}roleid": role}
    return found
