"""What the tests of qualification and merges share: the actions as a user in Dynamics takes them, and who is who."""

from __future__ import annotations

from typing import Any

from tests.engine.both_sides import KEYS, SETS
from tests.world import World

TYPE = "Microsoft.Dynamics.CRM."


async def qualify(world: World, lead: str, *, contact: bool = True, account: bool = False, **more: Any) -> str:
    """``QualifyLead``; the new contact's id, or nothing."""
    admin = await world.admin()
    body = {"CreateAccount": account, "CreateContact": contact, "CreateOpportunity": False, "Status": 3, **more}
    answer = await admin.channel.send("POST", f"leads({lead})/{TYPE}QualifyLead", json=body)
    made = {one["@odata.type"].rpartition(".")[2]: one for one in answer.body["value"]}
    return str(made["contact"]["contactid"]) if contact else ""


async def merge(world: World, entity: str, winner: str, loser: str, **content: Any) -> None:
    """``Merge``; ``content`` are values that the winner takes over."""
    admin = await world.admin()
    kind = {"@odata.type": TYPE + entity}
    body = {
        "Target": {KEYS[entity]: winner, **kind},
        "Subordinate": {KEYS[entity]: loser, **kind},
        "UpdateContent": {**kind, **content},
        "PerformParentingChecks": False,
    }
    await admin.channel.send("POST", "Merge", json=body)


async def new(world: World, entity: str, **values: Any) -> str:
    """A record that a user makes; the next cycle carries it."""
    admin = await world.admin()
    values = {"firstname": "Ada", "lastname": "Lovelace", "new_synctomkto": True, **values}
    return await admin.create(SETS[entity], values)


async def person_id(world: World, record: str) -> int:
    """Marketo's id of the one person of this record."""
    return int((await world.person(record))["id"])


async def nobody(world: World, *records: str) -> bool:
    """Whether Marketo has no person under any of these keys."""
    return await world.people(list(records)) == {}


async def how_many(world: World, mail: str) -> int:
    """How many people in Marketo have this e-mail address."""
    marketo = await world.marketo()
    return len(await marketo.people("email", [mail], ["id"]))


async def status_of(world: World, entity: str, record: str) -> str:
    """What the ledger says of this record."""
    store = await world.store()
    return (await store.records.known(world.name, entity, [record]))[record].status
