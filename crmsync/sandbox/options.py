"""What a sandbox is started with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from crmsync.sandbox.core import Limits

TENANT_NAME = re.compile(r"^[a-z0-9-]{1,40}$")


class OptionsWrong(ValueError):
    """The sandbox cannot be started like this; the text says why and what to do."""


@dataclass(frozen=True)
class Counts:
    """How many records to make for each tenant. What is not given is in proportion to the accounts.

    ``connections`` counts rows: each connection is two. ``registrations`` and ``order_lines`` are rows of the two
    custom tables.
    """

    leads: int = 300
    contacts: int = 600
    accounts: int = 120
    opportunities: int | None = None
    connections: int | None = None
    registrations: int | None = None
    order_lines: int | None = None

    @property
    def others(self) -> dict[str, int]:
        """How many there are of what is in proportion to the accounts, by table."""
        per_account = {
            "opportunity": (self.opportunities, 0.5),
            "connection": (self.connections, 1),
            "new_eventregistration": (self.registrations, 0.5),
            "new_orderline": (self.order_lines, 1),
        }
        return {name: int(self.accounts * many) if n is None else n for name, (n, many) in per_account.items()}

    @property
    def total(self) -> int:
        """All of them."""
        return self.leads + self.contacts + self.accounts + sum(self.others.values())


@dataclass(frozen=True)
class SandboxOptions:
    """The command's options. ``state`` keeps the databases there; otherwise they go when the sandbox ends.

    ``unprepared``: the organizations start without sync user, role, filter columns and change tracking.
    """

    tenants: tuple[str, ...] = ("contoso",)
    counts: Counts = field(default_factory=Counts)
    seed: int = 1
    port: int | None = None
    limits: Limits = field(default_factory=Limits)
    data: Path | None = None
    ready_file: Path | None = None
    state: Path | None = None
    unprepared: bool = False

    def __post_init__(self) -> None:
        for name in self.tenants:
            if not TENANT_NAME.match(name):
                raise OptionsWrong(
                    f"'{name}' cannot be a tenant's name: use 1 to 40 lower-case letters, digits, dashes"
                )
        if not self.tenants or len(set(self.tenants)) != len(self.tenants):
            raise OptionsWrong("name each tenant once, and at least one")
        numbers = (self.counts.leads, self.counts.contacts, self.counts.accounts, *self.counts.others.values())
        if min(numbers) < 0:
            raise OptionsWrong("a number of records cannot be negative")
        if self.data is not None and not self.data.is_dir():
            raise OptionsWrong(f"--data {self.data}: there is no such folder")
        if self.port is not None and not 1 <= self.port <= 65535 - 2 * len(self.tenants):
            raise OptionsWrong(f"--port {self.port}: this and the next {2 * len(self.tenants)} must be free ports")
