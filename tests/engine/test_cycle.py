"""A cycle: what changed in Dynamics is in Marketo after it, and a second one finds nothing to write."""

from __future__ import annotations

import pytest

from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from crmsync.errors import StateMismatch, TenantBusy
from tests.world import World


async def a_synced_contact(world: World) -> str:
    rows = await world.rows("contact", "contactid", filter="new_synctomkto eq true")
    people = await world.people([row["contactid"] for row in rows])
    return next(row["contactid"] for row in rows if row["contactid"] in people)


async def test_a_change_a_new_record_and_a_deletion_arrive(connected: World) -> None:
    admin = await connected.admin()
    changed = await a_synced_contact(connected)
    await admin.update("contacts", changed, {"jobtitle": "Chief of Everything", "telephone1": None})
    new = await admin.create("leads", {"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@example.com"})
    [gone] = (await connected.rows("lead", "leadid", filter="new_synctomkto eq true"))[:1]
    await admin.delete("leads", gone["leadid"])

    report = await connected.cycle()

    person = await connected.person(changed, "title", "phone")
    assert person["title"] == "Chief of Everything"
    assert person.get("phone") is None, "an emptied value is emptied in Marketo"
    assert (await connected.person(new, "lastName", "msType"))["lastName"] == "Lovelace"
    assert (await connected.person(gone["leadid"], "msIsDeleted"))["msIsDeleted"] is True
    assert report.entities["contact"].updated == 1
    assert (report.entities["lead"].created, report.entities["lead"].deleted) == (1, 1)


async def test_a_cycle_without_changes_writes_nothing(connected: World) -> None:
    await connected.cycle()
    before = await connected.written()

    report = await connected.cycle()

    assert report.total.written == 0
    assert await connected.written() == before


async def test_a_record_changed_to_the_same_values_is_not_written(connected: World) -> None:
    admin = await connected.admin()
    contact = await a_synced_contact(connected)
    [row] = await connected.rows("contact", "jobtitle", filter=f"contactid eq {contact}")
    await admin.update("contacts", contact, {"jobtitle": row["jobtitle"]})

    report = await connected.cycle()

    assert (report.entities["contact"].unchanged, report.entities["contact"].updated) == (1, 0)


async def test_a_contact_waits_for_its_company_not_for_its_values(connected: World) -> None:
    admin = await connected.admin()
    account = await admin.create("accounts", {"name": "Fabrikam", "new_synctomkto": False})
    contact = await admin.create(
        "contacts", {"lastname": "Waiting", "parentcustomerid_account@odata.bind": f"/accounts({account})"}
    )
    await connected.cycle()
    assert (await connected.person(contact, "externalCompanyId")).get("externalCompanyId") is None

    await admin.update("accounts", account, {"new_synctomkto": True})
    await connected.cycle()

    assert (await connected.person(contact, "externalCompanyId"))["externalCompanyId"] == account


async def test_a_refused_record_is_a_sync_error_until_it_is_corrected(connected: World) -> None:
    admin = await connected.admin()
    lead = await admin.create("leads", {"lastname": "Umlaut", "emailaddress1": "jürgen@example.com"})
    await connected.cycle()

    store = await connected.store()
    [error] = [one for one in await store.errors.all("contoso") if one.record_id == lead]
    assert "emailaddress1" in error.reason
    assert error.direction == "Dynamics → Marketo"
    assert error.remedy

    await admin.update("leads", lead, {"emailaddress1": "juergen@example.com"})
    await connected.cycle()

    assert (await connected.person(lead, "email"))["email"] == "juergen@example.com"
    assert lead not in {one.record_id for one in await store.errors.all("contoso")}


async def test_a_scheduled_cycle_ends_at_once_when_the_last_one_is_young(connected: World) -> None:
    await connected.cycle()

    async with connected.session() as session:
        report = await cycle(session)

    assert report.skipped is not None
    assert "seconds ago" in report.skipped


async def test_a_tenant_that_was_never_connected_says_what_to_run(contoso: World) -> None:
    with pytest.raises(StateMismatch) as refused:
        await contoso.cycle()

    assert "crmsync connect contoso" in refused.value.remedy


async def test_a_second_run_says_who_holds_the_tenant(connected: World) -> None:
    async with connected.session(run="the first run") as session, session.lease():
        with pytest.raises(TenantBusy, match="the first run"):
            await connected.cycle()


async def test_an_expired_delta_link_leads_to_a_new_first_read_that_finds_deletions(connected: World) -> None:
    admin = await connected.admin()
    [gone] = (await connected.rows("lead", "leadid", filter="new_synctomkto eq true"))[:1]
    await admin.delete("leads", gone["leadid"])
    await connected.post("clock", {"advance_seconds": 8 * 86_400})

    report = await connected.cycle()

    assert any("expired" in note for note in report.notes)
    assert (await connected.person(gone["leadid"], "msIsDeleted"))["msIsDeleted"] is True
    assert report.total.created == report.total.updated == 0, "fingerprints keep the unchanged from being written"
    assert (await status(await connected.store(), "contoso"))["state"] == "syncing"
