"""Solutions of an organization: which are there, a new one of our own, what is in it, and taking it away.

"Work with solutions" and the solution, publisher and solutioncomponent table references (Microsoft's documents); the
names of Marketo's solution are from "Step 1 of 3: Install the Marketo Solution" (Marketo's documents).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from crmsync.dynamics import rows
from crmsync.dynamics.channel import Channel, url
from crmsync.dynamics.setup_answers import COMPONENTS, PUBLISHERS, SOLUTIONS, STEPS
from crmsync.errors import SolutionRefused

OURS = "crmsync"
"""The unique name of the solution that holds what ``prepare`` makes where Marketo's own is not installed."""
MARKETOS_UNIQUE_NAME = "MarketoLeadManagement"
MARKETOS_NAME = "Marketo Lead Management"
PREFIX = "new"
IN_OURS: Mapping[str, str] = {"MSCRM.SolutionUniqueName": OURS}
"""The header that puts what a request makes into our solution."""

_SELECT = "solutionid,uniquename,friendlyname,version,ismanaged"


class Part(IntEnum):
    """Kinds of components, as ``componenttype`` counts them."""

    COLUMN = 2
    ROLE = 20
    STEP = 92


@dataclass(frozen=True)
class Solution:
    """An installed solution."""

    id: str
    unique_name: str
    name: str
    version: str
    managed: bool

    def __str__(self) -> str:
        return f"'{self.name}' {self.version}"

    @property
    def is_marketos(self) -> bool:
        """Whether it is Marketo's own, by either of its names."""
        return self.unique_name == MARKETOS_UNIQUE_NAME or self.name == MARKETOS_NAME


async def find_solutions(channel: Channel, *unique_names: str) -> list[Solution]:
    """Those of these unique names that are installed, and Marketo's own."""
    conditions = [f"uniquename eq '{name}'" for name in (*unique_names, MARKETOS_UNIQUE_NAME)]
    wanted = " or ".join([*dict.fromkeys(conditions), f"friendlyname eq '{MARKETOS_NAME}'"])
    body = await channel.get(url("solutions", select=_SELECT, filter=wanted), SOLUTIONS, entity="solution")
    return [_solution(row) for row in body["value"]]


def _solution(row: dict[str, Any]) -> Solution:
    return Solution(
        id=row["solutionid"],
        unique_name=row["uniquename"],
        name=row.get("friendlyname") or row["uniquename"],
        version=row["version"],
        managed=bool(row["ismanaged"]),
    )


async def create_ours(channel: Channel) -> None:
    """The unmanaged solution ``crmsync``, of the organization's publisher with the prefix of ``new_synctomkto``."""
    wanted = url("publishers", select="publisherid", filter=f"customizationprefix eq '{PREFIX}'")
    found = (await channel.get(wanted, PUBLISHERS, entity="publisher"))["value"]
    if not found:
        raise SolutionRefused(
            f"No publisher of the organization has the prefix '{PREFIX}'",
            remedy="Make one: make.powerapps.com > Solutions > Publishers > New publisher, with the prefix "
            f"'{PREFIX}': the name of the column {PREFIX}_synctomkto needs it.",
            tenant=channel.tenant,
        )
    solution = {
        "uniquename": OURS,
        "friendlyname": OURS,
        "version": "1.0.0.0",
        "description": "What crmsync needs to sync this organization with Marketo. Made by 'crmsync prepare'.",
        "publisherid@odata.bind": f"/publishers({found[0]['publisherid']})",
    }
    await rows.create(channel, "solutions", solution)


async def components(channel: Channel, solution_id: str, kind: Part) -> set[str]:
    """The ids of a solution's components of one kind."""
    wanted = f"_solutionid_value eq {solution_id} and componenttype eq {int(kind)}"
    path: str | None = url("solutioncomponents", select="objectid", filter=wanted)
    found: set[str] = set()
    while path is not None:
        body = await channel.get(path, COMPONENTS, entity="solutioncomponent")
        found |= {str(row["objectid"]).lower() for row in body["value"]}
        path = body.get("@odata.nextLink")
    return found


async def steps(channel: Channel, solution_id: str) -> dict[str, bool]:
    """The plug-in steps of a solution by name, and whether each is enabled."""
    ids = sorted(await components(channel, solution_id, Part.STEP))
    found: dict[str, bool] = {}
    for start in range(0, len(ids), rows.IDS_PER_READ):
        chunk = ids[start : start + rows.IDS_PER_READ]
        wanted = " or ".join(f"sdkmessageprocessingstepid eq {one}" for one in chunk)
        path = url("sdkmessageprocessingsteps", select="name,statecode", filter=wanted)
        body = await channel.get(path, STEPS, entity="sdkmessageprocessingstep")
        found |= {row["name"]: row["statecode"] == 0 for row in body["value"]}
    return found


async def delete_solution(channel: Channel, solution_id: str) -> None:
    """Remove a solution: a managed one takes its parts along, of an unmanaged one they stay."""
    await rows.delete(channel, "solutions", solution_id)
