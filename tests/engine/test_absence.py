"""What the sync user is not shown is not gone: narrowed rights, and records that are taken out of its sight."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.absence import Absence
from crmsync.engine.compare import compare
from crmsync.engine.comparison import Comparison
from crmsync.engine.destination import ROLE
from crmsync.engine.links import OWNER_LINK
from crmsync.engine.record import sync_record
from crmsync.engine.report import SyncReport
from crmsync.engine.resync import resync
from crmsync.errors import PermissionMissing
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.custom_objects import (
    COMPANY,
    ORDER_LINE,
    REGISTRATION,
    a_company,
    a_contact,
    name_custom_entities,
    objects,
    register,
    registering,
    select,
    track,
)
from tests.engine.successions import merge, nobody, status_of
from tests.engine.test_opportunities import is_there
from tests.engine.test_roles import a_contact as new_contact
from tests.engine.test_roles import connect, roles
from tests.engine.unprepared import lower_privilege, role_id, send, take_privilege, user_id
from tests.world import World

__all__ = ["registering"]


async def repaired(world: World, *entities: str, **choices: Any) -> Comparison:
    async with world.session(tenant=world.tenant.model_copy(update=choices)) as session:
        return await compare(session, repair=True, entities=entities)


async def push(world: World, record: str) -> SyncReport:
    async with world.session() as session:
        return await sync_record(session, record)


async def deleted(world: World, entity: str) -> set[str]:
    """The records of which the ledger says that they are gone."""
    store = await world.store()
    rows = await world.rows(entity, f"{entity}id")
    known = await store.records.known(world.name, entity, [row[f"{entity}id"] for row in rows])
    return {one for one, row in known.items() if row.status == "deleted"}


async def share(world: World, opportunity: str) -> None:
    """Share an opportunity with the sync user."""
    user = {"systemuserid": await user_id(world), "@odata.type": "Microsoft.Dynamics.CRM.systemuser"}
    target = {"opportunityid": opportunity, "@odata.type": "Microsoft.Dynamics.CRM.opportunity"}
    access = {"Principal": user, "AccessMask": "ReadAccess"}
    await send(world, "POST", "GrantAccess", {"Target": target, "PrincipalAccess": access})


async def unshare(world: World, opportunity: str) -> None:
    user = {"systemuserid": await user_id(world), "@odata.type": "Microsoft.Dynamics.CRM.systemuser"}
    target = {"opportunityid": opportunity, "@odata.type": "Microsoft.Dynamics.CRM.opportunity"}
    await send(world, "POST", "RevokeAccess", {"Target": target, "Revokee": user})


@pytest.fixture
async def deal(connected: World) -> tuple[World, str]:
    """An opportunity with its contact and an influencer."""
    admin = await connected.admin()
    main, other = await new_contact(admin, "Main"), await new_contact(admin, "Other")
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({main})"})
    await connect(admin, new, other, "Influencer")
    await connected.cycle()
    assert len(await roles(connected, new)) == 2
    return connected, new


async def test_a_repair_leaves_opportunities_and_their_roles_alone_that_may_only_be_hidden(
    deal: tuple[World, str],
) -> None:
    world, opportunity = deal
    before = await roles(world, opportunity)
    await lower_privilege(world, "prvReadOpportunity", "Basic")

    result = await repaired(world, "opportunity", ROLE)

    assert result.left_out.keys() == {"opportunity", ROLE}
    assert "prvReadOpportunity reaches" in result.left_out["opportunity"]
    assert "organization level" in result.left_out["opportunity"], "the remedy"
    assert (result.in_step, result.entities, result.differences) == (False, {}, [])
    assert "opportunity" in (await world.cycle()).left_out
    assert await is_there(world, opportunity)
    assert await roles(world, opportunity) == before
    assert await deleted(world, "opportunity") == set()

    await lower_privilege(world, "prvReadOpportunity", "Global")
    assert (await repaired(world, "opportunity", ROLE)).in_step


async def test_a_right_that_is_narrowed_while_a_repair_is_at_work(deal: tuple[World, str]) -> None:
    world, opportunity = deal
    slow = {"service": "dynamics", "method": "GET", "path": "/api/data/v9.2/opportunities", "kind": "slow",
            "seconds": 0.5, "times": 1}  # fmt: skip
    fault = await world.post("faults", slow)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(repaired(world, "opportunity"))
        await world.until_fault_hit(fault["id"])
        await lower_privilege(world, "prvReadOpportunity", "Basic")

    assert "prvReadOpportunity" in running.result().left_out["opportunity"]
    assert running.result().entities == {}
    assert await is_there(world, opportunity)


async def test_roles_stay_while_connections_or_the_names_of_roles_cannot_be_read(deal: tuple[World, str]) -> None:
    world, opportunity = deal
    before = await roles(world, opportunity)

    async def assert_kept() -> None:
        assert ROLE in (await repaired(world, ROLE)).left_out
        await change_of_deal(world, opportunity)
        await world.cycle()
        assert await roles(world, opportunity) == before

    await lower_privilege(world, "prvReadConnection", "Basic")
    await assert_kept()
    await lower_privilege(world, "prvReadConnection", "Global")
    await take_privilege(world, "prvReadConnectionRole")
    await assert_kept()

    await lower_privilege(world, "prvReadConnectionRole", "Global")
    await world.cycle()
    assert (await repaired(world, ROLE)).in_step
    assert await roles(world, opportunity) == before


async def change_of_deal(world: World, opportunity: str) -> None:
    """Touch an opportunity so that its roles are looked at."""
    [row] = await world.rows("opportunity", "_parentcontactid_value", filter=f"opportunityid eq {opportunity}")
    admin = await world.admin()
    for contact in (await new_contact(admin, "Meanwhile"), row["_parentcontactid_value"]):
        bind = {"parentcontactid@odata.bind": f"/contacts({contact})"}
        await admin.update("opportunities", opportunity, bind)


@pytest.mark.parametrize("entity", ["lead", "contact"])
@pytest.mark.parametrize("policy", ["flag", "delete"])
async def test_a_repair_flags_and_deletes_nobody_who_may_only_be_hidden(
    connected: World, entity: str, policy: str
) -> None:
    person = await a_synced(connected, entity)
    await lower_privilege(connected, f"prvRead{entity.capitalize()}", "Basic")

    with pytest.raises(PermissionMissing, match=f"prvRead{entity.capitalize()} reaches the user's own") as refused:
        await repaired(connected, deleted_in_dynamics=policy)

    assert "crmsync prepare contoso" in refused.value.remedy
    assert not (await connected.person(person, "msIsDeleted"))["msIsDeleted"]
    assert await deleted(connected, entity) == set()


async def test_custom_objects_stay_that_may_only_be_hidden(registering: World) -> None:
    one = await register(registering, await a_contact(registering))
    await registering.cycle()
    await lower_privilege(registering, "prvReadnew_eventregistration", "Basic")

    assert REGISTRATION in (await repaired(registering, REGISTRATION)).left_out
    with pytest.raises(PermissionMissing):
        await push(registering, f"{REGISTRATION}:{one}")
    assert REGISTRATION in (await registering.cycle()).left_out

    assert list(await objects(registering, REGISTRATION, [one])) == [one]
    await lower_privilege(registering, "prvReadnew_eventregistration", "Global")
    assert (await repaired(registering, REGISTRATION)).in_step


async def narrowed(world: World) -> None:
    await lower_privilege(world, "prvReadLead", "Basic")


async def no_role_at_all(world: World) -> None:
    user, role = await user_id(world), await role_id(world)
    link = f"{world.tenant.dynamics.organization_url}/api/data/v9.2/roles({role})"
    await send(world, "DELETE", f"systemusers({user})/systemuserroles_association/$ref?$id={link}")


@pytest.mark.parametrize("hide", [narrowed, no_role_at_all])
async def test_a_single_record_is_gone_only_when_dynamics_says_so(
    connected: World, hide: Callable[[World], Awaitable[None]]
) -> None:
    person = await a_synced(connected, "lead")
    unknown = await (await connected.admin()).create("leads", {"lastname": "New"})
    await hide(connected)

    for record in (person, unknown):
        with pytest.raises(PermissionMissing, match="prvRead"):
            await push(connected, f"lead:{record}")

    assert not (await connected.person(person, "msIsDeleted"))["msIsDeleted"]
    assert await deleted(connected, "lead") == set()


async def test_of_many_records_at_once_the_gone_are_told_from_the_hidden(connected: World) -> None:
    there = [row["leadid"] for row in await connected.rows("lead", "leadid")]
    gone = [str(uuid.uuid4()) for _ in range(150)]
    async with connected.session() as session:
        lead = await session.dynamics.entity("lead")
        absence = Absence(session)
        assert await absence.gone(lead, [*there, *gone]) == gone
        await narrowed(connected)
        with pytest.raises(PermissionMissing, match="prvReadLead"):
            await absence.gone(lead, [*there, *gone])


async def test_a_deleted_record_is_known_as_such_by_who_may_not_read_the_others(connected: World) -> None:
    person = await a_synced(connected, "lead")
    await lower_privilege(connected, "prvReadLead", "Basic")
    await (await connected.admin()).delete("leads", person)

    await push(connected, f"lead:{person}")

    assert (await connected.person(person, "msIsDeleted"))["msIsDeleted"] is True


async def test_an_owner_that_is_out_of_sight_is_not_taken_from_its_record(connected: World) -> None:
    person = await a_synced(connected, "contact")
    before = (await connected.person(person, OWNER_LINK))[OWNER_LINK]
    admin = await connected.admin()
    [unit] = await connected.rows("businessunit", "businessunitid")
    bind = {"businessunitid@odata.bind": f"/businessunits({unit['businessunitid']})"}
    owner = await admin.create("systemusers", {"lastname": "Seller", "internalemailaddress": "s@example.com", **bind})
    await change_in_dynamics(connected, "contact", person, **{"ownerid@odata.bind": f"/systemusers({owner})"})
    await lower_privilege(connected, "prvReadUser", "Basic")

    with pytest.raises(PermissionMissing, match="prvReadUser"):
        await push(connected, f"contact:{person}")

    assert (await connected.person(person, OWNER_LINK))[OWNER_LINK] == before
    await lower_privilege(connected, "prvReadUser", "Global")
    await push(connected, f"contact:{person}")
    assert (await connected.person(person, OWNER_LINK))[OWNER_LINK] == owner


async def test_an_order_line_keeps_its_company_while_the_opportunity_between_is_out_of_sight(connected: World) -> None:
    await track(connected, ORDER_LINE)
    name_custom_entities(connected, ORDER_LINE)
    await select(connected)
    admin = await connected.admin()
    customer = {"customerid_account@odata.bind": f"/accounts({await a_company(connected)})"}
    opportunity = await admin.create("opportunities", {"name": "Deal", **customer})
    bind = {"new_OpportunityId@odata.bind": f"/opportunities({opportunity})"}
    line = await admin.create("new_orderlines", {"new_name": "Line", **bind})
    await connected.cycle()
    before = (await objects(connected, ORDER_LINE, [line], COMPANY))[line][COMPANY]
    await lower_privilege(connected, "prvReadOpportunity", "Basic")
    await admin.update("new_orderlines", line, {"new_name": "Changed"})

    assert ORDER_LINE in (await connected.cycle()).left_out
    assert ORDER_LINE in (await repaired(connected, ORDER_LINE)).left_out

    assert (await objects(connected, ORDER_LINE, [line], COMPANY))[line][COMPANY] == before is not None
    await lower_privilege(connected, "prvReadOpportunity", "Global")
    await connected.cycle()
    assert (await repaired(connected, ORDER_LINE)).in_step


async def test_an_opportunity_that_is_shared_no_more_is_not_gone(deal: tuple[World, str]) -> None:
    world, opportunity = deal
    await lower_privilege(world, "prvReadOpportunity", "Basic")
    await share(world, opportunity)
    await push(world, f"opportunity:{opportunity}")
    await unshare(world, opportunity)

    with pytest.raises(PermissionMissing, match="prvReadOpportunity"):
        await push(world, f"opportunity:{opportunity}")

    assert await is_there(world, opportunity)
    assert len(await roles(world, opportunity)) == 2
    assert (await (await world.store()).tenants.get(world.name)).doubt is None, "the rest does without it"


async def test_a_whole_reading_waits_for_the_right_and_then_finds_what_is_gone(deal: tuple[World, str]) -> None:
    world, opportunity = deal
    admin = await world.admin()
    gone = await admin.create("opportunities", {"name": "Gone"})
    await world.cycle()
    await lower_privilege(world, "prvReadOpportunity", "Local")
    await lower_privilege(world, "prvReadConnection", "Basic")
    await admin.delete("opportunities", gone)

    async with world.session() as session:
        await setup.disable_sync(session, "test")
        await setup.refresh_schema(session)
        report = await resync(session, entities=["opportunity", "connection"])
        await setup.enable_sync(session)

    assert report.left_out.keys() == {"opportunity", "connection"}
    assert report.total.deleted == 0
    await lower_privilege(world, "prvReadOpportunity", "Global")
    await lower_privilege(world, "prvReadConnection", "Global")
    assert (await world.cycle()).entities["opportunity"].deleted == 1
    assert not await is_there(world, gone)
    assert len(await roles(world, opportunity)) == 2
    assert (await repaired(world, "opportunity", ROLE)).in_step


async def test_a_change_in_marketo_waits_for_a_record_that_is_out_of_sight(connected: World) -> None:
    person = await a_synced(connected, "contact", jobtitle="Director")
    await lower_privilege(connected, "prvReadContact", "Basic")
    await change_in_marketo(connected, person, title="Chief")

    with pytest.raises(PermissionMissing):
        await repaired(connected)
    with pytest.raises(PermissionMissing):
        await connected.cycle()

    await lower_privilege(connected, "prvReadContact", "Global")
    await connected.cycle()
    assert (await in_dynamics(connected, "contact", person, "jobtitle"))["jobtitle"] == "Chief"


async def test_a_merged_record_waits_for_a_winner_that_is_out_of_sight(connected: World) -> None:
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    owner = {"ownerid@odata.bind": f"/systemusers({await user_id(connected)})"}
    await change_in_dynamics(connected, "contact", loser, **owner)
    await merge(connected, "contact", winner, loser)
    await lower_privilege(connected, "prvReadContact", "Basic")

    with pytest.raises(PermissionMissing):
        await push(connected, f"contact:{loser}")

    assert await status_of(connected, "contact", loser) == "synced"
    await lower_privilege(connected, "prvReadContact", "Global")
    await connected.cycle()
    assert await nobody(connected, loser)
    assert await status_of(connected, "contact", loser) == "merged"
