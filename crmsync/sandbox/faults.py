"""Which requests shall fail, and how: the rules an administrator adds, and the search for the one that
applies.

A rule names the requests it is for (service, tenant, method, path), how many of them (the next n, or a rate),
and a kind of failure. ``crmsync.sandbox.failing`` carries a failure out.

The kinds are the faults that "Dataverse Web API limits", Marketo's "Error Codes" and plain networks produce.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Service = Literal["dynamics", "marketo", "entra"]
Kind = Literal["status", "marketo", "dataverse", "throttle", "reset", "hang", "slow", "truncate", "after_disconnect"]

KINDS: dict[Kind, str] = {
    "status": "an HTTP status with a gateway's HTML body ('status', optional 'message' and 'retry_after')",
    "marketo": "HTTP 200 with Marketo's envelope and an error ('code', optional 'message')",
    "dataverse": "Dataverse's error body ('status', 'code', 'message', optional 'retry_after')",
    "throttle": "the service's own way to slow a client down: 429 with Retry-After, or Marketo's 606",
    "reset": "the connection is reset before an answer",
    "hang": "no answer for 'seconds', then the connection is closed",
    "slow": "the right answer, but 'seconds' late",
    "truncate": "half of the answer's body, then the connection is closed",
    "after_disconnect": "the request is received whole and executed 'seconds' later, or when the fault is lifted, also "
    "if its client has gone by then; 'drop' resets the connection at once",
}
_LOSING = frozenset({"reset", "hang", "truncate"})


@dataclass(frozen=True)
class Traffic:
    """What a rule can see of a request."""

    service: Service
    tenant: str | None
    method: str
    path: str


class FaultRule(BaseModel):
    """One rule, as ``POST {admin_url}/faults`` takes it. Without ``times`` and ``rate`` the next request fails."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Literal["dynamics", "marketo", "entra", "any"] = "any"
    tenant: str | None = None
    method: str = "*"
    path: Annotated[str, Field(pattern=r"^[/*]")] = "*"
    times: Annotated[int, Field(ge=1)] | None = None
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    skip: Annotated[int, Field(ge=0)] = 0
    kind: Kind
    status: Annotated[int, Field(ge=400, le=599)] = 503
    code: Annotated[str, Field(pattern=r"^(0x[0-9a-fA-F]{8}|\d{3,4})$")] | None = None
    message: str | None = None
    retry_after: Annotated[float, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    after_execution: bool = False
    drop: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> FaultRule:
        if self.times is not None and self.rate is not None:
            raise ValueError("give either 'times' (the next n requests) or 'rate' (a share of them), not both")
        if self.after_execution and self.kind not in _LOSING:
            raise ValueError(
                "'after_execution' means that the request is executed and its answer lost: "
                "use it with kind reset, hang or truncate"
            )
        if self.drop and self.kind != "after_disconnect":
            raise ValueError(
                "'drop' resets the connection of a request that is executed later: use it with kind after_disconnect"
            )
        own: dict[str, str] = {"marketo": "marketo", "dataverse": "dynamics"}
        if self.kind in own and self.service != own[self.kind]:
            raise ValueError(f'kind \'{self.kind}\' needs "service": "{own[self.kind]}"')
        if self.kind in own and self.code is None:
            raise ValueError(f"kind '{self.kind}' needs a 'code', for example 606 or 0x80040216")
        return self

    def matches(self, traffic: Traffic) -> bool:
        """Whether the rule is for this request."""
        return (
            self.service in ("any", traffic.service)
            and self.tenant in (None, traffic.tenant)
            and self.method.upper() in ("*", traffic.method)
            and fnmatchcase(traffic.path, self.path)
        )


@dataclass
class Fault:
    """A rule in force, and what became of it. ``lifted`` is set when it is in force no more; ``late`` counts the
    requests that were executed late."""

    id: int
    rule: FaultRule
    seen: int = 0
    hits: int = 0
    late: int = 0
    lifted: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)

    @property
    def used_up(self) -> bool:
        """Whether it has failed as many requests as it was to."""
        return self.rule.rate is None and self.hits >= (self.rule.times or 1)

    def as_json(self) -> dict[str, Any]:
        """For the list: the rule, the requests that matched, those that failed, and those that were executed late."""
        rule = self.rule.model_dump(exclude_none=True)
        return {
            "id": self.id,
            **rule,
            "seen": self.seen,
            "hits": self.hits,
            "late": self.late,
            "active": not self.used_up,
        }


class FaultList:
    """The rules in force, in the order in which they were added; the first that applies wins."""

    def __init__(self, *, chance: Callable[[], float] | None = None) -> None:
        self._chance = chance or random.Random(0).random  # noqa: S311
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, rule: FaultRule) -> Fault:
        """Put a rule in force."""
        self._last_id += 1
        fault = Fault(self._last_id, rule)
        self._faults.append(fault)
        return fault

    def all(self) -> list[Fault]:
        """Every rule, also the used-up ones."""
        return list(self._faults)

    def remove(self, fault_id: int | None = None) -> int:
        """Lift one rule, or all; returns how many there were."""
        kept = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]
        removed = [fault for fault in self._faults if fault not in kept]
        for fault in removed:
            fault.lifted.set()
        self._faults = kept
        return len(removed)

    def applying(self, traffic: Traffic) -> Fault | None:
        """The fault by which this request shall fail, if any; counts it."""
        for fault in self._faults:
            if fault.used_up or not fault.rule.matches(traffic):
                continue
            fault.seen += 1
            if fault.seen <= fault.rule.skip:
                continue
            if fault.rule.rate is not None and self._chance() >= fault.rule.rate:
                continue
            fault.hits += 1
            return fault
        return None
