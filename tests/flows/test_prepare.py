"""The flow ``prepare``: the administrator's secret comes from a block and goes nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.blocks.system import Secret
from pydantic import ValidationError

from crmsync.errors import SecretMissing
from crmsync.sandbox.readyfile import Ready
from crmsync.sandbox.server import SandboxThread
from flows.options import PrepareOptions
from flows.prepare import prepare
from flows.validate import validate
from tests.engine.unprepared import unprepared_sandbox

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture
def ready(tmp_path: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ready]:
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        monkeypatch.setenv("CRMSYNC_TENANTS", str(ready.tenants_folder))
        monkeypatch.setenv("CRMSYNC_STATE_URL", f"sqlite:///{tmp_path}/state.db")
        yield ready


async def test_planned_done_and_nothing_left_to_do(ready: Ready, prefect_server: str) -> None:
    admin = ready.tenants["contoso"].organization.admin_app
    await Secret(value=admin.secret).asave("dynamics-admin", overwrite=True)
    options = PrepareOptions(admin_client_id=admin.client_id, admin_secret_block="dynamics-admin")

    red = await validate("contoso", return_state=True)
    plan = await prepare("contoso", options.model_copy(update={"plan": True}), return_state=True)
    done = await prepare("contoso", options, return_state=True)
    again = await prepare("contoso", options, return_state=True)
    green = await validate("contoso", return_state=True)

    assert (red.is_failed(), green.is_completed()) == (True, True)
    assert "crmsync prepare contoso" in str(red.message)
    assert [str(state.message) for state in (plan, done, again)] == [
        "11 changes planned",
        "11 changes done",
        "Nothing to do",
    ]
    async with httpx.AsyncClient(base_url=prefect_server) as prefect:
        told = ""
        for kind in ("flow_runs", "task_runs", "artifacts", "logs"):
            told += (await prefect.post(f"/{kind}/filter", json={"limit": 200})).text
    assert "prepare-contoso-steps" in told
    assert admin.secret not in told


async def test_a_block_that_is_not_there_is_told(ready: Ready) -> None:
    options = PrepareOptions(admin_client_id="0" * 36, admin_secret_block="no-such-block")

    with pytest.raises(SecretMissing, match="no-such-block"):
        await prepare("contoso", options)


def test_a_secret_cannot_stand_in_the_form() -> None:
    with pytest.raises(ValidationError):
        PrepareOptions.model_validate({"admin_client_id": "0" * 36, "admin_secret_block": "b", "admin_secret": "s"})
