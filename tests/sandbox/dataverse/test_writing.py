"""Creates, updates, upserts, deletes (reference: "Create a table row", "Update and delete table rows")."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.sandbox.dataverse.conftest import Contoso, error

UPDATE = {"If-Match": "*"}
REPRESENTATION = {"Prefer": "return=representation"}
MISSING = "9c310000-0000-0000-0000-000000000000"


async def test_create_answers_where_the_row_is(contoso: Contoso) -> None:
    made = await contoso.sync.post("leads", json={"firstname": "Ann", "lastname": "Lee", "revenue": 20000})
    assert (made.status_code, made.content) == (204, b"")
    row = (await contoso.sync.get(made.headers["odata-entityid"])).json()
    user = (await contoso.sync.get("WhoAmI")).json()["UserId"]
    assert (row["fullname"], row["revenue_base"]) == ("Ann Lee", 20000.0)
    assert row["_createdby_value"] == row["_ownerid_value"] == row["_owninguser_value"] == user
    assert (row["statecode"], row["statuscode"], row["merged"], row["new_synctomkto"]) == (0, 1, False, None)
    assert row["createdon"] == row["modifiedon"]


async def test_create_and_update_with_representation(contoso: Contoso) -> None:
    body = {"lastname": "Lee", "subject": "A"}
    made = await contoso.sync.post("leads?$select=subject", json=body, headers=REPRESENTATION)
    assert (made.status_code, made.headers["preference-applied"]) == (201, "return=representation")
    assert made.json().keys() == {"@odata.context", "@odata.etag", "leadid", "subject"}
    url = f"leads({made.json()['leadid']})?$select=subject"
    changed = await contoso.sync.patch(url, json={"subject": "B"}, headers=REPRESENTATION | UPDATE)
    assert (changed.status_code, changed.json()["subject"]) == (200, "B")
    assert changed.json()["@odata.etag"] != made.json()["@odata.etag"]


async def test_update_needs_the_row_when_it_says_so_and_upsert_makes_it(contoso: Contoso) -> None:
    assert error(await contoso.sync.patch(f"leads({MISSING})", json={"subject": "x"}, headers=UPDATE)) == (
        404,
        "0x80040217",
        f"lead With Id = {MISSING} Does Not Exist",
    )
    assert (await contoso.sync.patch(f"leads({MISSING})", json={"lastname": "New"})).status_code == 204
    again = await contoso.sync.patch(f"leads({MISSING})", json={"lastname": "Old"}, headers={"If-None-Match": "*"})
    assert error(again)[0] == 412
    doubled = await contoso.sync.post("leads", json={"leadid": MISSING, "lastname": "Twice"})
    assert error(doubled) == (412, "0x80040237", "A record with matching key values already exists.")


async def test_a_stale_etag_is_refused(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"lastname": "A"})
    etag = (await contoso.sync.get(f"leads({lead})?$select=lastname")).headers["etag"]
    assert (
        await contoso.sync.patch(f"leads({lead})", json={"subject": "1"}, headers={"If-Match": etag})
    ).status_code == 204
    for stale in (
        await contoso.sync.patch(f"leads({lead})", json={"subject": "2"}, headers={"If-Match": etag}),
        await contoso.admin.delete(f"leads({lead})", headers={"If-Match": etag}),
    ):
        assert error(stale)[:2] == (412, "0x80060882")


async def test_deleting_clears_the_lookups_that_pointed_there(contoso: Contoso) -> None:
    account = (await contoso.admin.post("accounts", json={"name": "Contoso"})).headers["odata-entityid"]
    body = {"lastname": "A", "parentcustomerid_account@odata.bind": account}
    contact = (await contoso.admin.post("contacts", json=body)).headers["odata-entityid"]
    assert (await contoso.admin.delete(account, headers=UPDATE)).status_code == 204
    assert error(await contoso.admin.delete(account))[:2] == (404, "0x80040217")
    assert (await contoso.admin.get(f"{contact}?$select=_parentcustomerid_value")).json()[
        "_parentcustomerid_value"
    ] is None


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ({"new_gone": 1}, 400, "0x80048d19", "'new_gone' does not exist on type"),
        ({"owneridname": "x"}, 400, "0x80048d19", "'owneridname'"),
        ({"firstname": "x" * 51}, 400, "0x80044331", "'firstname'"),
        ({"firstname": 5}, 400, "0x80048d19", "expected type 'Edm.String'"),
        ({"leadsourcecode": 99}, 400, "0x8004431A", "outside the valid range"),
        ({"leadsourcecode": "Web"}, 400, "0x80048d19", "expected type 'Edm.Int32'"),
        ({"new_interests": "1,9"}, 400, "0x8004431A", "new_interests"),
        ({"donotemail": "yes"}, 400, "0x80048d19", "expected type 'Edm.Boolean'"),
        ({"new_renewalon": "2024-05-01T10:00:00Z"}, 400, "0x80048d19", "expected type 'Edm.Date'"),
        ({"new_lastcallon": "yesterday"}, 400, "0x80048d19", "expected type 'Edm.DateTimeOffset'"),
        ({"new_lastcallon": "1700-01-01T00:00:00Z"}, 400, "0x80040203", "less than minumum value"),
        ({"new_lastcallon": "9999-12-31T00:00:00Z"}, 400, "0x80040203", "greater than maximum value"),
        ({"new_lastcallon": "9999-12-31T23:00:00-12:00"}, 400, "0x80040203", "greater than maximum value"),
        ({"new_renewalon": "9999-12-31"}, 400, "0x80040203", "greater than maximum value"),
        ({"firstname": "🦊" * 26}, 400, "0x80044331", "'firstname'"),
        ({"numberofemployees": -1}, 400, "0x80044330", "outside the valid range"),
        ({"revenue": 1e15}, 400, "0x80044330", "outside the valid range"),
        ({"_ownerid_value": MISSING}, 400, "0x80060888", "Use Navigation properties instead"),
        ({"parentaccountid@odata.bind": f"/accounts({MISSING})"}, 404, "0x80040217", "account With Id"),
        ({"parentaccountid@odata.bind": f"/contacts({MISSING})"}, 400, "0x80048d19", "cannot refer to"),
        ({"new_referredby@odata.bind": f"/contacts({MISSING})"}, 400, "0x80048d19", "'new_referredby'"),
        ({"statuscode": 3}, 400, "0x80048408", "not a valid status code"),
    ],
)
async def test_values_that_do_not_fit(
    contoso: Contoso, body: dict[str, Any], status: int, code: str, message: str
) -> None:
    (lead,) = contoso.leads({"lastname": "Kept"})
    answer = error(await contoso.sync.patch(f"leads({lead})", json=body, headers=UPDATE))
    assert answer[:2] == (status, code)
    assert message in answer[2]


async def test_values_are_stored_as_the_types_say(contoso: Contoso) -> None:
    body = {
        "lastname": 'Ærø 🦊 "quoted"\r\nnext',
        "new_interests": "100000002,100000000",
        "new_renewalon": "1899-12-31",
        "new_lastcallon": "2024-05-01T12:00:00.123+02:00",
        "new_eventstart": "2024-05-01T12:00:00Z",
        "new_score": 1.23456,
        "subject": "",
        "fullname": "ignored",
        "createdon": "2001-01-01T00:00:00Z",
        "versionnumber": 5,
    }
    made = await contoso.sync.post("leads", json=body)
    row = (await contoso.sync.get(made.headers["odata-entityid"])).json()
    assert row["lastname"] == body["lastname"]
    assert row["new_interests"] == "100000000,100000002"
    assert row["new_renewalon"] == "1899-12-31"
    assert row["new_lastcallon"] == "2024-05-01T10:00:00Z"
    assert row["new_eventstart"] == "2024-05-01T12:00:00Z"
    assert row["new_score"] == 1.235
    assert row["subject"] is None
    assert row["fullname"] == body["lastname"]
    assert row["createdon"] > "2020"
    assert row["versionnumber"] > 5


async def test_a_given_creation_date_counts(contoso: Contoso) -> None:
    body = {"lastname": "Old", "overriddencreatedon": "2010-02-03T04:05:06Z"}
    made = await contoso.sync.post("leads", json=body)
    row = (await contoso.sync.get(f"{made.headers['odata-entityid']}?$select=createdon,modifiedon")).json()
    assert row["createdon"] == "2010-02-03T04:05:06Z"
    assert row["modifiedon"] > "2020"


async def test_a_state_brings_its_status_reason(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"lastname": "A"})
    await contoso.sync.patch(f"leads({lead})", json={"statecode": 2}, headers=UPDATE)
    row = (await contoso.sync.get(f"leads({lead})?$select=statecode,statuscode")).json()
    assert (row["statecode"], row["statuscode"]) == (2, 4)
    await contoso.sync.patch(f"leads({lead})", json={"statecode": 2, "statuscode": 7}, headers=UPDATE)
    assert (await contoso.sync.get(f"leads({lead})?$select=statuscode")).json()["statuscode"] == 7


async def test_an_update_moves_time_and_names_its_author(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"firstname": "Ann", "lastname": "Lee"})
    contoso.org.clock.advance(60)
    await contoso.admin.patch(f"leads({lead})", json={"lastname": "Fox"}, headers=UPDATE)
    row = (await contoso.sync.get(f"leads({lead})")).json()
    assert row["fullname"] == "Ann Fox"
    assert row["modifiedon"] > row["createdon"]
    assert row["_modifiedby_value"] == contoso.store.ids.admin_user


async def test_money_in_another_currency(contoso: Contoso) -> None:
    body = {
        "lastname": "A",
        "revenue": 92,
        "transactioncurrencyid@odata.bind": f"/transactioncurrencies({contoso.store.ids.euro})",
    }
    made = (await contoso.sync.post("leads", json=body)).headers["odata-entityid"]
    assert (await contoso.sync.get(f"{made}?$select=revenue_base")).json()["revenue_base"] == 100.0
    await contoso.sync.patch(made, json={"revenue": None}, headers=UPDATE)
    row = (await contoso.sync.get(f"{made}?$select=revenue,revenue_base")).json()
    assert (row["revenue"], row["revenue_base"]) == (None, None)


async def test_lookups_are_bound_and_cleared(contoso: Contoso) -> None:
    account = (await contoso.sync.post("accounts", json={"name": "Contoso"})).headers["odata-entityid"]
    account_id = account[-37:-1]
    (lead,) = contoso.leads({"lastname": "A"})

    async def parent() -> Any:
        return (await contoso.sync.get(f"leads({lead})?$select=_parentaccountid_value")).json()[
            "_parentaccountid_value"
        ]

    for bound in (f"/accounts({account_id})", f"accounts({account_id})", account):
        await contoso.sync.patch(f"leads({lead})", json={"parentaccountid@odata.bind": bound}, headers=UPDATE)
        assert await parent() == account_id
        await contoso.sync.patch(f"leads({lead})", json={"parentaccountid@odata.bind": None}, headers=UPDATE)
        assert await parent() is None
    assert (
        await contoso.sync.put(f"leads({lead})/parentaccountid/$ref", json={"@odata.id": account})
    ).status_code == 204
    assert await parent() == account_id
    assert (await contoso.sync.delete(f"leads({lead})/parentaccountid/$ref")).status_code == 204
    assert await parent() is None


async def test_a_record_is_linked_from_the_other_end(contoso: Contoso) -> None:
    account = (await contoso.sync.post("accounts", json={"name": "Contoso"})).headers["odata-entityid"]
    contact = (await contoso.sync.post("contacts", json={"lastname": "A"})).headers["odata-entityid"]
    linked = await contoso.sync.post(f"{account}/contact_customer_accounts/$ref", json={"@odata.id": contact})
    assert linked.status_code == 204
    row = (await contoso.sync.get(f"{contact}?$select=_parentcustomerid_value")).json()
    assert row["_parentcustomerid_value"] in account


async def test_single_properties(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"lastname": "A"})
    assert (await contoso.sync.put(f"leads({lead})/subject", json={"value": "x"})).status_code == 204
    assert (await contoso.sync.get(f"leads({lead})/subject")).json()["value"] == "x"
    assert (await contoso.sync.delete(f"leads({lead})/subject")).status_code == 204
    assert (await contoso.sync.get(f"leads({lead})/subject")).status_code == 204


async def test_an_owner_may_be_a_team(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"lastname": "A"})
    body = {"ownerid@odata.bind": f"/teams({contoso.store.ids.team})"}
    assert (await contoso.admin.patch(f"leads({lead})", json=body, headers=UPDATE)).status_code == 204
    row = (await contoso.sync.get(f"leads({lead})?$select=_ownerid_value,_owninguser_value,_owningteam_value")).json()
    assert (row["_ownerid_value"], row["_owningteam_value"], row["_owninguser_value"]) == (
        *[contoso.store.ids.team] * 2,
        None,
    )


async def test_a_body_that_is_no_json(contoso: Contoso) -> None:
    assert error(await contoso.sync.post("leads", content=b"{"))[:2] == (400, "0x80048d19")


async def test_many_rows_at_once_are_filled_in(contoso: Contoso) -> None:
    owner = str(uuid.uuid4())
    contoso.store.insert_many("systemuser", [{"systemuserid": owner, "firstname": "Eva", "lastname": "Fox"}])
    assert (
        contoso.store.insert_many("contact", ({"lastname": str(n), "ownerid": owner} for n in range(12_000))) == 12_000
    )
    answer = await contoso.sync.get("contacts?$select=fullname,_owninguser_value&$top=1")
    assert answer.json()["value"][0]["_owninguser_value"] == owner
