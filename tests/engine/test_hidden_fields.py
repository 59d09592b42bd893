"""A field that is hidden in Marketo is parked: told, not written, not read; ``resync`` takes it up again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from crmsync.engine import setup
from crmsync.engine.resync import resync, review_fields
from crmsync.engine.session import utc_now
from crmsync.engine.status import status
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import FeatureMissing
from crmsync.marketo.calls import Call
from crmsync.sandbox.options import Counts
from crmsync.sandbox.server import SandboxThread
from tests.engine.both_sides import (
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.world import World, small_sandbox

FIELD = "new_favouritecolour"
"""A custom column of leads and contacts, and the field of the same name that crmsync made for both."""


async def hide(world: World, field: str, *, hidden: bool = True) -> None:
    """What an administrator does in Admin > Field Management."""
    marketo = await world.marketo()
    call = Call("POST", f"/rest/v1/leads/schema/fields/{field}.json", None)
    await marketo._rest.send(call, body=orjson.dumps({"input": [{"isHidden": hidden}]}))


async def resynced(world: World) -> Any:
    """The procedure of ``crmsync resync``."""
    async with world.session() as session:
        await setup.disable_sync(session, "a field was hidden or shown")
        await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)
    return report


@pytest.mark.parametrize("refused", ["record", "call"])
@pytest.mark.parametrize("to_dynamics", [True, False])
async def test_a_cycle_parks_a_hidden_field_and_goes_on(connected: World, refused: str, to_dynamics: bool) -> None:
    options = {"to_dynamics": to_dynamics}
    contact = await a_synced(connected, "contact", jobtitle="Director", **{FIELD: "Before"})
    await connected.post("switches", {"tenant": "contoso", "unknown_field": refused})
    await hide(connected, FIELD)
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief", **{FIELD: "Meanwhile"})
    new = await (await connected.admin()).create("contacts", {"lastname": "Afterwards", FIELD: "New"})

    report = await cycle_as(connected, **options)

    parked = {(one.entity, one.attribute, one.marketo_field) for one in report.parked}
    assert parked == {("contact", FIELD, FIELD), ("lead", FIELD, FIELD)}
    assert "hidden" in report.parked[0].reason
    assert any(FIELD in note and "parked" in note for note in report.notes)
    assert (await connected.person(contact, "title"))["title"] == "Chief"
    assert (await connected.person(new, "lastName"))["lastName"] == "Afterwards"
    store = await connected.store()
    assert not {contact, new} & {one.record_id for one in await store.errors.all("contoso")}
    shown = await status(store, "contoso")
    assert [one["attribute"] for one in shown["parked_fields"]] == [FIELD, FIELD]
    assert shown["state"] == "syncing"
    await assert_quiet(connected, **options)

    await hide(connected, FIELD, hidden=False)
    await resynced(connected)

    people = {key: (await connected.person(key, FIELD))[FIELD] for key in (contact, new)}
    assert people == {contact: "Meanwhile", new: "New"}
    assert (await status(await connected.store(), "contoso"))["parked_fields"] == []
    await assert_quiet(connected, **options)


async def test_other_fields_changed_in_marketo_still_go_to_dynamics(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director", **{FIELD: "Before"})
    await change_in_marketo(connected, contact, title="Chief", **{FIELD: "After"})
    await hide(connected, FIELD)

    report = await connected.cycle()

    row = await in_dynamics(connected, "contact", contact, "jobtitle", FIELD)
    assert (row["jobtitle"], row[FIELD]) == ("Chief", "Before")
    assert [one.marketo_field for one in report.parked] == [FIELD, FIELD]
    await assert_quiet(connected)


async def test_a_resync_leaves_a_hidden_field_out_and_makes_none_anew(connected: World) -> None:
    await hide(connected, FIELD)

    report = await resynced(connected)

    assert report.total.written == 0
    shown = await status(await connected.store(), "contoso")
    assert [one["attribute"] for one in shown["parked_fields"] + shown["reviewed_fields"]] == [FIELD, FIELD]
    assert (await connected.cycle()).total.written == 0

    await resynced(connected)
    assert (await connected.cycle()).total.written == 0


async def test_a_first_sync_by_import_remembers_nothing_of_a_hidden_field(tmp_path: Path) -> None:
    """Marketo ignores the column of a field that it does not know, and imports the rest of the row."""
    options = small_sandbox(tmp_path / "ready.json", counts=Counts(leads=2600, contacts=20, accounts=4))
    with SandboxThread(options) as ready:
        contoso = World(ready, f"sqlite:///{tmp_path}/state.db")
        await contoso.prepare()
        [lead] = [row["leadid"] for row in await contoso.rows("lead", "leadid", filter="new_synctomkto eq true")][:1]
        await change_in_dynamics(contoso, "lead", lead, **{FIELD: "Before"})
        await hide(contoso, FIELD)

        async with contoso.session() as session:
            report = await first_sync(session)

        assert [(one.attribute, one.marketo_field) for one in report.parked] == [(FIELD, FIELD)] * 2
        assert await contoso.person(lead)
        await hide(contoso, FIELD, hidden=False)
        await resynced(contoso)

        assert (await contoso.person(lead, FIELD))[FIELD] == "Before"
        await contoso.close()


async def test_without_the_key_there_is_no_syncing(connected: World) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await hide(connected, "dynamicsId")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")

    for minutes in (0, 5):
        async with connected.session() as session:
            session.clock = lambda late=minutes: utc_now() + timedelta(minutes=late)
            with pytest.raises(FeatureMissing, match="dynamicsId") as raised:
                await cycle(session, force=True)

    assert "Unhide" in raised.value.remedy
    assert (await status(await connected.store(), "contoso"))["state"] == "stopped"
