"""Deletions and merges, on both sides: nobody is created again, and nothing is deleted across by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.both_sides import SETS, a_synced, assert_quiet, change_in_dynamics, cycle_as, in_dynamics
from tests.world import World


async def delete_in_marketo(world: World, record: str) -> int:
    marketo = await world.marketo()
    person = await world.person(record)
    [outcome] = await marketo.delete_people([person["id"]])
    assert outcome.status == "deleted"
    return int(person["id"])


async def merge_in_marketo(world: World, winner: str, loser: str) -> None:
    """As the merge button does: ``POST /rest/v1/leads/{winner}/merge.json``."""
    facts = world.facts["marketo"]
    people = {one: (await world.person(one))["id"] for one in (winner, loser)}
    await merge_people(world, people[winner], people[loser], facts)


async def merge_people(world: World, winner: int, loser: int, facts: dict[str, Any]) -> None:
    base = facts["base_url"].removesuffix("/rest").removesuffix("/identity")
    async with world.browser() as client:
        token = (
            await client.get(
                f"{base}/identity/oauth/token",
                params={
                    "grant_type": "client_credentials",
                    "client_id": facts["client_id"],
                    "client_secret": facts["client_secret"],
                },
            )
        ).json()["access_token"]
        answer = await client.post(
            f"{base}/rest/v1/leads/{winner}/merge.json",
            params={"leadId": loser},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["success"], answer.text


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_who_is_deleted_in_marketo_stays_in_dynamics_and_is_not_created_again(
    connected: World, entity: str
) -> None:
    record = await a_synced(connected, entity, jobtitle="Director")
    await delete_in_marketo(connected, record)

    report = await connected.cycle()

    assert any("deleted in Marketo" in note for note in report.notes)
    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == "Director"

    await change_in_dynamics(connected, entity, record, jobtitle="Chief")
    report = await connected.cycle()

    assert await connected.people([record]) == {}
    assert report.entities[entity].tombstones == 1
    await assert_quiet(connected)


async def test_who_is_deleted_in_marketo_while_it_changes_in_dynamics_is_not_created_again(connected: World) -> None:
    """Within one cycle, and with the deletion not read yet: an update finds nobody."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await delete_in_marketo(connected, contact)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, to_dynamics=False)

    assert await connected.people([contact]) == {}
    await assert_quiet(connected)


async def test_a_tenant_may_have_deleted_people_created_again(connected: World) -> None:
    options = {"deleted_in_marketo": "recreate"}
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await delete_in_marketo(connected, contact)
    await cycle_as(connected, **options)
    assert await connected.people([contact]) == {}, "not before something changes in Dynamics"
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, **options)

    person = await connected.person(contact, "title", "mobilePhone")
    assert (person["title"], person["mobilePhone"]) == ("Chief", "+1 555 0100")
    await assert_quiet(connected, **options)


async def test_recreate_also_when_the_deletion_is_not_read_yet(connected: World) -> None:
    options = {"deleted_in_marketo": "recreate"}
    contact = await a_synced(connected, "contact", jobtitle="Director", mobilephone="+1 555 0100")
    await delete_in_marketo(connected, contact)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, to_dynamics=False, **options)

    person = await connected.person(contact, "title", "mobilePhone")
    assert (person["title"], person["mobilePhone"]) == ("Chief", "+1 555 0100")
    await assert_quiet(connected, **options)


@pytest.mark.parametrize(("policy", "left", "flagged"), [("flag", 1, True), ("ignore", 1, False), ("delete", 0, None)])
async def test_what_becomes_of_the_person_when_the_record_is_deleted_in_dynamics(
    connected: World, policy: str, left: int, flagged: bool | None
) -> None:
    contact = await a_synced(connected, "contact")
    admin = await connected.admin()
    await admin.delete(SETS["contact"], contact)

    report = await cycle_as(connected, deleted_in_dynamics=policy)

    people = (await connected.people([contact], "msIsDeleted")).get(contact, [])
    assert len(people) == left
    assert all(bool(one["msIsDeleted"]) is flagged for one in people)
    assert report.entities["contact"].deleted == 1
    await assert_quiet(connected, deleted_in_dynamics=policy)


@pytest.mark.parametrize("losers_among_deleted", [False, True])
async def test_a_merge_in_marketo_keeps_both_records_and_creates_nobody(
    connected: World, losers_among_deleted: bool
) -> None:
    await connected.post("switches", {"tenant": "contoso", "merge_losers_in_deleted_leads": losers_among_deleted})
    winner = await a_synced(connected, "contact", jobtitle="Director")
    loser = await a_synced(connected, "contact", number=1, jobtitle="Assistant")
    await merge_in_marketo(connected, winner, loser)

    report = await connected.cycle()

    assert any(loser in note and winner in note and "merged" in note for note in report.notes)
    assert (await in_dynamics(connected, "contact", loser, "jobtitle"))["jobtitle"] == "Assistant"

    await change_in_dynamics(connected, "contact", loser, jobtitle="Chief")
    await connected.cycle()

    assert await connected.people([loser]) == {}
    assert (await connected.person(winner, "title"))["title"] == "Director"
    await change_in_dynamics(connected, "contact", winner, jobtitle="Head")
    await connected.cycle()
    assert (await connected.person(winner, "title"))["title"] == "Head"
    await assert_quiet(connected)


async def test_what_a_winner_takes_over_from_a_loser_goes_to_its_record(connected: World) -> None:
    winner = await a_synced(connected, "contact", middlename=None)
    loser = await a_synced(connected, "contact", number=1, middlename="Quincy")
    await merge_in_marketo(connected, winner, loser)

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", winner, "middlename"))["middlename"] == "Quincy"
    await connected.cycle()
    await assert_quiet(connected)


async def test_a_record_goes_on_with_the_person_that_its_person_was_merged_into(connected: World) -> None:
    """The winner was in Marketo only: it takes over the loser's key."""
    contact = await a_synced(connected, "contact", jobtitle="Director")
    marketo = await connected.marketo()
    [made] = await marketo.sync_people(
        [{"email": "twin@marketo.example", "lastName": "Twin"}], action="createOnly", lookup_field="email"
    )
    loser = (await connected.person(contact))["id"]
    await merge_people(connected, int(made.id or 0), int(loser), connected.facts["marketo"])

    await connected.cycle()

    row = await in_dynamics(connected, "contact", contact, "emailaddress1", "lastname", "jobtitle")
    assert (row["emailaddress1"], row["lastname"]) == ("twin@marketo.example", "Twin")
    assert row["jobtitle"] == "Director"
    await assert_quiet(connected)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await connected.cycle()

    person = await connected.person(contact, "title")
    assert (person["id"], person["title"]) == (made.id, "Chief")
    await assert_quiet(connected)
