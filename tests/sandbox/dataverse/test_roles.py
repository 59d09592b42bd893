"""Security roles, their privileges and their copies (reference: "Security roles and privileges")."""

from __future__ import annotations

from tests.sandbox.dataverse.conftest import Contoso, error
from tests.sandbox.dataverse.setting_up import (
    ROLE_ACTIONS,
    assign,
    give,
    made_id,
    new_role,
    new_unit,
    new_user,
    privilege_ids,
    root_unit,
    rows,
)


async def held(contoso: Contoso, role: str) -> dict[str, str]:
    answer = await contoso.admin.get(f"RetrieveRolePrivilegesRole(RoleId={role})")
    return {one["PrivilegeName"]: one["Depth"] for one in answer.json()["RolePrivileges"]}


async def test_a_new_role_holds_what_it_is_given(contoso: Contoso) -> None:
    role = await new_role(contoso, "Readers", {"prvReadLead": "Global", "prvReadContact": "Local"})
    assert await held(contoso, role) == {"prvReadLead": "Global", "prvReadContact": "Local"}

    assert (await give(contoso, role, {"prvReadContact": "Global"})).status_code == 204
    assert await held(contoso, role) == {"prvReadLead": "Global", "prvReadContact": "Global"}

    gone = {"PrivilegeId": (await privilege_ids(contoso, ["prvReadLead"]))["prvReadLead"]}
    assert (await contoso.admin.post(f"roles({role})/{ROLE_ACTIONS}RemovePrivilegeRole", json=gone)).status_code == 204
    assert await held(contoso, role) == {"prvReadContact": "Global"}

    replaced = await give(contoso, role, {"prvReadAccount": "Global"}, "ReplacePrivilegesRole")
    assert replaced.status_code == 204
    assert await held(contoso, role) == {"prvReadAccount": "Global"}


async def test_privileges_of_a_role_come_expanded(contoso: Contoso) -> None:
    role = await new_role(contoso, "Readers", {"prvReadLead": "Global"})
    url = f"roles({role})?$select=name&$expand=roleprivileges_association($select=name)"
    (one,) = (await contoso.admin.get(url)).json()["roleprivileges_association"]
    assert one["name"] == "prvReadLead"
    link = {"@odata.id": f"{contoso.org.url}/api/data/v9.2/privileges({one['privilegeid']})"}
    assert (await contoso.admin.post(f"roles({role})/roleprivileges_association/$ref", json=link)).status_code == 400


async def test_every_business_unit_has_its_own_copy(contoso: Contoso) -> None:
    before = await new_unit(contoso, "Europe")
    role = await new_role(contoso, "Readers", {"prvReadLead": "Global"})
    after = await new_unit(contoso, "Germany", parent=before)

    select = "roles?$select=name,_businessunitid_value,_parentrootroleid_value&$filter=name eq 'Readers'"
    copies = {one["_businessunitid_value"]: one for one in await rows(contoso.admin, select)}
    assert set(copies) == {await root_unit(contoso), before, after}
    assert {one["_parentrootroleid_value"] for one in copies.values()} == {role}

    await give(contoso, role, {"prvReadContact": "Global"})
    assert await held(contoso, copies[after]["roleid"]) == {"prvReadLead": "Global", "prvReadContact": "Global"}
    status, code, message = error(await give(contoso, copies[after]["roleid"], {"prvReadAccount": "Global"}))
    assert (status, code) == (400, "0x80040203")
    assert "at its root role" in message


async def test_a_user_takes_the_copy_of_its_own_business_unit(contoso: Contoso) -> None:
    unit = await new_unit(contoso, "Europe")
    role = await new_role(contoso, "Readers", {"prvReadLead": "Global"})
    user, client = await new_user(contoso, unit=unit)
    async with client:
        status, code, message = error(await assign(contoso, user, role))
        assert (status, code) == (400, "0x80040203")
        assert message == "The business unit of the role is not the business unit of the user."

        (copy,) = await rows(contoso.admin, f"roles?$filter=name eq 'Readers' and _businessunitid_value eq {unit}")
        assert (await assign(contoso, user, copy["roleid"])).status_code == 204
        assert (await client.get("leads?$select=subject")).status_code == 200

        move = {"businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
        moved = await contoso.admin.patch(f"systemusers({user})", json=move, headers={"If-Match": "*"})
        assert moved.status_code == 204
        assert (await client.get("leads?$select=subject")).status_code == 403  # roles do not move along


async def test_an_unknown_role_cannot_be_assigned(contoso: Contoso) -> None:
    nobody = "11111111-2222-3333-4444-555555555555"
    assert error(await assign(contoso, contoso.store.ids.sync_user, nobody))[:2] == (400, "0x80060888")


async def test_names_are_unique_in_a_business_unit(contoso: Contoso) -> None:
    unit = await root_unit(contoso)
    body = {"name": "Marketo Sync User", "businessunitid@odata.bind": f"/businessunits({unit})"}
    assert error(await contoso.admin.post("roles", json=body))[0] == 400
    assert (await contoso.admin.post("roles", json={"name": "No unit"})).status_code == 400


async def test_a_deleted_role_is_taken_from_its_users(contoso: Contoso) -> None:
    assert (await contoso.sync.get("leads?$select=subject")).status_code == 200
    (role,) = await rows(contoso.admin, "roles?$filter=name eq 'Marketo Sync User'")
    assert (await contoso.admin.delete(f"roles({role['roleid']})")).status_code == 204
    assert (await contoso.sync.get("WhoAmI")).status_code == 200
    status, code, message = error(await contoso.sync.get("leads?$select=subject"))
    assert (status, code) == (403, "0x80040220")
    assert "roleCount=0, privilegeCount=0" in message


async def test_a_depth_must_be_one_that_the_privilege_can_have(contoso: Contoso) -> None:
    role = await new_role(contoso, "Readers")
    assert error(await give(contoso, role, {"prvReadOrganization": "Basic"}))[:2] == (400, "0x80040203")
    (found,) = await rows(contoso.admin, "privileges?$filter=name eq 'prvReadOrganization'")
    assert [found[f"canbe{depth}"] for depth in ("basic", "local", "deep", "global")] == [False, False, False, True]


async def test_a_table_tells_its_privileges(contoso: Contoso) -> None:
    url = "EntityDefinitions(LogicalName='lead')?$select=LogicalName,Privileges"
    told = {one["Name"]: one for one in (await contoso.sync.get(url)).json()["Privileges"]}
    assert told["prvReadLead"]["PrivilegeType"] == "Read"
    assert told["prvReadLead"]["PrivilegeId"] == (await privilege_ids(contoso, ["prvReadLead"]))["prvReadLead"]
    assert told["prvReadLead"]["CanBeBasic"] is True


async def test_the_administrator_role_is_not_changed(contoso: Contoso) -> None:
    role = contoso.store.ids.administrator_role
    assert (await give(contoso, role, {"prvReadLead": "Basic"})).status_code == 405
    assert (await contoso.admin.delete(f"roles({role})")).status_code == 405


async def test_roles_are_for_administrators(contoso: Contoso) -> None:
    role, user = contoso.store.ids.sync_role, contoso.store.ids.sync_user
    link = {"@odata.id": f"{contoso.org.url}/api/data/v9.2/roles({role})"}
    unit = {"businessunitid@odata.bind": f"/businessunits({contoso.store.ids.business_unit})"}
    lead = (await privilege_ids(contoso, ["prvDeleteLead"]))["prvDeleteLead"]
    more = {"Privileges": [{"PrivilegeId": lead, "Depth": "Global"}]}
    for refused in (
        await contoso.sync.post("roles", json={"name": "Mine", **unit}),
        await contoso.sync.post(f"roles({role})/{ROLE_ACTIONS}AddPrivilegesRole", json=more),
        await contoso.sync.delete(f"roles({role})"),
        await contoso.sync.post(f"systemusers({user})/systemuserroles_association/$ref", json=link),
        await contoso.sync.post("businessunits", json={"name": "Mine"}),
    ):
        assert error(refused)[:2] == (403, "0x80040220")


async def test_a_role_is_put_into_a_solution(contoso: Contoso) -> None:
    body = {"name": "In it", "businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
    headers = {"MSCRM.SolutionUniqueName": "crmsync"}
    role = made_id(await contoso.admin.post("roles", json=body, headers=headers))
    components = "solutioncomponents?$select=objectid,componenttype&$expand=solutionid($select=uniquename)"
    (component,) = await rows(contoso.admin, f"{components}&$filter=objectid eq {role}")
    assert (component["componenttype"], component["solutionid"]["uniquename"]) == (20, "crmsync")
    unknown = await contoso.admin.post("roles", json=body, headers={"MSCRM.SolutionUniqueName": "nowhere"})
    assert error(unknown)[:2] == (404, "0x80040217")


async def test_a_business_unit_goes_when_it_is_disabled_and_empty(contoso: Contoso) -> None:
    unit = await new_unit(contoso, "Europe")
    await new_role(contoso, "Readers", {"prvReadLead": "Global"})
    user, client = await new_user(contoso, unit=unit)
    await client.aclose()
    assert (await contoso.admin.delete(f"businessunits({unit})")).status_code == 405  # enabled
    disabled = await contoso.admin.patch(f"businessunits({unit})", json={"isdisabled": True}, headers={"If-Match": "*"})
    assert disabled.status_code == 204
    assert (await contoso.admin.delete(f"businessunits({unit})")).status_code == 405  # it has a user
    for _ in ("softly", "for good"):
        assert (await contoso.admin.delete(f"systemusers({user})")).status_code == 204
    assert (await contoso.admin.delete(f"businessunits({unit})")).status_code == 204
    assert len(await rows(contoso.admin, "roles?$filter=name eq 'Readers'")) == 1
    assert (await contoso.admin.delete(f"businessunits({await root_unit(contoso)})")).status_code == 405
