"""Events that need care: moved to another account, changed twice, made and deleted between two cycles, both sides at
once, and a pause.

Qualification and merge in Dynamics are in ``tests/engine/test_qualify.py`` and ``test_merge_in_dynamics.py``.
"""

from __future__ import annotations

import pytest

from crmsync.engine import setup
from crmsync.engine.sync import cycle
from crmsync.tenants import Tenant
from tests.engine.both_sides import (
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.engine.scenarios.acts import change, delete_in_dynamics, name_in_marketo, new_in_dynamics, sync_errors
from tests.engine.test_created_in_marketo import a_list, creating, put_on_list, record_of, somebody
from tests.engine.test_deleted_and_merged import delete_in_marketo
from tests.world import World

PARENT = "parentcustomerid_account@odata.bind"


async def company_of(world: World, contact: str) -> str | None:
    return (await world.person(contact, "externalCompanyId")).get("externalCompanyId")


async def test_a_contact_that_moves_to_another_account_moves_to_its_company(connected: World) -> None:
    """Re-parenting: to an account that Marketo has, and to one that is new with it."""
    old, known = [await new_in_dynamics(connected, "account", name) for name in ("Old", "Known")]
    contact = await new_in_dynamics(connected, "contact", "Mover", **{PARENT: f"/accounts({old})"})
    await connected.cycle()
    assert await company_of(connected, contact) == old

    await change(connected, "contact", contact, **{PARENT: f"/accounts({known})"})
    await connected.cycle()
    assert await company_of(connected, contact) == known

    new = await new_in_dynamics(connected, "account", "New")
    await change(connected, "contact", contact, **{PARENT: f"/accounts({new})"})
    await connected.cycle()

    assert await company_of(connected, contact) == new
    await assert_quiet(connected)


async def test_a_contact_that_moves_to_a_filtered_account_waits_for_it(connected: World) -> None:
    """Re-parenting: Marketo refuses a link to a company that it lacks; the contact's values do not wait."""
    old = await new_in_dynamics(connected, "account", "Old")
    hidden = await new_in_dynamics(connected, "account", "Hidden", new_synctomkto=False)
    contact = await new_in_dynamics(connected, "contact", "Mover", **{PARENT: f"/accounts({old})"})
    await connected.cycle()

    await change(connected, "contact", contact, **{PARENT: f"/accounts({hidden})", "jobtitle": "Chief"})
    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert await company_of(connected, contact) == old

    await change(connected, "account", hidden, new_synctomkto=True)
    await connected.cycle()

    assert await company_of(connected, contact) == hidden
    await assert_quiet(connected)


async def test_a_contact_that_leaves_its_account_keeps_its_company_in_marketo(connected: World) -> None:
    """Re-parenting to none. What does not work: Marketo's API moves a person, and never takes it out of a company."""
    account = await new_in_dynamics(connected, "account", "Left")
    contact = await new_in_dynamics(connected, "contact", "Leaver", **{PARENT: f"/accounts({account})"})
    await connected.cycle()

    await change(connected, "contact", contact, **{PARENT: None, "jobtitle": "Freelancer"})
    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Freelancer"
    assert await company_of(connected, contact) == account
    assert await sync_errors(connected, contact) == []
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_a_record_that_is_changed_twice_within_a_cycle_is_written_once(connected: World, entity: str) -> None:
    """In Dynamics, in Marketo, and to and fro: the last value of each field counts."""
    record = await a_synced(connected, entity, jobtitle="Director", mobilephone="+1 555 0100", telephone2="+1 555 0200")
    for title in ("Head", "Chief"):
        await change_in_dynamics(connected, entity, record, jobtitle=title)
    for number in ("+1 555 0101", "+1 555 0102"):
        await change_in_marketo(connected, record, mobilePhone=number)
    await change_in_dynamics(connected, entity, record, telephone2="+1 555 0201")
    await change_in_dynamics(connected, entity, record, telephone2="+1 555 0200")

    report = await connected.cycle()

    assert (await connected.person(record, "title"))["title"] == "Chief"
    assert (await in_dynamics(connected, entity, record, "mobilephone"))["mobilephone"] == "+1 555 0102"
    assert (report.entities[entity].updated, report.to_dynamics[entity].updated) == (1, 1)
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", ["account", "lead", "contact", "opportunity"])
async def test_what_is_made_and_deleted_between_two_cycles_never_was(connected: World, entity: str) -> None:
    """Created and deleted in Dynamics: Marketo hears of neither."""
    record = await new_in_dynamics(connected, entity, "Short-lived")
    await delete_in_dynamics(connected, entity, record)

    report = await connected.cycle()

    assert await name_in_marketo(connected, entity, record) is None
    assert report.total.written == 0
    await assert_quiet(connected)


async def test_who_is_put_on_the_list_and_deleted_between_two_cycles_never_was(connected: World) -> None:
    """Created and deleted in Marketo: Dynamics hears of neither."""
    number = await a_list(connected)
    await cycle_as(connected, **creating("lead"))
    ada = await somebody(connected, "short@marketo.example")
    await put_on_list(connected, number, ada)
    marketo = await connected.marketo()
    await marketo.delete_people([ada])

    report = await cycle_as(connected, **creating("lead"))

    assert await connected.rows("lead", "leadid", filter="emailaddress1 eq 'short@marketo.example'") == []
    assert report.to_dynamics["lead"].failed == 0
    await assert_quiet(connected, **creating("lead"))


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_who_is_deleted_on_both_sides_within_one_cycle_is_gone(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity)
    await delete_in_dynamics(connected, entity, record)
    await delete_in_marketo(connected, record)

    await connected.cycle()

    assert await connected.people([record]) == {}
    assert await sync_errors(connected, record) == []
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_who_is_deleted_in_dynamics_and_edited_in_marketo_is_flagged(connected: World, entity: str) -> None:
    record = await a_synced(connected, entity)
    await change_in_marketo(connected, record, title="Chief")
    await delete_in_dynamics(connected, entity, record)

    await connected.cycle()

    person = await connected.person(record, "msIsDeleted", "title")
    assert (person["msIsDeleted"], person["title"]) == (True, "Chief")
    assert await sync_errors(connected, record) == []
    await assert_quiet(connected)


async def test_who_becomes_a_record_and_is_edited_on_both_sides_at_once_is_in_step(connected: World) -> None:
    """Created in Marketo, and changed on each side before the next cycle."""
    options = creating("contact")
    number = await a_list(connected)
    ada = await somebody(connected, title="Countess")
    await put_on_list(connected, number, ada)
    await cycle_as(connected, **options)
    record = (await record_of(connected, ada))["dynamicsId"]

    await change_in_marketo(connected, record, title="Programmer")
    await change_in_dynamics(connected, "contact", record, mobilephone="+1 555 0100")
    await cycle_as(connected, **options)

    row = await in_dynamics(connected, "contact", record, "jobtitle", "mobilephone")
    person = await connected.person(record, "title", "mobilePhone")
    assert (row["jobtitle"], row["mobilephone"]) == ("Programmer", "+1 555 0100")
    assert (person["title"], person["mobilePhone"]) == ("Programmer", "+1 555 0100")
    await assert_quiet(connected, **options)


@pytest.mark.parametrize("days", [1, 8], ids=["a day", "longer than change tracking keeps"])
async def test_nothing_is_lost_while_the_sync_is_disabled(connected: World, days: int) -> None:
    """ "Nothing is lost while disabled", on both sides; after more than a week everything is compared by itself."""
    edited = await a_synced(connected, "contact", jobtitle="Director")
    gone = await a_synced(connected, "lead")
    async with connected.session() as session:
        await setup.disable_sync(session, "a holiday")

    new = await new_in_dynamics(connected, "lead", "Meanwhile")
    await change_in_dynamics(connected, "contact", edited, mobilephone="+1 555 0199")
    await change_in_marketo(connected, edited, title="Chief")
    await delete_in_dynamics(connected, "lead", gone)
    await connected.post("clock", {"advance_seconds": days * 86_400})
    async with connected.session() as session:
        await setup.enable_sync(session)
    await connected.cycle()

    assert await name_in_marketo(connected, "lead", new) == "Meanwhile"
    assert (await connected.person(edited, "mobilePhone"))["mobilePhone"] == "+1 555 0199"
    assert (await in_dynamics(connected, "contact", edited, "jobtitle"))["jobtitle"] == "Chief"
    assert (await connected.person(gone, "msIsDeleted"))["msIsDeleted"] is True
    await assert_quiet(connected)


async def test_other_credentials_are_swapped_between_two_cycles(connected: World) -> None:
    """ "Switch method: disable …, wait 15 minutes, enable". Ours: another application is proved against the same
    organization, and the next cycle signs in with it; nothing is read or written again."""
    application = connected.facts["dynamics"]["administrator"]
    (connected.ready.tenants_folder / "another").write_text(application["client_secret"])
    other = {"client_id": application["client_id"], "client_secret": {"file": "another"}}
    tenant = connected.tenant.model_dump(exclude_unset=True)
    tenant["dynamics"] |= other | {"sync_user_email": None}
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief")

    async with connected.session(tenant=Tenant.model_validate(tenant)) as session:
        proof = await setup.validate_credentials(session)
        await setup.save_credentials(session, proof)
        assert (await setup.enable_sync(session)).already
        report = await cycle(session, force=True)

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert report.total.written == 0
    assert sum(one.updated for one in report.to_dynamics.values()) == 1
    assert proof.organization_id == connected.facts["dynamics"]["organization_id"]


async def test_an_edit_in_marketo_is_not_lost_while_the_record_cannot_be_sent(connected: World) -> None:
    """One field of a record is refused by Marketo: edits of the others there go on to Dynamics, and stay."""
    contact = await a_synced(connected, "contact", jobtitle="Director", emailaddress1="juergen@contoso.example")
    await change_in_dynamics(connected, "contact", contact, emailaddress1="jürgen@contoso.example")
    await connected.cycle()
    assert await sync_errors(connected, contact)

    await change_in_marketo(connected, contact, title="Chief")
    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    await change_in_dynamics(connected, "contact", contact, emailaddress1="juergen@contoso.example")
    await connected.cycle()

    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert await sync_errors(connected, contact) == []
    await assert_quiet(connected)


async def test_an_edit_in_marketo_mends_what_cannot_be_sent(connected: World) -> None:
    """The refused field itself is edited in Marketo: the value there is one that both sides can hold."""
    contact = await a_synced(connected, "contact", emailaddress1="juergen@contoso.example")
    await change_in_dynamics(connected, "contact", contact, emailaddress1="jürgen@contoso.example")
    await connected.cycle()

    await change_in_marketo(connected, contact, email="j@contoso.example")
    await connected.cycle()
    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "emailaddress1"))["emailaddress1"] == "j@contoso.example"
    assert await sync_errors(connected, contact) == []
    await assert_quiet(connected)
