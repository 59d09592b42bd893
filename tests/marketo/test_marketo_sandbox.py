"""The client against the sandbox's Marketo over real TLS: trust, lost answers, expiring tokens, whole round trips."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr

from crmsync.errors import CredentialsRefused, PermissionMissing, TenantFileWrong, TransportFailed
from crmsync.marketo.bulk import ImportStatus
from crmsync.marketo.client import MarketoClient
from crmsync.marketo.schema import NewPersonField
from crmsync.sandbox.core import PERMISSIONS, Clock, Limits, Subscription
from crmsync.sandbox.faults import FaultRule
from crmsync.sandbox.frontdoor import Desk, SandboxProtocol, Watched
from crmsync.sandbox.marketo.app import marketo_app
from crmsync.sandbox.sockets import listening, make_tls, port_of
from crmsync.secrets import SecretSource
from crmsync.tenants import MarketoConnection, Quota

LEADS = "/rest/v1/leads.json"
DYNAMICS_ID = NewPersonField(name="dynamicsId", display_name="Dynamics Id", data_type="string")


class QuietServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Sandbox:
    subscription: Subscription
    desk: Desk
    ca_path: Path
    time: Any

    def client(self, *, secret: str = "right", ca: bool = True, base_url: str | None = None) -> MarketoClient:
        return MarketoClient(
            MarketoConnection(
                base_url=base_url or self.subscription.base_url,
                client_id="client-1",
                client_secret=SecretSource(env="UNUSED"),
            ),
            SecretStr(secret),
            tenant="contoso",
            quota=Quota(),
            ca_path=self.ca_path if ca else None,
            sleep=self.time.sleep,
            clock=self.time.clock,
        )

    def fail(self, **rule: Any) -> None:
        self.desk.faults.add(FaultRule(service="marketo", **rule))


@pytest.fixture
async def sandbox(tmp_path: Path, time: Any) -> AsyncIterator[Sandbox]:
    with listening(1, None) as (server_socket,):
        subscription = Subscription(
            munchkin_id="123-ABC-456",
            base_url=f"https://localhost:{port_of(server_socket)}",
            client_id="client-1",
            client_secret="right",
            user_email="api@contoso.example",
            permissions=set(PERMISSIONS),
            clock=Clock(),
            limits=Limits(),
            database=tmp_path / "marketo.db",
        )
        app, desk = marketo_app(subscription), Desk()
        watched = Watched(app, "marketo", desk, lambda _path: "contoso")
        config = uvicorn.Config(watched, http=SandboxProtocol, ws="none", lifespan="off", log_config=None)
        config.load()
        config.ssl = make_tls(tmp_path / "ca.pem")
        server = QuietServer(config)
        running = asyncio.create_task(server.serve(sockets=[server_socket]))
        try:
            yield Sandbox(subscription, desk, tmp_path / "ca.pem", time)
        finally:
            server.should_exit = True
            await running
            await app.state.close()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[MarketoClient]:
    async with sandbox.client() as made:
        await made.create_person_fields([DYNAMICS_ID])
        yield made


def person(number: int, **values: Any) -> dict[str, Any]:
    return {"dynamicsId": f"{number:032x}", "email": f"p{number}@example.com", **values}


async def end_of(client: MarketoClient, batch: int) -> ImportStatus:
    for _ in range(1_000):
        status = await client.imports().status(batch)
        if status.is_over:
            return status
        await asyncio.sleep(0.01)
    raise AssertionError("the import does not end")


async def test_values_come_back_as_they_were_sent(client: MarketoClient) -> None:
    sent = person(1, firstName="Ánna 🎉", lastName='O"Neill, jr.\n', unsubscribed=True, annualRevenue=12.5, title=None)

    (outcome,) = await client.sync_people([sent])
    (read,) = await client.people("dynamicsId", [sent["dynamicsId"]], ["id", *sent])

    assert outcome.status == "created"
    assert read == {"id": outcome.id, **sent}


async def test_many_people_are_written_once_at_the_same_time(client: MarketoClient) -> None:
    records = [person(number) for number in range(900)]
    parts = [records[start : start + 100] for start in range(0, 900, 100)]

    outcomes = await asyncio.gather(*(client.sync_people(part) for part in parts))
    found = await client.people("dynamicsId", [record["dynamicsId"] for record in records], ["id", "dynamicsId"])

    assert {outcome.status for part in outcomes for outcome in part} == {"created"}
    assert len(found) == 900


async def test_companies_and_sales_persons_are_linked_to_people(client: MarketoClient) -> None:
    await client.sync_sales_persons([{"externalSalesPersonId": "u1", "email": "owner@example.com"}])
    await client.sync_companies([{"externalCompanyId": "a1", "company": "Contoso"}])
    outcomes = await client.sync_people(
        [
            person(1, externalCompanyId="a1", externalSalesPersonId="u1"),
            person(2, externalCompanyId="unknown"),
        ]
    )

    assert [(outcome.status, outcome.code) for outcome in outcomes] == [("created", None), ("skipped", "1013")]
    assert [row["company"] for row in await client.companies("externalCompanyId", ["a1"], ["company"])] == ["Contoso"]


async def test_opportunities_and_roles_come_and_go(client: MarketoClient) -> None:
    [person] = await client.sync_people([{"dynamicsId": "p", "lastName": "Partner"}])
    await client.sync_opportunities([{"externalOpportunityId": "o", "name": "Deal", "amount": 5}])
    keys = [{"externalOpportunityId": "o", "leadId": person.id, "role": name} for name in ("Buyer", "User")]
    assert [one.status for one in await client.sync_roles(keys)] == ["created", "created"]

    assert len(await client.roles("externalOpportunityId", ["o"], [])) == 2
    [found] = await client.roles_by_key(keys[:1], ["role", "isPrimary"])
    assert found["role"] == "Buyer"
    assert [one.code for one in await client.delete_opportunities(["o"])] == ["1022"], "roles go first"

    assert [one.status for one in await client.delete_roles([*keys, {**keys[0], "role": "Nobody"}])] == ["deleted"] * 3
    assert [one.status for one in await client.delete_opportunities(["o", "never"])] == ["deleted"] * 2
    assert await client.opportunities("externalOpportunityId", ["o"], ["name"]) == []


async def test_an_import_from_file_to_failures(client: MarketoClient) -> None:
    batch = await client.imports().start(b'dynamicsId,firstName\r\nk1,"A, n\nn"\r\n,Nobody\r\n')
    status = await end_of(client, batch)

    assert (status.status, status.processed, status.failed) == ("Complete", 1, 1)
    (failure,) = await client.imports().failures(batch)
    assert failure.values["firstName"] == "Nobody"
    assert "dynamicsId" in failure.reason
    assert [row["firstName"] for row in await client.people("dynamicsId", ["k1"], ["firstName"])] == ["A, n\nn"]


async def test_the_schema_knows_the_new_key(client: MarketoClient) -> None:
    schema = await client.schema()

    assert schema.person.searchable("dynamicsId")
    assert schema.company.dedupe_fields == ("externalCompanyId",)
    assert schema.sales_person.dedupe_fields == ("externalSalesPersonId",)
    assert schema.api_created_fields == 1


@pytest.mark.parametrize("kind", ["reset", "truncate"])
async def test_a_lost_answer_to_an_upsert_makes_no_duplicate(
    client: MarketoClient, sandbox: Sandbox, kind: str
) -> None:
    sandbox.fail(kind=kind, path=LEADS, method="POST", after_execution=True)

    with pytest.raises(TransportFailed):
        await client.sync_people([person(1)])

    assert len(await client.people("dynamicsId", [person(1)["dynamicsId"]], ["id"])) == 1
    assert [outcome.status for outcome in await client.sync_people([person(1)])] == ["updated"]


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "truncate"}, {"kind": "status", "status": 502}])
async def test_a_reading_survives_a_bad_line(client: MarketoClient, sandbox: Sandbox, fault: dict[str, Any]) -> None:
    await client.sync_people([person(1)])
    sandbox.fail(path=LEADS, method="GET", times=2, **fault)

    assert len(await client.people("dynamicsId", [person(1)["dynamicsId"]], ["id"])) == 1


async def test_tokens_expire_and_are_renewed(client: MarketoClient, sandbox: Sandbox) -> None:
    sandbox.subscription.clock.advance(3_700)

    assert [outcome.status for outcome in await client.sync_people([person(1)])] == ["created"]


async def test_permissions_and_native_sync_as_an_administrator_sets_them(
    client: MarketoClient, sandbox: Sandbox
) -> None:
    assert set((await client.permissions()).values()) == {True}
    assert await client.native_sync_is_on() is False

    sandbox.subscription.native_sync = True
    assert await client.native_sync_is_on() is True

    sandbox.subscription.permissions.discard("Read-Write Sales Person")
    assert (await client.permissions())["Read-Write Sales Person"] is False
    with pytest.raises(PermissionMissing, match="Read-Write Sales Person"):
        await client.sales_persons("externalSalesPersonId", ["u1"], [])


async def test_a_wrong_secret_is_refused(sandbox: Sandbox) -> None:
    async with sandbox.client(secret="wr0ng-secret") as client:
        with pytest.raises(CredentialsRefused) as raised:
            await client.identity()

    assert "wr0ng-secret" not in str(raised.value)


async def test_an_unknown_certificate_authority_names_ca_file(sandbox: Sandbox) -> None:
    async with sandbox.client(ca=False) as client:
        with pytest.raises(TenantFileWrong, match="ca_file"):
            await client.identity()


async def test_a_missing_ca_file_is_told_before_any_call(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.ca_path = tmp_path / "nowhere.pem"

    with pytest.raises(TenantFileWrong, match=r"nowhere\.pem"):
        sandbox.client()


async def test_a_port_where_nobody_listens(sandbox: Sandbox) -> None:
    with listening(1, None) as (unused,):
        port = port_of(unused)
    async with sandbox.client(base_url=f"https://localhost:{port}") as client:
        with pytest.raises(TransportFailed, match=r"marketo\.base_url"):
            await client.identity()
