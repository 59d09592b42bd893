"""What guards against mass losses may have a fault of its own: with it taken out, the brake alone stops the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.engine.absence import Absence
from crmsync.engine.compare import compare
from crmsync.engine.destination import DELETED_FLAG
from crmsync.engine.doubts import Doubts
from crmsync.errors import AllowanceNeeded
from crmsync.tenants import Tenant
from tests.engine.both_sides import cycle_as
from tests.engine.test_brake import braked, in_marketo, set_safety, some_synced, update
from tests.engine.test_column_security import let_read, take_out
from tests.engine.unprepared import lower_privilege, secure
from tests.world import World, connected_world

MANY = 30


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[World]:
    """A connected tenant whose runs may take away ten of anything."""
    async with connected_world(tmp_path) as world:
        set_safety(world, "{percent: 5, at_least: 10}")
        yield world


def believe_every_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(self: Absence, entity: Any, ids: Any) -> list[str]:
        return list(ids)

    async def prove(self: Absence, *entities: Any) -> None:
        return None

    monkeypatch.setattr(Absence, "gone", gone)
    monkeypatch.setattr(Absence, "prove", prove)


def believe_every_empty_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Doubts, "left", lambda self, columns, rows: False)


@pytest.mark.parametrize("policy", ["flag", "delete"])
async def test_people_who_are_only_out_of_sight_are_neither_flagged_nor_deleted(
    guarded: World, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    believe_every_absence(monkeypatch)
    contacts = await some_synced(guarded, "contact", MANY)
    await lower_privilege(guarded, "prvReadContact", "Basic")
    tenant = Tenant.model_validate(guarded.tenant.model_dump(exclude_unset=True) | {"deleted_in_dynamics": policy})

    with pytest.raises(AllowanceNeeded, match="contact"):
        async with guarded.session(tenant=tenant) as session:
            await compare(session, repair=True, entities=["contact"])

    assert await in_marketo(guarded, contacts, DELETED_FLAG) == [False] * MANY


async def test_values_and_opt_outs_that_only_cannot_be_read_stay(
    guarded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts = await some_synced(guarded, "contact", MANY)
    await update(guarded, "contact", contacts, mobilephone="+1 555 0100", donotbulkemail=True)
    await cycle_as(guarded)
    for column in ("mobilephone", "donotbulkemail"):
        await secure(guarded, "contact", column)
    profile = await let_read(guarded, "mobilephone", "donotbulkemail", entity="contact")
    await cycle_as(guarded)
    believe_every_empty_value(monkeypatch)
    await take_out(guarded, profile)
    await update(guarded, "contact", contacts, jobtitle="Director")

    await braked(guarded)

    assert await in_marketo(guarded, contacts, "mobilePhone") == ["+1 555 0100"] * MANY
    assert await in_marketo(guarded, contacts, "unsubscribed") == [True] * MANY
