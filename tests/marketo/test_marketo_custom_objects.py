"""Custom objects through the client: making a type, whatever is there of it, and writing its records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from crmsync.errors import FeatureMissing, PermissionMissing, RecordRefused
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.schema import NewCustomObject, NewObjectField, NewPersonField
from crmsync.sandbox.core import PERMISSIONS, Clock, Limits, Subscription
from crmsync.sandbox.marketo.app import marketo_app
from crmsync.secrets import SecretSource
from crmsync.tenants import MarketoConnection, Quota

BASE = "https://marketo.test"
SCHEMA = "/rest/v1/customobjects/schema.json"
KEY = "dynamicsId"
FIELDS = (
    NewObjectField(name=KEY, display_name="Dynamics Id", data_type="string", is_dedupe=True),
    NewObjectField(name="linkToPerson", display_name="Person", data_type="link", related=("lead", "Dynamics Id")),
    NewObjectField(name="place", display_name="Place", data_type="string"),
)
VISIT = NewCustomObject(name="visit", display_name="Visit", plural_name="Visits", fields=FIELDS)
MORE = NewObjectField(name="story", display_name="Story", data_type="text")


@pytest.fixture
def subscription(tmp_path: Path) -> Subscription:
    return Subscription(
        munchkin_id="123-ABC-456",
        base_url=BASE,
        client_id="service-1",
        client_secret="secret-1",
        user_email="api@example.com",
        permissions=set(PERMISSIONS),
        clock=Clock(),
        limits=Limits(documented=False),
        database=tmp_path / "marketo.db",
    )


@pytest.fixture
async def marketo_client(subscription: Subscription) -> AsyncIterator[MarketoClient]:
    """A client of the sandbox's Marketo, in which people have their key."""
    app = marketo_app(subscription)
    connection = MarketoConnection(base_url=BASE, client_id="service-1", client_secret=SecretSource(env="UNUSED"))
    transport = httpx.ASGITransport(app)
    async with MarketoClient(connection, SecretStr("secret-1"), tenant="c", quota=Quota(), transport=transport) as made:
        await made.create_person_fields([NewPersonField(name=KEY, display_name="Dynamics Id", data_type="string")])
        yield made
    await app.state.close()


async def test_a_type_is_made_approved_and_told(marketo_client: MarketoClient) -> None:
    await marketo_client.make_custom_object(VISIT)
    await marketo_client.make_custom_object(VISIT)

    found = (await marketo_client.custom_object_types()).types["visit"]
    assert (found.is_approved, found.has_draft, found.dedupe_fields) == (True, False, (KEY,))
    assert found.links == {"linkToPerson": ("lead", "dynamicsid")}
    assert {"place", KEY, "linkToPerson"} <= found.fields.keys()


async def test_what_a_killed_run_left_is_taken_up(marketo_client: MarketoClient) -> None:
    """The first run made the type and died; the second made fields that Marketo refused in part."""
    wrong = MORE.model_copy(update={"data_type": "nonsense"})
    with pytest.raises(RecordRefused):
        await marketo_client.make_custom_object(VISIT.model_copy(update={"fields": (*FIELDS, wrong)}))
    assert (await marketo_client.custom_object_types()).types["visit"].is_approved is False

    await marketo_client.make_custom_object(VISIT)

    assert (await marketo_client.custom_object_types()).types["visit"].is_approved


async def test_fields_are_added_to_an_approved_type(marketo_client: MarketoClient) -> None:
    await marketo_client.make_custom_object(VISIT)

    await marketo_client.make_custom_object(VISIT.model_copy(update={"fields": (MORE,)}))

    found = (await marketo_client.custom_object_types()).types["visit"]
    assert (found.has_draft, found.fields["story"].data_type) == (False, "text")


async def test_what_may_be_linked_to_is_told_by_every_name(marketo_client: MarketoClient) -> None:
    linkable = (await marketo_client.custom_object_types()).linkable

    assert linkable["lead"]["dynamics id"] == "Dynamics Id"
    assert "id" in linkable["company"] or any("id" in name for name in linkable["company"])


async def test_records_are_written_found_and_deleted(marketo_client: MarketoClient) -> None:
    await marketo_client.make_custom_object(VISIT)
    await marketo_client.sync_people([{KEY: "p1", "email": "a@example.com"}])
    many = [{KEY: f"v{number}", "linkToPerson": "p1", "place": "Oslo"} for number in range(310)]

    outcomes = await marketo_client.sync_custom_objects("visit", KEY, [*many, {KEY: "x", "linkToPerson": "nobody"}])

    assert [outcome.status for outcome in outcomes] == ["created"] * 310 + ["skipped"]
    assert outcomes[-1].code == "1004"
    again = await marketo_client.sync_custom_objects("visit", KEY, [{KEY: "v0", "place": None}])
    assert [outcome.status for outcome in again] == ["updated"]
    keys = [record[KEY] for record in many]
    assert len(await marketo_client.custom_objects("visit", KEY, keys, [KEY, "place"])) == 310
    gone = await marketo_client.delete_custom_objects("visit", KEY, ["v0", "never there"])
    assert [outcome.status for outcome in gone] == ["deleted", "deleted"]


async def test_a_subscription_without_types_says_so(subscription: Subscription, marketo_client: MarketoClient) -> None:
    subscription.switches["custom_object_types"] = "off"
    with pytest.raises(FeatureMissing):
        await marketo_client.custom_object_types()


@pytest.mark.parametrize("name", ["Read-Write Custom Object", "Read-Write Custom Object Type"])
async def test_permissions_are_looked_for_where_custom_objects_are_wanted(
    subscription: Subscription, marketo_client: MarketoClient, name: str
) -> None:
    related = {one for one in subscription.permissions if one.startswith(name.split()[0]) or "Custom Object" in one}
    subscription.permissions -= {name, name.replace("Read-Write", "Read-Only")}

    found = await marketo_client.permissions(custom_objects=True)

    assert related
    assert [one for one, given in found.items() if not given] == [name]
    assert name not in await marketo_client.permissions()


async def test_a_lost_answer_to_making_a_type_is_not_repeated(client: Any, marketo: Any, reply: Any) -> None:
    marketo.on("GET", SCHEMA, reply.ok())
    marketo.on("POST", SCHEMA, reply.fault("603"))

    with pytest.raises(PermissionMissing):
        await client.make_custom_object(VISIT)

    assert len(marketo.calls(SCHEMA)) == 2
