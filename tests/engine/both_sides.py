"""What the tests of both directions share: a synced record, a change as another integration makes it, and quiet."""

from __future__ import annotations

from typing import Any

from crmsync.engine.sync import cycle
from crmsync.tenants import Tenant
from tests.world import World

KEYS = {"lead": "leadid", "contact": "contactid"}
SETS = {"lead": "leads", "contact": "contacts"}


async def a_synced(world: World, entity: str, *, number: int = 0, **values: Any) -> str:
    """A record that both sides have, with these values in Dynamics (set, synced, and quiet)."""
    rows = await world.rows(entity, KEYS[entity], filter="new_synctomkto eq true and statecode eq 0")
    people = await world.people([row[KEYS[entity]] for row in rows])
    record = sorted(people)[number]
    if values:
        admin = await world.admin()
        await admin.update(SETS[entity], record, values)
        await world.cycle()
    return record


async def change_in_marketo(world: World, record: str, **values: Any) -> None:
    """Change the person as another integration would: by Marketo's id, through the same API."""
    marketo = await world.marketo()
    person = await world.person(record)
    [outcome] = await marketo.sync_people([{"id": person["id"], **values}], action="updateOnly", lookup_field="id")
    assert outcome.status == "updated", outcome


async def change_in_dynamics(world: World, entity: str, record: str, **values: Any) -> None:
    admin = await world.admin()
    await admin.update(SETS[entity], record, values)


async def in_dynamics(world: World, entity: str, record: str, *columns: str) -> dict[str, Any]:
    [row] = await world.rows(entity, *columns, filter=f"{KEYS[entity]} eq {record}")
    return row


async def cycle_as(world: World, **options: Any) -> Any:
    """A cycle of the tenant with other options in its file."""
    tenant = Tenant.model_validate(world.tenant.model_dump(exclude_unset=True) | options)
    async with world.session(tenant=tenant) as session:
        return await cycle(session, force=True)


async def versions(world: World) -> dict[str, int]:
    """The version of the row that was written last in Dynamics, by entity: any write makes a higher one."""
    rows = {entity: await world.rows(entity, "versionnumber") for entity in KEYS}
    return {entity: max((int(row["versionnumber"]) for row in found), default=0) for entity, found in rows.items()}


async def assert_quiet(world: World, **options: Any) -> None:
    """The next cycle writes nothing, on neither side."""
    before = await versions(world), await world.written()
    report = await cycle_as(world, **options)
    assert report.total.written == 0
    assert sum(one.written for one in report.to_dynamics.values()) == 0
    assert (await versions(world), await world.written()) == before
