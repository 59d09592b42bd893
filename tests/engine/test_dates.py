"""A date that a user picked in Auckland, in Marketo and back; a tenant that was connected before dates had a zone."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from crmsync.engine import setup
from crmsync.engine.report import SyncReport
from crmsync.engine.resync import resync, review_fields
from crmsync.state.schemas import SchemaStore
from crmsync.tenants import Tenant
from tests.engine.both_sides import (
    a_synced,
    assert_quiet,
    change_in_dynamics,
    change_in_marketo,
    cycle_as,
    in_dynamics,
)
from tests.engine.test_metadata_changes import label
from tests.world import World

AUCKLAND = {"fields": {"time_zone": "Pacific/Auckland"}}
PICKED = {
    "@odata.type": "Microsoft.Dynamics.CRM.DateTimeAttributeMetadata",
    "SchemaName": "new_PickedOn",
    "Format": "DateOnly",
    "DateTimeBehavior": {"Value": "UserLocal"},
    "DisplayName": label("Picked On"),
}
FIRST_OF_APRIL = "2026-03-31T11:00:00Z"
"""Midnight of 1 April 2026 in Auckland, as Dynamics keeps it."""


async def resynced(world: World, **options: Any) -> SyncReport:
    """The procedure of ``crmsync resync`` with other options in the tenant file."""
    tenant = Tenant.model_validate(world.tenant.model_dump(exclude_unset=True) | options)
    async with world.session(tenant=tenant) as session:
        await setup.disable_sync(session, "the tenant file changed")
        await setup.refresh_schema(session)
        await review_fields(session)
        report = await resync(session)
        await setup.enable_sync(session)
    return report


@pytest.fixture
async def contact(connected: World) -> str:
    """A contact for whom a date was picked in Auckland, in a column that nobody has synced yet."""
    await (await connected.admin()).create_attribute("contact", PICKED)
    found = await a_synced(connected, "contact")
    await change_in_dynamics(connected, "contact", found, new_pickedon=FIRST_OF_APRIL)
    return found


async def picked(world: World, contact: str) -> tuple[Any, Any]:
    row = await in_dynamics(world, "contact", contact, "new_pickedon")
    return row["new_pickedon"], (await world.person(contact, "new_pickedon"))["new_pickedon"]


async def test_a_date_picked_in_auckland_is_that_date_in_marketo_and_back(connected: World, contact: str) -> None:
    await resynced(connected, **AUCKLAND)
    assert await picked(connected, contact) == (FIRST_OF_APRIL, "2026-04-01")
    await assert_quiet(connected, **AUCKLAND)

    await change_in_marketo(connected, contact, new_pickedon="2026-07-01")
    await cycle_as(connected, **AUCKLAND)

    assert await picked(connected, contact) == ("2026-06-30T12:00:00Z", "2026-07-01")
    await assert_quiet(connected, **AUCKLAND)


async def test_a_field_that_was_made_as_a_datetime_becomes_a_date_when_its_type_is_changed(
    connected: World, contact: str
) -> None:
    await resynced(connected)
    assert await picked(connected, contact) == (FIRST_OF_APRIL, FIRST_OF_APRIL)
    await resynced(connected, **AUCKLAND)
    assert await picked(connected, contact) == (FIRST_OF_APRIL, FIRST_OF_APRIL), "its type does not change by itself"

    await connected.post(
        "field-types", {"tenant": "contoso", "target": "person", "name": "new_pickedon", "type": "date"}
    )
    await resynced(connected, **AUCKLAND)

    assert await picked(connected, contact) == (FIRST_OF_APRIL, "2026-04-01")
    await assert_quiet(connected, **AUCKLAND)


async def test_better_words_for_what_is_lost_have_nobody_read_again(connected: World, contact: str) -> None:
    """Selection and checkpoints are as the version before kept them: other words, and no zone."""
    await resynced(connected)
    store = await connected.store()
    await _as_before(store.schemas, await store.schemas.selection("contoso") or "")
    old = json.loads(await store.schemas.selection("contoso") or "")
    async with connected.session() as session:
        schema, _ = await setup.snapshots(session)
        selection = await setup.saved_selection(session)
    assert schema is not None
    assert selection is not None
    for checkpoint in (await store.checkpoints.all("contoso")).values():
        if checkpoint.entity not in old["mappings"]:
            continue
        mappings = [
            json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in old["mappings"][checkpoint.entity]
        ]
        text = "\n".join([*selection.select(schema.entities[checkpoint.entity]), *mappings])
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        await store.checkpoints.put("contoso", checkpoint.model_copy(update={"selection_digest": digest}))

    assert (await connected.cycle()).total.read <= 1
    assert (await resynced(connected)).skipped is not None


async def _as_before(schemas: SchemaStore, selection: str) -> None:
    old = json.loads(selection)
    for mapping in (mapping for mappings in old["mappings"].values() for mapping in mappings):
        del mapping["zone"]
        if "option renamed" in (mapping["lossy"] or ""):
            mapping["lossy"] = mapping["lossy"].replace(" or a resync", "")
        if mapping["attribute"] == "new_pickedon":
            mapping["lossy"] = "fractions of a second are dropped"
    await schemas.keep_selection("contoso", json.dumps(old, separators=(",", ":"), ensure_ascii=False))
