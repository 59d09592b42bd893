"""The sandbox's own page: what it changes, and what it says to a request it does not understand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from crmsync.sandbox.admin import Administration
from crmsync.sandbox.core import Clock, Limits
from crmsync.sandbox.frontdoor import Desk
from crmsync.sandbox.marketo.person_rules import Prepared
from crmsync.sandbox.marketo.service import Marketo
from crmsync.sandbox.world import Ports, SandboxTenant, make_tenant


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contoso(tmp_path: Path, clock: Clock) -> SandboxTenant:
    return make_tenant("contoso", 1, Ports(9001, 9002), clock, Limits(), tmp_path)


@pytest_asyncio.fixture
async def marketo(contoso: SandboxTenant) -> AsyncIterator[Marketo]:
    subscription = Marketo(contoso.subscription)
    yield subscription
    await subscription.close()


@pytest_asyncio.fixture
async def admin(contoso: SandboxTenant, marketo: Marketo, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    administration = Administration({"contoso": contoso}, {"contoso": marketo}, clock, Desk())
    app = Starlette(routes=[administration.routes()], exception_handlers=administration.error_handlers())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://sandbox/admin") as client:
        yield client


async def test_the_guide_explains_every_page(admin: httpx.AsyncClient) -> None:
    guide = (await admin.get("/")).json()

    assert guide["tenants"] == ["contoso"]
    for page in guide["pages"]:
        method, path = page.split()
        if method == "GET":
            assert (await admin.get(path)).status_code == 200


async def test_the_examples_of_the_guide_work(admin: httpx.AsyncClient, contoso: SandboxTenant) -> None:
    pages = (await admin.get("/")).json()["pages"]
    app = {"client_id": contoso.organization.sync_app.client_id}

    assert (await admin.post("/faults", json=pages["POST /faults"]["example"])).status_code == 201
    assert (await admin.post("/switches", json=pages["POST /switches"]["example"])).status_code == 200
    assert (await admin.post("/fields", json=pages["POST /fields"]["example"])).status_code == 201
    assert (await admin.post("/refusals", json=pages["POST /refusals"]["example"])).status_code == 201
    assert (await admin.post("/field-types", json=pages["POST /field-types"]["example"])).status_code == 200
    assert (await admin.post("/lists", json=pages["POST /lists"]["example"])).status_code == 201
    assert (await admin.post("/apps", json=pages["POST /apps"]["example"] | app)).status_code == 200
    for example in pages["POST /clock"]["examples"]:
        assert (await admin.post("/clock", json=example)).status_code == 200


async def test_faults_are_listed_and_lifted(admin: httpx.AsyncClient) -> None:
    added = (await admin.post("/faults", json={"kind": "reset", "times": 3})).json()

    assert (await admin.get("/faults")).json()["faults"] == [added]
    assert (added["hits"], added["active"]) == (0, True)
    assert (await admin.delete(f"/faults/{added['id']}")).json() == {"removed": 1}
    assert (await admin.delete(f"/faults/{added['id']}")).status_code == 404
    assert (await admin.delete("/faults")).json() == {"removed": 0}


async def test_the_clock_moves(admin: httpx.AsyncClient, clock: Clock) -> None:
    before = clock.now()
    await admin.post("/clock", json={"advance_seconds": 3600})
    assert clock.now() - before >= timedelta(hours=1)

    told = (await admin.post("/clock", json={"now": "2030-01-01T00:00:00Z"})).json()["now"]

    assert told.startswith("2030-01-01T00:00:0")
    assert clock.now() - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(minutes=1)


async def test_an_administrator_switches_native_sync_and_permissions(
    admin: httpx.AsyncClient, contoso: SandboxTenant
) -> None:
    permissions = contoso.subscription.permissions
    body = {"tenant": "contoso", "native_sync": True, "permissions": ["Read-Write Lead"], "long_strings": "cut"}

    answer = (await admin.post("/switches", json=body)).json()

    assert contoso.subscription.native_sync is True
    assert permissions == {"Read-Write Lead"}
    assert contoso.subscription.switches == {"long_strings": "cut"}
    assert (answer["long_strings"], answer["empty_csv_cell"]) == ("cut", "keep")


async def test_a_field_is_made_by_hand_once(admin: httpx.AsyncClient) -> None:
    field = {"tenant": "contoso", "target": "person", "name": "notes", "display_name": "Long Notes", "type": "text"}

    assert (await admin.post("/fields", json=field)).status_code == 201
    again = await admin.post("/fields", json=field)

    assert again.status_code == 422
    assert "exists already" in again.json()["what_to_do"][0]


async def test_a_custom_field_takes_another_type_and_loses_what_does_not_fit(
    admin: httpx.AsyncClient, marketo: Marketo
) -> None:
    field = {"tenant": "contoso", "target": "person", "name": "shoeSize", "display_name": "Shoe Size", "type": "string"}
    await admin.post("/fields", json=field)
    lookup = marketo.person_fields.get("email")
    assert lookup is not None
    writer = marketo.person_writer("createOnly", lookup)
    with marketo.database.transaction():
        written = writer.write(
            [Prepared({"email": f"{size}@b.example", "shoeSize": size}) for size in ("42", "large")], marketo.moment()
        )
    people = [outcome[1] for outcome in written if isinstance(outcome, tuple)]

    change = {"tenant": "contoso", "target": "person", "name": "shoeSize", "type": "integer"}
    changed = await admin.post("/field-types", json=change)
    refused = [await admin.post("/field-types", json=change | {"name": name}) for name in ("firstName", "nothing")]

    assert changed.status_code == 200
    assert [row["shoeSize"] for row in marketo.people.answer(people, ["shoeSize"])] == [42, None]
    assert [answer.status_code for answer in refused] == [422, 422]


async def test_a_list_is_made_by_hand_once(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/lists", json={"tenant": "contoso", "name": "Fair"})
    again = await admin.post("/lists", json={"tenant": "contoso", "name": "fair"})

    assert (made.status_code, again.status_code) == (201, 422)
    assert made.json() in (await admin.get("/lists")).json()["contoso"]


async def test_an_app_is_registered_changed_and_told_its_secret_once(
    admin: httpx.AsyncClient, contoso: SandboxTenant
) -> None:
    created = await admin.post("/apps", json={"tenant": "contoso", "display_name": "Stranger"})
    client_id = created.json()["client_id"]

    assert created.status_code == 201
    assert contoso.directory.apps[client_id].secret == created.json()["client_secret"]
    changed = await admin.post("/apps", json={"tenant": "contoso", "client_id": client_id, "enabled": False})
    assert changed.json()["enabled"] is False
    assert "client_secret" not in changed.text + (await admin.get("/apps")).text


@pytest.mark.parametrize(
    ("page", "body", "advice"),
    [
        ("faults", {"kind": "explode"}, "kind: Input should be 'status'"),
        ("faults", {"kind": "reset", "tenant": "fabrikam"}, "this sandbox serves contoso, not 'fabrikam'"),
        ("clock", {}, "give exactly one of 'advance_seconds' and 'now'"),
        ("clock", {"now": "2030-01-01T00:00:00"}, "now: Input should have timezone info"),
        ("switches", {}, "tenant: Field required"),
        ("switches", {"tenant": "contoso", "gravity": True}, "gravity: no switch of that name; there are"),
        ("switches", {"tenant": "contoso", "long_strings": "keep"}, 'long_strings: takes "refuse" or "cut"'),
        ("switches", {"tenant": "contoso", "permissions": ["Fly"]}, "Fly: no permission of that name"),
        ("apps", {"tenant": "contoso", "certificate": "x", "client_id": None}, "public certificate (RSA) as PEM"),
        ("fields", {"tenant": "contoso", "target": "company", "name": "x y"}, "name: String should match pattern"),
        ("faults", "[", "body: Invalid JSON"),
    ],
)
async def test_a_wrong_request_is_told_what_to_do(
    admin: httpx.AsyncClient, page: str, body: dict[str, Any] | str, advice: str
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)

    answer = await admin.post(f"/{page}", content=content)

    assert answer.status_code == 422
    assert advice in " ".join(answer.json()["what_to_do"])
