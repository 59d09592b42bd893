"""What must be true after all that went wrong."""

from __future__ import annotations

from crmsync.state.lifecycle import TenantState
from tests.world import World


async def in_step(world: World) -> bool:
    """Every record is in Marketo, once, with its last value; nothing is left to do."""
    leads = await world.rows("lead", "leadid", "jobtitle", filter="new_synctomkto ne false")
    contacts = await world.rows("contact", "contactid", "jobtitle", filter="new_synctomkto ne false")
    wanted = {str(row.get("leadid") or row["contactid"]): row["jobtitle"] or None for row in (*leads, *contacts)}
    errors = await (await world.store()).errors.all(world.name)
    assert len(errors) < len(wanted) / 10, "a handful of values that Marketo does not take"
    refused = {error.record_id for error in errors if not error.field}
    without_title = {error.record_id for error in errors if error.field == "title"}
    people = await world.people(list(wanted), "title")
    assert {one: len(found) for one, found in people.items()} == dict.fromkeys(wanted.keys() - refused, 1)
    titles = {one: found[0]["title"] for one, found in people.items() if one not in without_title}
    assert titles == {one: wanted[one] for one in titles}
    return (await world.cycle()).total.written == 0


async def movers(world: World) -> list[str]:
    """The runs that ended the first sync: one."""
    history = await (await world.store()).tenants.history(world.name)
    return [move.run for move in history if move.to_state == TenantState.SYNCING]
