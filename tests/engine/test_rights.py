"""A tenant whose sync user lacks something is told so before the first sync starts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crmsync.engine import setup
from crmsync.errors import PermissionMissing
from crmsync.sandbox.server import SandboxThread
from crmsync.state.lifecycle import TenantState
from tests.engine.unprepared import (
    Break,
    custom_column,
    lower_privilege,
    prepared,
    secure,
    take_privilege,
    unprepared_sandbox,
)
from tests.world import World


@pytest.fixture
async def contoso(tmp_path: Path) -> AsyncIterator[World]:
    """A prepared organization whose tenant has selected its fields, and is about to enable the sync."""
    with SandboxThread(unprepared_sandbox(tmp_path)) as ready:
        world = World(ready, f"sqlite:///{tmp_path}/state.db")
        await prepared(world)
        async with world.session() as session:
            proof = await setup.validate_credentials(session)
            await setup.save_credentials(session, proof)
            await setup.refresh_schema(session)
            await setup.select_fields(session)
        yield world
        await world.close()


async def missing_privilege(world: World) -> None:
    await take_privilege(world, "prvReadContact")


async def missing_write(world: World) -> None:
    await take_privilege(world, "prvWriteLead")


async def lower_depth(world: World) -> None:
    await lower_privilege(world, "prvReadLead", "Local")


async def secured_field(world: World) -> None:
    await secure(world, "lead", await custom_column(world, "lead"))


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (missing_privilege, "prvReadContact is missing"),
        (missing_write, "prvWriteLead is missing"),
        (lower_depth, "prvReadLead reaches its business unit only"),
        (secured_field, r"Column security keeps the sync user from reading lead\.\w+"),
    ],
)
async def test_enable_tells_what_the_sync_user_lacks(contoso: World, break_it: Break, told: str) -> None:
    await break_it(contoso)

    async with contoso.session() as session:
        with pytest.raises(PermissionMissing, match=told) as refused:
            await setup.enable_sync(session)
        state = (await session.store.tenants.get("contoso")).state
        assert await session.store.checkpoints.all("contoso") == {}

    assert refused.value.remedy
    assert state is TenantState.FIELDS_SELECTED


async def test_everything_that_is_lacking_is_told_at_once(contoso: World) -> None:
    await missing_privilege(contoso)
    await lower_depth(contoso)

    async with contoso.session() as session:
        with pytest.raises(PermissionMissing) as refused:
            await setup.enable_sync(session)

    assert re.search("prvReadLead.*prvReadContact", refused.value.message)


async def test_after_it_was_mended_the_sync_is_enabled(contoso: World) -> None:
    await missing_privilege(contoso)
    await prepared(contoso)

    async with contoso.session() as session:
        assert (await setup.enable_sync(session)).already is False
