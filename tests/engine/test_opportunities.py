"""Opportunities: amount, stage, closed and won tell the same story, and links wait for what they name."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from crmsync.engine import setup
from crmsync.engine.status import status
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import QuotaExhausted
from tests.world import World

FIELDS = [
    "name", "stage", "amount", "isClosed", "isWon", "closeDate", "externalCreatedDate", "externalCompanyId",
    "externalSalesPersonId",
]  # fmt: skip


async def in_marketo(world: World, opportunity: str) -> dict[str, Any]:
    """The one opportunity of this record."""
    marketo = await world.marketo()
    [found] = await marketo.opportunities("externalOpportunityId", [opportunity], FIELDS)
    return found


async def is_there(world: World, opportunity: str) -> bool:
    marketo = await world.marketo()
    return bool(await marketo.opportunities("externalOpportunityId", [opportunity], ["name"]))


async def a_synced(world: World, entity: str) -> str:
    """The id of a contact, or an account, that is in Marketo."""
    [found] = [
        row
        for row in await world.rows(entity, f"{entity}id", filter="new_synctomkto eq true and statecode eq 0")
        if (await (await world.store()).records.in_marketo(world.name, entity, [row[f"{entity}id"]]))
    ][:1]
    return str(found[f"{entity}id"])


async def close(world: World, action: str, status_reason: int, opportunity: str) -> None:
    """Win or lose an opportunity as a salesperson does: by the action that the app's button calls."""
    app = world.facts["dynamics"]["administrator"]
    facts = world.facts["dynamics"]
    async with world.browser() as browser:
        token = await browser.post(
            f"{facts['authority']}/{facts['entra_tenant_id']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": app["client_id"],
                "client_secret": app["client_secret"],
                "scope": f"{facts['organization_url']}/.default",
            },
        )
        answer: httpx.Response = await browser.post(
            f"{facts['organization_url']}/api/data/v9.2/{action}",
            headers={"Authorization": f"Bearer {token.json()['access_token']}"},
            json={
                "Status": status_reason,
                "OpportunityClose": {
                    "subject": "closed",
                    "actualrevenue": 700.0,
                    "opportunityid@odata.bind": f"/opportunities({opportunity})",
                },
            },
        )
        answer.raise_for_status()


async def test_an_open_opportunity_is_worth_its_estimate(connected: World) -> None:
    admin = await connected.admin()
    account = await a_synced(connected, "account")
    new = await admin.create(
        "opportunities",
        {
            "name": "Big deal",
            "estimatedvalue": 1000.5,
            "estimatedclosedate": "2027-03-01",
            "customerid_account@odata.bind": f"/accounts({account})",
        },
    )

    report = await connected.cycle()

    found = await in_marketo(connected, new)
    assert (found["name"], found["stage"], found["amount"]) == ("Big deal", "Open", 1000.5)
    assert (found["isClosed"], found["isWon"], found["closeDate"]) == (False, False, "2027-03-01")
    assert found["externalCompanyId"] == account
    assert found["externalCreatedDate"]
    assert report.entities["opportunity"].created == 1
    assert (await connected.cycle()).total.written == 0


@pytest.mark.parametrize(
    ("action", "reason", "stage", "won"), [("WinOpportunity", 3, "Won", True), ("LoseOpportunity", 4, "Lost", False)]
)
async def test_a_closed_opportunity_is_worth_what_it_brought(
    connected: World, action: str, reason: int, stage: str, won: bool
) -> None:
    admin = await connected.admin()
    new = await admin.create("opportunities", {"name": "Deal", "estimatedvalue": 1000.0})
    await connected.cycle()
    await admin.update("opportunities", new, {"actualvalue": 700.0})
    await close(connected, action, reason, new)

    await connected.cycle()

    found = await in_marketo(connected, new)
    [row] = await connected.rows("opportunity", "actualvalue", "statecode", filter=f"opportunityid eq {new}")
    assert row["statecode"] != 0
    assert (found["stage"], found["isClosed"], found["isWon"]) == (stage, True, won)
    assert found.get("amount") == row["actualvalue"]


async def test_an_opportunity_without_a_topic_is_not_lost(connected: World) -> None:
    admin = await connected.admin()
    new = await admin.create("opportunities", {"name": " "})

    await connected.cycle()

    assert (await in_marketo(connected, new))["name"] == "Opportunity"


async def test_a_missing_company_is_waited_for_and_never_named(connected: World) -> None:
    admin = await connected.admin()
    account = await admin.create("accounts", {"name": "Fabrikam", "new_synctomkto": False})
    new = await admin.create(
        "opportunities", {"name": "Early", "customerid_account@odata.bind": f"/accounts({account})"}
    )
    await connected.cycle()
    assert (await in_marketo(connected, new)).get("externalCompanyId") is None

    await admin.update("accounts", account, {"new_synctomkto": True})
    await connected.cycle()

    assert (await in_marketo(connected, new))["externalCompanyId"] == account


async def test_a_customer_contact_brings_its_company_also_after_it_moved(connected: World) -> None:
    admin = await connected.admin()
    one = await a_synced(connected, "account")
    other = await admin.create("accounts", {"name": "Fabrikam"})
    contact = await admin.create(
        "contacts", {"lastname": "Customer", "parentcustomerid_account@odata.bind": f"/accounts({one})"}
    )
    new = await admin.create(
        "opportunities", {"name": "Personal", "customerid_contact@odata.bind": f"/contacts({contact})"}
    )
    await connected.cycle()
    assert (await in_marketo(connected, new))["externalCompanyId"] == one

    await admin.update("contacts", contact, {"parentcustomerid_account@odata.bind": f"/accounts({other})"})
    await connected.cycle()

    assert (await in_marketo(connected, new))["externalCompanyId"] == other


async def test_a_filtered_opportunity_is_kept_as_it_was(connected: World) -> None:
    admin = await connected.admin()
    new = await admin.create("opportunities", {"name": "Before"})
    await connected.cycle()
    await admin.update("opportunities", new, {"name": "Not to be seen", "new_synctomkto": False})

    await connected.cycle()

    assert (await in_marketo(connected, new))["name"] == "Before"


async def test_a_deleted_opportunity_goes_after_its_roles_and_before_its_people(connected: World) -> None:
    admin = await connected.admin()
    contact = await admin.create("contacts", {"lastname": "Partner"})
    bind = f"/contacts({contact})"
    new = await admin.create("opportunities", {"name": "Short-lived", "parentcontactid@odata.bind": bind})
    await connected.cycle()
    assert await (await connected.marketo()).roles("externalOpportunityId", [new], [])
    await admin.delete("opportunities", new)
    await admin.delete("contacts", contact)

    report = await connected.cycle()

    assert not await is_there(connected, new), "it had no role any more, or Marketo would have refused (1022)"
    assert (report.entities["opportunity"].deleted, report.entities["opportunityrole"].deleted) == (1, 1)
    assert (await connected.person(contact, "msIsDeleted"))["msIsDeleted"] is True
    assert (await connected.cycle()).total.written == 0


async def test_deletions_of_a_killed_run_are_carried_by_the_next(connected: World) -> None:
    admin = await connected.admin()
    new = await admin.create("opportunities", {"name": "Short-lived"})
    await connected.cycle()
    await admin.delete("opportunities", new)
    await connected.post(
        "faults",
        {"service": "marketo", "path": "/rest/v1/opportunities/delete.json", "times": 1, "kind": "marketo",
         "code": "607"},
    )  # fmt: skip
    with pytest.raises(QuotaExhausted):
        await connected.cycle()

    await connected.cycle()

    assert not await is_there(connected, new)


async def test_an_unreadable_entity_is_left_out_told_and_taken_up_when_it_can_be_read(contoso: World) -> None:
    await contoso.prepare()
    await contoso.post(
        "faults",
        {"service": "dynamics", "path": "/api/data/v9.2/opportunities*", "rate": 1, "kind": "dataverse",
         "status": 403, "code": "0x80040220"},
    )  # fmt: skip

    async with contoso.session() as session:
        report = await first_sync(session)

    shown = await status(await contoso.store(), "contoso")
    assert report.left_out.keys() == shown["left_out"].keys() == {"opportunity"}
    assert shown["state"] == "syncing"
    assert shown["entities"]["contact"]["created"] > 0

    async with contoso.browser() as browser:
        (await browser.delete(f"{contoso.ready.admin_url}/faults")).raise_for_status()
    report = await contoso.cycle()

    assert report.left_out == {}
    assert report.entities["opportunity"].created > 0
    assert report.entities["opportunityrole"].created > 0


async def test_a_subscription_without_opportunities_goes_on_without_them(contoso: World) -> None:
    denied = {"Read-Write Lead", "Read-Write Company", "Read-Write Sales Person", "Read-Write Schema Custom Field"}
    await contoso.post("switches", {"tenant": "contoso", "permissions": sorted(denied)})

    report = await contoso.connect()

    assert report.left_out.keys() == {"opportunity", "connection"}
    assert report.entities["contact"].created > 0


async def test_the_tenant_file_leaves_entities_out(contoso: World) -> None:
    tenant = contoso.tenant.model_copy(update={"entities": ("systemuser", "account", "lead", "contact")})
    async with contoso.session(tenant=tenant) as session:
        await setup.save_credentials(session, await setup.validate_credentials(session))
        await setup.refresh_schema(session)
        selection = await setup.select_fields(session)
        await setup.enable_sync(session)
        report = await first_sync(session)
        again = await cycle(session, force=True)

    assert "opportunity" not in selection.mappings
    assert report.left_out == dict.fromkeys(("opportunity", "connection"), "left out by the tenant file")
    assert again.total.written == 0
