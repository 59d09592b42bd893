"""``compare`` says in step only of what is equal: what waits says since when, what was refused is refused, and an
opt-out that only one side has differs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from crmsync.engine.back.streams import OTHERS
from crmsync.engine.comparison import Comparison, Difference, in_words
from crmsync.engine.destination import ROLE
from crmsync.engine.session import utc_now
from crmsync.state import tables
from crmsync.state.inbox import Creation, Waiting
from crmsync.state.lifecycle import TenantState
from crmsync.state.schemas import Parked
from crmsync.state.syncerrors import SyncError
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.test_compare import clean, compared
from tests.engine.test_compare_roles import compared as roles_compared
from tests.engine.test_compare_roles import deal
from tests.engine.test_refused import refused_by_marketo
from tests.world import World

__all__ = ["clean", "deal"]

ONE_WAY = {"to_dynamics": False}


async def one_difference(world: World, entity: str, **options: Any) -> Difference:
    """The one record that is not equal; the exit status follows ``in_step``."""
    result = await compared(world, entities=[entity], **options)
    assert not result.in_step
    [found] = result.differences
    return found


async def repaired(world: World, entity: str, **options: Any) -> Comparison:
    """Repaired, and found equal by another comparison."""
    result = await compared(world, entities=[entity], repair=True, **options)
    assert result.in_step, result.differences
    assert (await compared(world, entities=[entity], **options)).differences == []
    return result


# Consent


async def unsubscribed_behind_the_activities(world: World, record: str) -> None:
    """Marketo has an opt-out of which no activity tells (any more)."""
    await change_in_marketo(world, record, unsubscribed=True)
    async with (await world.store()).engine.begin() as connection:
        now = await (await world.marketo()).paging_token(utc_now() + timedelta(minutes=1))
        await connection.execute(sa.update(tables.watermarks).values(token=now))


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_an_opt_out_that_only_marketo_has_differs_and_a_repair_brings_it_to_dynamics(
    clean: World, entity: str
) -> None:
    record = await a_synced(clean, entity, donotbulkemail=False)
    await unsubscribed_behind_the_activities(clean, record)

    found = await one_difference(clean, entity)
    assert (found.record_id, found.category, found.fields) == (record, "differs", ["unsubscribed"])

    await repaired(clean, entity)
    assert (await in_dynamics(clean, entity, record, "donotbulkemail"))["donotbulkemail"] is True
    assert (await clean.person(record, "unsubscribed"))["unsubscribed"] is True


async def test_a_repair_does_not_take_back_an_opt_out_that_both_sides_had_once(clean: World) -> None:
    """Dynamics says yes where both said no: nobody knows that a person said so, unless a cycle is told of it."""
    record = await a_synced(clean, "contact", donotbulkemail=True)
    assert (await clean.person(record, "unsubscribed"))["unsubscribed"] is True
    await change_in_dynamics(clean, "contact", record, donotbulkemail=False)

    assert (await one_difference(clean, "contact")).fields == ["unsubscribed"]

    await repaired(clean, "contact")
    assert (await in_dynamics(clean, "contact", record, "donotbulkemail"))["donotbulkemail"] is True
    assert (await clean.person(record, "unsubscribed"))["unsubscribed"] is True


async def test_an_opt_out_that_only_dynamics_has_differs_and_goes_to_marketo(clean: World) -> None:
    record = await a_synced(clean, "contact", donotbulkemail=True)
    await unsubscribed_behind_the_activities(clean, record)
    marketo = await clean.marketo()
    await marketo.sync_people([{"dynamicsId": record, "unsubscribed": False}])
    async with (await clean.store()).engine.begin() as connection:
        later = await marketo.paging_token(utc_now() + timedelta(minutes=1))
        await connection.execute(sa.update(tables.watermarks).values(token=later))

    assert (await one_difference(clean, "contact")).fields == ["unsubscribed"]

    await repaired(clean, "contact")
    assert (await clean.person(record, "unsubscribed"))["unsubscribed"] is True


async def test_a_repair_of_a_one_way_tenant_leaves_marketos_opt_out_alone(clean: World) -> None:
    record = await a_synced(clean, "contact", donotbulkemail=True, jobtitle="Director")
    await change_in_dynamics(clean, "contact", record, donotbulkemail=False)
    await change_in_marketo(clean, record, title="Chief")

    result = await compared(clean, entities=["contact"], repair=True, **ONE_WAY)

    assert not result.in_step
    person = await clean.person(record, "unsubscribed", "title")
    assert (person["unsubscribed"], person["title"]) == (True, "Director")
    assert (await one_difference(clean, "contact", **ONE_WAY)).fields == ["unsubscribed"]


# What waits


async def a_waiting_change(world: World, **values: Any) -> str:
    """A change made in Marketo that was read, and is not in Dynamics yet."""
    contact = await a_synced(world, "contact", jobtitle="Director", donotbulkemail=False)
    await change_in_marketo(world, contact, **values)
    number = int((await world.person(contact))["id"])
    await (await world.store()).inbox.wait("contoso", "contact", [Waiting(contact, number, frozenset(values))])
    return contact


@pytest.mark.parametrize("values", [{"title": "Chief"}, {"unsubscribed": True}], ids=["title", "opt-out"])
async def test_a_change_that_was_read_and_is_not_in_dynamics_yet_waits(clean: World, values: dict[str, Any]) -> None:
    before = utc_now()
    contact = await a_waiting_change(clean, **values)

    found = await one_difference(clean, "contact")

    assert (found.record_id, found.category, found.fields) == (contact, "waiting", list(values))
    assert found.waits_for == ["change"]
    assert found.since is not None
    assert before <= found.since <= utc_now()
    assert "since" in in_words(found)
    await repaired(clean, "contact")
    row = await in_dynamics(clean, "contact", contact, "jobtitle", "donotbulkemail")
    assert "Chief" in row.values() or row["donotbulkemail"] is True


async def test_a_field_that_waits_beside_one_that_differs_makes_no_waiting_record(clean: World) -> None:
    contact = await a_waiting_change(clean, title="Chief")
    await change_in_dynamics(clean, "contact", contact, mobilephone="+1 555 0100")

    found = await one_difference(clean, "contact")

    assert (found.category, sorted(found.fields)) == ("differs", ["mobilePhone", "title"])


async def test_a_waiting_change_that_was_taken_back_is_equal(clean: World) -> None:
    contact = await a_waiting_change(clean, title="Chief")
    await change_in_marketo(clean, contact, title="Director")

    assert (await compared(clean, entities=["contact"])).in_step


async def test_a_contact_waits_for_a_company_that_is_to_come_but_for_none_that_is_filtered(clean: World) -> None:
    admin, store = await clean.admin(), await clean.store()
    account = await admin.create("accounts", {"name": "Late", "new_synctomkto": False})
    link = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    contact = await admin.create("contacts", {"lastname": "Patient", **link})
    await clean.cycle()
    assert (await compared(clean, entities=["contact"])).in_step

    async with store.engine.begin() as connection:
        late = tables.records.c.record_id == account
        await connection.execute(sa.update(tables.records).where(late).values(status="failed"))

    found = await one_difference(clean, "contact")
    assert (found.record_id, found.category, found.waits_for) == (contact, "waiting", ["company"])
    assert found.since is not None, "since it was written without"


async def test_who_is_to_be_created_in_dynamics_waits_or_was_refused(clean: World) -> None:
    store = await clean.store()
    mark = (await store.inbox.watermarks("contoso"))[OTHERS]
    await store.inbox.move("contoso", mark, listed=[Creation(4711, "lead", None)])

    found = await one_difference(clean, "lead")
    assert (found.record_id, found.category, found.waits_for) == ("Marketo person 4711", "waiting", ["creation"])

    refusal = SyncError(entity="lead", record_id="Marketo person 4711", direction="Marketo → Dynamics",
                        operation="create", code="0x80040333", reason="A duplicate")  # fmt: skip
    await store.inbox.land_creations("contoso", "lead", errors=[refusal])
    found = await one_difference(clean, "lead")
    assert (found.category, found.code) == ("refused", "0x80040333")


async def test_a_deletion_that_is_not_carried_yet_waits_and_a_repair_carries_it(clean: World) -> None:
    contact = await a_synced(clean, "contact")
    await (await clean.admin()).delete("contacts", contact)
    await (await clean.store()).pending.add("contoso", "contact", "delete", [contact])

    found = await one_difference(clean, "contact")

    assert (found.record_id, found.category, found.waits_for) == (contact, "waiting", ["delete"])
    await repaired(clean, "contact")
    assert (await clean.person(contact, "msIsDeleted"))["msIsDeleted"] is True


async def test_a_request_without_an_answer_is_waited_for(clean: World) -> None:
    contact = await a_synced(clean, "contact", jobtitle="Director")
    await change_in_dynamics(clean, "contact", contact, jobtitle="Chief")
    await (await clean.store()).flights.take_off("contoso", "contact", "sync", [contact])

    found = await one_difference(clean, "contact")

    assert (found.category, found.waits_for) == ("waiting", ["request"])


async def test_roles_that_are_due_wait(deal: tuple[World, str, str, str]) -> None:
    world, opportunity, *_ = deal
    marketo = await world.marketo()
    [role] = [one for one in await marketo.roles("externalOpportunityId", [opportunity], []) if one["isPrimary"]]
    await marketo.delete_roles([{name: role[name] for name in ("externalOpportunityId", "leadId", "role")}])
    await (await world.store()).pending.add("contoso", "opportunity", "roles", [opportunity])

    [found] = (await roles_compared(world)).differences

    assert (found.entity, found.category, found.waits_for) == (ROLE, "waiting", ["roles"])
    assert (await roles_compared(world, repair=True)).in_step


# What was refused


async def test_what_marketo_refused_is_refused_since_then(clean: World) -> None:
    contact = await a_synced(clean, "contact", jobtitle="Director")
    before = utc_now()
    await refused_by_marketo(clean, "contact", contact, jobtitle="Chief")

    found = await one_difference(clean, "contact")

    assert (found.record_id, found.category, found.code, found.fields) == (contact, "refused", "1007", ["title"])
    assert found.since is not None
    assert before <= found.since
    await repaired(clean, "contact")


async def test_what_dynamics_refused_is_refused_and_not_waiting(clean: World) -> None:
    lead = await a_synced(clean, "lead", leadqualitycode=2)
    await change_in_marketo(clean, lead, rating="Lukewarm")
    await clean.cycle()

    found = await one_difference(clean, "lead")

    assert (found.record_id, found.category, found.fields) == (lead, "refused", ["rating"])
    result = await compared(clean, entities=["lead"], repair=True)
    assert not result.in_step
    assert result.categories["refused"] == 1
    assert (await in_dynamics(clean, "lead", lead, "leadqualitycode"))["leadqualitycode"] == 2


async def test_a_refusal_of_values_that_are_equal_now_is_none(clean: World) -> None:
    contact = await a_synced(clean, "contact", jobtitle="Director")
    await refused_by_marketo(clean, "contact", contact, jobtitle="Chief")
    await change_in_marketo(clean, contact, title="Chief")

    assert (await compared(clean, entities=["contact"])).in_step


# What is said beside


async def test_a_parked_field_keeps_the_sides_out_of_step_until_it_was_reviewed(clean: World) -> None:
    store = await clean.store()
    gone = Parked(entity="lead", attribute="fax", marketo_field="fax", since=utc_now(), reason="it was deleted")
    await store.schemas.park("contoso", [gone])

    result = await compared(clean, entities=["lead"])

    assert result.differences == []
    assert not result.in_step
    assert [(one.entity, one.attribute) for one in result.parked] == [("lead", "fax")]
    assert (await compared(clean, entities=["contact"])).in_step
    await store.schemas.mark_reviewed("contoso")
    assert (await compared(clean, entities=["lead"])).in_step


async def test_a_tenant_that_is_disabled_is_said_to_be(clean: World) -> None:
    store = await clean.store()
    await store.tenants.move("contoso", TenantState.DISABLED, run="test", why="x", reason="holidays")

    result = await compared(clean, entities=["lead"])

    assert result.in_step
    assert any("disabled" in note and "holidays" in note for note in result.notes)


async def test_a_direction_that_is_not_carried_is_said(clean: World) -> None:
    assert any("to_dynamics" in note for note in (await compared(clean, **ONE_WAY)).notes)
    assert (await compared(clean)).notes == []
