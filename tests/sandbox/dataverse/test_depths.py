"""How far a privilege reaches (reference: "Security roles and privileges", access levels)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.sandbox.dataverse.conftest import Contoso, error
from tests.sandbox.dataverse.setting_up import assign, give, made_id, new_role, new_unit, new_user, rows

TRACKED = {"Prefer": "odata.track-changes"}


@dataclass
class Europe:
    """A user in the business unit Europe, which has Germany below it; a lead in each, and the user's own."""

    contoso: Contoso
    user: str
    client: httpx.AsyncClient
    role: str
    leads: dict[str, str]

    async def may_read(self, depth: str) -> set[str]:
        assert (await give(self.contoso, self.role, {"prvReadLead": depth})).status_code == 204
        return {row["lastname"] for row in await rows(self.client, "leads?$select=lastname")}


@pytest.fixture
async def europe(contoso: Contoso) -> AsyncIterator[Europe]:
    unit = await new_unit(contoso, "Europe")
    germany = await new_unit(contoso, "Germany", parent=unit)
    role = await new_role(contoso, "Readers", {"prvWriteLead": "Basic", "prvDeleteLead": "Local"})
    (copy,) = await rows(contoso.admin, f"roles?$filter=name eq 'Readers' and _businessunitid_value eq {unit}")
    user, client = await new_user(contoso, unit=unit)
    assert (await assign(contoso, user, copy["roleid"])).status_code == 204
    leads = {}
    owners = {"Everywhere": None, "Own": user}
    for name, place in (("Europe", unit), ("Germany", germany)):
        colleague = str(uuid.uuid4())
        row = {"systemuserid": colleague, "lastname": name, "businessunitid": place}
        contoso.store.insert_many("systemuser", [row])
        owners[name] = colleague
    for name, owner in owners.items():
        bound = {} if owner is None else {"ownerid@odata.bind": f"/systemusers({owner})"}
        made = await contoso.admin.post("leads", json={"lastname": name, "subject": name, **bound})
        leads[name] = made.headers["odata-entityid"]
    async with client:
        yield Europe(contoso, user, client, role, leads)


async def test_own_rows_the_unit_the_units_below_or_all(europe: Europe) -> None:
    assert await europe.may_read("Basic") == {"Own"}
    assert await europe.may_read("Local") == {"Own", "Europe"}
    assert await europe.may_read("Deep") == {"Own", "Europe", "Germany"}
    assert await europe.may_read("Global") == {"Own", "Europe", "Germany", "Everywhere"}


@pytest.mark.parametrize("depth", ["Basic", "Local", "Deep"])
async def test_change_tracking_needs_the_whole_organization(europe: Europe, depth: str) -> None:
    await europe.may_read(depth)
    status, code, message = error(await europe.client.get("leads?$select=lastname", headers=TRACKED))
    assert (status, code) == (403, "0x80040220")
    assert "is missing prvReadLead privilege" in message
    await europe.may_read("Global")
    assert (await europe.client.get("leads?$select=lastname", headers=TRACKED)).status_code == 200


async def test_a_row_out_of_reach_is_refused(europe: Europe) -> None:
    await europe.may_read("Basic")
    assert (await europe.client.get(europe.leads["Own"])).status_code == 200
    status, code, message = error(await europe.client.get(europe.leads["Europe"]))
    assert (status, code) == (403, "0x80048306")
    assert "does not have ReadAccess right(s)" in message
    assert error(await europe.client.get(f"{europe.leads['Europe']}/ownerid"))[:2] == (403, "0x80048306")


async def test_a_row_that_does_not_exist_is_told_from_one_out_of_reach(europe: Europe) -> None:
    for depth in ("Basic", "Global"):
        await europe.may_read(depth)
        assert error(await europe.client.get(f"leads({uuid.uuid4()})"))[:2] == (404, "0x80040217")
    taken = await give(europe.contoso, europe.role, {"prvWriteLead": "Basic"}, "ReplacePrivilegesRole")
    assert taken.status_code == 204
    assert error(await europe.client.get(europe.leads["Own"]))[:2] == (403, "0x80040220")


async def test_what_a_team_of_the_user_owns_is_within_every_reach(europe: Europe) -> None:
    await europe.may_read("Basic")
    team = made_id(await europe.contoso.admin.post("teams", json={"name": "Elsewhere"}))
    given = {"ownerid@odata.bind": f"/teams({team})"}
    await europe.contoso.admin.patch(europe.leads["Everywhere"], json=given, headers={"If-Match": "*"})
    assert await europe.may_read("Basic") == {"Own"}

    member = f"{europe.contoso.org.url}/api/data/v9.2/systemusers({europe.user})"
    await europe.contoso.admin.post(f"teams({team})/teammembership_association/$ref", json={"@odata.id": member})

    assert await europe.may_read("Basic") == {"Own", "Everywhere"}
    assert await europe.may_read("Local") == {"Own", "Europe", "Everywhere"}
    await europe.contoso.admin.delete(f"teams({team})/teammembership_association/$ref", params={"$id": member})
    assert await europe.may_read("Basic") == {"Own"}


async def test_a_shared_row_is_within_reach_until_it_is_shared_no_more(europe: Europe) -> None:
    await europe.may_read("Basic")
    row_id = europe.leads["Germany"].rpartition("(")[2].rstrip(")")
    target = {"leadid": row_id, "@odata.type": "Microsoft.Dynamics.CRM.lead"}
    user = {"systemuserid": europe.user, "@odata.type": "Microsoft.Dynamics.CRM.systemuser"}
    access = {"Principal": user, "AccessMask": "ReadAccess, AppendAccess"}
    shared = await europe.contoso.admin.post("GrantAccess", json={"Target": target, "PrincipalAccess": access})
    assert shared.status_code == 204
    assert await europe.may_read("Basic") == {"Own", "Germany"}
    assert (await europe.client.get(europe.leads["Germany"])).status_code == 200
    change = {"json": {"subject": "New"}, "headers": {"If-Match": "*"}}
    assert error(await europe.client.patch(europe.leads["Germany"], **change))[:2] == (403, "0x80048306")

    await europe.contoso.admin.post("RevokeAccess", json={"Target": target, "Revokee": user})

    assert await europe.may_read("Basic") == {"Own"}
    assert error(await europe.client.get(europe.leads["Germany"]))[:2] == (403, "0x80048306")


async def test_writes_and_deletes_reach_as_far_as_their_own_privileges(europe: Europe) -> None:
    await europe.may_read("Global")
    change = {"json": {"subject": "New"}, "headers": {"If-Match": "*"}}
    assert (await europe.client.patch(europe.leads["Own"], **change)).status_code == 204
    assert error(await europe.client.patch(europe.leads["Europe"], **change))[:2] == (403, "0x80048306")
    assert (await europe.client.delete(europe.leads["Europe"])).status_code == 204
    assert error(await europe.client.delete(europe.leads["Germany"]))[:2] == (403, "0x80048306")


async def test_a_row_goes_to_the_business_unit_of_its_new_owner(europe: Europe) -> None:
    assert await europe.may_read("Local") == {"Own", "Europe"}
    given = {"ownerid@odata.bind": f"/systemusers({europe.user})"}
    moved = await europe.contoso.admin.patch(europe.leads["Everywhere"], json=given, headers={"If-Match": "*"})
    assert moved.status_code == 204
    assert await europe.may_read("Local") == {"Own", "Europe", "Everywhere"}


async def test_counts_see_what_rows_are_seen(europe: Europe) -> None:
    await europe.may_read("Local")
    assert (await europe.client.get("leads/$count")).text.lstrip("\ufeff") == "2"
    body = (await europe.client.get("leads?$select=lastname&$count=true")).json()
    assert body["@odata.count"] == 2
