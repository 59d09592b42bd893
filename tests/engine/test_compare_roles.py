"""``compare`` looks at opportunity roles: missing, surplus, differing, and what the ledger remembers wrong."""

from __future__ import annotations

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.comparison import Comparison
from crmsync.engine.destination import ROLE
from tests.engine.test_roles import a_contact, connect, roles
from tests.world import World


async def compared(world: World, *, repair: bool = False, entities: tuple[str, ...] = (ROLE,)) -> Comparison:
    async with world.session() as session:
        return await compare(session, repair=repair, entities=entities)


async def told(world: World, result: Comparison) -> set[tuple[str, str, tuple[str, ...]]]:
    """The differences: the person's id in Dynamics, what it is, and the fields."""
    marketo = await world.marketo()
    found: set[tuple[str, str, tuple[str, ...]]] = set()
    for one in result.differences:
        [person] = await marketo.people("id", [one.record_id.partition("/")[2]], ["id", "dynamicsId"])
        found.add((person["dynamicsId"], one.kind, tuple(one.fields)))
    return found


@pytest.fixture
async def deal(connected: World) -> tuple[World, str, str, str]:
    """An opportunity with its contact and an influencer."""
    admin = await connected.admin()
    main, other = await a_contact(admin, "Main"), await a_contact(admin, "Other")
    new = await admin.create("opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({main})"})
    await connect(admin, new, other, "Influencer")
    await connected.cycle()
    await connected.cycle()
    await connected.reset_requests()
    return connected, new, main, other


async def of_deal(world: World, opportunity: str) -> list[dict[str, object]]:
    return await (await world.marketo()).roles("externalOpportunityId", [opportunity], [])


async def test_after_a_cycle_the_roles_are_equal_and_nothing_is_written(deal: tuple[World, str, str, str]) -> None:
    world, *_ = deal

    result = await compared(world)

    assert result.differences == []
    assert result.entities[ROLE].equal == result.entities[ROLE].read >= 2
    assert list(result.entities) == [ROLE]
    assert await world.written() == {}


async def test_each_kind_of_difference_is_found_and_repaired(deal: tuple[World, str, str, str]) -> None:
    world, opportunity, main, other = deal
    marketo = await world.marketo()
    known = {row["role"]: row for row in await marketo.roles("externalOpportunityId", [opportunity], [])}
    influencer = {name: known["Influencer"][name] for name in ("externalOpportunityId", "leadId", "role")}
    primary = {name: known["Contact"][name] for name in ("externalOpportunityId", "leadId", "role")}
    await marketo.delete_roles([influencer])
    await marketo.sync_roles([{**primary, "isPrimary": False}])
    await marketo.sync_roles([{**influencer, "role": "End User"}])

    result = await compared(world)

    assert await told(world, result) == {
        (other, "missing in Marketo", ()),
        (main, "differing", ("isPrimary",)),
        (other, "surplus in Marketo", ()),
    }
    counts = result.entities[ROLE]
    assert (counts.missing, counts.differing, counts.surplus, counts.repaired, counts.open) == (1, 1, 1, 0, 3)
    assert counts.fields == {"isPrimary": 1}

    repaired = await compared(world, repair=True)

    assert repaired.in_step
    assert repaired.entities[ROLE].repaired == 3
    assert await roles(world, opportunity) == {main: {"Contact": True}, other: {"Influencer": False}}
    assert (await compared(world)).differences == []
    assert (await world.cycle()).total.written == 0


@pytest.mark.parametrize("remembered", ["nobody", "somebody else"])
async def test_what_the_ledger_remembers_wrong_is_read_anew(deal: tuple[World, str, str, str], remembered: str) -> None:
    world, opportunity, main, other = deal
    store, admin = await world.store(), await world.admin()
    [taking_part] = [one for one in await store.participants.of("contoso", [opportunity]) if one.kind == "connection"]
    wrong = [] if remembered == "nobody" else [taking_part._replace(person_id=main)]
    await store.participants.note("contoso", ("connection",), [taking_part.source_id], wrong, 1)
    await world.cycle()
    assert other not in await roles(world, opportunity)

    assert other in {person for person, *_ in await told(world, await compared(world))}
    assert (await compared(world, repair=True)).in_step

    assert await roles(world, opportunity) == {main: {"Contact": True}, other: {"Influencer": False}}
    await admin.delete("connections", taking_part.source_id)
    await world.cycle()
    assert await roles(world, opportunity) == {main: {"Contact": True}}


async def test_a_connection_that_was_ended_unseen_is_a_surplus_role(deal: tuple[World, str, str, str]) -> None:
    """What change tracking did not tell: here because the cycle has not run yet."""
    world, opportunity, main, other = deal
    admin = await world.admin()
    [row] = await world.rows("connection", "connectionid", filter=f"_record1id_value eq {opportunity}")
    await admin.delete("connections", row["connectionid"])

    result = await compared(world)

    assert await told(world, result) == {(other, "surplus in Marketo", ())}
    assert (await compared(world, repair=True)).in_step
    assert await roles(world, opportunity) == {main: {"Contact": True}}


async def test_roles_of_an_opportunity_that_is_gone_go_with_it(deal: tuple[World, str, str, str]) -> None:
    world, opportunity, *_ = deal
    await (await world.admin()).delete("opportunities", opportunity)

    result = await compared(world, repair=True, entities=("opportunity", ROLE))

    assert [(one.entity, one.kind) for one in result.differences] == [("opportunity", "vanished in Dynamics")]
    assert result.in_step
    assert await of_deal(world, opportunity) == []
