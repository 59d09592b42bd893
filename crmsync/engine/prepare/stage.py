"""What the steps of ``prepare`` are made of: a step, what it found, a change, and the stage that they work on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import httpx

from crmsync.dynamics.channel import Channel
from crmsync.dynamics.client import DynamicsClient
from crmsync.dynamics.pacing import Sleep
from crmsync.dynamics.setup_import import Tell
from crmsync.engine.prepare.report import Choices, StepName
from crmsync.engine.session import dynamics_credential
from crmsync.secrets import SecretStore
from crmsync.tenants import Tenant


@dataclass(frozen=True)
class Change:
    """One thing to do. ``apply`` may return a text that tells better than ``text`` what was done."""

    text: str
    apply: Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Found:
    """What is there, in words, and what has to be changed."""

    there: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Step:
    """A step: looking changes nothing. ``why_no_undo`` is for a step without ``undo``."""

    name: StepName
    title: str
    look: Callable[[Stage], Awaitable[Found]]
    undo: Callable[[Stage], Awaitable[Found]] | None = None
    why_no_undo: str = ""


@dataclass
class Stage:
    """The organization as an administrator has it, the operator's choices, and what earlier steps tell later ones."""

    tenant: Tenant
    secrets: SecretStore
    admin: DynamicsClient
    choices: Choices
    sleep: Sleep
    tell: Tell
    transport: httpx.AsyncBaseTransport | None = None
    is_marketos: bool = False
    """Marketo's own solution is there, or comes with the file."""
    to_import: bool = False
    """A file has to be imported and is not yet: what it brings cannot be looked at."""
    to_publish: set[str] = field(default_factory=set)
    publish_everything: bool = False

    @property
    def channel(self) -> Channel:
        return self.admin.channel

    @property
    def client_id(self) -> str:
        """The sync user's application."""
        return self.tenant.dynamics.client_id

    async def sync_client(self) -> AbstractAsyncContextManager[DynamicsClient]:
        """The organization as the sync user; raises ``SecretMissing``."""
        name = self.tenant.tenant
        return DynamicsClient(
            self.tenant.dynamics,
            await dynamics_credential(self.tenant.dynamics, self.secrets, tenant=name),
            tenant=name,
            ca_path=self.tenant.ca_path,
            transport=self.transport,
            sleep=self.sleep,
        )
