"""CreateMultiple and its siblings, alternate keys, BulkDelete, duplicates ("Use bulk operation messages")."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.sandbox.dataverse.conftest import Contoso, error

LEAD = {"@odata.type": "Microsoft.Dynamics.CRM.lead"}
MISSING = "9c310000-0000-0000-0000-000000000000"
KEYS = "EntityDefinitions(LogicalName='lead')/Keys"


async def multiple(client: httpx.AsyncClient, action: str, *targets: dict[str, Any]) -> httpx.Response:
    body = {"Targets": [LEAD | target for target in targets]}
    return await client.post(f"leads/Microsoft.Dynamics.CRM.{action}", json=body)


async def make_key(contoso: Contoso, *columns: str) -> httpx.Response:
    body = {"SchemaName": "new_Ext", "KeyAttributes": list(columns)}
    return await contoso.admin.post(KEYS, json=body)


async def names(contoso: Contoso) -> list[str]:
    rows = (await contoso.sync.get("leads?$select=lastname&$orderby=lastname")).json()["value"]
    return [row["lastname"] for row in rows]


async def test_many_rows_are_created_in_order(contoso: Contoso) -> None:
    answer = await multiple(contoso.sync, "CreateMultiple", {"lastname": "B"}, {"lastname": "A"})
    assert answer.status_code == 200
    first = (await contoso.sync.get(f"leads({answer.json()['Ids'][0]})?$select=lastname")).json()
    assert first["lastname"] == "B"
    assert answer.json()["@odata.context"].endswith("CreateMultipleResponse")


async def test_one_bad_target_undoes_all(contoso: Contoso) -> None:
    made = await multiple(contoso.sync, "CreateMultiple", {"lastname": "A"}, {"new_gone": 1})
    assert error(made)[:2] == (400, "0x80048d19")
    (kept,) = contoso.leads({"lastname": "kept"})
    changed = await multiple(
        contoso.sync, "UpdateMultiple", {"leadid": kept, "lastname": "x"}, {"leadid": MISSING, "lastname": "x"}
    )
    assert error(changed)[:2] == (404, "0x80040217")
    assert await names(contoso) == ["kept"]
    done = await multiple(contoso.sync, "UpdateMultiple", {"leadid": kept, "lastname": "x"})
    assert (done.status_code, await names(contoso)) == (204, ["x"])


@pytest.mark.parametrize("body", [{}, {"Targets": []}, {"Targets": [{"lastname": "no type"}]}])
async def test_targets_are_typed(contoso: Contoso, body: dict[str, Any]) -> None:
    assert error(await contoso.sync.post("leads/Microsoft.Dynamics.CRM.CreateMultiple", json=body))[0] == 400


async def test_delete_multiple_is_for_elastic_tables(contoso: Contoso) -> None:
    answer = await multiple(contoso.sync, "DeleteMultiple", {"leadid": MISSING})
    assert error(answer) == (501, "0x80040219", "DeleteMultiple has not yet been implemented.")


async def test_the_organization_tells_which_tables_take_them(contoso: Contoso) -> None:
    condition = "sdkmessageid/name eq 'UpsertMultiple' and primaryobjecttypecode eq 'lead'"
    rows = (await contoso.admin.get(f"sdkmessagefilters?$select=sdkmessagefilterid&$filter={condition}")).json()
    assert len(rows["value"]) == 1


async def test_upserts_by_alternate_key(contoso: Contoso) -> None:
    assert error(await contoso.sync.patch("leads(subject='A')", json={}))[:2] == (400, "0x80060890")
    assert error(await make_key(contoso, "subject", "new_directions"))[:2] == (400, "0x80040203")  # above 900 bytes
    assert (await make_key(contoso, "new_hotline", "new_visits")).status_code == 204
    key = "new_hotline='it''s',new_visits=5"
    created = await contoso.sync.patch(f"leads({key})", json={"lastname": "made"})
    assert (created.status_code, created.headers["odata-entityid"].rpartition("/")[2]) == (204, f"leads({key})")
    shown = await contoso.sync.patch(
        f"leads({key})?$select=lastname", json={"lastname": "changed"}, headers={"Prefer": "return=representation"}
    )
    assert (shown.status_code, shown.json()["lastname"]) == (200, "changed")
    assert (await contoso.sync.get(f"leads({key})?$select=new_visits")).json()["new_visits"] == 5
    nobody = await contoso.sync.patch(
        "leads(new_hotline='x',new_visits=1)", json={"lastname": "x"}, headers={"If-Match": "*"}
    )
    assert error(nobody)[:2] == (404, "0x80060891")
    repeated = await contoso.sync.patch("leads(new_hotline='x',new_visits=1)", json={"new_visits": 1})
    assert error(repeated)[:2] == (400, "0x80048d19")
    taken = await contoso.sync.post("leads", json={"lastname": "x", "new_hotline": "it's", "new_visits": 5})
    assert error(taken)[:2] == (412, "0x80060892")


async def test_upsert_multiple_creates_and_updates(contoso: Contoso) -> None:
    assert (await make_key(contoso, "new_hotline")).status_code == 204
    for last in ("made", "changed"):
        target = {"@odata.id": "leads(new_hotline='A')", "lastname": last}
        assert (
            await multiple(contoso.sync, "UpsertMultiple", target, {"leadid": MISSING, "lastname": last})
        ).status_code == 204
        assert await names(contoso) == [last, last]
    repeated = {"@odata.id": "leads(new_hotline='B')", "new_hotline": "B", "lastname": "x"}
    assert error(await multiple(contoso.sync, "UpsertMultiple", repeated))[0] == 400


async def test_a_key_over_duplicates_fails_and_a_deleted_one_works_no_more(contoso: Contoso) -> None:
    contoso.leads({"lastname": "1", "new_hotline": "same"}, {"lastname": "2", "new_hotline": "SAME"})
    await make_key(contoso, "new_hotline")
    (key,) = (
        await contoso.admin.get(f"{KEYS}?$select=SchemaName,LogicalName,KeyAttributes,EntityKeyIndexStatus")
    ).json()["value"]
    assert (key["EntityKeyIndexStatus"], key["KeyAttributes"], key["LogicalName"]) == (
        "Failed",
        ["new_hotline"],
        "new_ext",
    )
    assert error(await contoso.sync.get("leads(new_hotline='same')"))[:2] == (400, "0x80060890")
    column = "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='new_hotline')"
    assert error(await contoso.admin.delete(column))[0] == 400
    assert (await contoso.admin.delete(f"{KEYS}({key['MetadataId']})")).status_code == 204
    assert (await contoso.admin.delete(column)).status_code == 204


async def test_bulk_delete(contoso: Contoso) -> None:
    first, second, _ = contoso.leads({"lastname": "1"}, {"lastname": "2"}, {"lastname": "kept"})
    values = [{"Value": one, "Type": "System.Guid"} for one in (first, second)]
    condition = {"AttributeName": "leadid", "Operator": "In", "Values": values}
    query = {"EntityName": "lead", "Criteria": {"FilterOperator": "And", "Conditions": [condition]}}
    body = {"JobName": "tidy", "QuerySet": [query], "RecurrencePattern": ""}
    assert error(await contoso.sync.post("BulkDelete", json=body))[:2] == (403, "0x80040220")
    job = (await contoso.admin.post("BulkDelete", json=body)).json()["JobId"]
    assert (await contoso.admin.get(f"asyncoperations({job})?$select=statuscode")).json()["statuscode"] == 30
    assert await names(contoso) == ["kept"]


async def test_duplicates_are_refused_only_when_asked_for(contoso: Contoso) -> None:
    contoso.leads({"lastname": "A", "emailaddress1": "a@example.com"})
    body = {"lastname": "B", "emailaddress1": "A@EXAMPLE.com"}
    ask = {"MSCRM.SuppressDuplicateDetection": "false"}
    refused = await contoso.sync.post("leads", json=body, headers=ask)
    assert error(refused)[:2] == (412, "0x80040333")
    rules = (await contoso.admin.get("duplicaterules?$select=name&$filter=baseentityname eq 'lead'")).json()["value"]
    rule = rules[0]["duplicateruleid"]
    assert (await contoso.admin.post("UnpublishDuplicateRule", json={"DuplicateRuleId": rule})).status_code == 204
    assert (await contoso.sync.post("leads", json=body, headers=ask)).status_code == 204
    published = await contoso.admin.post(f"duplicaterules({rule})/Microsoft.Dynamics.CRM.PublishDuplicateRule", json={})
    assert published.json()["JobId"]
    assert error(await contoso.sync.post("leads", json=body, headers=ask))[0] == 412
    assert (await contoso.sync.post("leads", json=body)).status_code == 204
