"""A lead is qualified into a contact that is there already, or while something else happens to it or to the run."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.engine.sync import cycle
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, cycle_as, in_dynamics
from tests.engine.successions import merge, new, nobody, person_id, qualify, status_of
from tests.world import World


async def test_into_an_existing_contact_the_two_people_become_one(connected: World) -> None:
    """The contact's person is the winner; the lead's record is remembered, and a change in it goes nowhere."""
    contact = await a_synced(connected, "contact", jobtitle="Of the contact", middlename=None)
    lead = await a_synced(connected, "lead", jobtitle="Of the lead", middlename="Quincy")
    winner, loser = await person_id(connected, contact), await person_id(connected, lead)
    await change_in_dynamics(connected, "lead", lead, **{"parentcontactid@odata.bind": f"/contacts({contact})"})
    await qualify(connected, lead, contact=False)

    await connected.cycle()

    assert await nobody(connected, lead)
    found = await connected.person(contact, "title", "middleName", "msType")
    assert (found["id"], found["title"], found["msType"]) == (winner, "Of the contact", "Contact")
    assert found.get("middleName") is None, "both sides agree: the contact has none"
    marketo = await connected.marketo()
    assert await marketo.people("id", [str(loser)], ["id"]) == []
    report = await connected.cycle()
    assert not report.notes, "our own merge is no news"
    await change_in_dynamics(connected, "lead", lead, jobtitle="Nobody hears it")
    await connected.cycle()
    assert (await connected.person(contact, "title"))["title"] == "Of the contact"
    assert await nobody(connected, lead)
    await assert_quiet(connected)


async def test_an_existing_contact_that_is_given_an_originating_lead_takes_its_person_in(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    lead = await a_synced(connected, "lead")
    winner = await person_id(connected, contact)
    await change_in_dynamics(connected, "contact", contact, **{"originatingleadid@odata.bind": f"/leads({lead})"})

    await connected.cycle()

    assert await nobody(connected, lead)
    assert await person_id(connected, contact) == winner
    await assert_quiet(connected)


async def test_an_opt_out_of_the_lead_is_kept_when_it_becomes_one_with_a_contact(connected: World) -> None:
    contact = await a_synced(connected, "contact", donotbulkemail=False)
    lead = await a_synced(connected, "lead", donotbulkemail=True)
    await change_in_dynamics(connected, "contact", contact, **{"originatingleadid@odata.bind": f"/leads({lead})"})

    await connected.cycle()

    assert (await connected.person(contact, "unsubscribed"))["unsubscribed"] is True
    assert (await in_dynamics(connected, "contact", contact, "donotbulkemail"))["donotbulkemail"] is True
    await connected.cycle()
    await assert_quiet(connected)


async def test_a_contact_filtered_out_leaves_the_lead_that_names_it_as_it_is(connected: World) -> None:
    contact = await new(connected, "contact", new_synctomkto=False)
    lead = await a_synced(connected, "lead")
    await change_in_dynamics(connected, "lead", lead, **{"parentcontactid@odata.bind": f"/contacts({contact})"})
    await qualify(connected, lead, contact=False)
    await connected.cycle()
    await change_in_dynamics(connected, "lead", lead, jobtitle="Still heard")

    await connected.cycle()

    assert (await connected.person(lead, "title"))["title"] == "Still heard"
    assert await nobody(connected, contact)
    await assert_quiet(connected)
    person = await person_id(connected, lead)
    await change_in_dynamics(connected, "contact", contact, new_synctomkto=True)
    await connected.cycle()
    assert await person_id(connected, contact) == person
    await assert_quiet(connected)


async def test_what_was_changed_in_marketo_meanwhile_goes_to_the_contact(connected: World) -> None:
    lead = await a_synced(connected, "lead", mobilephone="+1 555 0100")
    await change_in_marketo(connected, lead, mobilePhone="+1 555 0199")
    contact = await qualify(connected, lead)

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "mobilephone"))["mobilephone"] == "+1 555 0199"
    assert (await connected.person(contact, "mobilePhone"))["mobilePhone"] == "+1 555 0199"
    await connected.cycle()
    await assert_quiet(connected)


async def test_a_change_in_marketo_after_the_conversion_goes_to_the_contact(connected: World) -> None:
    lead = await a_synced(connected, "lead", mobilephone="+1 555 0100")
    contact = await qualify(connected, lead)
    await connected.cycle()
    await change_in_marketo(connected, contact, mobilePhone="+1 555 0199")

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "mobilephone"))["mobilephone"] == "+1 555 0199"
    assert (await in_dynamics(connected, "lead", lead, "mobilephone"))["mobilephone"] == "+1 555 0100"
    await assert_quiet(connected)


async def test_a_person_whose_number_is_not_known_continues_too(connected: World) -> None:
    """Bulk imports tell no ids."""
    lead = await a_synced(connected, "lead")
    person = await person_id(connected, lead)
    store = await connected.store()
    await store.records.set_marketo_ids(connected.name, "lead", {lead: None})
    contact = await qualify(connected, lead)

    await cycle_as(connected, to_dynamics=False)

    assert await person_id(connected, contact) == person
    assert await nobody(connected, lead)
    await assert_quiet(connected)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("number_known", [True, False])
@pytest.mark.parametrize("existing", [True, False])
async def test_a_run_that_is_killed_between_marketo_and_the_ledger_is_taken_up(
    connected: World, number_known: bool, existing: bool
) -> None:
    lead = await a_synced(connected, "lead", jobtitle="Director")
    person = await person_id(connected, lead)
    if existing:
        contact = await a_synced(connected, "contact")
        person = await person_id(connected, contact)
        await change_in_dynamics(connected, "contact", contact, **{"originatingleadid@odata.bind": f"/leads({lead})"})
    else:
        contact = await qualify(connected, lead)
    store = await connected.store()
    if not number_known:
        await store.records.set_marketo_ids(connected.name, "lead", {lead: None})
    await killed_after_marketo(connected)

    async with connected.session(sleep=no_time) as session:
        await cycle(session, force=True)

    assert await nobody(connected, lead)
    assert await person_id(connected, contact) == person
    assert (await status_of(connected, "contact", contact)) == "synced"
    await assert_quiet(connected)


async def no_time(seconds: float) -> None:
    """Wait for a dead run's calls without waiting."""


async def killed_after_marketo(world: World) -> None:
    """A cycle whose process ends when the person's key was changed, or the two were merged, and nothing was noted."""
    async with world.session() as session:
        marketo = session.marketo
        session.marketo = Ending(marketo)  # type: ignore[assignment]
        with pytest.raises(Killed):
            await cycle(session, force=True)


class Ending:
    """A client that ends the process after the call that hands a person over."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def sync_people(self, records: Any, **options: Any) -> Any:
        answers = await self._client.sync_people(records, **options)
        if options.get("lookup_field") == "id":
            raise Killed
        return answers

    async def merge_people(self, winner: int, losers: Any) -> None:
        await self._client.merge_people(winner, losers)
        raise Killed


async def test_a_lead_that_was_merged_into_another_which_is_then_qualified(connected: World) -> None:
    """All in one cycle: two leads are merged, the winner becomes a contact."""
    winner = await a_synced(connected, "lead", jobtitle="Director")
    loser = await a_synced(connected, "lead", number=1)
    person = await person_id(connected, winner)
    await merge(connected, "lead", winner, loser)
    contact = await qualify(connected, winner)

    await connected.cycle()
    await connected.cycle()

    assert await person_id(connected, contact) == person
    assert await nobody(connected, winner, loser)
    await assert_quiet(connected)
