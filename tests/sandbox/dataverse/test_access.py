"""Who may call, and what a caller may do (reference: "Use OAuth authentication", security roles)."""

from __future__ import annotations

from tests.sandbox.dataverse.conftest import AUTHORITY, Contoso, app_registration, error


async def test_without_a_token_the_challenge_tells_tenant_and_resource(contoso: Contoso) -> None:
    async with contoso.connect(None) as stranger:
        answer = await stranger.get("WhoAmI")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        f"Bearer authorization_uri={AUTHORITY}/{contoso.org.directory.tenant_id}/oauth2/authorize, "
        f"resource_id={contoso.org.url}/"
    )


async def test_bad_expired_and_foreign_tokens_are_refused(contoso: Contoso) -> None:
    old = contoso.token(contoso.org.sync_app)
    foreign = contoso.org.directory.issue(contoso.org.sync_app, "https://other.example", contoso.org.clock.now())
    contoso.org.clock.advance(2 * 3600)
    for token in ("nonsense", foreign, old):
        async with contoso.connect(token) as client:
            answer = await client.get("WhoAmI")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")


async def test_an_app_without_application_user_is_not_a_member(contoso: Contoso) -> None:
    app = app_registration("Unknown here")
    contoso.org.directory.register(app)
    async with contoso.connect(contoso.token(app)) as client:
        assert error(await client.get("WhoAmI")) == (403, "0x80072560", "The user is not a member of the organization.")


async def test_an_administrator_makes_a_new_application_user_and_gives_it_a_role(contoso: Contoso) -> None:
    app = app_registration("Second app")
    contoso.org.directory.register(app)
    unit = (await contoso.admin.get("businessunits?$filter=parentbusinessunitid eq null")).status_code
    assert unit == 400  # a lookup is named _parentbusinessunitid_value in filters
    found = await contoso.admin.get("businessunits?$select=name&$filter=_parentbusinessunitid_value eq null")
    unit_id = found.json()["value"][0]["businessunitid"]
    body = {"applicationid": app.client_id, "accessmode": 4, "businessunitid@odata.bind": f"/businessunits({unit_id})"}
    made = await contoso.admin.post("systemusers", json=body)
    assert made.status_code == 204
    user = made.headers["odata-entityid"]

    async with contoso.connect(contoso.token(app)) as client:
        assert (await client.get("WhoAmI")).status_code == 200
        assert error(await client.get("leads?$select=subject"))[:2] == (403, "0x80040220")
        role = (await contoso.admin.get("roles?$filter=name eq 'Marketo Sync User'")).json()["value"][0]["roleid"]
        link = {"@odata.id": f"{contoso.org.url}/api/data/v9.2/roles({role})"}
        assert (await contoso.admin.post(f"{user}/systemuserroles_association/$ref", json=link)).status_code == 204
        assert (await client.get("leads?$select=subject")).status_code == 200
        gone = await contoso.admin.delete(f"{user}/systemuserroles_association/$ref?$id={link['@odata.id']}")
        assert gone.status_code == 204
        assert (await client.get("leads?$select=subject")).status_code == 403


async def test_a_disabled_user_is_refused(contoso: Contoso) -> None:
    user = (await contoso.sync.get("WhoAmI")).json()["UserId"]
    changed = await contoso.admin.patch(f"systemusers({user})", json={"isdisabled": True}, headers={"If-Match": "*"})
    assert changed.status_code == 204
    assert error(await contoso.sync.get("WhoAmI"))[:2] == (403, "0x80040225")


async def test_the_sync_user_may_not_delete_leads_nor_change_the_schema(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"lastname": "Kept"})
    status, code, message = error(await contoso.sync.delete(f"leads({lead})"))
    assert (status, code) == (403, "0x80040220")
    assert "is missing prvDeleteLead privilege" in message
    column = "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='new_visits')"
    assert error(await contoso.sync.delete(column))[:2] == (403, "0x80040220")


async def test_roles_of_a_user_come_expanded(contoso: Contoso) -> None:
    user = (await contoso.sync.get("WhoAmI")).json()["UserId"]
    url = f"systemusers({user})?$select=fullname,internalemailaddress,isdisabled,applicationid"
    row = (await contoso.sync.get(f"{url}&$expand=systemuserroles_association($select=roleid,name)")).json()
    assert row["internalemailaddress"] == "sync@contoso.example"
    assert row["isdisabled"] is False
    assert row["applicationid"] == contoso.org.sync_app.client_id
    assert [role["name"] for role in row["systemuserroles_association"]] == ["Marketo Sync User"]


async def test_user_privileges_come_with_their_depth(contoso: Contoso) -> None:
    user = (await contoso.sync.get("WhoAmI")).json()["UserId"]
    answer = await contoso.sync.get(f"systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges")
    held = {one["PrivilegeName"]: one["Depth"] for one in answer.json()["RolePrivileges"]}
    assert held["prvReadLead"] == held["prvReadUser"] == "Global"
    assert "prvDeleteLead" not in held


async def test_change_tracking_needs_read_at_organization_depth(contoso: Contoso) -> None:
    role = (await contoso.admin.get("roles?$filter=name eq 'Marketo Sync User'")).json()["value"][0]["roleid"]
    found = (await contoso.admin.get("privileges?$select=privilegeid&$filter=name eq 'prvReadLead'")).json()["value"]
    body = {"Privileges": [{"PrivilegeId": found[0]["privilegeid"], "Depth": "Basic"}]}
    changed = await contoso.admin.post(f"roles({role})/Microsoft.Dynamics.CRM.AddPrivilegesRole", json=body)
    assert changed.status_code == 204

    contoso.leads({"lastname": "Somebody else's"})
    assert (await contoso.sync.get("leads?$select=lastname")).json()["value"] == []
    tracked = await contoso.sync.get("leads?$select=lastname", headers={"Prefer": "odata.track-changes"})
    assert error(tracked)[:2] == (403, "0x80040220")
