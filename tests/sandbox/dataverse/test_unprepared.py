"""An organization in which nothing is prepared, and the way to a prepared one (reference: "Setup automation")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error, open_contoso, organization
from tests.sandbox.dataverse.setting_up import assign, give, made_id, root_unit, rows

LEAD = "EntityDefinitions(LogicalName='lead')"


@pytest.fixture
async def unprepared(tmp_path: Path) -> AsyncIterator[Contoso]:
    async with AsyncExitStack() as stack:
        org = organization(tmp_path / "unprepared.db")
        org.prepared = False
        yield await open_contoso(stack, org)


async def test_nothing_is_prepared(unprepared: Contoso) -> None:
    assert error(await unprepared.sync.get("WhoAmI"))[:2] == (403, "0x80072560")
    app = unprepared.org.sync_app.client_id
    assert await rows(unprepared.admin, f"systemusers?$filter=applicationid eq {app}") == []
    assert await rows(unprepared.admin, "roles?$filter=name eq 'Marketo Sync User'") == []
    assert await rows(unprepared.admin, "solutions?$filter=uniquename eq 'crmsync'") == []
    tracked = "EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true"
    assert await rows(unprepared.admin, tracked) == []
    for entity_set in ("leads", "contacts", "accounts"):
        assert (await unprepared.admin.get(f"{entity_set}?$select=new_synctomkto")).status_code == 400


async def test_the_way_to_a_prepared_one(unprepared: Contoso) -> None:
    unit = await root_unit(unprepared)
    (publisher,) = await rows(unprepared.admin, "publishers?$filter=customizationprefix eq 'new'")
    solution = {"uniquename": "crmsync", "friendlyname": "crmsync", "version": "1.0.0.0"}
    bound = {"publisherid@odata.bind": f"/publishers({publisher['publisherid']})"}
    made_id(await unprepared.admin.post("solutions", json=solution | bound))

    headers = {"MSCRM.SolutionUniqueName": "crmsync"}
    body = {"name": "Marketo Sync User", "businessunitid@odata.bind": f"/businessunits({unit})"}
    role = made_id(await unprepared.admin.post("roles", json=body, headers=headers))
    await give(unprepared, role, {"prvReadLead": "Global", "prvReadEntity": "Global"})

    column = {
        "@odata.type": "Microsoft.Dynamics.CRM.BooleanAttributeMetadata",
        "SchemaName": "new_synctomkto",
        "DisplayName": {"LocalizedLabels": [{"Label": "Sync to Marketo", "LanguageCode": 1033}]},
    }
    made_id(await unprepared.admin.post(f"{LEAD}/Attributes", json=column, headers=headers))
    definition = (await unprepared.admin.get(LEAD)).json() | {"ChangeTrackingEnabled": True}
    assert (await unprepared.admin.put(LEAD, json=definition, headers={"MSCRM.MergeLabels": "true"})).status_code == 204
    assert (await unprepared.admin.post("PublishAllXml")).status_code == 204

    user = {"applicationid": unprepared.org.sync_app.client_id, "businessunitid@odata.bind": f"/businessunits({unit})"}
    user_id = made_id(await unprepared.admin.post("systemusers", json=user))
    assert (await assign(unprepared, user_id, role)).status_code == 204

    first = await unprepared.sync.get("leads?$select=new_synctomkto", headers={"Prefer": "odata.track-changes"})
    assert first.status_code == 200
    assert "@odata.deltaLink" in first.json()
