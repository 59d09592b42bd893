"""``crmsync sync TENANT --record lead:GUID``: one record at once, with what it is linked to."""

from __future__ import annotations

import asyncio

import pytest

from crmsync.engine.record import sync_record
from crmsync.engine.report import SyncReport
from crmsync.errors import OperatorMustAct, RecordMissing, StateMismatch
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, in_dynamics
from tests.world import World

NOBODY = "6f0b1c2d-0000-4000-8000-000000000001"


async def push(world: World, record: str) -> SyncReport:
    async with world.session() as session:
        return await sync_record(session, record)


async def test_a_new_lead_is_in_marketo_at_once_and_the_next_cycle_has_nothing_to_write(connected: World) -> None:
    admin = await connected.admin()
    hot = await admin.create("leads", {"lastname": "Hot", "emailaddress1": "hot@example.com"})
    cold = await admin.create("leads", {"lastname": "Cold"})

    report = await push(connected, f"lead:{hot}")

    assert (report.kind, report.entities["lead"].created) == ("record", 1)
    assert set(await connected.people([hot, cold])) == {hot}
    assert (await connected.cycle()).entities["lead"].created == 1, "the cold one's turn"


async def test_a_contact_brings_the_company_that_marketo_lacks_and_is_linked_to_it(connected: World) -> None:
    admin = await connected.admin()
    account = await admin.create("accounts", {"name": "Brand New"})
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await admin.create("contacts", {"lastname": "Linked", **link})

    report = await push(connected, f"contact:{contact.upper()}")

    assert (report.entities["account"].created, report.entities["contact"].created) == (1, 1)
    assert (await connected.person(contact, "externalCompanyId"))["externalCompanyId"] == account


async def test_it_is_few_requests_however_large_the_table_is(connected: World) -> None:
    [row, *_] = await connected.rows("lead", "leadid", filter="new_synctomkto eq true")
    await connected.reset_requests()

    await push(connected, f"lead:{row['leadid']}")

    assert sum((await connected.requests("dynamics")).values()) <= 2
    assert await connected.written() == {"/rest/v1/leads.json": 1}


async def test_a_lead_that_was_deleted_in_dynamics_is_flagged(connected: World) -> None:
    admin = await connected.admin()
    [row, *_] = await connected.rows("lead", "leadid", filter="new_synctomkto eq true")
    await admin.delete("leads", row["leadid"])

    report = await push(connected, f"lead:{row['leadid']}")

    assert report.entities["lead"].deleted == 1
    assert (await connected.person(row["leadid"], "msIsDeleted"))["msIsDeleted"] is True


async def test_a_filtered_record_stays_out_and_the_report_says_so(connected: World) -> None:
    admin = await connected.admin()
    lead = await admin.create("leads", {"lastname": "Private", "new_synctomkto": False})

    report = await push(connected, f"lead:{lead}")

    assert (report.entities["lead"].filtered, report.entities["lead"].written) == (1, 0)
    assert await connected.people([lead]) == {}


async def test_a_record_that_nobody_knows_is_told(connected: World) -> None:
    with pytest.raises(RecordMissing, match="no lead of this id"):
        await push(connected, f"lead:{NOBODY}")


@pytest.mark.parametrize("record", ["lead", "lead:42", f"teapot:{NOBODY}", NOBODY])
async def test_what_names_no_record_is_refused_with_an_example(connected: World, record: str) -> None:
    with pytest.raises(OperatorMustAct) as refused:
        await push(connected, record)

    assert "lead:" in refused.value.remedy


async def test_a_record_waits_for_a_cycle_that_is_at_work(connected: World) -> None:
    admin = await connected.admin()
    lead = await admin.create("leads", {"lastname": "Patient"})
    held, waiting, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def at_work() -> None:
        async with connected.session(run="the cycle") as session, session.lease():
            held.set()
            await waiting.wait()
        done.set()

    async def turn(_seconds: float) -> None:
        waiting.set()
        await done.wait()

    cycle = asyncio.create_task(at_work())
    async with connected.session(sleep=turn) as session:
        await held.wait()
        report = await sync_record(session, f"lead:{lead}")
    await cycle

    assert report.entities["lead"].created == 1


async def test_a_tenant_that_is_not_syncing_says_what_to_run(contoso: World) -> None:
    with pytest.raises(StateMismatch, match="not connected"):
        await push(contoso, f"lead:{NOBODY}")


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_what_was_changed_in_marketo_since_the_last_cycle_is_decided_and_not_written_over(
    connected: World, entity: str
) -> None:
    record = await a_synced(connected, entity, jobtitle="Director")
    await change_in_marketo(connected, record, title="Chief")
    await change_in_dynamics(connected, entity, record, jobtitle="Head", mobilephone="+1 555 0100")

    await push(connected, f"{entity}:{record}")
    assert (await connected.person(record, "title", "mobilePhone"))["mobilePhone"] == "+1 555 0100"
    await connected.cycle()

    winner = {"lead": "Chief", "contact": "Head"}[entity]
    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == winner
    assert (await connected.person(record, "title"))["title"] == winner
