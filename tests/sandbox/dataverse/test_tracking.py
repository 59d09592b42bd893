"""Change tracking (reference: "Use change tracking to synchronize data with external systems")."""

from __future__ import annotations

from urllib.parse import unquote

import httpx
import pytest

from tests.sandbox.dataverse.conftest import Contoso, error, follow

TRACK = {"Prefer": "odata.track-changes,odata.maxpagesize=5000"}
SELECT = "leads?$select=lastname"


async def first_read(contoso: Contoso, url: str = SELECT) -> str:
    """Read everything; returns the delta link."""
    pages = await follow(contoso.sync, url, **TRACK)
    return str(pages[-1]["@odata.deltaLink"])


async def change(contoso: Contoso, lead: str, **columns: object) -> None:
    answer = await contoso.admin.patch(f"leads({lead})", json=columns, headers={"If-Match": "*"})
    assert answer.status_code == 204, answer.text


async def test_the_first_read_gives_every_row_and_only_the_last_page_a_delta_link(contoso: Contoso) -> None:
    ids = contoso.leads(*({"lastname": str(number)} for number in range(25)))
    pages = await follow(contoso.sync, SELECT, Prefer="odata.track-changes,odata.maxpagesize=10")
    assert [len(page["value"]) for page in pages] == [10, 10, 5]
    assert ["@odata.deltaLink" in page for page in pages] == [False, False, True]
    assert {row["leadid"] for page in pages for row in page["value"]} == set(ids)
    version, _, moment = unquote(pages[-1]["@odata.deltaLink"].split("$deltatoken=")[1]).partition("!")
    assert int(version) == contoso.store.version
    assert moment.count("/") == 2


async def test_what_was_asked_for_is_confirmed(contoso: Contoso) -> None:
    answer = await contoso.sync.get(SELECT, headers=TRACK)
    assert answer.headers["preference-applied"] == "odata.track-changes,odata.maxpagesize=5000"
    assert answer.json()["@odata.context"].endswith("$metadata#leads(lastname)")


async def test_a_delta_gives_changed_rows_in_version_order_then_deleted_ones(contoso: Contoso) -> None:
    one, two, three, four = contoso.leads(*({"lastname": str(number)} for number in range(1, 5)))
    link = await first_read(contoso)
    await change(contoso, three, lastname="3 changed")
    await change(contoso, one, lastname="1 changed")
    await change(contoso, three, subject="not selected, still a change")
    assert (await contoso.admin.delete(f"leads({two})")).status_code == 204

    body = (await contoso.sync.get(link, headers=TRACK)).json()
    assert body["@odata.context"].endswith("$metadata#leads(lastname)/$delta")
    assert [(row.get("leadid"), row.get("lastname")) for row in body["value"][:2]] == [
        (one, "1 changed"),
        (three, "3 changed"),
    ]
    assert body["value"][2:] == [
        {
            "@odata.context": f"{contoso.org.url}/api/data/v9.2/$metadata#leads/$deletedEntity",
            "id": two,
            "reason": "deleted",
        }
    ]
    again = (await contoso.sync.get(body["@odata.deltaLink"])).json()
    assert again["value"] == []
    assert "@odata.deltaLink" in again
    assert four


async def test_nothing_that_changes_during_a_paged_first_read_is_lost(contoso: Contoso) -> None:
    ids = sorted(contoso.leads(*({"lastname": str(number)} for number in range(4))))
    prefer = {"Prefer": "odata.track-changes,odata.maxpagesize=2"}
    first = (await contoso.sync.get(SELECT, headers=prefer)).json()
    await change(contoso, ids[0], lastname="changed after its page was read")
    second = (await contoso.sync.get(first["@odata.nextLink"], headers=prefer)).json()
    changes = (await contoso.sync.get(second["@odata.deltaLink"], headers=prefer)).json()["value"]
    assert [row["leadid"] for row in changes] == [ids[0]]


async def test_a_delta_comes_in_pages_too(contoso: Contoso) -> None:
    ids = contoso.leads(*({"lastname": str(number)} for number in range(7)))
    link = await first_read(contoso)
    for lead in ids[:4]:
        await change(contoso, lead, lastname="changed")
    for lead in ids[4:]:
        await contoso.admin.delete(f"leads({lead})")
    pages = await follow(contoso.sync, link, Prefer="odata.track-changes,odata.maxpagesize=2")
    assert [len(page["value"]) for page in pages] == [2, 2, 2, 1]
    entries = [row for page in pages for row in page["value"]]
    assert [row["leadid"] for row in entries[:4]] == ids[:4]
    assert [row["id"] for row in entries[4:]] == ids[4:]
    assert "@odata.deltaLink" in pages[-1]


async def test_a_row_deleted_and_made_again_is_a_changed_row(contoso: Contoso) -> None:
    (lead,) = contoso.leads({"lastname": "Phoenix"})
    link = await first_read(contoso)
    await contoso.admin.delete(f"leads({lead})")
    await contoso.admin.patch(f"leads({lead})", json={"lastname": "Again"})
    (row,) = (await contoso.sync.get(link)).json()["value"]
    assert (row["leadid"], row["lastname"]) == (lead, "Again")


async def test_the_number_of_changes(contoso: Contoso) -> None:
    one, two = contoso.leads({"lastname": "1"}, {"lastname": "2"})
    link = await first_read(contoso)
    await change(contoso, one, lastname="changed")
    await contoso.admin.delete(f"leads({two})")
    answer = await contoso.sync.get(link.replace("/leads?", "/leads/$count?"))
    assert answer.content.decode("utf-8-sig") == "2"


@pytest.mark.parametrize("option", ["$filter=statecode eq 0", "$orderby=lastname", "$expand=ownerid", "$top=5"])
async def test_options_that_change_tracking_does_not_take(contoso: Contoso, option: str) -> None:
    name = option.partition("=")[0]
    status, _, message = error(await contoso.sync.get(f"{SELECT}&{option}", headers=TRACK))
    assert status == 400
    assert message == f'The "${{{name[1:]}}}" query parameter isn\'t supported when Change Tracking is enabled.'


async def test_a_delta_link_expires_with_the_organizations_days(contoso: Contoso) -> None:
    link = await first_read(contoso)
    contoso.org.clock.advance(6.9 * 86400)
    async with contoso.connect(contoso.token(contoso.org.sync_app)) as client:
        assert (await client.get(link)).status_code == 200
    contoso.org.clock.advance(0.2 * 86400)
    async with contoso.connect(contoso.token(contoso.org.sync_app)) as client:
        assert error(await client.get(link)) == (
            400,
            "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        )


@pytest.mark.parametrize("token", ["nonsense", "99999999%2108%2f22%2f2024%2008%3a10%3a44", "-5%21x"])
async def test_a_malformed_token_is_a_bad_request(contoso: Contoso, token: str) -> None:
    assert error(await contoso.sync.get(f"{SELECT}&$deltatoken={token}"))[0] == 400


async def test_a_table_that_is_not_tracked_until_it_is_enabled(contoso: Contoso) -> None:
    async def read() -> httpx.Response:
        return await contoso.sync.get("teams?$select=name", headers=TRACK)

    assert error(await read()) == (400, "0x80072491", "Entity team isn't enabled for change tracking.")
    table = "EntityDefinitions(LogicalName='team')"
    definition = (await contoso.admin.get(table)).json() | {"ChangeTrackingEnabled": True}
    enabled = await contoso.admin.put(table, json=definition, headers={"MSCRM.MergeLabels": "true"})
    assert enabled.status_code == 204
    assert (await read()).status_code == 200
    switched_off = await contoso.admin.put(table, json=definition | {"ChangeTrackingEnabled": False})
    assert switched_off.status_code == 400


async def test_a_delta_link_that_names_a_deleted_column(contoso: Contoso) -> None:
    link = await first_read(contoso, "leads?$select=lastname,new_visits")
    gone = await contoso.admin.delete("EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='new_visits')")
    assert gone.status_code == 204
    assert error(await contoso.sync.get(link)) == (
        400,
        "0x80060888",
        "Could not find a property named 'new_visits' on type 'Microsoft.Dynamics.CRM.lead'.",
    )


@pytest.mark.parametrize("code", ["0x80060888", "0x80044352"])
async def test_a_link_that_names_a_deleted_column(contoso: Contoso, code: str) -> None:
    contoso.org.switches["deleted_column_in_a_link"] = code
    link = await first_read(contoso, "leads?$select=lastname,new_visits")
    column = "EntityDefinitions(LogicalName='lead')/Attributes(LogicalName='new_visits')"
    assert (await contoso.admin.delete(column)).status_code == 204
    assert error(await contoso.sync.get(link, headers=TRACK))[:2] == (400, code)
