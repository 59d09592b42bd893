"""One bad answer is no verdict: what a proxy, a gateway or a captive portal says in a service's place passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from crmsync.engine import setup
from crmsync.engine.session import Session
from crmsync.engine.sync import cycle, first_sync
from crmsync.errors import BindingRefused, OrganizationUrlWrong, TenantFileWrong, TransportFailed
from crmsync.state.lifecycle import TenantState
from tests.chaos.between import Between, Change, PassingTime, clients
from tests.chaos.mutations import PAGE, Heard
from tests.engine.both_sides import a_synced, change_in_dynamics
from tests.world import World

HTML, JSON = {"content-type": "text/html"}, {"content-type": "application/json"}


def once(path: str, answer: Callable[[Heard], Heard]) -> Change:
    """Only the first answer to this path is another."""
    hits: list[str] = []

    def change(request: httpx.Request, heard: Heard) -> Heard:
        if path not in request.url.path or hits:
            return heard
        hits.append(path)
        return answer(heard)

    return change


def always(path: str, answer: Callable[[Heard], Heard]) -> Change:
    return lambda request, heard: answer(heard) if path in request.url.path else heard


def page(status: int) -> Callable[[Heard], Heard]:
    return lambda heard: Heard(status, HTML, PAGE)


def half(heard: Heard) -> Heard:
    return Heard(heard.status, heard.headers, heard.body[: len(heard.body) // 2])


def nothing(status: int) -> Callable[[Heard], Heard]:
    return lambda heard: Heard(status, {}, b"")


def json(body: bytes) -> Callable[[Heard], Heard]:
    return lambda heard: Heard(200, JSON, body)


@asynccontextmanager
async def session_through(world: World, change: Change) -> AsyncIterator[Session]:
    at = PassingTime()
    async with clients(world, Between(world, change), at) as (dynamics, marketo):
        yield Session(world.tenant, await world.store(), dynamics, marketo, run="test", sleep=at.sleep)


async def state_of(world: World) -> TenantState:
    return (await (await world.store()).tenants.get("contoso")).state


BAD = {
    "a gateway refuses the batch": ("$batch", page(403)),
    "a captive portal": ("$batch", page(200)),
    "a batch that is cut": ("$batch", half),
    "half of Entra's discovery": ("openid-configuration", half),
    "a list in the place of Entra's token": ("oauth2/v2.0/token", json(b"[]")),
    "a bare 401 of Marketo's identity": ("/identity/oauth/token", nothing(401)),
    "a proxy wants its own password": ("/identity/oauth/token", page(407)),
    "an identity without a lifetime": ("/identity/oauth/token", json(b'{"access_token": "x"}')),
    "a statistic of another shape": ("stats/usage", json(b'{"success": true, "result": [{"users": [null]}]}')),
    "no statistic": ("stats/usage", page(404)),
    "a write that says nothing": ("/rest/v1/leads.json", nothing(204)),
    "a write that a gateway answers": ("/rest/v1/leads.json", page(404)),
    "a result that is none": ("/rest/v1/leads.json", json(b'{"success": true, "result": null}')),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_cycle_gets_over_one_bad_answer(connected: World, name: str) -> None:
    lead = await a_synced(connected, "lead")
    await change_in_dynamics(connected, "lead", lead, jobtitle="Changed")

    async with session_through(connected, once(*BAD[name])) as session:
        try:
            await cycle(session, force=True)
        except TransportFailed:
            assert "write" in name or "result" in name, "a reading gets over it by itself"
            session.clock = PassingTime().now
            await cycle(session, force=True)

    assert await state_of(connected) == TenantState.SYNCING
    assert (await connected.person(lead, "title"))["title"] == "Changed"


async def test_what_stays_fails_the_run_and_stops_nobody(connected: World) -> None:
    for _ in range(2):
        async with session_through(connected, always("/api/data/", page(403))) as session:
            session.clock = PassingTime().now
            with pytest.raises(TransportFailed, match=r"POST /api/data/v9\.2/\$batch: the answer is not Dataverse's"):
                await cycle(session, force=True)

    assert await state_of(connected) == TenantState.SYNCING


async def test_a_first_sync_gets_over_answers_of_another_shape(contoso: World) -> None:
    await contoso.prepare()
    bad = [once("/leads", json(b'{"value": null}')), once("/contacts", page(200)), once("usage", page(403))]

    def change(request: httpx.Request, heard: Heard) -> Heard:
        for one in bad:
            heard = one(request, heard)
        return heard

    async with session_through(contoso, change) as session:
        report = await first_sync(session)

    assert report.total.created > 100
    assert await state_of(contoso) == TenantState.SYNCING


@pytest.mark.parametrize(
    ("path", "error"),
    [("/api/data/", OrganizationUrlWrong), ("/identity/", TenantFileWrong)],
    ids=["Dynamics", "Marketo"],
)
async def test_another_website_at_first_contact_is_a_wrong_address(
    contoso: World, path: str, error: type[Exception]
) -> None:
    async with session_through(contoso, always(path, page(200))) as session:
        with pytest.raises(error):
            await setup.validate_credentials(session)


async def test_another_organization_is_believed_when_it_says_so_twice(connected: World) -> None:
    other = b"00000000-0000-4000-8000-0000000000ff"
    bound = connected.facts["dynamics"]["organization_id"].encode()

    def elsewhere(heard: Heard) -> Heard:
        return Heard(heard.status, heard.headers, heard.body.replace(bound, other))

    async with session_through(connected, once("$batch", elsewhere)) as session:
        with pytest.raises(TransportFailed, match="two organizations"):
            await cycle(session, force=True)
    assert await state_of(connected) == TenantState.SYNCING

    async with session_through(connected, always("/api/data/", elsewhere)) as session:
        with pytest.raises(BindingRefused):
            await cycle(session, force=True)
    assert await state_of(connected) == TenantState.STOPPED
