"""Somebody in Marketo clears, changes or copies a person's key: the person is found by the id that Marketo gave it."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.compare import compare
from crmsync.engine.comparison import Comparison
from crmsync.tenants import Tenant
from tests.engine.both_sides import SETS, a_synced, assert_quiet, change_in_dynamics, cycle_as, in_dynamics
from tests.engine.successions import new, person_id, qualify, status_of
from tests.engine.test_created_in_marketo import a_list, creating, put_on_list, record_of, somebody
from tests.engine.test_deleted_and_merged import merge_people
from tests.world import World

ONLY_TO_MARKETO = {"to_dynamics": False}


async def set_key(world: World, person: int, key: str | None, **values: Any) -> None:
    """As an administrator does who tidies up, or imports a list by Marketo's ids."""
    marketo = await world.marketo()
    [answer] = await marketo.sync_people(
        [{"id": person, "dynamicsId": key, **values}], action="updateOnly", lookup_field="id"
    )
    assert answer.status == "updated", answer


async def compared(world: World, *, repair: bool = False, **options: Any) -> Comparison:
    tenant = Tenant.model_validate(world.tenant.model_dump(exclude_unset=True) | options)
    async with world.session(tenant=tenant) as session:
        return await compare(session, repair=repair)


@pytest.mark.parametrize("key", [None, "somebody else's idea"])
@pytest.mark.parametrize("options", [ONLY_TO_MARKETO, {"deleted_in_marketo": "recreate", **ONLY_TO_MARKETO}])
async def test_an_opt_out_reaches_a_person_without_its_key(
    connected: World, options: dict[str, Any], key: str | None
) -> None:
    contact = await a_synced(connected, "contact", donotbulkemail=False)
    person = await person_id(connected, contact)
    await set_key(connected, person, key)
    await change_in_dynamics(connected, "contact", contact, donotbulkemail=True)

    await cycle_as(connected, **options)

    found = await connected.person(contact, "unsubscribed")
    assert (found["id"], found["unsubscribed"]) == (person, True)
    await assert_quiet(connected, **options)


async def test_a_key_that_was_moved_to_another_person_lets_nobody_be_written_over(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    person, stranger = await person_id(connected, contact), await somebody(connected, title="Stranger")
    await set_key(connected, person, None)
    await set_key(connected, stranger, contact)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, **ONLY_TO_MARKETO)

    assert (await record_of(connected, person, "title"))["title"] == "Chief"
    assert (await record_of(connected, stranger, "title"))["title"] == "Stranger"


async def test_what_is_changed_in_marketo_of_a_person_without_its_key_comes_to_dynamics(connected: World) -> None:
    contact = await a_synced(connected, "contact", donotbulkemail=False)
    person = await person_id(connected, contact)
    await set_key(connected, person, None, unsubscribed=True)

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "donotbulkemail"))["donotbulkemail"] is True
    assert await person_id(connected, contact) == person, "it has its key again"
    await assert_quiet(connected)


async def test_what_is_changed_of_a_copy_stays_there_until_a_repair_takes_the_key_from_it(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    person, stranger = await person_id(connected, contact), await somebody(connected)
    await set_key(connected, stranger, contact, title="Stranger")

    report = await connected.cycle()

    assert any(str(stranger) in note and "carries its key too" in note for note in report.notes)
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Director"
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await connected.cycle()
    assert (await record_of(connected, person, "title"))["title"] == "Chief"

    found = await compared(connected)
    assert found.entities["contact"].twice == 1
    assert (await compared(connected, repair=True)).entities["contact"].repaired == 1
    assert (await record_of(connected, stranger)).get("dynamicsId") is None
    assert await person_id(connected, contact) == person


async def test_compare_says_that_a_key_differs_and_repairs_it(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    person = await person_id(connected, contact)
    await set_key(connected, person, None)

    found = await compared(connected)

    assert found.entities["contact"].fields["dynamicsId"] == found.entities["contact"].differing == 1
    repaired = await compared(connected, repair=True, **ONLY_TO_MARKETO)
    assert repaired.entities["contact"].repaired == 1
    assert await person_id(connected, contact) == person


@pytest.mark.parametrize(("policy", "left"), [("flag", 1), ("delete", 0)])
async def test_a_deletion_in_dynamics_reaches_a_person_without_its_key(
    connected: World, policy: str, left: int
) -> None:
    contact = await a_synced(connected, "contact")
    person = await person_id(connected, contact)
    await set_key(connected, person, None)
    admin = await connected.admin()
    await admin.delete(SETS["contact"], contact)

    await cycle_as(connected, deleted_in_dynamics=policy, **ONLY_TO_MARKETO)

    marketo = await connected.marketo()
    rows = await marketo.people("id", [str(person)], ["msIsDeleted"])
    assert [row["msIsDeleted"] for row in rows] == [True] * left


async def test_a_lead_without_its_key_goes_on_as_the_contact(connected: World) -> None:
    lead = await a_synced(connected, "lead")
    person = await person_id(connected, lead)
    await set_key(connected, person, None)
    contact = await qualify(connected, lead)

    await cycle_as(connected, **ONLY_TO_MARKETO)

    assert await person_id(connected, contact) == person
    assert await status_of(connected, "lead", lead) == "converted"


async def test_who_has_lost_a_merge_without_its_key_goes_on_with_the_winner(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    person, winner = await person_id(connected, contact), await somebody(connected)
    await set_key(connected, person, None)
    await merge_people(connected, winner, person, connected.facts["marketo"])

    await connected.cycle()

    assert await person_id(connected, contact) == winner


@pytest.mark.parametrize("keeps_its_key", [True, False])
async def test_nobody_is_made_twice_of_whom_an_unread_merge_has_taken_in(connected: World, keeps_its_key: bool) -> None:
    """``recreate`` makes those anew who are gone, which the loser of a merge is not: the winner stands for it."""
    options = {"deleted_in_marketo": "recreate", **ONLY_TO_MARKETO}
    contact = await a_synced(connected, "contact", jobtitle="Director")
    other = await a_synced(connected, "contact", number=1) if keeps_its_key else None
    person = await person_id(connected, contact)
    winner = await person_id(connected, other) if other else await somebody(connected)
    await set_key(connected, person, None)
    await merge_people(connected, winner, person, connected.facts["marketo"])
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, **options)

    people = await connected.people([contact])
    assert [one["id"] for one in people.get(contact, [])] == ([] if keeps_its_key else [winner])
    await assert_quiet(connected, **options)


async def test_a_key_of_a_gone_person_that_another_record_s_person_carries_is_told(connected: World) -> None:
    contact, other = await a_synced(connected, "contact"), await a_synced(connected, "contact", number=1)
    person, others = await person_id(connected, contact), await person_id(connected, other)
    marketo = await connected.marketo()
    await marketo.delete_people([person])
    await set_key(connected, others, contact, title="Other's")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    await cycle_as(connected, deleted_in_marketo="recreate", **ONLY_TO_MARKETO)

    store = await connected.store()
    [error] = (await store.errors.of(connected.name, "contact", [contact]))[contact]
    assert error.code == "key-taken"
    assert "Clear the field 'dynamicsId'" in error.remedy
    assert (await record_of(connected, others, "title"))["title"] == "Other's"


async def test_a_list_member_without_its_key_is_not_made_in_dynamics_again(connected: World) -> None:
    contact, options = await new(connected, "contact", lastname="Unlisted"), creating("lead")
    await connected.cycle()
    person, number = await person_id(connected, contact), await a_list(connected)
    await set_key(connected, person, None)
    await put_on_list(connected, number, person)

    await cycle_as(connected, **options)

    assert await connected.rows("lead", "leadid", filter="lastname eq 'Unlisted'") == []
    assert await person_id(connected, contact) == person
