"""The first sync: every record that the sync filter lets through is in Marketo once, with its values."""

from __future__ import annotations

from typing import Any

from crmsync.engine.setup import saved_selection
from crmsync.engine.status import status
from crmsync.engine.sync import first_sync
from crmsync.fields.convert import Converter
from crmsync.fields.values import equal
from crmsync.tenants import ENTITIES
from tests.world import World


async def test_every_record_is_in_marketo_once_without_the_values_that_are_sync_errors(contoso: World) -> None:
    report = await contoso.connect()

    rows = [
        *await contoso.rows("lead", "leadid", "new_synctomkto"),
        *await contoso.rows("contact", "contactid", "new_synctomkto"),
    ]
    ids = {row.get("leadid") or row["contactid"]: row["new_synctomkto"] for row in rows}
    wanted = {one for one, flag in ids.items() if flag is not False}
    people = await contoso.people(list(ids), "email")
    errors = await (await contoso.store()).errors.all("contoso")

    assert {one for one, found in people.items() if len(found) > 1} == set(), "duplicates"
    assert people.keys() == wanted
    assert {error.field for error in errors} == {"email"}, "the sandbox's data is dirty on purpose"
    assert all(people[error.record_id][0]["email"] is None for error in errors)
    total = report.total
    assert (
        total.read == total.filtered + total.tombstones + total.unchanged + total.created + total.updated + total.failed
    )
    assert report.entities["lead"].created + report.entities["contact"].created == len(people)


async def test_every_selected_value_reads_back_equal(contoso: World) -> None:
    await contoso.connect()

    async with contoso.session() as session:
        selection = await saved_selection(session)
    assert selection is not None
    compared = 0
    for name in ("lead", "contact"):
        admin = await contoso.admin()
        entity = await admin.entity(name)
        converter = Converter(entity, selection.mappings[name])
        rows = [row async for page in admin.read(entity, selection.select(entity)) for row in page]
        people = await contoso.people([row[entity.primary_id] for row in rows], *selection.field_names(name))
        for row in rows:
            if row[entity.primary_id] not in people:
                continue
            [person] = people[row[entity.primary_id]]
            refused: dict[str, Any] = {}
            sent = converter.convert(row, refused)
            for mapping in selection.mappings[name]:
                if mapping.convert not in {"owner", "company", "team"} and mapping.field not in refused:
                    assert equal(mapping, sent[mapping.field], person.get(mapping.field)), (mapping, row, person)
                    compared += 1
    assert compared > 1000


async def test_people_know_their_company_and_their_owner(contoso: World) -> None:
    await contoso.connect()

    marketo = await contoso.marketo()
    contacts = await contoso.rows("contact", "_parentcustomerid_value", "_ownerid_value", "new_synctomkto")
    people = await contoso.people([row["contactid"] for row in contacts], "externalCompanyId", "externalSalesPersonId")
    named = {row["_parentcustomerid_value"] for row in contacts if row["_parentcustomerid_value"]}
    companies = {row["externalCompanyId"] for row in await marketo.companies("externalCompanyId", list(named), [])}
    owners = {row["_ownerid_value"] for row in contacts}
    sales_persons = {
        row["externalSalesPersonId"]
        for row in await marketo.sales_persons("externalSalesPersonId", list(owners), ["externalSalesPersonId"])
    }

    assert companies
    assert sales_persons
    linked = 0
    for row in contacts:
        for person in people.get(row["contactid"], []):
            company, owner = row["_parentcustomerid_value"], row["_ownerid_value"]
            assert person.get("externalCompanyId") == (company if company in companies else None)
            assert person.get("externalSalesPersonId") == (owner if owner in sales_persons else None)
            linked += company in companies
    assert linked > 0


async def test_a_second_connect_writes_nothing(connected: World) -> None:
    before = await connected.written()

    report = await connected.connect()

    assert report.skipped == "the first sync is done already"
    after = await connected.written()
    probe = {"/rest/v1/companies.json"}  # connecting asks whether the native sync is on
    assert {path: count for path, count in after.items() if path not in probe} == {
        path: count for path, count in before.items() if path not in probe
    }


async def test_the_status_tells_the_counts(connected: World) -> None:
    shown = await status(await connected.store(), "contoso")

    assert shown["state"] == "syncing"
    assert shown["organization_id"] == connected.facts["dynamics"]["organization_id"]
    assert shown["entities"].keys() == {*ENTITIES, "opportunityrole"}
    contact: dict[str, Any] = shown["entities"]["contact"]
    assert contact["read"] == 80 == contact["filtered"] + contact["created"]
    assert contact["failed"] == len(await (await connected.store()).errors.all("contoso"))
    assert contact["last_synced_at"] is not None
    assert shown["parked_fields"] == []


async def test_progress_tells_how_far_it_is(contoso: World) -> None:
    await contoso.prepare()
    seen = []

    async def listen(progress: Any) -> None:
        seen.append((progress.entity, progress.done, progress.total))

    async with contoso.session() as session:
        await first_sync(session, listen)

    assert ("contact", 80, 80) in seen
    assert seen[-1] == ("connection", 16, 16)
    assert [entity for entity, _, _ in seen if entity == "lead"]
