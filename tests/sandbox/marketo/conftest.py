"""One Marketo subscription in memory of a test, and a signed-in client; and a whole sandbox for an outside client."""

from __future__ import annotations

import csv
import io
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from marketorestpython.client import MarketoClient

from crmsync.sandbox.core import PERMISSIONS, Clock, Limits, Subscription
from crmsync.sandbox.marketo.app import marketo_app
from crmsync.sandbox.options import Counts, SandboxOptions
from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread

BASE = "https://marketo.test"
IDENTITY = "/identity/oauth/token"

Call = Callable[..., Any]
CAR = [
    {"name": "vin", "displayName": "VIN", "dataType": "string", "isDedupeField": True},
    {"name": "model", "displayName": "Model", "dataType": "string"},
    {
        "name": "leadId",
        "displayName": "Lead Id",
        "dataType": "link",
        "relatedTo": {"name": "lead", "field": "id"},
    },
]


@pytest.fixture
def subscription(tmp_path: Path) -> Subscription:
    clock = Clock()
    clock.set(datetime(2026, 6, 15, 12, tzinfo=UTC))  # far from midnight in Chicago
    return Subscription(
        munchkin_id="123-ABC-456",
        base_url=BASE,
        client_id="service-1",
        client_secret="secret-1",
        user_email="api@example.com",
        permissions=set(PERMISSIONS),
        clock=clock,
        limits=Limits(documented=False),
        database=tmp_path / "marketo.db",
    )


@pytest.fixture
async def app(subscription: Subscription) -> AsyncIterator[Any]:
    app = marketo_app(subscription)
    yield app
    await app.state.close()


@pytest.fixture
async def raw(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client


@pytest.fixture
async def marketo(raw: httpx.AsyncClient) -> Marketo:
    """A signed-in client."""
    marketo = Marketo(raw)
    await marketo.sign_in()
    return marketo


class Marketo:
    """A client in the words of these tests."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def sign_in(self) -> None:
        answer = await self.http.get(IDENTITY, params=credentials())
        self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return (await self.http.get(path, params=parameters)).json()

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        return (await self.http.post(path, json=body)).json()

    async def sync(self, *records: dict[str, Any], **members: Any) -> list[dict[str, Any]]:
        """Sync Leads; the result."""
        return (await self.post("/rest/v1/leads.json", {"input": list(records), **members}))["result"]

    async def leads(self, by: str, *values: object, fields: str = "") -> list[dict[str, Any]]:
        """Get Leads by Filter; the result."""
        more = {"fields": fields} if fields else {}
        answer = await self.get("/rest/v1/leads.json", filterType=by, filterValues=",".join(map(str, values)), **more)
        return answer["result"]

    async def create_field(self, name: str, data_type: str = "string", display_name: str | None = None) -> None:
        field = {"name": name, "displayName": display_name or name, "dataType": data_type}
        answer = await self.post("/rest/v1/leads/schema/fields.json", {"input": [field]})
        assert answer["success"], answer

    async def start_import(self, text: str | bytes, **parameters: str) -> dict[str, Any]:
        content = text.encode() if isinstance(text, str) else text
        files = {"file": ("people.csv", content, "text/csv")}
        query = {"format": "csv", **parameters}
        return (await self.http.post("/bulk/v1/leads.json", params=query, files=files)).json()

    async def imported(self, text: str | bytes, **parameters: str) -> dict[str, Any]:
        """Import a file and wait for its end; the last status."""
        return await self.finished((await self.start_import(text, **parameters))["result"][0]["batchId"])

    async def finished(self, batch: int) -> dict[str, Any]:
        """Wait for a job's end; its last status."""
        status: dict[str, Any] = {"status": ""}
        while status["status"] not in ("Complete", "Failed"):
            status = (await self.get(f"/bulk/v1/leads/batch/{batch}.json"))["result"][0]
        return status

    async def import_rows(self, batch: int, kind: str) -> list[dict[str, str]]:
        text = (await self.http.get(f"/bulk/v1/leads/batch/{batch}/{kind}.json")).text
        return list(csv.DictReader(io.StringIO(text)))


def credentials(**changed: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": "service-1",
        "client_secret": "secret-1",
        **changed,
    }


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    options = SandboxOptions(counts=Counts(0, 0, 0), ready_file=tmp_path_factory.mktemp("box") / "ready.json")
    with SandboxThread(options) as ready, pytest.MonkeyPatch.context() as environment:
        environment.setenv("REQUESTS_CA_BUNDLE", str(ready.ca_file))
        environment.setenv("NO_PROXY", "localhost,127.0.0.1")
        yield ready


@pytest.fixture(scope="module")
def admin(ready: Ready) -> Iterator[httpx.Client]:
    context = ssl.create_default_context(cafile=ready.ca_file)
    with httpx.Client(verify=context, trust_env=False, base_url=ready.admin_url) as admin:
        yield admin


@pytest.fixture(scope="module")
def client(ready: Ready) -> MarketoClient:
    subscription = ready.tenants["contoso"].subscription
    client = MarketoClient(subscription.munchkin_id, subscription.client_id, subscription.client_secret)
    client.host = subscription.base_url
    return client


@pytest.fixture(scope="module")
def call(client: MarketoClient) -> Call:
    """A call by its name, as the client's own documentation makes it."""

    def execute(method: str, **arguments: Any) -> Any:
        return client.execute(method=method, **arguments)

    return execute


@pytest.fixture(scope="module")
def car(call: Call) -> str:
    """A custom object type, made, filled with fields and approved by the client."""
    assert call("create_update_custom_object_type", apiName="car", displayName="Car", action="createOnly") == []
    assert call("add_field_custom_object_type", apiName="car", fields=CAR) == []
    assert call("describe_custom_object_type", apiName="car")[0]["state"] == "draft"
    assert call("approve_custom_object_type", apiName="car") == []
    return "car"
