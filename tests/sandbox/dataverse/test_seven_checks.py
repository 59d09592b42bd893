"""What Marketo's "Validate Sync" looks at can be seen here, and each of it can be broken over the public API.

An unprepared organization is set up as an administrator does it with Marketo's own solution; then one thing is broken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.dataverse.conftest import Contoso, open_contoso, organization
from tests.sandbox.dataverse.setting_up import assign, give, import_solution, made_id, privilege_ids, root_unit, rows
from tests.sandbox.solutions import MARKETO_SOLUTION, marketo_solution

IF_ANY = {"If-Match": "*"}
ALL_GREEN = dict.fromkeys(
    ("member", "role", "privileges", "solution", "steps", "config is filled", "config is us"), True
)


@dataclass
class Prepared:
    """The organization after the set-up."""

    contoso: Contoso
    user: str
    role: str

    @property
    def admin(self) -> httpx.AsyncClient:
        return self.contoso.admin

    async def look(self) -> dict[str, bool]:
        """What the checks find, with the sync user's own eyes where it has them."""
        client = self.contoso.sync
        who = await client.get("WhoAmI")
        if who.status_code != 200:
            return ALL_GREEN | {"member": False}
        url = f"systemusers({self.user})?$select=fullname&$expand=systemuserroles_association($select=name)"
        user = (await self.admin.get(url)).json()
        held = (await client.get(f"systemusers({self.user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges")).json()
        depths = {one["PrivilegeName"]: one["Depth"] for one in held["RolePrivileges"]}
        solutions = await rows(self.admin, f"solutions?$filter=uniquename eq '{MARKETO_SOLUTION}'")
        off = await rows(self.admin, "sdkmessageprocessingsteps?$select=name&$filter=statecode eq 1")
        config = await self.admin.get("mkt_configs?$select=_mkt_marketouser_value")
        named = [one["_mkt_marketouser_value"] for one in config.json().get("value", [])]
        return {
            "member": True,
            "role": "Marketo Sync User" in [one["name"] for one in user["systemuserroles_association"]],
            "privileges": depths.get("prvReadLead") == "Global",
            "solution": bool(solutions),
            "steps": not off,
            "config is filled": named != [None],
            "config is us": named == [who.json()["UserId"]],
        }

    async def config(self) -> str:
        (found,) = await rows(self.admin, "mkt_configs?$select=mkt_name")
        return f"mkt_configs({found['mkt_configid']})"

    async def change(self, where: str, body: dict[str, Any]) -> None:
        assert (await self.admin.patch(where, json=body, headers=IF_ANY)).status_code == 204


@pytest.fixture
async def prepared(tmp_path: Path) -> AsyncIterator[Prepared]:
    async with AsyncExitStack() as stack:
        org = organization(tmp_path / "prepared.db")
        org.prepared = False
        contoso = await open_contoso(stack, org)
        assert (await import_solution(contoso, marketo_solution()))["Status"] == "Passed"
        unit = await root_unit(contoso)
        body = {"applicationid": org.sync_app.client_id, "businessunitid@odata.bind": f"/businessunits({unit})"}
        user = made_id(await contoso.admin.post("systemusers", json=body))
        (role,) = await rows(
            contoso.admin, f"roles?$filter=name eq 'Marketo Sync User' and _businessunitid_value eq {unit}"
        )
        assert (await assign(contoso, user, role["roleid"])).status_code == 204
        ready = Prepared(contoso, user, role["roleid"])
        await ready.change(await ready.config(), {"mkt_MarketoUser@odata.bind": f"/systemusers({user})"})
        assert (await contoso.admin.post("PublishAllXml")).status_code == 204
        yield ready


async def test_after_the_set_up_all_is_there(prepared: Prepared) -> None:
    assert await prepared.look() == ALL_GREEN


async def test_the_config_table_can_be_found_without_knowing_its_name(prepared: Prepared) -> None:
    url = "EntityDefinitions?$select=LogicalName,EntitySetName,DisplayName&$filter=IsCustomEntity eq true"
    tables = {one["DisplayName"]["UserLocalizedLabel"]["Label"]: one for one in await rows(prepared.admin, url)}
    config = tables["Marketo Config"]
    assert (config["LogicalName"], config["EntitySetName"]) == ("mkt_config", "mkt_configs")
    below = f"EntityDefinitions(LogicalName='{config['LogicalName']}')/ManyToOneRelationships"
    select = "$select=ReferencingAttribute,ReferencingEntityNavigationPropertyName"
    condition = "ReferencedEntity eq 'systemuser' and IsCustomRelationship eq true"
    (lookup,) = await rows(prepared.admin, f"{below}?{select}&$filter={condition}")
    assert lookup["ReferencingEntityNavigationPropertyName"] == "mkt_MarketoUser"


async def disable_user(it: Prepared) -> None:
    await it.change(f"systemusers({it.user})", {"isdisabled": True})


async def delete_user(it: Prepared) -> None:
    assert (await it.admin.delete(f"systemusers({it.user})")).status_code == 204


async def take_role(it: Prepared) -> None:
    link = f"{it.contoso.org.url}/api/data/v9.2/roles({it.role})"
    where = f"systemusers({it.user})/systemuserroles_association/$ref?$id={link}"
    assert (await it.admin.delete(where)).status_code == 204


async def take_privilege(it: Prepared) -> None:
    body = {"PrivilegeId": (await privilege_ids(it.contoso, ["prvReadLead"]))["prvReadLead"]}
    answer = await it.admin.post(f"roles({it.role})/Microsoft.Dynamics.CRM.RemovePrivilegeRole", json=body)
    assert answer.status_code == 204


async def lower_depth(it: Prepared) -> None:
    assert (await give(it.contoso, it.role, {"prvReadLead": "Deep"})).status_code == 204


async def remove_solution(it: Prepared) -> None:
    (found,) = await rows(it.admin, f"solutions?$filter=uniquename eq '{MARKETO_SOLUTION}'")
    assert (await it.admin.delete(f"solutions({found['solutionid']})")).status_code == 204


async def switch_step_off(it: Prepared) -> None:
    step = (await rows(it.admin, "sdkmessageprocessingsteps?$select=name"))[0]
    where = f"sdkmessageprocessingsteps({step['sdkmessageprocessingstepid']})"
    await it.change(where, {"statecode": 1, "statuscode": 2})


async def empty_config(it: Prepared) -> None:
    await it.change(await it.config(), {"mkt_MarketoUser@odata.bind": None})


async def another_in_config(it: Prepared) -> None:
    other = it.contoso.store.ids.admin_user
    await it.change(await it.config(), {"mkt_MarketoUser@odata.bind": f"/systemusers({other})"})


Break = Callable[[Prepared], Awaitable[None]]


@pytest.mark.parametrize(
    ("break_it", "red"),
    [
        (disable_user, {"member"}),
        (delete_user, {"member"}),
        (take_role, {"role", "privileges"}),
        (take_privilege, {"privileges"}),
        (lower_depth, {"privileges"}),
        (remove_solution, {"role", "privileges", "solution", "config is us"}),
        (switch_step_off, {"steps"}),
        (empty_config, {"config is filled", "config is us"}),
        (another_in_config, {"config is us"}),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
async def test_each_thing_can_be_broken(prepared: Prepared, break_it: Break, red: set[str]) -> None:
    await break_it(prepared)
    found = await prepared.look()
    assert {name for name, green in found.items() if not green} == red
