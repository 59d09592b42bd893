"""Lanes take turns: while one entity has many changes, those of the others are not held up by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from crmsync.engine.report import Progress, SyncReport
from crmsync.engine.sync import cycle
from crmsync.sandbox.options import Counts
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.world import World, connected_world

LEADS = 7_000
MOVES = 6
"""Of the leads' checkpoint: behind a glance of 500 and a page of 2,000, then in three turns, and a last one to see that
there is no more."""

OnTurn = Callable[[int], Awaitable[None]]


@pytest.fixture
async def many(tmp_path: Path) -> AsyncIterator[World]:
    """A connected and quiet tenant with thousands of leads, no opportunities, and a few of everything else."""
    counts = Counts(leads=LEADS, contacts=60, accounts=12, registrations=0, order_lines=0)
    async with connected_world(tmp_path, counts) as world:
        await world.cycle()
        yield world


async def mass_update(world: World, value: str) -> None:
    """Give every lead another city, as an administrator does."""
    admin = await world.admin()
    ids = [row["leadid"] for row in await world.rows("lead", "leadid")]
    for start in range(0, len(ids), 1000):
        targets = [
            {"@odata.type": "Microsoft.Dynamics.CRM.lead", "leadid": one, "address1_city": value}
            for one in ids[start : start + 1000]
        ]
        path = "leads/Microsoft.Dynamics.CRM.UpdateMultiple"
        await admin._channel.send("POST", path, json={"Targets": targets})


async def cycle_with(world: World, on_turn: OnTurn) -> SyncReport:
    """A cycle that calls back whenever the leads have moved, with how often they have."""
    turn = 0

    async def moved(progress: Progress) -> None:
        nonlocal turn
        if progress.entity == "lead":
            turn += 1
            await on_turn(turn)

    async with world.session() as session:
        return await cycle(session, moved, force=True)


async def test_a_changed_contact_arrives_before_the_second_turn_of_a_mass_update(many: World) -> None:
    contact = await a_synced(many, "contact")
    await mass_update(many, "Lausanne")
    await change_in_dynamics(many, "contact", contact, jobtitle="In time")
    seen: dict[int, str | None] = {}

    async def look(turn: int) -> None:
        seen[turn] = (await many.person(contact, "title")).get("title")

    report = await cycle_with(many, look)

    assert max(seen) == MOVES
    assert seen[2] != seen[3] == "In time"
    assert report.entities["lead"].read == LEADS
    await assert_quiet(many)


async def test_what_changes_meanwhile_on_either_side_arrives_before_the_mass_update_ends(many: World) -> None:
    theirs, ours = await a_synced(many, "contact"), await a_synced(many, "contact", number=1)
    await mass_update(many, "Lausanne")
    seen: dict[int, tuple[str | None, str | None]] = {}

    async def change_then_look(turn: int) -> None:
        if turn == 2:
            await change_in_dynamics(many, "contact", ours, jobtitle="Meanwhile")
            await change_in_marketo(many, theirs, title="Likewise")
        title = (await many.person(ours, "title")).get("title")
        seen[turn] = title, (await in_dynamics(many, "contact", theirs, "jobtitle"))["jobtitle"]

    await cycle_with(many, change_then_look)

    assert max(seen) == MOVES
    assert seen[2] != seen[3] == ("Meanwhile", "Likewise"), "a page later it is there"
    await assert_quiet(many)


async def test_a_new_contact_brings_its_new_account_while_leads_are_behind(many: World) -> None:
    admin = await many.admin()
    await mass_update(many, "Lausanne")
    made: list[str] = []

    async def create(turn: int) -> None:
        if turn == 2:
            made.append(await admin.create("accounts", {"name": "Fabrikam"}))
            link = {"parentcustomerid_account@odata.bind": f"/accounts({made[0]})"}
            made.append(await admin.create("contacts", {"lastname": "Newcomer", **link}))
        if turn == 3:
            person = await many.person(made[1], "externalCompanyId")
            assert person["externalCompanyId"] == made[0]

    report = await cycle_with(many, create)

    assert report.entities["account"].created == 1, "one company, written once"


async def test_a_cycle_that_is_cut_off_amid_a_mass_update_goes_on_where_it_was(many: World) -> None:
    contact = await a_synced(many, "contact")
    await mass_update(many, "Lausanne")

    async def fail(turn: int) -> None:
        if turn == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await cycle_with(many, fail)
    await change_in_dynamics(many, "contact", contact, jobtitle="Afterwards")
    report = await many.cycle()

    assert report.entities["lead"].read == LEADS - 4_500, "what has an outcome is not read again"
    assert (await many.person(contact, "title"))["title"] == "Afterwards"
    people = await many.people([row["leadid"] for row in await many.rows("lead", "leadid")], "city")
    assert {person.get("city") for [person] in people.values()} == {"Lausanne"}
    await assert_quiet(many)


async def test_a_deletion_waits_only_for_what_may_depend_on_it(many: World) -> None:
    """Contacts are deleted while leads are behind; an account's turn comes when the leads are through."""
    admin = await many.admin()
    contact = await a_synced(many, "contact")
    account = await admin.create("accounts", {"name": "Short-lived"})
    await many.cycle()
    await mass_update(many, "Lausanne")
    await admin.delete("contacts", contact)
    await admin.delete("accounts", account)
    store = await many.store()
    pending: dict[int, int] = {}

    async def look(turn: int) -> None:
        pending[turn] = (await store.pending.counts("contoso")).get(("account", "delete"), 0)
        if turn == 3:
            assert (await many.person(contact, "msIsDeleted"))["msIsDeleted"] is True

    report = await cycle_with(many, look)

    assert pending[3] == pending[max(pending)] == 1
    assert (await store.pending.counts("contoso")) == {}
    assert report.entities["account"].deleted == 1


async def test_many_changes_in_marketo_do_not_hold_up_a_contact_either(many: World) -> None:
    """Of these, too, only a page is brought to Dynamics in a turn."""
    contact = await a_synced(many, "contact")
    marketo = await many.marketo()
    people = await many.people([row["leadid"] for row in await many.rows("lead", "leadid")])
    ids = [person["id"] for [person] in people.values()][:2_500]
    for start in range(0, len(ids), 300):
        rows = [{"id": one, "city": "Morges"} for one in ids[start : start + 300]]
        await marketo.sync_people(rows, action="updateOnly", lookup_field="id")
    await many.reset_requests()
    changed = False

    async def change(progress: Progress) -> None:
        nonlocal changed
        if progress.entity == "opportunity" and not changed:
            changed = True
            await change_in_dynamics(many, "contact", contact, jobtitle="Between")

    async with many.session() as session:
        report = await cycle(session, change, force=True)

    assert report.to_dynamics["lead"].updated == 2_500
    assert (await many.person(contact, "title"))["title"] == "Between", "of the same cycle, in its second round"
    await assert_quiet(many)


async def test_ids_of_people_are_looked_up_once_a_cycle_not_in_every_turn(
    many: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crmsync.engine.back.collect.LEARNED_A_CYCLE", 5)
    store = await many.store()
    rows = await many.rows("contact", "contactid")
    contacts = await store.records.in_marketo(many.name, "contact", [row["contactid"] for row in rows])
    await store.records.set_marketo_ids(many.name, "contact", dict.fromkeys(contacts))
    await mass_update(many, "Lausanne")

    await many.cycle()

    assert len(await store.people.without_marketo_id(many.name, "contact", limit=100)) == len(contacts) - 5
