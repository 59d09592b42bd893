"""An organization with a few rows, and clients that speak to its Web API as two application users."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crmsync.sandbox.core import AppRegistration, Clock, Directory, Limits, Organization
from crmsync.sandbox.dataverse.app import dataverse_app
from crmsync.sandbox.dataverse.store import DataverseStore

AUTHORITY = "https://login.contoso.example"


def app_registration(name: str) -> AppRegistration:
    return AppRegistration(str(uuid.uuid4()), "not used here", name, str(uuid.uuid4()))


def organization(database: Path, limits: Limits | None = None) -> Organization:
    """A new organization ``contoso`` whose clock stands where the system's stands."""
    directory = Directory(str(uuid.uuid4()), "contoso.example")
    sync_app, admin_app = app_registration("Marketo Sync"), app_registration("Administrator")
    directory.register(sync_app, admin_app)
    return Organization(
        name="contoso",
        organization_id=str(uuid.uuid4()),
        friendly_name="Contoso Ltd",
        url="https://contoso.crm.example",
        directory=directory,
        clock=Clock(),
        limits=limits or Limits(documented=False),
        database=database,
        sync_app=sync_app,
        admin_app=admin_app,
        sync_user_email="sync@contoso.example",
    )


@dataclass
class Contoso:
    """The organization, its rows, and a client for each of its application users."""

    org: Organization
    store: DataverseStore
    connect: Callable[[str | None], httpx.AsyncClient]
    sync: httpx.AsyncClient
    admin: httpx.AsyncClient

    def token(self, app: AppRegistration) -> str:
        return self.org.directory.issue(app, self.org.url, self.org.clock.now())

    def leads(self, *rows: dict[str, Any]) -> list[str]:
        """Put leads in; returns their ids."""
        given = [{"leadid": str(uuid.uuid4()), **row} for row in rows]
        self.store.insert_many("lead", given)
        return [row["leadid"] for row in given]


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[Contoso]:
    async with AsyncExitStack() as stack:
        yield await open_contoso(stack, organization(tmp_path / "contoso.db"))


async def open_contoso(stack: AsyncExitStack, org: Organization) -> Contoso:
    store = DataverseStore(org)
    stack.callback(store.close)
    app = dataverse_app(org, store, authority=AUTHORITY)
    clients: list[httpx.AsyncClient] = []

    def connect(token: str | None) -> httpx.AsyncClient:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=f"{org.url}/api/data/v9.2/", headers=headers
        )
        clients.append(client)
        return client

    sync, admin = (connect(org.directory.issue(one, org.url, org.clock.now())) for one in (org.sync_app, org.admin_app))
    for client in (sync, admin):
        await stack.enter_async_context(client)
    return Contoso(org, store, connect, sync, admin)


async def follow(client: httpx.AsyncClient, url: str, **headers: str) -> list[dict[str, Any]]:
    """All pages of a read, next links followed as they are."""
    pages = []
    while url:
        answer = await client.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        url = pages[-1].get("@odata.nextLink", "")
    return pages


def error(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error answer."""
    body = answer.json()["error"]
    return answer.status_code, body["code"], body["message"]
