"""Two records are merged in Dynamics: their people become one in Marketo, and the winner's filter decides."""

from __future__ import annotations

import pytest

from crmsync.engine.sync import cycle
from crmsync.errors import TransportFailed
from crmsync.marketo.errors import error_from_code
from crmsync.sandbox.dataverse.connections import role_id
from tests.engine.both_sides import SETS, a_synced, assert_quiet, change_in_dynamics, change_in_marketo, cycle_as
from tests.engine.successions import merge, new, nobody, person_id, qualify, status_of
from tests.engine.test_crash import Hurried
from tests.engine.test_deleted_and_merged import merge_in_marketo
from tests.engine.test_roles import connect, roles
from tests.world import World


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_the_two_people_become_one(connected: World, entity: str) -> None:
    winner = await a_synced(connected, entity, jobtitle="Director", middlename=None)
    loser = await a_synced(connected, entity, number=1, jobtitle="Assistant", middlename="Quincy")
    person = await person_id(connected, winner)
    await merge(connected, entity, winner, loser, mobilephone="+1 555 0100")

    await connected.cycle()

    found = await connected.person(winner, "title", "middleName", "mobilePhone", "msIsDeleted")
    assert (found["id"], found["title"], found["mobilePhone"]) == (person, "Director", "+1 555 0100")
    assert found.get("middleName") is None, "what the user of Dynamics did not take over is not taken over"
    assert not found["msIsDeleted"]
    assert await nobody(connected, loser)
    assert await status_of(connected, entity, loser) == "merged"
    assert not (await connected.cycle()).notes, "our own merge is no news"
    await assert_quiet(connected)


@pytest.mark.parametrize("losers_among_deleted", [False, True])
async def test_our_own_merge_comes_back_as_nothing(connected: World, losers_among_deleted: bool) -> None:
    await connected.post("switches", {"tenant": "contoso", "merge_losers_in_deleted_leads": losers_among_deleted})
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    await merge(connected, "contact", winner, loser)
    await connected.cycle()

    report = await connected.cycle()

    assert not report.notes
    await change_in_marketo(connected, winner, title="Chief")
    await connected.cycle()
    [row] = await connected.rows("contact", "jobtitle", filter=f"contactid eq {winner}")
    assert row["jobtitle"] == "Chief"
    await assert_quiet(connected)


@pytest.mark.parametrize(
    ("loser_filter", "winner_filter", "winner_syncs"),
    [(True, True, True), (False, False, False), (False, True, True), (True, False, False)],
)
async def test_the_winners_filter_decides(
    connected: World, loser_filter: bool, winner_filter: bool, winner_syncs: bool
) -> None:
    """ "Microsoft Dynamics Sync Filter: Merge", row by row."""
    winner = await new(connected, "contact", new_synctomkto=winner_filter)
    loser = await new(connected, "contact", lastname="Byron", new_synctomkto=loser_filter)
    await connected.cycle()
    await merge(connected, "contact", winner, loser, jobtitle="Winner")

    await connected.cycle()

    assert await nobody(connected, winner) is not winner_syncs
    if winner_syncs:
        assert (await connected.person(winner, "title"))["title"] == "Winner"
    is_left = loser_filter and not winner_filter
    assert await nobody(connected, loser) is not is_left
    if is_left:
        found = await connected.person(loser, "lastName", "msIsDeleted", "title")
        assert (found["lastName"], found.get("title")) == ("Byron", None), "kept, and stale"
        assert not found["msIsDeleted"]
    await assert_quiet(connected)


async def test_a_winner_that_is_let_in_later_takes_the_person_over_then(connected: World) -> None:
    winner = await new(connected, "contact", new_synctomkto=False)
    loser = await new(connected, "contact", lastname="Byron")
    await connected.cycle()
    person = await person_id(connected, loser)
    await merge(connected, "contact", winner, loser)
    await connected.cycle()
    assert await person_id(connected, loser) == person
    await change_in_dynamics(connected, "contact", winner, new_synctomkto=True)

    await connected.cycle()

    assert await person_id(connected, winner) == person
    assert (await connected.person(winner, "lastName"))["lastName"] == "Lovelace"
    assert await nobody(connected, loser)
    await assert_quiet(connected)


async def test_a_winner_without_a_person_goes_on_with_the_losers(connected: World) -> None:
    """The winner is new: its record was made and merged between two cycles."""
    loser = await a_synced(connected, "contact", jobtitle="Assistant")
    person = await person_id(connected, loser)
    winner = await new(connected, "contact", jobtitle="Director")
    await merge(connected, "contact", winner, loser)

    await connected.cycle()

    found = await connected.person(winner, "title")
    assert (found["id"], found["title"]) == (person, "Director")
    assert await nobody(connected, loser)
    await assert_quiet(connected)


async def test_two_new_records_that_are_merged_before_a_cycle_sees_them_are_one_person(connected: World) -> None:
    winner, loser = await new(connected, "lead"), await new(connected, "lead")
    await merge(connected, "lead", winner, loser)

    await connected.cycle()

    assert await nobody(connected, loser)
    assert len((await connected.people([winner]))[winner]) == 1
    await assert_quiet(connected)


async def test_a_loser_that_is_deleted_later_flags_nobody(connected: World) -> None:
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    await merge(connected, "contact", winner, loser)
    await connected.cycle()
    admin = await connected.admin()
    await admin.delete(SETS["contact"], loser)

    await connected.cycle()

    assert not (await connected.person(winner, "msIsDeleted"))["msIsDeleted"]
    assert await nobody(connected, loser)
    await assert_quiet(connected)


async def test_a_winner_that_is_merged_into_another_in_its_turn(connected: World) -> None:
    first, second, third = [await a_synced(connected, "contact", number=number) for number in range(3)]
    person = await person_id(connected, third)
    await merge(connected, "contact", second, first)
    await merge(connected, "contact", third, second)

    await connected.cycle()

    assert await nobody(connected, first, second)
    assert await person_id(connected, third) == person
    await assert_quiet(connected)


async def test_contacts_that_came_from_leads_are_merged_like_others(connected: World) -> None:
    one, other = [await a_synced(connected, "lead", number=number) for number in range(2)]
    winner, loser = await qualify(connected, one), await qualify(connected, other)
    await connected.cycle()
    person = await person_id(connected, winner)
    await merge(connected, "contact", winner, loser)

    await connected.cycle()

    assert await nobody(connected, one, other, loser)
    assert await person_id(connected, winner) == person
    await assert_quiet(connected)


async def test_roles_go_to_the_winner(connected: World) -> None:
    admin = await connected.admin()
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    opportunity = await admin.create(
        "opportunities", {"name": "Deal", "parentcontactid@odata.bind": f"/contacts({loser})"}
    )
    await connect(admin, opportunity, loser, "Influencer")
    await connected.cycle()
    assert await roles(connected, opportunity) == {loser: {"Influencer": True}}
    await merge(connected, "contact", winner, loser)

    await connected.cycle()

    assert await roles(connected, opportunity) == {winner: {"Influencer": True}}
    await assert_quiet(connected)


async def test_a_role_of_a_lead_goes_on_with_its_contact(connected: World) -> None:
    """The connection in Dynamics still says the lead: nothing moves it."""
    admin = await connected.admin()
    lead = await a_synced(connected, "lead")
    opportunity = await admin.create("opportunities", {"name": "Deal"})
    await admin.create(
        "connections",
        {
            "record1id_opportunity@odata.bind": f"/opportunities({opportunity})",
            "record2id_lead@odata.bind": f"/leads({lead})",
            "record2roleid@odata.bind": f"/connectionroles({role_id('Influencer')})",
        },
    )
    await connected.cycle()
    assert await roles(connected, opportunity) == {lead: {"Influencer": False}}
    contact = await qualify(connected, lead)

    await connected.cycle()

    assert await roles(connected, opportunity) == {contact: {"Influencer": False}}
    await assert_quiet(connected)


async def test_a_merge_that_marketo_refuses_is_a_sync_error_and_is_tried_again(connected: World) -> None:
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    path = f"/rest/v1/leads/{await person_id(connected, winner)}/merge.json"
    rule = {"service": "marketo", "method": "POST", "path": path, "times": 1, "kind": "marketo", "code": "1079"}
    await connected.post("faults", rule)
    await merge(connected, "contact", winner, loser, jobtitle="Written all the same")

    await connected.cycle()

    errors = (await connected.store()).errors
    [error] = [one for one in await errors.all(connected.name) if one.record_id == loser]
    assert (error.operation, error.code) == ("merge", "1079")
    assert error_from_code("1079", "").remedy in error.remedy
    assert (await connected.person(winner, "title"))["title"] == "Written all the same"
    assert not await nobody(connected, loser)
    admin = await connected.admin()
    await admin.update("contacts", loser, {"description": "touched"})

    await connected.cycle()

    assert await nobody(connected, loser)
    assert loser not in {one.record_id for one in await errors.all(connected.name)}
    await assert_quiet(connected)


@pytest.mark.parametrize("executed", [True, False])
async def test_an_answer_to_a_merge_that_is_lost(connected: World, executed: bool) -> None:
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    path = f"/rest/v1/leads/{await person_id(connected, winner)}/merge.json"
    rule = {"service": "marketo", "method": "POST", "path": path, "times": 1, "kind": "reset"}
    await connected.post("faults", {**rule, "after_execution": executed})
    await merge(connected, "contact", winner, loser)
    hurried = Hurried()
    async with connected.session(sleep=hurried.sleep) as session:
        session.clock = hurried.clock  # type: ignore[assignment]
        if executed:
            await cycle(session, force=True)
        else:
            with pytest.raises(TransportFailed):
                await cycle(session, force=True)

    await connected.cycle()

    assert await nobody(connected, loser)
    assert len((await connected.people([winner]))[winner]) == 1
    await assert_quiet(connected)


async def test_a_record_that_is_only_deactivated_changes_like_any_other(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    person = await person_id(connected, contact)
    await change_in_dynamics(connected, "contact", contact, statecode=1, statuscode=2, jobtitle="Retired")

    await connected.cycle()

    found = await connected.person(contact, "title", "msIsDeleted")
    assert (found["id"], found["title"]) == (person, "Retired")
    assert not found["msIsDeleted"]
    await assert_quiet(connected)


async def test_merged_in_marketo_and_then_in_dynamics(connected: World) -> None:
    """Whoever is first: the second finds that it is done."""
    winner, loser = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    await merge_in_marketo(connected, winner, loser)
    await merge(connected, "contact", winner, loser)

    await cycle_as(connected)
    await connected.cycle()

    assert await nobody(connected, loser)
    assert len((await connected.people([winner]))[winner]) == 1
    await assert_quiet(connected)
