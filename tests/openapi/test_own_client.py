"""Every call that crmsync's Marketo client can make, made once against the sandbox: nothing outside Adobe's files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from crmsync.marketo.activities import MERGE_LEADS
from crmsync.marketo.bulk import Imports
from crmsync.marketo.calls import CALLS
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.schema import NewCustomObject, NewObjectField, NewPersonField
from crmsync.sandbox.core import PERMISSIONS, Clock, Limits, Subscription
from crmsync.sandbox.marketo.app import marketo_app
from crmsync.sandbox.observing import Exchange, Observer, observers
from crmsync.secrets import SecretSource
from crmsync.tenants import MarketoConnection, Quota
from tests.openapi.checker import Checker, is_own
from tests.openapi.specification import Specification

BASE = "https://marketo.test"
LIST = "Sync Person to Microsoft"
SPECIFICATION = Specification.load()
KEY = NewPersonField(name="dynamicsId", display_name="Dynamics Id", data_type="string", description="Ours")
MANY = [f"{number:036x}" for number in range(310)]


@pytest.fixture
def seen() -> Iterator[list[Exchange]]:
    """What went over the wire in this test."""
    seen: list[Exchange] = []
    observer: Observer = seen.append
    observers.append(observer)
    yield seen
    observers.remove(observer)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[MarketoClient]:
    subscription = Subscription(
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
    app = marketo_app(subscription)
    app.state.marketo.add_list(LIST)
    connection = MarketoConnection(base_url=BASE, client_id="service-1", client_secret=SecretSource(env="UNUSED"))
    secret, transport = SecretStr("secret-1"), httpx.ASGITransport(app)
    quota = Quota(marketo_calls_per_20_seconds=100)  # all calls below fit into one window
    async with MarketoClient(connection, secret, tenant="contoso", quota=quota, transport=transport) as client:
        yield client
    await app.state.close()


async def everything(client: MarketoClient) -> None:
    """Each method of the client, long lists and refused records included."""
    assert await client.identity() == "api@example.com"
    await client.usage_today()
    await client.create_person_fields([KEY])
    await client.permissions()
    await client.native_sync_is_on()
    await client.schema()
    await client.sync_sales_persons([{"externalSalesPersonId": "u1", "email": "owner@example.com"}])
    await client.sync_companies([{"externalCompanyId": "a1", "company": "Contoso", "externalSalesPersonId": "u1"}])
    people = [{"dynamicsId": key, "email": None, "externalCompanyId": "a1"} for key in MANY]
    outcomes = await client.sync_people([*people, {"dynamicsId": "x", "externalCompanyId": "nobody"}])
    assert [outcome.status for outcome in outcomes[-2:]] == ["created", "skipped"]
    for values in (MANY, MANY[:2]):
        assert len(await client.people("dynamicsId", values, ["id", "dynamicsId", "email"])) == len(values)
        await client.companies("externalCompanyId", values, ["company"])
        await client.sales_persons("externalSalesPersonId", values, [])
    await client.delete_people([int(str(outcomes[0].id)), 999_999])
    await opportunities(client, int(str(outcomes[3].id)))
    await custom_objects(client)
    await activities(client)
    await client.merge_people(int(str(outcomes[1].id)), [int(str(outcomes[2].id))])
    await an_import(client.imports(), b"dynamicsId,firstName,odd\r\nk1,Ann,1\r\n,Nobody,2\r\n")


async def opportunities(client: MarketoClient, person: int) -> None:
    """Opportunities and a role, until they are deleted."""
    rows = [{"externalOpportunityId": key, "name": key} for key in MANY]
    assert {outcome.status for outcome in await client.sync_opportunities(rows)} == {"created"}
    role = {"externalOpportunityId": MANY[0], "leadId": person, "role": "Buyer"}
    assert [outcome.status for outcome in await client.sync_roles([role])] == ["created"]
    for values in (MANY, MANY[:2]):
        assert len(await client.opportunities("externalOpportunityId", values, ["name"])) == len(values)
    assert len(await client.roles("externalOpportunityId", MANY[:2], ["role"])) == 1
    assert len(await client.roles_by_key([role], ["role"])) == 1
    await client.delete_roles([role])
    await client.delete_opportunities(MANY[:2])


async def activities(client: MarketoClient) -> None:
    """What happened since yesterday, and who is on a list."""
    token = await client.paging_token(datetime.now(UTC) - timedelta(days=1))
    for pages in (
        client.lead_changes(token, ["email"]),
        client.deletions(token),
        client.activities(token, [MERGE_LEADS]),
    ):
        assert [page async for page in pages]
    [found] = await client.static_lists(name=LIST)
    assert await client.static_lists(id=found.id) == [found]
    assert [page async for page in client.list_members(found.id, ["email"])] == [[]]


async def custom_objects(client: MarketoClient) -> None:
    """A type, made twice, and records of it."""
    await client.permissions(custom_objects=True)
    fields = (
        NewObjectField(name="dynamicsId", display_name="Dynamics Id", data_type="string", is_dedupe=True),
        NewObjectField(name="person", display_name="Person", data_type="link", related=("lead", "dynamicsId")),
    )
    visit = NewCustomObject(name="visit", display_name="Visit", plural_name="Visits", fields=fields)
    for _ in range(2):
        await client.make_custom_object(visit)
    assert "visit" in (await client.custom_object_types()).types
    rows = [{"dynamicsId": key, "person": MANY[-1]} for key in MANY]
    outcomes = await client.sync_custom_objects("visit", "dynamicsId", rows)
    assert {outcome.status for outcome in outcomes} == {"created"}
    for values in (MANY, MANY[:2]):
        assert len(await client.custom_objects("visit", "dynamicsId", values, ["dynamicsId"])) == len(values)
    await client.delete_custom_objects("visit", "dynamicsId", MANY[:2])
    await an_import(client.imports("visit"), b"dynamicsId,odd\r\nk1,1\r\n,2\r\n")


async def an_import(imports: Imports, content: bytes) -> None:
    """A file of which one row is imported with a warning, and one fails."""
    batch = await imports.start(content)
    for _ in range(1_000):
        if (status := await imports.status(batch)).is_over:
            break
        await asyncio.sleep(0.01)
    assert (status.status, status.processed, status.failed, status.warnings) == ("Complete", 1, 1, 1)
    assert len(await imports.failures(batch)) == len(await imports.warnings(batch)) == 1


async def test_every_call_is_made_and_every_request_is_in_the_files(
    seen: list[Exchange], client: MarketoClient
) -> None:
    await everything(client)

    checker = Checker(SPECIFICATION)
    assert [fault for exchange in seen for fault in checker.check(exchange)] == []
    assert [exchange.path for exchange in seen if not is_own(exchange)] == []
    assert calls_of(CALLS) <= calls_of(seen)


def calls_of(made: object) -> set[tuple[str, str]]:
    """Method and path as the files write them, of calls or of exchanges."""
    assert isinstance(made, list | tuple)
    found = (SPECIFICATION.find(each.method, each.path)[0] for each in made)
    return {(operation.method, operation.path) for operation in found if operation is not None}
