"""A call of a run that died is executed when the next run is at work: nothing goes back to what it carries."""

from __future__ import annotations

import asyncio

from crmsync.engine.sync import cycle
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.late_calls import BATCH, COMPANIES, PEOPLE, Late, cycle_with, held_back, killed_cycle
from tests.world import World


async def test_a_late_update_of_a_person_does_not_overwrite_a_newer_value(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="v0")

    async def arrived() -> bool:
        return bool((await connected.person(contact, "title"))["title"] == "v1")

    await change_in_dynamics(connected, "contact", contact, jobtitle="v1")
    await killed_cycle(connected, PEOPLE)
    await change_in_dynamics(connected, "contact", contact, jobtitle="v2")

    await cycle_with(connected, Late(connected, arrived))
    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "v2"
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "v2"
    assert await (await connected.store()).collisions.all("contoso") == []
    await assert_quiet(connected)


async def test_a_late_update_does_not_overwrite_what_somebody_wrote_in_marketo_after_it(connected: World) -> None:
    lead = await a_synced(connected, "lead", jobtitle="v0")

    async def arrived() -> bool:
        return bool((await connected.person(lead, "title"))["title"] == "v1")

    await change_in_dynamics(connected, "lead", lead, jobtitle="v1")
    await killed_cycle(connected, PEOPLE)
    late = Late(connected, arrived)
    await late.execute()
    await change_in_marketo(connected, lead, title="by hand")

    await cycle_with(connected, late)
    await connected.cycle()

    assert (await connected.person(lead, "title"))["title"] == "by hand"
    assert (await in_dynamics(connected, "lead", lead, "jobtitle"))["jobtitle"] == "by hand"
    await assert_quiet(connected)


async def test_a_late_update_of_a_company_does_not_overwrite_a_newer_value(connected: World) -> None:
    """A company's fields have no fingerprints in the request: nothing but time tells that it is over."""
    admin, marketo = await connected.admin(), await connected.marketo()
    account = (await connected.rows("account", "accountid", filter="new_synctomkto eq true"))[0]["accountid"]

    async def name() -> str:
        [company] = await marketo.companies("externalCompanyId", [account], ["company"])
        return str(company["company"])

    async def arrived() -> bool:
        return await name() == "Fabrikam v1"

    await admin.update("accounts", account, {"name": "Fabrikam v1"})
    await killed_cycle(connected, COMPANIES)
    await admin.update("accounts", account, {"name": "Fabrikam v2"})

    await cycle_with(connected, Late(connected, arrived))
    await connected.cycle()

    assert await name() == "Fabrikam v2"
    await assert_quiet(connected)


async def test_a_late_write_to_dynamics_does_not_overwrite_a_newer_value(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="v0")

    async def arrived() -> bool:
        return bool((await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "v1")

    await change_in_marketo(connected, contact, title="v1")
    await killed_cycle(connected, BATCH, skip=1)  # the first one is the look
    await change_in_marketo(connected, contact, title="v2")

    await cycle_with(connected, Late(connected, arrived))
    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "v2"
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "v2"
    assert await (await connected.store()).collisions.all("contoso") == []
    await assert_quiet(connected)


async def test_a_call_whose_answer_is_lost_is_waited_for_in_the_same_run(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="v0")

    async def arrived() -> bool:
        return bool((await connected.person(contact, "title"))["title"] == "v1")

    await change_in_dynamics(connected, "contact", contact, jobtitle="v1")
    await held_back(connected, PEOPLE, drop=True)
    late = Late(connected, arrived, nap=100)
    async with connected.session(sleep=late.sleep) as session:
        await cycle(session, force=True)

    assert late.slept >= 120, "an update that may be executed still is waited for as long as it may be"
    assert (await connected.person(contact, "title"))["title"] == "v1"


async def test_an_update_that_is_seen_to_have_been_executed_is_not_waited_for(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="v0")
    await change_in_dynamics(connected, "contact", contact, jobtitle="v1")
    rule = {"service": "marketo", "method": "POST", "path": PEOPLE, "times": 1, "kind": "hang", "seconds": 60,
            "after_execution": True}  # fmt: skip
    fault = await connected.post("faults", rule)
    running = asyncio.create_task(connected.cycle())
    await connected.until_fault_hit(fault["id"])
    running.cancel()
    await asyncio.wait([running])

    async def arrived() -> bool:
        return True

    late = Late(connected, arrived, nap=100)
    async with connected.session(sleep=late.sleep) as session:
        await cycle(session, force=True)

    assert late.slept == 0
    await assert_quiet(connected)
