"""What shapes values changes in Dynamics without any record changing: labels, types, columns that are made again."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics.schema import DynamicsSchema
from crmsync.engine import setup
from crmsync.engine.chosen import chosen_fields
from crmsync.engine.refresh import refresh_metadata
from crmsync.engine.report import SyncReport
from crmsync.engine.resync import resync, review_fields
from tests.engine.both_sides import a_synced, assert_quiet, change_in_dynamics, change_in_marketo, in_dynamics
from tests.world import World

WEB = 8
"""An option of leads' Lead Source."""


def label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


async def rename_option(world: World, text: str, value: int = WEB) -> None:
    """What an administrator does to an option's label in the maker portal."""
    admin = await world.admin()
    body = {"EntityLogicalName": "lead", "AttributeLogicalName": "leadsourcecode", "Value": value, "Label": label(text)}
    await admin.channel.send("POST", "UpdateOptionValue", json={**body, "MergeLabels": False})


async def resynced(world: World) -> SyncReport:
    """The procedure of ``crmsync resync``."""
    async with world.session() as session:
        await setup.disable_sync(session, "labels changed")
        await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)
    return report


async def refreshed(world: World, entity: str = "lead") -> tuple[DynamicsSchema, list[str]]:
    """What a cycle does that meets a value which its metadata does not explain."""
    async with world.session() as session, session.lease():
        schema, _ = await chosen_fields(session)
        return await refresh_metadata(session, schema, entity)


async def test_a_resync_sends_the_new_label_of_an_option_that_was_renamed(connected: World) -> None:
    lead = await a_synced(connected, "lead", leadsourcecode=WEB)
    assert (await connected.person(lead, "leadSource"))["leadSource"] == "Web"
    of_the_option = [row["leadid"] for row in await connected.rows("lead", "leadid", filter=f"leadsourcecode eq {WEB}")]
    await rename_option(connected, "Internet")

    report = await resynced(connected)

    assert (await connected.person(lead, "leadSource"))["leadSource"] == "Internet"
    assert list(report.entities) == ["lead"], "only the entity whose labels changed is read again"
    assert report.total.updated == len(await connected.people(of_the_option))
    assert "lead is read again: the option labels of leadsourcecode changed" in report.notes
    assert (await resynced(connected)).skipped is not None, "what was read again is not outdated"
    await assert_quiet(connected)


async def test_a_refresh_in_mid_cycle_tells_what_changed_and_leaves_the_rest_to_resync(connected: World) -> None:
    lead = await a_synced(connected, "lead", leadsourcecode=WEB)
    await rename_option(connected, "Internet")

    schema, notes = await refreshed(connected)

    assert notes == [
        f"lead: option {WEB} of leadsourcecode was renamed from 'Web' to 'Internet'",
        "lead: the option labels of leadsourcecode changed; run resync to send all records anew",
    ]
    assert schema.entities["lead"].attributes["leadsourcecode"].options[WEB] == "Internet"
    await assert_quiet(connected)
    assert (await connected.person(lead, "leadSource"))["leadSource"] == "Web"
    await change_in_dynamics(connected, "lead", lead, jobtitle="Chief")
    await connected.cycle()
    assert (await connected.person(lead, "leadSource"))["leadSource"] == "Internet", "its record changed"

    await rename_option(connected, "Web")
    assert list((await resynced(connected)).entities) == ["lead"], "renamed back, what was sent meanwhile is outdated"
    assert (await connected.person(lead, "leadSource"))["leadSource"] == "Web"


async def test_a_new_option_goes_both_ways_with_the_next_cycle(connected: World) -> None:
    there, back = [await a_synced(connected, "lead", number=number, leadsourcecode=WEB) for number in range(2)]
    admin = await connected.admin()
    option = {
        "EntityLogicalName": "lead",
        "AttributeLogicalName": "leadsourcecode",
        "Value": 77,
        "Label": label("Fair"),
    }
    await admin.channel.send("POST", "InsertOptionValue", json=option)
    await change_in_dynamics(connected, "lead", there, leadsourcecode=77)
    await change_in_marketo(connected, back, leadSource="Fair")

    report = await connected.cycle()

    assert (await connected.person(there, "leadSource"))["leadSource"] == "Fair"
    assert (await in_dynamics(connected, "lead", back, "leadsourcecode"))["leadsourcecode"] == 77
    assert "lead: new option 77 'Fair' of leadsourcecode" in report.notes
    assert not {there, back} & {one.record_id for one in await (await connected.store()).errors.all("contoso")}
    await assert_quiet(connected)


async def test_a_refresh_that_finds_nothing_new_changes_nothing(connected: World) -> None:
    schema, notes = await refreshed(connected)

    async with connected.session() as session:
        assert schema.entities == (await chosen_fields(session))[0].entities
    assert notes == []
    assert (await resynced(connected)).skipped is not None


@pytest.mark.parametrize("by", ["resync", "cycle"])
async def test_a_column_that_is_made_again_loses_its_values_in_marketo_too(connected: World, by: str) -> None:
    lead = await a_synced(connected, "lead", new_favouritecolour="Green")
    admin = await connected.admin()
    await admin.delete_attribute("lead", "new_favouritecolour")
    definition = {
        "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
        "SchemaName": "new_FavouriteColour",
        "MaxLength": 100,
        "DisplayName": label("Favourite Colour"),
    }
    await admin.create_attribute("lead", definition)
    if by == "cycle":
        await refreshed(connected)

    report = await resynced(connected)

    assert "lead is read again: new_favouritecolour was deleted and made again" in report.notes
    assert (await connected.person(lead, "new_favouritecolour"))["new_favouritecolour"] is None
    await assert_quiet(connected)
