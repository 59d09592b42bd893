"""What people do and see in the scenarios, beside ``tests.engine.both_sides``: records of every entity."""

from __future__ import annotations

from typing import Any

from tests.engine.both_sides import KEYS
from tests.world import World

SETS = {"lead": "leads", "contact": "contacts", "account": "accounts", "opportunity": "opportunities"}
NAMES = {"lead": "lastname", "contact": "lastname", "account": "name", "opportunity": "name"}
READ = {
    "account": ("companies", "externalCompanyId", "company"),
    "opportunity": ("opportunities", "externalOpportunityId", "name"),
}


async def new_in_dynamics(world: World, entity: str, name: str, **values: Any) -> str:
    """A record that somebody makes in Dynamics."""
    admin = await world.admin()
    return await admin.create(SETS[entity], {NAMES[entity]: name, **values})


async def change(world: World, entity: str, record: str, **values: Any) -> None:
    """A change that somebody makes in Dynamics, to a record of any entity."""
    admin = await world.admin()
    await admin.update(SETS[entity], record, values)


async def delete_in_dynamics(world: World, entity: str, record: str) -> None:
    admin = await world.admin()
    await admin.delete(SETS[entity], record)


async def name_in_marketo(world: World, entity: str, record: str) -> str | None:
    """The name under which Marketo has a record; None when it has it not. Two of it fail."""
    if entity in KEYS:
        people = (await world.people([record], "lastName")).get(record, [])
        return _only([person["lastName"] for person in people])
    method, key, field = READ[entity]
    rows = await getattr(await world.marketo(), method)(key, [record], [field])
    return _only([row[field] for row in rows])


async def company(world: World, account: str, *fields: str) -> dict[str, Any]:
    """The one company of this account."""
    [found] = await (await world.marketo()).companies("externalCompanyId", [account], list(fields))
    return found


async def users(world: World) -> list[str]:
    """Users of Dynamics whom records can be assigned to, and whom Marketo has as sales persons."""
    rows = await world.rows("systemuser", "systemuserid", filter="isdisabled eq false and applicationid eq null")
    ids = [str(row["systemuserid"]) for row in rows]
    there = await (await world.marketo()).sales_persons("externalSalesPersonId", ids, ["externalSalesPersonId"])
    return sorted(row["externalSalesPersonId"] for row in there)


async def sync_errors(world: World, record: str) -> list[Any]:
    """What stands in the table of sync errors about this record."""
    return [one for one in await (await world.store()).errors.all(world.name) if one.record_id == record]


def _only(found: list[str]) -> str | None:
    assert len(found) <= 1, f"Marketo has it {len(found)} times"
    return found[0] if found else None
