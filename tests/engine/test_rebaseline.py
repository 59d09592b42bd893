"""An organization that was restored from a backup, or copied over by another: noticed, and read anew on an operator's
word without writing what is the same."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crmsync.engine import setup
from crmsync.engine.report import SyncReport
from crmsync.engine.sync import first_sync
from crmsync.errors import BindingRefused
from crmsync.sandbox.server import SandboxThread
from crmsync.state.lifecycle import TenantState
from tests.world import World, small_sandbox

COPY = "0ddba11e-0000-4000-8000-000000000001"


async def rebaseline(world: World) -> SyncReport:
    """What ``crmsync connect --rebaseline`` does."""
    async with world.session() as session:
        proof = await setup.validate_credentials(session)
        await setup.save_credentials(session, proof, rebaseline=True)
        await setup.refresh_schema(session)
        await setup.select_fields(session)
        await setup.enable_sync(session)
        return await first_sync(session)


async def test_a_copy_is_the_new_baseline_only_on_an_operators_word(connected: World) -> None:
    await connected.cycle()
    admin = await connected.admin()
    [gone, *_] = await connected.rows("lead", "leadid", filter="new_synctomkto eq true")
    await admin.delete("leads", gone["leadid"])
    other = await admin.create("leads", {"lastname": "Only in the copy"})
    connected.ready.tenants["contoso"].organization.organization_id = COPY
    with pytest.raises(BindingRefused, match="Another organization"):
        await connected.cycle()
    async with connected.session() as session:
        proof = await setup.validate_credentials(session)
        with pytest.raises(BindingRefused) as refused:
            await setup.save_credentials(session, proof)
    assert "--rebaseline" in refused.value.remedy
    before = await connected.written()

    report = await rebaseline(connected)

    assert (report.total.created, report.total.updated, report.total.deleted) == (1, 0, 1)
    assert other in await connected.people([other])
    assert (await connected.person(gone["leadid"], "msIsDeleted"))["msIsDeleted"] is True
    assert sum((await connected.written()).values()) - sum(before.values()) <= 3, "two writes and one probe"
    store = await connected.store()
    row = await store.tenants.get("contoso")
    assert row.binding is not None
    assert (row.binding.organization_id, row.state) == (COPY, TenantState.SYNCING)
    assert any("new baseline" in move.why for move in await store.tenants.history("contoso"))
    assert (await connected.cycle()).total.read == 0


async def test_another_subscription_is_no_new_baseline(connected: World) -> None:
    async with connected.session() as session:
        proof = await setup.validate_credentials(session)
        elsewhere = proof.model_copy(update={"subscription": "999-ZZZ-999"})
        with pytest.raises(BindingRefused, match="bound to organization"):
            await setup.save_credentials(session, elsewhere, rebaseline=True)


async def test_a_backup_of_the_same_organization_is_noticed_by_its_version_and_read_anew(tmp_path: Path) -> None:
    box = Box(tmp_path, free_ports(3))
    async with box.running() as world:
        await world.connect()
        await world.cycle()
    box.back_up()
    async with box.running() as world:
        lead = await (await world.admin()).create("leads", {"lastname": "After the backup"})
        await world.cycle()
        assert lead in await world.people([lead])
    box.restore()

    async with box.running() as world:
        report = await world.cycle()

        assert any("read once more" in note for note in report.notes)
        assert (report.total.created, report.total.updated, report.total.deleted) == (0, 0, 1)
        assert (await world.person(lead, "msIsDeleted"))["msIsDeleted"] is True
        assert (await world.cycle()).total.read == 0


class Box:
    """A sandbox that keeps its databases, and a backup of its organization's."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._state = folder / "state"
        self._backup = folder / "backup"
        self._options = small_sandbox(folder / "ready.json", state=self._state, port=port)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        with SandboxThread(self._options) as ready:
            world = World(ready, f"sqlite:///{self._folder}/state.db")
            yield world
            await world.close()

    def back_up(self) -> None:
        self._backup.mkdir()
        for file in self._state.glob("contoso.dataverse.db*"):
            shutil.copy(file, self._backup)

    def restore(self) -> None:
        for file in self._state.glob("contoso.dataverse.db*"):
            file.unlink()
        for file in self._backup.iterdir():
            shutil.copy(file, self._state)


def free_ports(many: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(41_000, 60_000, many):
        try:
            for port in range(first, first + many):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("there are no free ports")
