"""A column that is deleted in Dynamics is parked: told, no longer read, kept in Marketo; ``resync`` clears it up."""

from __future__ import annotations

import pytest

from crmsync.engine import setup
from crmsync.engine.resync import resync, review_fields
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from crmsync.errors import OperatorMustAct
from tests.world import World


async def a_custom_column(world: World) -> tuple[str, str]:
    """A custom text column of contact that is synced, and its Marketo field."""
    async with world.session() as session:
        selection = await setup.saved_selection(session)
    assert selection is not None
    for mapping in selection.mappings["contact"]:
        if mapping.attribute.startswith("new_") and mapping.convert in {"text", "cut text"}:
            return mapping.attribute, mapping.field
    raise AssertionError("the sandbox has custom columns")


async def test_a_cycle_parks_a_deleted_column_and_goes_on(connected: World) -> None:
    admin = await connected.admin()
    column, field = await a_custom_column(connected)
    people = await connected.people([row["contactid"] for row in await connected.rows("contact", "contactid")], field)
    await admin.delete_attribute("contact", column)
    new = await admin.create("contacts", {"lastname": "Afterwards"})

    report = await connected.cycle()

    assert [(one.entity, one.attribute, one.marketo_field) for one in report.parked] == [("contact", column, field)]
    assert any(column in note and "parked" in note for note in report.notes)
    assert (await connected.person(new, "lastName"))["lastName"] == "Afterwards"
    assert report.entities["contact"].created == 1
    assert report.entities["contact"].updated == 0, "a vanished column rewrites nothing"
    assert {key: [one.get(field) for one in found] for key, found in people.items()} == {
        key: [one.get(field) for one in found] for key, found in (await connected.people(list(people), field)).items()
    }, "the Marketo field keeps its values"
    shown = await status(await connected.store(), "contoso")
    assert [one["attribute"] for one in shown["parked_fields"]] == [column]
    assert shown["state"] == "syncing"

    before = await connected.written()
    assert (await connected.cycle()).total.written == 0
    assert await connected.written() == before


async def test_resync_reviews_the_parked_field(connected: World) -> None:
    admin = await connected.admin()
    column, _ = await a_custom_column(connected)
    await admin.delete_attribute("contact", column)
    await connected.cycle()

    async with connected.session() as session:
        await setup.disable_sync(session, "fields were deleted")
        assert (await cycle(session)).skipped == "the tenant is disabled: fields were deleted"
        refreshed = await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)

    assert refreshed.difference == [] or all("contact" in line for line in refreshed.difference)
    assert report.skipped is not None, "the cycle has read the entity anew already"
    shown = await status(await connected.store(), "contoso")
    assert shown["parked_fields"] == []
    assert [one["attribute"] for one in shown["reviewed_fields"]] == [column]
    assert shown["state"] == "syncing"


async def test_resync_alone_parks_and_reads_what_the_change_touched(connected: World) -> None:
    admin = await connected.admin()
    column, _ = await a_custom_column(connected)
    await admin.delete_attribute("contact", column)

    async with connected.session() as session:
        await setup.disable_sync(session, "fields were deleted")
        refreshed = await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)

    assert any(column in line for line in refreshed.difference)
    assert list(report.entities) == ["contact"], "only what the change touched is read again"
    assert report.total.written == 0
    assert (await connected.cycle()).total.written == 0


async def test_resync_reads_those_again_that_are_named(connected: World) -> None:
    async with connected.session() as session:
        await setup.disable_sync(session, "out of step")
        with pytest.raises(OperatorMustAct, match="'contcat': no entity that the tenant file names"):
            await resync(session, entities=["contcat"])
        report = await resync(session, entities=["account"])
        await setup.enable_sync(session)

    assert list(report.entities) == ["account"]
    assert report.entities["account"].read == len(await connected.rows("account", "accountid"))
    assert report.total.written == 0


async def test_a_new_column_is_taken_up_by_resync(connected: World) -> None:
    admin = await connected.admin()
    await admin.create_attribute(
        "contact",
        {
            "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
            "AttributeType": "String",
            "AttributeTypeName": {"Value": "StringType"},
            "SchemaName": "new_Nickname",
            "MaxLength": 100,
            "FormatName": {"Value": "Text"},
            "RequiredLevel": {"Value": "None"},
            "DisplayName": {
                "LocalizedLabels": [{"Label": "Nickname", "LanguageCode": 1033}],
            },
        },
    )
    [row] = (await connected.rows("contact", "contactid", filter="new_synctomkto eq true"))[:1]
    await admin.update("contacts", row["contactid"], {"new_nickname": "Buddy"})

    async with connected.session() as session:
        await setup.disable_sync(session, "a field was added")
        await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)

    assert (await connected.person(row["contactid"], "new_nickname"))["new_nickname"] == "Buddy"
    assert report.total.written == 1, "only the record that has a value in the new column"
