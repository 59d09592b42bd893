"""The sync filter ``new_synctomkto``, row by row: "Create a Custom Dynamics Sync Filter" (Marketo's documents).

Which test shows which row, also those that stand elsewhere, is told in the README beside this file. Qualification and
merge under the filter are in ``tests/engine/test_qualify.py`` and ``test_merge_in_dynamics.py``.
"""

from __future__ import annotations

import pytest

from crmsync.tenants import FieldChoice
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics
from tests.engine.scenarios.acts import change, name_in_marketo, new_in_dynamics, sync_errors
from tests.world import World

FILTERED = ("account", "lead", "contact", "opportunity")


async def test_without_the_column_every_record_is_synced(contoso: World) -> None:
    """ "does not exist | | yes": leads have no filter column, contacts have one."""
    admin = await contoso.admin()
    lead = await new_in_dynamics(contoso, "lead", "On No", new_synctomkto=False)
    contact = await new_in_dynamics(contoso, "contact", "On No", new_synctomkto=False)
    await admin.delete_attribute("lead", "new_synctomkto")

    report = await contoso.connect()

    assert await name_in_marketo(contoso, "lead", lead) == "On No"
    assert await name_in_marketo(contoso, "contact", contact) is None, "each entity on its own"
    assert (report.entities["lead"].filtered, report.entities["contact"].filtered > 0) == (0, True)


@pytest.mark.parametrize(("value", "synced"), [(None, True), (True, True), (False, False)], ids=["empty", "Yes", "No"])
async def test_only_an_explicit_no_stops_a_record(connected: World, value: bool | None, synced: bool) -> None:
    """ "empty: yes · Yes: yes · No: no", on each entity that has the column."""
    records = {
        entity: await new_in_dynamics(connected, entity, "Filtered", new_synctomkto=value) for entity in FILTERED
    }

    await connected.cycle()

    there = {entity: await name_in_marketo(connected, entity, record) for entity, record in records.items()}
    assert there == dict.fromkeys(FILTERED, "Filtered" if synced else None)
    await assert_quiet(connected)


async def test_no_to_yes_creates_what_is_unknown(connected: World) -> None:
    """ "No → Yes: … is updated if known, else created"."""
    records = {entity: await new_in_dynamics(connected, entity, "Late", new_synctomkto=False) for entity in FILTERED}
    await connected.cycle()

    for entity, record in records.items():
        await change(connected, entity, record, new_synctomkto=True)
    report = await connected.cycle()

    there = {entity: await name_in_marketo(connected, entity, record) for entity, record in records.items()}
    assert there == dict.fromkeys(FILTERED, "Late")
    assert {entity: report.entities[entity].created for entity in FILTERED} == dict.fromkeys(FILTERED, 1)
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_no_to_yes_updates_who_is_known(connected: World, entity: str) -> None:
    """ "No → Yes: the person is updated if known": with all that changed meanwhile, and is the same person."""
    record = await a_synced(connected, entity, jobtitle="Director", mobilephone="+1 555 0100")
    before = await connected.person(record)
    await change_in_dynamics(connected, entity, record, new_synctomkto=False)
    await connected.cycle()
    await change_in_dynamics(connected, entity, record, jobtitle="Chief")
    await connected.cycle()

    await change_in_dynamics(connected, entity, record, new_synctomkto=True, mobilephone=None)
    await connected.cycle()

    person = await connected.person(record, "title", "mobilePhone")
    assert (person["id"], person["title"], person["mobilePhone"]) == (before["id"], "Chief", None)
    await assert_quiet(connected)


@pytest.mark.parametrize("entity", FILTERED)
async def test_yes_to_no_keeps_the_record_as_it_was(connected: World, entity: str) -> None:
    """ "Yes → No: updates stop; the record in Marketo is kept and goes stale; not deleted, not marked"."""
    record = await new_in_dynamics(connected, entity, "Before", new_synctomkto=True)
    await connected.cycle()

    name = "name" if entity in {"account", "opportunity"} else "lastname"
    await change(connected, entity, record, **{"new_synctomkto": False, name: "After"})
    report = await connected.cycle()

    assert await name_in_marketo(connected, entity, record) == "Before"
    assert (report.entities[entity].filtered, report.entities[entity].written) == (1, 0)
    if entity in {"lead", "contact"}:
        assert (await connected.person(record, "msIsDeleted"))["msIsDeleted"] is False
    await assert_quiet(connected)


async def test_the_default_decides_before_a_workflow_does(connected: World) -> None:
    """ "default Yes creates records that then go stale": a cycle fell between the creation and the workflow's No."""
    lead = await new_in_dynamics(connected, "lead", "Made with Yes", new_synctomkto=True)
    await connected.cycle()
    await change_in_dynamics(connected, "lead", lead, new_synctomkto=False, lastname="After the workflow")
    await connected.cycle()

    assert await name_in_marketo(connected, "lead", lead) == "Made with Yes", "stale"

    lead = await new_in_dynamics(connected, "lead", "Made with No", new_synctomkto=False)
    await connected.cycle()
    assert await name_in_marketo(connected, "lead", lead) is None
    await change_in_dynamics(connected, "lead", lead, new_synctomkto=True)
    await connected.cycle()

    assert await name_in_marketo(connected, "lead", lead) == "Made with No"


async def test_the_column_works_without_being_selected(contoso: World) -> None:
    """ "It must be selected in Select Fields to Sync to work". Ours: a column that is there works, selected or not."""
    lead = await new_in_dynamics(contoso, "lead", "On No", new_synctomkto=False)
    file = contoso.ready.tenants_folder / "contoso.yaml"
    file.write_text(file.read_text() + "\nfields: {custom: none}\n")
    assert contoso.tenant.fields == FieldChoice(custom="none")

    report = await contoso.connect()

    assert await name_in_marketo(contoso, "lead", lead) is None
    assert report.entities["lead"].filtered > 0


async def test_a_sync_error_of_a_record_that_is_turned_to_no_is_closed(connected: World) -> None:
    """Not in the table: what is not synced any more is not in need of correction either."""
    lead = await new_in_dynamics(connected, "lead", "Umlaut", emailaddress1="jürgen@example.com")
    await connected.cycle()
    assert await sync_errors(connected, lead)

    await change_in_dynamics(connected, "lead", lead, new_synctomkto=False)
    await connected.cycle()

    assert await sync_errors(connected, lead) == []
