"""A write that one side refuses: nothing is taken for agreed on, it is told and tried again, and it converges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from crmsync.engine.destination import destination
from crmsync.engine.fingerprint import fingerprints
from crmsync.engine.imports import Importer, ImportFile
from crmsync.engine.load import Loader
from crmsync.engine.plan import Change
from crmsync.engine.session import utc_now
from crmsync.engine.status import collisions
from crmsync.marketo.client import MarketoClient
from crmsync.state import tables
from crmsync.state.syncerrors import SyncError
from crmsync.tenants import Quota
from tests.engine.both_sides import (
    SETS,
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.world import World

PEOPLE = "/rest/v1/leads.json"


async def refusing(world: World, field: str, value: Any = None, service: str = "marketo", **how: str) -> None:
    """A service refuses this value in this field, and does not say in which."""
    refusal = {"tenant": "contoso", "service": service, "field": field, "value": value, **how}
    await world.post("refusals", refusal)


async def refusing_no_more(world: World) -> None:
    """Whoever made it refuse values has put that right."""
    async with world.browser() as client:
        (await client.delete(f"{world.ready.admin_url}/refusals")).raise_for_status()


async def refusing_calls(world: World, path: str = PEOPLE, times: int = 1) -> None:
    """Marketo refuses the next calls of this kind, each of which carries one record."""
    rule = {"service": "marketo", "method": "POST", "path": path, "times": times, "kind": "marketo", "code": "1007"}
    await world.post("faults", {**rule, "message": "Multiple leads match"})


async def refused_by_marketo(world: World, entity: str, record: str, **values: Any) -> None:
    """Dynamics changes, and Marketo refuses the record as a whole."""
    await change_in_dynamics(world, entity, record, **values)
    await refusing_calls(world)
    report = await world.cycle()
    assert report.entities[entity].failed == 1


async def errors_of(world: World, record: str) -> list[SyncError]:
    return [one for one in await (await world.store()).errors.all("contoso") if one.record_id == record]


async def next_attempts_are_due(world: World) -> None:
    store, past = await world.store(), utc_now() - timedelta(seconds=1)
    async with store.engine.begin() as connection:
        await connection.execute(sa.update(tables.marketo_changes).values(not_before=None))
        late = tables.sync_errors.c.next_attempt.is_not(None)
        await connection.execute(sa.update(tables.sync_errors).where(late).values(next_attempt=past))


async def titles(world: World, entity: str, record: str) -> tuple[Any, Any]:
    row = await in_dynamics(world, entity, record, "jobtitle")
    return row["jobtitle"], (await world.person(record, "title"))["title"]


# Dynamics → Marketo


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_the_next_attempt_writes_what_was_refused(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity, jobtitle="Director")
    await refused_by_marketo(connected, entity, record, jobtitle="Chief")

    [error] = await errors_of(connected, record)
    assert (error.direction, error.code, error.field) == ("Dynamics → Marketo", "1007", "")
    assert "Multiple" in error.reason
    assert error.next_attempt is not None
    assert await titles(connected, entity, record) == ("Chief", "Director")
    assert (await connected.cycle()).total.written == 0, "it is not due yet"

    await next_attempts_are_due(connected)
    await connected.cycle()

    assert await titles(connected, entity, record) == ("Chief", "Chief")
    assert await errors_of(connected, record) == []
    await assert_quiet(connected)


async def test_a_later_change_of_another_field_brings_the_refused_one_along(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await refused_by_marketo(connected, "contact", contact, jobtitle="Chief")
    await change_in_dynamics(connected, "contact", contact, mobilephone="+1 555 0199")

    await connected.cycle()

    person = await connected.person(contact, "title", "mobilePhone")
    assert (person["title"], person["mobilePhone"]) == ("Chief", "+1 555 0199")
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


async def test_a_refused_change_that_is_taken_back_leaves_no_error(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await refused_by_marketo(connected, "contact", contact, jobtitle="Chief")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Director")

    await connected.cycle()

    assert await titles(connected, "contact", contact) == ("Director", "Director")
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected)


@pytest.mark.parametrize(("entity", "winner"), [("lead", "Head"), ("contact", "Chief")])
async def test_a_change_in_marketo_meets_the_refused_one_as_a_collision(
    connected: World, entity: str, winner: str
) -> None:
    record = await a_synced(connected, entity, jobtitle="Director")
    await refused_by_marketo(connected, entity, record, jobtitle="Chief")
    await change_in_marketo(connected, record, title="Head")

    await connected.cycle()
    await connected.cycle()

    assert await titles(connected, entity, record) == (winner, winner)
    [collision] = await collisions(await connected.store(), "contoso")
    assert collision["winner"] == ("marketo" if winner == "Head" else "dynamics")
    await next_attempts_are_due(connected)
    await connected.cycle()
    assert await errors_of(connected, record) == []
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_edit_in_marketo_that_was_taken_back_does_not_undo_the_refused_change(
    connected: World, entity: str
) -> None:
    """What comes of Marketo is the value that was agreed on: no change of Marketo's, but the refused one is."""
    record = await a_synced(connected, entity, jobtitle="Director")
    await refused_by_marketo(connected, entity, record, jobtitle="Chief")
    await change_in_marketo(connected, record, title="Head")
    await change_in_marketo(connected, record, title="Director")

    await connected.cycle()
    await next_attempts_are_due(connected)
    await connected.cycle()

    assert await titles(connected, entity, record) == ("Chief", "Chief")
    assert await collisions(await connected.store(), "contoso") == []
    await assert_quiet(connected)


async def test_other_fields_of_a_refused_record_are_not_taken_for_written(connected: World) -> None:
    """The whole record was refused: a change of Marketo's in another of its fields is a collision as well."""
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await refused_by_marketo(connected, "contact", contact, jobtitle="Chief", mobilephone="+1 555 0199")
    await change_in_marketo(connected, contact, mobilePhone="+1 555 0111")

    await connected.cycle()

    row = await in_dynamics(connected, "contact", contact, "mobilephone")
    assert row["mobilephone"] == (await connected.person(contact, "mobilePhone"))["mobilePhone"] == "+1 555 0199"
    [collision] = await collisions(await connected.store(), "contoso")
    assert (collision["attribute"], collision["winner"]) == ("mobilephone", "dynamics")


async def test_dynamics_value_that_wins_and_is_refused_is_told_and_tried_again(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Head")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief", mobilephone="+1 555 0188")
    await refusing_calls(connected, times=2)  # what else changed of the record, and what won

    await connected.cycle()

    assert await titles(connected, "contact", contact) == ("Chief", "Head")
    [error] = await errors_of(connected, contact)
    assert (error.direction, error.code) == ("Dynamics → Marketo", "1007")
    assert error.next_attempt is not None
    assert (await connected.cycle()).total.written == 0, "it is not due yet"

    await next_attempts_are_due(connected)
    await connected.cycle()

    assert await titles(connected, "contact", contact) == ("Chief", "Chief")
    assert await errors_of(connected, contact) == []
    assert len(await collisions(await connected.store(), "contoso")) == 1
    await assert_quiet(connected)


async def test_a_refused_new_record_is_created_when_the_cause_is_gone(connected: World) -> None:
    admin = await connected.admin()
    new = await admin.create("contacts", {"lastname": "New", "donotbulkemail": True})
    await refusing_calls(connected)
    await connected.cycle()
    assert await connected.people([new]) == {}
    await change_in_dynamics(connected, "contact", new, donotbulkemail=False)

    await connected.cycle()

    assert (await connected.person(new, "lastName"))["lastName"] == "New"
    assert await errors_of(connected, new) == []
    await assert_quiet(connected)


@pytest.mark.parametrize(("policy", "path"), [("flag", PEOPLE), ("delete", "/rest/v1/leads/delete.json")])
async def test_a_refused_deletion_is_told_and_tried_again(connected: World, policy: str, path: str) -> None:
    options = {"deleted_in_dynamics": policy}
    contact = await a_synced(connected, "contact")
    await (await connected.admin()).delete(SETS["contact"], contact)
    await refusing_calls(connected, path)

    await cycle_as(connected, **options)

    [error] = await errors_of(connected, contact)
    assert (error.direction, error.operation) == ("Dynamics → Marketo", "delete")
    assert error.next_attempt is not None
    await next_attempts_are_due(connected)
    await cycle_as(connected, **options)

    people = (await connected.people([contact], "msIsDeleted")).get(contact, [])
    assert [one["msIsDeleted"] for one in people] == ([True] if policy == "flag" else [])
    assert await errors_of(connected, contact) == []
    await assert_quiet(connected, **options)


# Bulk imports


async def test_a_row_that_the_failures_file_does_not_name_is_no_imported_one(contoso: World) -> None:
    """The file may leave columns out, the key too: who was not imported is seen by who is not there."""
    imported, failed = "11111111-0000-0000-0000-000000000001", "11111111-0000-0000-0000-000000000002"

    def marketo(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("failures.json"):
            return httpx.Response(200, text="lastName,Import Failure Reason\nTwo,Value is too long\n")
        result: list[dict[str, Any]] = [{"batchId": 7, "importId": "7", "status": "Queued"}]
        if path.endswith("batch/7.json"):
            result = [{"batchId": 7, "status": "Complete", "numOfLeadsProcessed": 1, "numOfRowsFailed": 1}]
        elif path == PEOPLE:
            result = [{"id": 1, "dynamicsId": imported}]
        elif "/describe" in path:
            result = [{"name": "anything", "fields": [{"name": "dynamicsId", "dataType": "string"}]}]
        token = {"access_token": "t", "expires_in": 3599, "scope": "api@contoso.example"}
        return httpx.Response(200, json={"requestId": "1", "success": True, "result": result, **token})

    async with (
        contoso.session() as session,
        MarketoClient(
            contoso.tenant.marketo,
            SecretStr("secret"),
            tenant="contoso",
            quota=Quota(),
            transport=httpx.MockTransport(marketo),
        ) as session.marketo,
    ):
        file = ImportFile("dynamicsId", ["dynamicsId", "lastName"])
        for key, name in ((imported, "One"), (failed, "Two")):
            file.add(Change(key, {"lastName": name}, fingerprints([key, name]), is_new=True))
        where = destination("lead", session.marketo)
        await Importer(session, Loader(session, "lead", where, 1), "lead", where).write(file, 1)

        known = await session.store.records.known("contoso", "lead", [imported, failed])
        assert {key: (one.status, one.in_marketo) for key, one in known.items()} == {
            imported: ("synced", True),
            failed: ("failed", False),
        }
    [error] = await errors_of(contoso, failed)
    assert error.next_attempt is not None


async def test_who_is_gone_from_marketo_when_dynamics_value_goes_there_waits_for_nothing(connected: World) -> None:
    """Deleted between the look at the person and the write, of which no deletion may ever tell."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Head")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await refusing(connected, "title", "Chief", code="1004", message="Lead not found")

    await connected.cycle()

    store = await connected.store()
    assert await store.inbox.sizes("contoso") == {}
    assert (await store.records.known("contoso", "contact", [contact]))[contact].status == "gone"
    assert await errors_of(connected, contact) == []
