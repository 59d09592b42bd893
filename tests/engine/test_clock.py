"""A machine whose clock is wrong: what happens in Marketo is asked for by Marketo's clock, which its answers tell."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmsync.engine.session import utc_now
from crmsync.engine.sync import cycle, first_sync
from tests.engine.both_sides import a_synced, change_in_marketo, in_dynamics
from tests.world import World

WRONG = pytest.mark.parametrize("minutes", [10, -10], ids=["ten minutes ahead", "ten minutes behind"])


@WRONG
async def test_what_changes_in_marketo_right_after_the_first_sync_arrives(contoso: World, minutes: int) -> None:
    await contoso.prepare()
    async with contoso.session() as session:
        session.clock = lambda: utc_now() + timedelta(minutes=minutes)
        await first_sync(session)
        await cycle(session, force=True)
        contact = await a_synced(contoso, "contact", jobtitle="Director")
        await cycle(session, force=True)

        await change_in_marketo(contoso, contact, title="Chief")
        await cycle(session, force=True)

    assert (await in_dynamics(contoso, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"


@WRONG
async def test_a_lost_paging_token_is_replaced_by_one_of_marketos_time(connected: World, minutes: int) -> None:
    contact = await a_synced(connected, "contact", jobtitle="Director")
    async with connected.session() as session:
        session.clock = lambda: utc_now() + timedelta(minutes=minutes)
        await cycle(session, force=True)
        await change_in_marketo(connected, contact, title="Chief")
        await connected.post("clock", {"advance_seconds": 25 * 3600})
        session.clock = lambda: utc_now() + timedelta(minutes=minutes, hours=25)

        report = await cycle(session, force=True)

    assert any("paging token" in note for note in report.notes)
    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
