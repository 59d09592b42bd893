"""Column security (reference: "Column-level security")."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error
from tests.sandbox.dataverse.setting_up import made_id, rows

LEAD = "EntityDefinitions(LogicalName='lead')"
IF_ANY = {"If-Match": "*"}


async def secure(contoso: Contoso, column: str) -> None:
    """Make a column of the lead secured, as an administrator does it: the whole definition is put back."""
    url = f"{LEAD}/Attributes(LogicalName='{column}')"
    definition = (await contoso.admin.get(url)).json() | {"IsSecured": True}
    headers = {"MSCRM.MergeLabels": "true"}
    assert (await contoso.admin.put(url, json=definition, headers=headers)).status_code == 204


@dataclass
class Secured:
    """The lead's mobile phone is secured; there is one lead, and a profile for the sync user with no permission yet."""

    contoso: Contoso
    lead: str
    profile: str

    async def allow(self, **permission: int) -> None:
        body = {
            "entityname": "lead",
            "attributelogicalname": "mobilephone",
            "fieldsecurityprofileid@odata.bind": f"/fieldsecurityprofiles({self.profile})",
            **permission,
        }
        made_id(await self.contoso.admin.post("fieldpermissions", json=body))

    async def phone(self) -> str | None:
        found = await self.contoso.sync.get(f"leads({self.lead})?$select=mobilephone")
        assert found.status_code == 200
        phone: str | None = found.json()["mobilephone"]
        return phone


@pytest.fixture
async def secured(contoso: Contoso) -> Secured:
    (lead,) = contoso.leads({"lastname": "Lee", "mobilephone": "555 0100"})
    await secure(contoso, "mobilephone")
    profile = made_id(await contoso.admin.post("fieldsecurityprofiles", json={"name": "Sync"}))
    root = f"{contoso.org.url}/api/data/v9.2/"
    where = f"systemusers({contoso.store.ids.sync_user})/systemuserprofiles_association/$ref"
    linked = await contoso.admin.post(where, json={"@odata.id": f"{root}fieldsecurityprofiles({profile})"})
    assert linked.status_code == 204
    return Secured(contoso, lead, profile)


async def test_the_definition_tells_that_a_column_is_secured(secured: Secured) -> None:
    url = f"{LEAD}/Attributes?$select=LogicalName,IsSecured&$filter=IsSecured eq true"
    assert [one["LogicalName"] for one in await rows(secured.contoso.sync, url)] == ["mobilephone"]


async def test_without_read_permission_the_column_is_null(secured: Secured) -> None:
    assert await secured.phone() is None
    (row,) = await rows(secured.contoso.sync, "leads?$select=lastname,mobilephone")
    assert (row["lastname"], row["mobilephone"]) == ("Lee", None)
    tracked = await secured.contoso.sync.get("leads?$select=mobilephone", headers={"Prefer": "odata.track-changes"})
    assert tracked.json()["value"][0]["mobilephone"] is None
    assert await rows(secured.contoso.sync, "leads?$filter=mobilephone eq '555 0100'") == []

    await secured.allow(canread=4)
    assert await secured.phone() == "555 0100"


async def test_a_secured_lookup_tells_neither_whom_it_leads_to_nor_its_name(contoso: Contoso) -> None:
    account = made_id(await contoso.admin.post("accounts", json={"name": "Fabrikam"}))
    (lead,) = contoso.leads({"lastname": "Lee"})
    bound = {"parentaccountid@odata.bind": f"/accounts({account})"}
    assert (await contoso.admin.patch(f"leads({lead})", json=bound, headers=IF_ANY)).status_code == 204
    url = f"leads({lead})?$select=_parentaccountid_value&$expand=parentaccountid($select=name)"
    annotated = {"Prefer": 'odata.include-annotations="*"'}
    assert "Fabrikam" in (await contoso.sync.get(url, headers=annotated)).text

    await secure(contoso, "parentaccountid")

    answer = await contoso.sync.get(url, headers=annotated)
    assert "Fabrikam" not in answer.text
    assert (answer.json()["_parentaccountid_value"], answer.json()["parentaccountid"]) == (None, None)


async def test_securing_a_column_changes_its_definition_and_a_profile_does_not(secured: Secured) -> None:
    contoso = secured.contoso
    lead: dict[str, Any] = {"PropertyName": "LogicalName", "ConditionOperator": "Equals"}
    lead["Value"] = {"Type": "System.String", "Value": "lead"}
    query = {"Criteria": {"Conditions": [lead]}, "Properties": {"PropertyNames": ["LogicalName", "Attributes"]}}
    ask = "RetrieveMetadataChanges(Query=@p1,ClientVersionStamp=@p2)"

    async def changed(stamp: str) -> tuple[list[str], str]:
        given = {"@p1": json.dumps(query), "@p2": f"'{stamp}'"}
        body = (await contoso.sync.get(ask, params=given)).json()
        found = [one["LogicalName"] for entity in body["EntityMetadata"] for one in entity["Attributes"]]
        return found, body["ServerVersionStamp"]

    _, stamp = await changed("")
    await secured.allow(canread=4)
    unchanged, stamp = await changed(stamp)
    await secure(contoso, "jobtitle")

    assert unchanged == []
    assert (await changed(stamp))[0] == ["jobtitle"]


async def test_administrators_see_everything(secured: Secured) -> None:
    (row,) = await rows(secured.contoso.admin, "leads?$select=mobilephone")
    assert row["mobilephone"] == "555 0100"


async def test_updates_need_their_own_permission(secured: Secured) -> None:
    where, change = f"leads({secured.lead})", {"mobilephone": "555 0199", "subject": "New"}
    status, code, message = error(await secured.contoso.sync.patch(where, json=change, headers=IF_ANY))
    assert (status, code) == (403, "0x8004F507")
    assert "does not have update permissions to a Mobile Phone secured field on entity Lead" in message
    assert (await secured.contoso.sync.patch(where, json={"subject": "New"}, headers=IF_ANY)).status_code == 204

    await secured.allow(canread=4, canupdate=4)
    assert (await secured.contoso.sync.patch(where, json=change, headers=IF_ANY)).status_code == 204
    assert await secured.phone() == "555 0199"


async def test_creates_need_their_own_permission(secured: Secured) -> None:
    body = {"lastname": "New", "mobilephone": "555 0111"}
    assert error(await secured.contoso.sync.post("leads", json=body))[:2] == (403, "0x8004F502")
    assert (await secured.contoso.sync.post("leads", json={"lastname": "New"})).status_code == 204
    await secured.allow(cancreate=4)
    assert (await secured.contoso.sync.post("leads", json=body)).status_code == 204


async def test_taking_the_profile_away_takes_the_permission(secured: Secured) -> None:
    await secured.allow(canread=4)
    assert await secured.phone() == "555 0100"
    where = f"systemusers({secured.contoso.store.ids.sync_user})/systemuserprofiles_association"
    profile = f"{secured.contoso.org.url}/api/data/v9.2/fieldsecurityprofiles({secured.profile})"
    assert (await secured.contoso.admin.delete(f"{where}/$ref?$id={profile}")).status_code == 204
    assert await secured.phone() is None


async def test_permissions_are_for_secured_columns(secured: Secured) -> None:
    profile = {"fieldsecurityprofileid@odata.bind": f"/fieldsecurityprofiles({secured.profile})"}
    body = {"entityname": "lead", "attributelogicalname": "subject", "canread": 4, **profile}
    assert error(await secured.contoso.admin.post("fieldpermissions", json=body))[:2] == (400, "0x8004F508")


async def test_the_definition_tells_what_can_be_secured(contoso: Contoso) -> None:
    select = "$select=LogicalName,CanBeSecuredForRead,CanBeSecuredForCreate,CanBeSecuredForUpdate"
    url = f"{LEAD}/Attributes(LogicalName='{{}}')?{select}"
    told = [(await contoso.sync.get(url.format(name))).json() for name in ("mobilephone", "leadid")]
    assert [one["CanBeSecuredForRead"] for one in told] == [True, False]


@pytest.mark.parametrize("column", ["leadid", "statecode", "ownerid", "createdon"])
async def test_some_columns_cannot_be_secured(contoso: Contoso, column: str) -> None:
    url = f"{LEAD}/Attributes(LogicalName='{column}')"
    definition = (await contoso.admin.get(url)).json() | {"IsSecured": True}
    assert (await contoso.admin.put(url, json=definition)).status_code == 400


async def test_securing_is_for_customizers(contoso: Contoso) -> None:
    url = f"{LEAD}/Attributes(LogicalName='mobilephone')"
    definition = (await contoso.admin.get(url)).json() | {"IsSecured": True}
    assert error(await contoso.sync.put(url, json=definition))[:2] == (403, "0x80040220")
