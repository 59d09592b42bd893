"""Users and the one team that own records; some users have left and still own theirs."""

from __future__ import annotations

from typing import Any

from crmsync.sandbox.data import pools as p
from crmsync.sandbox.data.draw import Draw, record_guid

USERS = 12
TEAM_SHARE = 0.03
_JOBS = ("Account Manager", "Inside Sales", "Sales Director", "Vertrieb", "営業", None)


class Owners:
    """The users of a world, and the draw of an owner for a record."""

    def __init__(self, world: str, pools: p.Pools) -> None:
        self._world = world
        self._pools = pools
        self.team_id = record_guid(world, "team", 0)
        self.user_ids = tuple(record_guid(world, "systemuser", number) for number in range(USERS))

    def users(self, domain: str, business_unit: str) -> list[dict[str, Any]]:
        """Their rows; the last two are disabled."""
        draw = Draw(self._world, "systemuser")
        return [self._user(draw, number, domain, business_unit) for number in range(USERS)]

    def _user(self, draw: Draw, number: int, domain: str, business_unit: str) -> dict[str, Any]:
        culture = draw.one(self._pools.cultures)
        return {
            "systemuserid": self.user_ids[number],
            "firstname": draw.one(culture.first),
            "lastname": draw.one(culture.last),
            "title": draw.one(_JOBS),
            "jobtitle": draw.one(_JOBS),
            "internalemailaddress": f"user{number:02d}@{domain}",
            "domainname": f"user{number:02d}@{domain}",
            "mobilephone": draw.maybe(0.7, culture.phones),
            "address1_telephone1": draw.maybe(0.7, culture.phones),
            "address1_fax": draw.maybe(0.2, culture.phones),
            "isdisabled": int(number >= USERS - 2),
            "accessmode": 0,
            "businessunitid": business_unit,
        }

    def team(self, business_unit: str) -> dict[str, Any]:
        """The team's row."""
        return {
            "teamid": self.team_id,
            "name": "Nurture Team, EMEA",
            "isdefault": False,
            "businessunitid": business_unit,
        }

    def draw(self, draw: Draw) -> dict[str, str]:
        """The owner of one record."""
        if draw.chance(TEAM_SHARE):
            return {"ownerid": self.team_id, "owneridtype": "team"}
        return {"ownerid": draw.one(self.user_ids), "owneridtype": "systemuser"}
