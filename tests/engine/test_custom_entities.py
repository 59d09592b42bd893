"""Custom entities become custom objects that hang on the person or the company, in a lane of their own."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.dynamics import setup_tables
from crmsync.dynamics.setup_tables import tracking
from crmsync.engine import setup
from crmsync.engine.sync import first_sync
from tests.world import World

REGISTRATION, ORDER_LINE = "new_eventregistration", "new_orderline"
KEY, PERSON, COMPANY = "dynamicsId", "linkToPerson", "linkToCompany"


def name_custom_entities(world: World, *lines: str) -> None:
    """Write these into the tenant file."""
    path = world.ready.tenants_folder / f"{world.name}.yaml"
    before = path.read_text().partition("custom_entities:")[0].rstrip()
    path.write_text("\n".join([before, "custom_entities:", *[f"  - {line}" for line in lines], ""]))


async def select(world: World) -> None:
    """What an administrator does to have them synced: ``crmsync connect`` once more, while cycles go on."""
    async with world.session() as session:
        await setup.refresh_schema(session)
        await setup.select_fields(session)
        await setup.enable_sync(session)
        await first_sync(session)


async def track(world: World, entity: str) -> None:
    admin = await world.admin()
    await setup_tables.enable_tracking(admin.channel, await tracking(admin.channel, entity))


async def objects(world: World, api_name: str, ids: list[str], *fields: str) -> dict[str, dict[str, Any]]:
    """Custom objects by their Dynamics id; each at most once, because it is the dedupe field."""
    marketo = await world.marketo()
    rows = await marketo.custom_objects(api_name, KEY, ids, [KEY, *fields])
    found = {row[KEY]: row for row in rows}
    assert len(found) == len(rows)
    return found


async def a_contact(world: World) -> str:
    """A contact that is in Marketo."""
    store = await world.store()
    rows = await world.rows("contact", "contactid", filter="new_synctomkto eq true and statecode eq 0")
    there = await store.records.in_marketo(world.name, "contact", [row["contactid"] for row in rows])
    return sorted(there)[0]


async def register(world: World, contact: str | None, **values: Any) -> str:
    admin = await world.admin()
    link = {"new_ContactId@odata.bind": f"/contacts({contact})"} if contact else {}
    return await admin.create("new_eventregistrations", {"new_name": "Summit", **link, **values})


@pytest.fixture
async def registering(connected: World) -> World:
    """A tenant whose event registrations are synced, some cycles after it was connected."""
    await connected.cycle()
    name_custom_entities(connected, REGISTRATION)
    await select(connected)
    await connected.cycle()
    return connected


async def test_enabling_one_needs_no_stop_and_brings_all_records(connected: World) -> None:
    name_custom_entities(connected, REGISTRATION)
    async with connected.session() as session:
        assert (await session.store.tenants.get(session.name)).state == "syncing"

    await select(connected)
    report = await connected.cycle()

    rows = await connected.rows(REGISTRATION, "_new_contactid_value", "new_fee", "new_attendance")
    counts = report.entities[REGISTRATION]
    assert counts.read == len(rows) > 0
    assert counts.created + counts.filtered == counts.read
    there = await objects(connected, REGISTRATION, [row["new_eventregistrationid"] for row in rows], PERSON, "new_fee")
    contacts = {row["_new_contactid_value"] for row in rows} - {None}
    in_marketo = await (await connected.store()).records.in_marketo(connected.name, "contact", contacts)
    assert {row["new_eventregistrationid"] for row in rows if row["_new_contactid_value"] in {*in_marketo, None}} == (
        there.keys()
    )
    for row in rows:
        if (found := there.get(row["new_eventregistrationid"])) is not None:
            assert found.get(PERSON) == row["_new_contactid_value"]
            assert found.get("new_fee") == pytest.approx(row["new_fee"])
    assert (await connected.cycle()).total.written == 0
