"""What the tests of custom entities share: the entities, their records, and the custom objects in Marketo."""

from __future__ import annotations

from typing import Any

import httpx
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


async def a_company(world: World) -> str:
    """An account that is in Marketo."""
    store = await world.store()
    rows = await world.rows("account", "accountid", filter="new_synctomkto eq true and statecode eq 0")
    there = await store.records.in_marketo(world.name, "account", [row["accountid"] for row in rows])
    return sorted(there)[0]


async def delete_type(world: World, api_name: str) -> None:
    """Delete a custom object type, as an administrator of Marketo may."""
    facts, base = world.facts["marketo"], world.tenant.marketo.base_url
    async with world.browser() as browser:
        asked = {"grant_type": "client_credentials", "client_id": world.tenant.marketo.client_id,
                 "client_secret": facts["client_secret"]}  # fmt: skip
        token = (await browser.get(f"{base}/identity/oauth/token", params=asked)).json()["access_token"]
        answer: httpx.Response = await browser.post(
            f"{base}/rest/v1/customobjects/schema/{api_name}/delete.json",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.json()["success"], answer.text


async def add_lookup(world: World, entity: str, target: str) -> None:
    """Give a table a lookup, as an administrator does: new_leadid for lead."""
    admin = await world.admin()
    name = target.capitalize()
    label = {"LocalizedLabels": [{"Label": name, "LanguageCode": 1033}]}
    await admin.channel.send(
        "POST",
        "RelationshipDefinitions",
        json={
            "@odata.type": "Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata",
            "SchemaName": f"new_{target}_{entity}",
            "ReferencedEntity": target,
            "ReferencingEntity": entity,
            "Lookup": {
                "@odata.type": "Microsoft.Dynamics.CRM.LookupAttributeMetadata",
                "SchemaName": f"new_{name}Id",
                "DisplayName": label,
            },
        },
    )


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
