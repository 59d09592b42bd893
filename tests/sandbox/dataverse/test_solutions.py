"""Solutions made by hand, publishers, components (reference: "Work with solutions")."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error
from tests.sandbox.dataverse.setting_up import made_id, rows

LEAD = "EntityDefinitions(LogicalName='lead')"


async def default_publisher(contoso: Contoso) -> str:
    (found,) = await rows(contoso.admin, "publishers?$select=uniquename&$filter=customizationprefix eq 'new'")
    assert found["uniquename"] == "DefaultPublishercontoso"
    return str(found["publisherid"])


async def solution(contoso: Contoso, name: str, **more: Any) -> dict[str, Any]:
    bound = {"publisherid@odata.bind": f"/publishers({await default_publisher(contoso)})"}
    return {"uniquename": name, "friendlyname": name, "version": "1.0.0.0", **bound, **more}


async def test_a_prepared_organization_has_what_a_set_up_made(contoso: Contoso) -> None:
    url = "solutions?$select=uniquename,version,ismanaged,isvisible&$filter=uniquename eq 'crmsync'"
    (found,) = await rows(contoso.sync, url)
    assert (found["version"], found["ismanaged"], found["isvisible"]) == ("1.0.0.0", False, True)
    components = f"solutioncomponents?$select=objectid,componenttype&$filter=_solutionid_value eq {found['solutionid']}"
    kinds = [one["componenttype"] for one in await rows(contoso.sync, components)]
    assert kinds.count(20) == 1
    assert kinds.count(2) >= 3  # new_synctomkto of lead, contact, account ...


async def test_an_unmanaged_solution_and_a_column_in_it(contoso: Contoso) -> None:
    made = made_id(await contoso.admin.post("solutions", json=await solution(contoso, "Mine")))
    column = {
        "@odata.type": "Microsoft.Dynamics.CRM.BooleanAttributeMetadata",
        "SchemaName": "new_Wanted",
        "DisplayName": {"LocalizedLabels": [{"Label": "Wanted", "LanguageCode": 1033}]},
    }
    headers = {"MSCRM.SolutionUniqueName": "Mine"}
    answer = await contoso.admin.post(f"{LEAD}/Attributes", json=column, headers=headers)
    column_id = made_id(answer)
    url = f"solutioncomponents?$select=objectid,componenttype&$filter=_solutionid_value eq {made}"
    assert [(one["objectid"], one["componenttype"]) for one in await rows(contoso.admin, url)] == [(column_id, 2)]

    assert (await contoso.admin.delete(f"{LEAD}/Attributes(LogicalName='new_wanted')")).status_code == 204
    assert await rows(contoso.admin, url) == []


async def test_what_exists_is_added_to_a_solution(contoso: Contoso) -> None:
    made = made_id(await contoso.admin.post("solutions", json=await solution(contoso, "Mine")))
    entity = (await contoso.admin.get(f"{LEAD}?$select=LogicalName")).json()["MetadataId"]
    body = {"ComponentId": entity, "ComponentType": 1, "SolutionUniqueName": "Mine", "AddRequiredComponents": False}
    assert (await contoso.admin.post("AddSolutionComponent", json=body)).status_code == 200
    url = f"solutioncomponents?$select=objectid,componenttype&$filter=_solutionid_value eq {made}"
    assert [(one["objectid"], one["componenttype"]) for one in await rows(contoso.admin, url)] == [(entity, 1)]


async def test_deleting_an_unmanaged_solution_leaves_its_parts(contoso: Contoso) -> None:
    (found,) = await rows(contoso.admin, "solutions?$filter=uniquename eq 'crmsync'")
    assert (await contoso.admin.delete(f"solutions({found['solutionid']})")).status_code == 204
    assert await rows(contoso.admin, "roles?$filter=name eq 'Marketo Sync User'")
    assert (await contoso.admin.get("leads?$select=new_synctomkto")).status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"uniquename": "crmsync"}, "0x8004F023"),
        ({"uniquename": "two words"}, "0x80040203"),
        ({"version": "one"}, "0x80040203"),
        ({"friendlyname": None}, "0x80040203"),
    ],
    ids=["taken", "bad name", "bad version", "no label"],
)
async def test_wrong_solutions_are_refused(contoso: Contoso, change: dict[str, Any], code: str) -> None:
    body = await solution(contoso, "Mine") | change
    assert error(await contoso.admin.post("solutions", json=body))[:2] == (400, code)


async def test_publishers_have_a_prefix_and_keep_their_solutions(contoso: Contoso) -> None:
    body = {"uniquename": "ours", "friendlyname": "Ours", "customizationoptionvalueprefix": 20000}
    assert error(await contoso.admin.post("publishers", json=body))[:2] == (400, "0x80040203")
    made = made_id(await contoso.admin.post("publishers", json=body | {"customizationprefix": "ours"}))
    assert (await contoso.admin.delete(f"publishers({made})")).status_code == 204
    assert (await contoso.admin.delete(f"publishers({await default_publisher(contoso)})")).status_code == 405


async def test_publishing_names_tables_that_exist(contoso: Contoso) -> None:
    xml = "<importexportxml><entities><entity>{}</entity></entities></importexportxml>"
    answers = [
        (await contoso.admin.post("PublishXml", json={"ParameterXml": text})).status_code
        for text in (xml.format("lead"), xml.format("nothing"), "<importexportxml>")
    ]
    assert answers == [204, 400, 400]


async def test_solutions_are_for_administrators(contoso: Contoso) -> None:
    (found,) = await rows(contoso.sync, "solutions?$filter=uniquename eq 'crmsync'")
    for refused in (
        await contoso.sync.post("solutions", json=await solution(contoso, "Mine")),
        await contoso.sync.delete(f"solutions({found['solutionid']})"),
        await contoso.sync.post("PublishAllXml"),
        await contoso.sync.post("AddSolutionComponent", json={}),
    ):
        assert error(refused)[:2] == (403, "0x80040220")
