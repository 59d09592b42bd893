"""A tenant that was away for longer than Marketo keeps activities: it says since when, and compares by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.back import catchup
from crmsync.engine.back.streams import CATCH_UP
from crmsync.engine.compare import compare
from crmsync.engine.report import SyncReport
from crmsync.engine.resync import resync
from crmsync.engine.session import utc_now
from crmsync.engine.status import status
from crmsync.engine.sync import cycle
from crmsync.errors import ServiceUnavailable
from crmsync.tenants import Tenant
from tests.engine.both_sides import a_synced, change_in_dynamics, change_in_marketo, in_dynamics
from tests.engine.test_created_in_marketo import a_list, creating, put_on_list, record_of, somebody
from tests.world import World


class Away:
    """A tenant whose cycles do not run for some days; nobody waits for them to pass."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.days = timedelta()
        self._tenant = Tenant.model_validate(world.tenant.model_dump(exclude_unset=True) | options)

    async def pass_days(self, number: int) -> None:
        self.days += timedelta(days=number)
        await self.world.post("clock", {"advance_seconds": number * 86_400})

    async def cycle(self) -> SyncReport:
        async with self.world.session(tenant=self._tenant) as session:
            session.clock = lambda: utc_now() + self.days
            return await cycle(session, force=True)

    async def keeps_tokens(self, taken: bool) -> None:
        """Whether Marketo takes a paging token of any age, or only of a day."""
        hours = 10_000 if taken else 24
        await self.world.post("switches", {"tenant": "contoso", "paging_token_hours": hours})


@pytest.mark.parametrize("taken", [True, False], ids=["token taken", "token refused"])
@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_what_was_changed_before_the_90_days_is_found_by_comparing(
    connected: World, taken: bool, entity: str
) -> None:
    away = Away(connected)
    await away.keeps_tokens(taken)
    changed = await a_synced(connected, entity, jobtitle="Director", donotbulkemail=False)
    both = await a_synced(connected, entity, number=1, jobtitle="Director")
    last = utc_now()
    await change_in_marketo(connected, changed, title="Chief", unsubscribed=True)
    await change_in_marketo(connected, both, title="Chief")
    await change_in_dynamics(connected, entity, both, jobtitle="Head")
    await away.pass_days(100)

    report = await away.cycle()

    row = await in_dynamics(connected, entity, changed, "jobtitle", "donotbulkemail")
    assert (row["jobtitle"], row["donotbulkemail"]) == ("Chief", True)
    winner = {"lead": "Chief", "contact": "Head"}[entity]
    assert (await in_dynamics(connected, entity, both, "jobtitle"))["jobtitle"] == winner
    assert (await connected.person(both, "title"))["title"] == winner, "the conflict rules decide"
    assert any(f"{last:%Y-%m-%d}" in note and "90 days" in note for note in report.notes), report.notes
    assert any("was caught up with" in note for note in report.notes), report.notes

    again = await away.cycle()
    assert again.total.written == again.total_to_dynamics.written == 0
    assert not [note for note in again.notes if "caught up" in note or "90 days" in note]


@pytest.mark.parametrize("days", [20, 100])
async def test_who_was_deleted_before_the_14_days_is_found_by_comparing(connected: World, days: int) -> None:
    away = Away(connected)
    await away.keeps_tokens(True)
    contact = await a_synced(connected, "contact", jobtitle="Director")
    marketo = await connected.marketo()
    await marketo.delete_people([(await connected.person(contact))["id"]])
    await away.pass_days(days)

    report = await away.cycle()

    store = await connected.store()
    assert (await store.records.known("contoso", "contact", [contact]))[contact].status == "gone"
    assert any("1 were deleted" in note for note in report.notes), report.notes
    await change_in_dynamics(connected, "contact", contact, jobtitle="Chief")
    await away.cycle()
    assert contact not in await connected.people([contact]), "nobody is created a second time"


async def test_nothing_is_compared_before_anything_is_missing(connected: World) -> None:
    away = Away(connected)
    await away.keeps_tokens(True)
    await away.pass_days(13)

    report = await away.cycle()

    assert not [note for note in report.notes if "caught up" in note or "Marketo keeps" in note]


async def test_an_idle_look_does_not_move_past_a_gap(connected: World) -> None:
    """Nothing happened since on either side, but for what Marketo does not keep any more."""
    away = Away(connected)
    await away.keeps_tokens(True)
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await connected.cycle()
    await change_in_marketo(connected, contact, title="Chief")
    for _ in range(20):  # delta links live for a week
        await away.pass_days(5)
        async with connected.session(tenant=away._tenant.model_copy(update={"to_dynamics": False})) as session:
            await cycle(session, force=True)

    await away.cycle()

    assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"


async def test_who_came_to_the_list_in_the_gap_is_created(connected: World) -> None:
    away = Away(connected, **creating("lead"))
    await away.keeps_tokens(True)
    number = await a_list(connected)
    await away.cycle()
    ada = await somebody(connected)
    await put_on_list(connected, number, ada)
    await away.pass_days(100)

    report = await away.cycle()

    assert report.to_dynamics["lead"].created == 1
    assert (await record_of(connected, ada))["dynamicsId"]


async def test_a_run_that_dies_in_between_goes_on_where_it_was(
    connected: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "PAGE", 20)
    away = Away(connected)
    await away.keeps_tokens(True)
    contacts = [await a_synced(connected, "contact", number=at, jobtitle="Director") for at in range(3)]
    for contact in contacts:
        await change_in_marketo(connected, contact, title="Chief")
    await away.pass_days(100)
    fault = {"service": "marketo", "path": "/rest/v1/leads.json", "kind": "status", "status": 503, "skip": 3}
    await connected.post("faults", {**fault, "times": 1_000})
    with pytest.raises(ServiceUnavailable):
        await away.cycle()
    async with connected.browser() as client:
        await client.delete(f"{connected.ready.admin_url}/faults")
    store = await connected.store()
    before = (await store.inbox.watermarks("contoso"))[CATCH_UP]
    shown = await status(store, "contoso")
    assert shown["catching_up_since"] is not None
    async with connected.session() as session:
        assert any("caught up" in note for note in (await compare(session, entities=["lead"])).notes)

    report = await away.cycle()

    assert before.token.split(" ")[-1], "some people were compared, and are not compared again"
    for contact in contacts:
        assert (await in_dynamics(connected, "contact", contact, "jobtitle"))["jobtitle"] == "Chief"
    assert any("was caught up with" in note for note in report.notes), report.notes
    assert CATCH_UP not in await store.inbox.watermarks("contoso")
    assert (await status(store, "contoso"))["catching_up_since"] is None


async def test_a_round_compares_some_and_the_cycle_goes_round_until_all_are(
    connected: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Dynamics changes meanwhile is not written over what was changed in the gap."""
    monkeypatch.setattr(catchup, "PAGE", 1)
    away = Away(connected)
    await away.keeps_tokens(True)
    contact = await a_synced(connected, "contact", jobtitle="Director")
    await change_in_marketo(connected, contact, title="Chief", mobilePhone="+1 555 0100")
    await change_in_dynamics(connected, "contact", contact, jobtitle="Head")
    await away.pass_days(100)

    report = await away.cycle()

    row = await in_dynamics(connected, "contact", contact, "jobtitle", "mobilephone")
    assert (row["jobtitle"], row["mobilephone"]) == ("Head", "+1 555 0100")
    assert report.to_dynamics["contact"].collisions == 1, "both had changed the title, and it was decided"
    assert any("was caught up with" in note for note in report.notes)


async def test_a_delta_link_that_expired_says_from_when_it_was(connected: World) -> None:
    away = Away(connected)
    last = utc_now()
    await away.pass_days(8)

    report = await away.cycle()

    assert any("delta link" in note and f"{last:%Y-%m-%d}" in note for note in report.notes), report.notes


@pytest.mark.parametrize("entity", ["lead", "contact"])
async def test_a_resync_does_not_write_over_what_was_changed_in_marketo_while_nobody_read_it(
    connected: World, entity: str
) -> None:
    record = await a_synced(connected, entity, jobtitle="Director")
    async with connected.session() as session:
        await setup.disable_sync(session, "holidays")
        await change_in_marketo(connected, record, title="Chief")
        await change_in_dynamics(connected, entity, record, jobtitle="Head")
        await resync(session, entities=[entity])
        await setup.enable_sync(session)

    await connected.cycle()

    winner = {"lead": "Chief", "contact": "Head"}[entity]
    assert (await in_dynamics(connected, entity, record, "jobtitle"))["jobtitle"] == winner
    assert (await connected.person(record, "title"))["title"] == winner
    [collision] = await (await connected.store()).collisions.all("contoso")
    assert (collision.record_id, collision.marketo_field) == (record, "title")
