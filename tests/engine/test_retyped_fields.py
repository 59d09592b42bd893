"""A type that changes on either side is one parked field with one remedy, not an error a record."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from crmsync.engine import setup
from crmsync.engine.parking import works_now
from crmsync.engine.report import SyncReport
from crmsync.engine.resync import resync, review_fields
from crmsync.engine.session import utc_now
from crmsync.engine.status import status
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import FeatureMissing
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.test_metadata_changes import label
from tests.world import World, small_sandbox

FIELD = "new_favouritecolour"
"""A custom text column of leads and contacts, and the field of the same name that crmsync made for both."""

BOTH = {("contact", FIELD), ("lead", FIELD)}


async def change_type(world: World, data_type: str, field: str = FIELD) -> None:
    """What an administrator does in Admin > Field Management."""
    await world.post("field-types", {"tenant": world.name, "target": "person", "name": field, "type": data_type})


async def make_again(world: World, data_type: str, entity: str = "contact") -> None:
    """The column is deleted in Dynamics and made again under its name, with another type."""
    admin = await world.admin()
    await admin.delete_attribute(entity, FIELD)
    definition = {
        "@odata.type": f"Microsoft.Dynamics.CRM.{data_type}AttributeMetadata",
        "SchemaName": "new_FavouriteColour",
        "DisplayName": label("Favourite Colour"),
    }
    await admin.create_attribute(entity, definition)


async def resynced(world: World) -> SyncReport:
    """The procedure of ``crmsync resync``."""
    async with world.session() as session:
        await setup.disable_sync(session, "a type changed")
        await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)
    return report


async def errors(world: World) -> set[str]:
    return {one.record_id for one in await (await world.store()).errors.all(world.name)}


async def test_a_cycle_parks_a_field_whose_type_changed_in_marketo_and_goes_on(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", **{FIELD: "Before"})
    await change_type(connected, "integer")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief", **{FIELD: "Green"})
    admin = await connected.admin()
    new = [await admin.create("contacts", {"lastname": f"New {number}", FIELD: "Red"}) for number in range(3)]

    report = await connected.cycle()

    assert {(one.entity, one.attribute) for one in report.parked} == BOTH
    assert all("integer now, but was string; run resync" in one.reason for one in report.parked)
    assert any(FIELD in note and "parked" in note for note in report.notes)
    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert set(await connected.people(new)) == set(new)
    assert not await errors(connected) & {contact, *new}
    assert (await status(await connected.store(), "contoso"))["state"] == "syncing"
    await assert_quiet(connected)


async def test_resync_says_why_a_field_of_another_type_is_not_selected_anew(connected: World) -> None:
    await change_type(connected, "integer")

    await resynced(connected)

    shown = await status(await connected.store(), "contoso")
    reviewed = {(one["entity"], one["attribute"]): one["reason"] for one in shown["reviewed_fields"]}
    assert reviewed.keys() == BOTH
    assert all("is integer, which cannot hold String values; rename sends it" in why for why in reviewed.values())
    await assert_quiet(connected)


@pytest.mark.parametrize("back", ["string", "text"])
@pytest.mark.parametrize("entity", ["contact", "lead"])
async def test_resync_selects_a_field_anew_whose_type_fits_again(connected: World, entity: str, back: str) -> None:
    """What Marketo made of its values meanwhile is nobody's change, and Dynamics' come back."""
    changed = await a_synced(connected, entity, **{FIELD: "Before"})
    untouched = await a_synced(connected, entity, number=1, **{FIELD: "Blue"})
    await change_type(connected, "integer")
    await change_in_dynamics(connected, entity, changed, **{FIELD: "Green"})
    await connected.cycle()
    await change_type(connected, back)

    await resynced(connected)

    for record, colour in ((changed, "Green"), (untouched, "Blue")):
        assert (await connected.person(record, FIELD))[FIELD] == colour
        assert (await in_dynamics(connected, entity, record, FIELD))[FIELD] == colour
    shown = await status(await connected.store(), "contoso")
    assert shown["parked_fields"] == shown["reviewed_fields"] == []
    await assert_quiet(connected)


async def test_a_record_that_is_refused_for_itself_parks_nothing(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    path = "/rest/v1/leads.json"
    await connected.post(
        "faults", {"service": "marketo", "method": "POST", "path": path, "kind": "marketo", "code": "1003"}
    )
    await connected.reset_requests()

    report = await connected.cycle()

    assert report.parked == []
    assert (await connected.requests("marketo"))["GET /rest/v1/leads/describe2.json"] == 1


async def test_a_first_sync_by_import_goes_on_without_the_field(tmp_path: Path) -> None:
    options = small_sandbox(tmp_path / "ready.json", counts=Counts(leads=2600, contacts=20, accounts=4))
    with SandboxThread(options) as ready:
        contoso = World(ready, f"sqlite:///{tmp_path}/state.db")
        await contoso.prepare()
        wanted = await contoso.rows("lead", "leadid", "emailaddress1", filter="new_synctomkto eq true")
        leads = [row["leadid"] for row in wanted if (row["emailaddress1"] or "").isascii()][:2]
        for lead in leads:
            await change_in_dynamics(contoso, "lead", lead, **{FIELD: "Green"})
        await change_type(contoso, "integer")

        async with contoso.session() as session:
            report = await first_sync(session)

        assert {(one.entity, one.attribute) for one in report.parked} == BOTH
        assert set(await contoso.people(leads)) == set(leads)
        assert not await errors(contoso) & set(leads)
        await contoso.close()


async def test_without_the_key_there_is_no_syncing(connected: World) -> None:
    contact = await a_synced(connected, "contact")
    await change_type(connected, "integer", "dynamicsId")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    for minutes in (0, 5):
        async with connected.session() as session:
            session.clock = lambda late=minutes: utc_now() + timedelta(minutes=late)
            with pytest.raises(FeatureMissing, match="dynamicsId is integer now") as raised:
                await cycle(session, force=True)

    assert "change its type back" in raised.value.remedy
    assert (await status(await connected.store(), "contoso"))["state"] == "stopped"


async def test_a_cycle_parks_a_field_whose_column_is_made_again_with_another_type(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", **{FIELD: "Before"})
    await make_again(connected, "Boolean")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief", **{FIELD: True})

    report = await connected.cycle()

    assert any(FIELD in note and "parked" in note for note in report.notes)
    assert {(one.entity, one.attribute) for one in report.parked} == {("contact", FIELD)}
    assert "the column new_favouritecolour is Boolean now" in report.parked[0].reason
    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert contact not in await errors(connected)
    await assert_quiet(connected)


async def test_what_marketo_refuses_of_a_column_that_was_made_again_parks_it(connected: World) -> None:
    """An integer column is sent as it is read, so only Marketo notices that it holds text now."""
    admin = await connected.admin()
    column = {"@odata.type": "Microsoft.Dynamics.CRM.IntegerAttributeMetadata", "SchemaName": "new_ShoeSize"}
    await admin.create_attribute("contact", column | {"DisplayName": label("Shoe Size")})
    await resynced(connected)
    contact = await a_synced(connected, "contact", new_shoesize=42)
    assert (await connected.person(contact, "new_shoesize"))["new_shoesize"] == 42
    await admin.delete_attribute("contact", "new_shoesize")
    text = column | {"@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata", "MaxLength": 20}
    await admin.create_attribute("contact", text | {"DisplayName": label("Shoe Size")})
    await change_in_dynamics(connected, "contact", contact, new_shoesize="large", jobtitle="Chief")

    report = await connected.cycle()

    assert {(one.entity, one.attribute) for one in report.parked} == {("contact", "new_shoesize")}
    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert contact not in await errors(connected)
    await assert_quiet(connected)


async def test_a_change_in_marketo_of_a_field_whose_type_changed_parks_it_on_the_way_back(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", **{FIELD: "7"})
    await change_type(connected, "integer")
    await change_in_marketo(connected, contact, title="Chief", **{FIELD: 8})

    report = await connected.cycle()

    assert {(one.entity, one.attribute) for one in report.parked} == BOTH
    row = await in_dynamics(connected, "contact", contact, "jobtitle", FIELD)
    assert (row["jobtitle"], row[FIELD]) == ("Chief", "7")
    assert contact not in await errors(connected)
    await assert_quiet(connected)


async def test_every_field_of_a_fresh_selection_works(connected: World) -> None:
    async with connected.session() as session:
        assert (await works_now(session)).gone == []
