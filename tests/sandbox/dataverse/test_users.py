"""Application users: made, disabled, deleted (reference: "Manage application users")."""

from __future__ import annotations

from tests.sandbox.dataverse.conftest import Contoso, app_registration, error
from tests.sandbox.dataverse.setting_up import assign, new_user, root_unit, rows

IF_ANY = {"If-Match": "*"}
FIND = (
    "systemusers?$select=systemuserid,fullname,applicationid,isdisabled,deletedstate,_businessunitid_value"
    "&$expand=systemuserroles_association($select=roleid,name)&$filter=applicationid eq "
)


async def test_name_and_email_come_from_entra(contoso: Contoso) -> None:
    app = app_registration("Second App!")
    contoso.org.directory.register(app)
    unit = await root_unit(contoso)
    body = {"applicationid": app.client_id, "businessunitid@odata.bind": f"/businessunits({unit})", "lastname": "Mine"}
    assert (await contoso.admin.post("systemusers", json=body)).status_code == 204
    (user,) = await rows(contoso.admin, FIND + app.client_id)
    assert user["fullname"] == "# Second App!"
    assert (user["isdisabled"], user["deletedstate"], user["_businessunitid_value"]) == (False, 0, unit)
    assert user["systemuserroles_association"] == []
    select = "internalemailaddress,domainname,azureactivedirectoryobjectid,accessmode"
    told = (await contoso.admin.get(f"systemusers({user['systemuserid']})?$select={select}")).json()
    assert told["internalemailaddress"] == f"second-app-{app.client_id[:8]}@contoso.example"
    assert told["azureactivedirectoryobjectid"] == app.object_id
    assert told["accessmode"] == 4


async def test_an_app_that_entra_does_not_know(contoso: Contoso) -> None:
    app = app_registration("Nowhere")
    body = {"applicationid": app.client_id, "businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
    assert error(await contoso.admin.post("systemusers", json=body))[:2] == (400, "0x8004F510")


async def test_one_user_for_each_app(contoso: Contoso) -> None:
    body = {"applicationid": contoso.org.sync_app.client_id}
    unit = {"businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
    assert error(await contoso.admin.post("systemusers", json=body | unit))[:2] == (400, "0x8004F511")
    assert (await contoso.admin.post("systemusers", json=body)).status_code == 400  # a business unit is required


async def test_a_new_user_is_no_member_for_a_while(contoso: Contoso) -> None:
    contoso.org.switches["new_user_seconds"] = 30
    _, client = await new_user(contoso)
    async with client:
        assert error(await client.get("WhoAmI"))[:2] == (403, "0x80072560")
        contoso.org.clock.advance(31)
        assert (await client.get("WhoAmI")).status_code == 200
    assert (await contoso.sync.get("WhoAmI")).status_code == 200


async def test_a_user_without_a_role_may_only_ask_who_it_is(contoso: Contoso) -> None:
    user, client = await new_user(contoso)
    async with client:
        assert (await client.get("WhoAmI")).json()["UserId"] == user
        held = (await client.get(f"systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges")).json()
        assert held["RolePrivileges"] == []
        for url in ("leads", "EntityDefinitions?$select=LogicalName", "organizations", f"systemusers({user})"):
            status, code, message = error(await client.get(url))
            assert (status, code) == (403, "0x80040220")
            assert "roleCount=0, privilegeCount=0" in message
        count = await client.get('RetrieveTotalRecordCount(EntityNames=@p1)?@p1=["lead"]')
        assert error(count)[:2] == (403, "0x80040220")
        assert (await assign(contoso, user, contoso.store.ids.sync_role)).status_code == 204
        assert (await client.get("leads?$select=subject")).status_code == 200


async def test_disabled_then_enabled_again(contoso: Contoso) -> None:
    user = contoso.store.ids.sync_user
    for disabled, status in ((True, 403), (False, 200)):
        body = {"isdisabled": disabled, "applicationid": contoso.org.sync_app.client_id}
        assert (await contoso.admin.patch(f"systemusers({user})", json=body, headers=IF_ANY)).status_code == 204
        assert (await contoso.sync.get("WhoAmI")).status_code == status


async def test_a_user_is_deleted_softly_then_for_good(contoso: Contoso) -> None:
    app, user = contoso.org.sync_app, contoso.store.ids.sync_user
    assert (await contoso.admin.delete(f"systemusers({user})")).status_code == 204
    (softly,) = await rows(contoso.admin, FIND + app.client_id)
    assert softly["deletedstate"] == 1
    assert error(await contoso.sync.get("WhoAmI"))[:2] == (403, "0x80072560")
    body = {"applicationid": app.client_id, "businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
    assert error(await contoso.admin.post("systemusers", json=body))[1] == "0x8004F511"  # it keeps the app id

    assert (await contoso.admin.delete(f"systemusers({user})")).status_code == 204
    assert await rows(contoso.admin, FIND + app.client_id) == []
    assert (await contoso.admin.post("systemusers", json=body)).status_code == 204
    (again,) = await rows(contoso.admin, FIND + app.client_id)
    assert again["systemuserid"] != user


async def test_the_sync_apps_user_gets_the_email_that_the_tenant_file_names(contoso: Contoso) -> None:
    user = contoso.store.ids.sync_user
    for _ in ("softly", "for good"):
        assert (await contoso.admin.delete(f"systemusers({user})")).status_code == 204
    unit = {"businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
    await contoso.admin.post("systemusers", json={"applicationid": contoso.org.sync_app.client_id, **unit})
    (made,) = await rows(contoso.admin, "systemusers?$filter=internalemailaddress eq 'sync@contoso.example'")
    assert made["applicationid"] == contoso.org.sync_app.client_id


async def test_app_id_and_access_mode_stay(contoso: Contoso) -> None:
    where = f"systemusers({contoso.store.ids.sync_user})"
    other = {"applicationid": contoso.org.admin_app.client_id}
    assert error(await contoso.admin.patch(where, json=other, headers=IF_ANY))[1] == "0x80041D48"
    assert error(await contoso.admin.patch(where, json={"accessmode": 0}, headers=IF_ANY))[1] == "0x80040D40"


async def test_users_are_made_by_administrators(contoso: Contoso) -> None:
    app = app_registration("Third")
    contoso.org.directory.register(app)
    body = {"applicationid": app.client_id, "businessunitid@odata.bind": f"/businessunits({await root_unit(contoso)})"}
    status, code, message = error(await contoso.sync.post("systemusers", json=body))
    assert (status, code) == (403, "0x80040220")
    assert "is missing prvCreateUser privilege" in message
