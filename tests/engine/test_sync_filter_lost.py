"""A sync filter that was there and cannot be gone by any more stops its entity: nothing is not "yes"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.checks import filters_before
from crmsync.engine.compare import compare
from crmsync.engine.record import sync_record
from crmsync.engine.resync import resync, review_fields
from crmsync.engine.status import status
from crmsync.errors import OperatorMustAct
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.scenarios.acts import name_in_marketo, new_in_dynamics, sync_errors
from tests.engine.test_column_security import let_read, take_out
from tests.engine.unprepared import checked, red, secure
from tests.world import World

FILTER = "new_synctomkto"
LINE = "Sync filter of lead"


async def deleted(world: World) -> None:
    await (await world.admin()).delete_attribute("lead", FILTER)


async def secured(world: World) -> None:
    await secure(world, "lead", FILTER)


async def a_lost_profile(world: World) -> None:
    await secure(world, "lead", FILTER)
    profile = await let_read(world, FILTER)
    await world.cycle()
    await take_out(world, profile)


async def of_another_type(world: World) -> None:
    await make(world, "Integer", MinValue=0, MaxValue=9)


async def make(world: World, kind: str, **more: Any) -> None:
    """The filter of leads, made anew with this type."""
    await deleted(world)
    admin = await world.admin()
    definition = {
        "@odata.type": f"Microsoft.Dynamics.CRM.{kind}AttributeMetadata",
        "AttributeType": kind,
        "AttributeTypeName": {"Value": f"{kind}Type"},
        "SchemaName": FILTER,
        "RequiredLevel": {"Value": "None"},
        "DisplayName": label("Sync to Marketo"),
        **more,
    }
    await admin.create_attribute("lead", definition)


def label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]}


async def resynced(world: World, *without_filter: str) -> None:
    """The procedure of ``crmsync resync``."""
    async with world.session() as session:
        await setup.disable_sync(session, "the filter changed")
        await setup.refresh_schema(session)
        await review_fields(session, without_filter=without_filter)
        await resync(session)
        await setup.enable_sync(session)


@pytest.fixture
async def kept_out(connected: World) -> str:
    """A lead that says No, after a cycle."""
    lead = await new_in_dynamics(connected, "lead", "On No", new_synctomkto=False)
    await connected.cycle()
    return lead


@pytest.mark.parametrize("lose", [deleted, secured, a_lost_profile, of_another_type])
async def test_an_entity_stops_without_its_filter_and_the_others_go_on(
    connected: World, kept_out: str, lose: Callable[[World], Awaitable[None]]
) -> None:
    await lose(connected)
    await change_in_dynamics(connected, "lead", kept_out, jobtitle="Chief")
    contact = await new_in_dynamics(connected, "contact", "Unharmed")

    report = await connected.cycle()

    assert await name_in_marketo(connected, "lead", kept_out) is None
    assert await name_in_marketo(connected, "contact", contact) == "Unharmed"
    why = report.left_out["lead"]
    assert FILTER in why
    assert "resync" in why
    assert (await status(await connected.store(), "contoso"))["left_out"]["lead"] == why
    lines = await checked(connected, filters=await filters_before("contoso", connected.state_url))
    assert red(lines) == [LINE]
    assert lines[LINE].remedy
    async with connected.session() as session:
        compared = await compare(session, entities=["lead"])
        with pytest.raises(OperatorMustAct, match=FILTER):
            await sync_record(session, f"lead:{kept_out}")
    assert compared.left_out == {"lead": why}
    assert await name_in_marketo(connected, "lead", kept_out) is None


async def test_one_record_is_not_carried_before_the_filter_is_proved(connected: World, kept_out: str) -> None:
    await a_lost_profile(connected)

    async with connected.session() as session:
        with pytest.raises(OperatorMustAct, match=FILTER):
            await sync_record(session, f"lead:{kept_out}")

    assert await name_in_marketo(connected, "lead", kept_out) is None


async def test_a_filter_that_can_be_read_again_lets_its_entity_go_on_by_itself(connected: World, kept_out: str) -> None:
    await secured(connected)
    new = await new_in_dynamics(connected, "lead", "On Yes", new_synctomkto=True)
    assert "lead" in (await connected.cycle()).left_out

    await secure(connected, "lead", FILTER, secured=False)
    report = await connected.cycle()

    assert report.left_out == {}
    assert await name_in_marketo(connected, "lead", new) == "On Yes"
    assert await name_in_marketo(connected, "lead", kept_out) is None


async def test_a_filter_that_was_removed_on_purpose_is_given_up_by_a_command(connected: World, kept_out: str) -> None:
    async with connected.session() as session:
        with pytest.raises(OperatorMustAct, match="is there"):
            await setup.select_fields(session, without_filter=["lead"])
    await deleted(connected)
    await connected.cycle()

    await resynced(connected)
    assert await name_in_marketo(connected, "lead", kept_out) is None, "a resync alone gives nothing up"
    await resynced(connected, "lead")

    assert await name_in_marketo(connected, "lead", kept_out) == "On No"
    assert (await connected.cycle()).left_out == {}


@pytest.mark.parametrize(
    ("kind", "more", "no", "yes"),
    [
        (
            "Picklist",
            {"OptionSet": {"Options": [{"Value": 1, "Label": label("Yes")}, {"Value": 2, "Label": label("No")}]}},
            2,
            1,
        ),
        ("String", {"MaxLength": 20, "FormatName": {"Value": "Text"}}, "no", "Yes"),
    ],
)
async def test_a_choice_or_a_text_that_says_yes_or_no_is_a_filter(
    connected: World, kind: str, more: dict[str, Any], no: Any, yes: Any
) -> None:
    await make(connected, kind, **more)
    leads = {
        value: await new_in_dynamics(connected, "lead", f"Says {value}", **{FILTER: value}) for value in (no, yes, None)
    }

    await resynced(connected)

    there = {value: await name_in_marketo(connected, "lead", lead) for value, lead in leads.items()}
    assert there == {no: None, yes: f"Says {yes}", None: "Says None"}
    assert red(await checked(connected, filters=await filters_before("contoso", connected.state_url))) == []
    if kind == "String":
        unclear = await new_in_dynamics(connected, "lead", "Perhaps", **{FILTER: "perhaps"})
        await connected.cycle()
        assert await name_in_marketo(connected, "lead", unclear) is None
        assert [one.code for one in await sync_errors(connected, unclear)] == ["sync filter"]


async def test_a_change_in_marketo_does_not_pass_a_filter_that_cannot_be_read_any_more(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await secure(connected, "contact", FILTER)
    profile = await let_read(connected, FILTER, entity="contact")
    await connected.cycle()
    await take_out(connected, profile)
    await change_in_marketo(connected, contact, title="Chief")

    await connected.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Director"
