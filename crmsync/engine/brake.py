"""The brake: whatever goes wrong upstream, a run does not empty a subscription, nor an organization.

What a run takes away is counted by entity, kind and field before it is written. What would be more than the tenant
file's ``safety`` lets it is held: it stays where it waits (a mark, a page that is read again, the inbox), everything
else goes on, and the run ends with ``AllowanceNeeded``. The next run counts anew what is still to be done, beside what
runs before it have done that did not end well; one that an operator allows does it. Ids and names of fields are told,
never values.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from crmsync.errors import AllowanceNeeded
from crmsync.state.brakes import Braked, Loss, LossKind
from crmsync.state.sql import now
from crmsync.state.syncerrors import TO_DYNAMICS
from crmsync.tenants import Tenant

if TYPE_CHECKING:
    from crmsync.state.store import Store

log = logging.getLogger("crmsync.engine")

SAMPLES = 5
MOST_IDS = 50_000
"""Of what is held so many ids are remembered, so that none is counted twice."""

_PEOPLE = ("lead", "contact")
_PLURALS = {
    "systemuser": "users",
    "account": "accounts",
    "lead": "leads",
    "contact": "contacts",
    "opportunity": "opportunities",
    "opportunityrole": "opportunity roles",
}


@dataclass
class _Held:
    """What is not done: of so many records, some of which are told. ``ids`` are those that may be met once more."""

    number: int = 0
    samples: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def add(self, ids: Sequence[str]) -> None:
        fresh = set(ids) - self.ids
        self.number += len(fresh)
        self.samples += sorted(fresh)[: SAMPLES - len(self.samples)]
        self.ids |= set(sorted(fresh)[: MOST_IDS - len(self.ids)])


class Brake:
    """The brake of one run. ``command`` is what an operator runs, with ``--allow``, to have it done all the same."""

    def __init__(self, store: Store, tenant: Tenant, *, allowed: bool = False, command: str = "") -> None:
        self._store = store
        self._tenant = tenant
        self._safety = tenant.safety
        self._command = command or f"sync {tenant.tenant}"
        self._written: Counter[Loss] = Counter()
        self._own: Counter[Loss] = Counter()
        self._since: dict[Loss, datetime] = {}
        self._coming: Counter[Loss] = Counter()
        self._held: dict[Loss, _Held] = {}
        self._totals: dict[str, int] = {}
        self.allowed = allowed

    async def open(self) -> None:
        """See what runs before this one have done that did not end well; what is allowed now counts anew."""
        for one in await self._store.brakes.all(self._tenant.tenant):
            self._written[one.loss] = one.written
            if one.since is not None:
                self._since[one.loss] = one.since
        if self.allowed and self._written:
            await self._store.brakes.release(self._tenant.tenant, self._written, {})
            self._written.clear()

    async def is_too_much(self, loss: Loss, number: int) -> bool:
        """Whether so many more would be more than the tenant's ``safety`` lets a run do."""
        percent = self._safety.overwrite_percent if loss.kind == "overwrite" else self._safety.percent
        number += self._written[loss]
        if percent is None or number <= self._safety.at_least:
            return False
        return number * 100 > percent * await self._total(loss.entity)

    async def may_be_too_much(self, entity: str, number: int) -> bool:
        """Whether changes of so many records may take too much away, whatever they are."""
        kinds: tuple[LossKind, ...] = ("clear", "overwrite")
        return not self.allowed and any([await self.is_too_much(Loss(entity, one, "", ""), number) for one in kinds])

    def foresee(self, entity: str, losses: Mapping[Loss, int]) -> None:
        """What is coming in all of this entity, before the first of it is written."""
        for loss in [loss for loss in self._coming if loss.entity == entity]:
            del self._coming[loss]
        self._coming.update(losses)

    async def passes(self, loss: Loss, ids: Sequence[str]) -> bool:
        """Whether these records may lose this, too; else they are held, and all that follow."""
        if not ids or self.allowed:
            return True
        if loss not in self._held and not await self.is_too_much(loss, max(len(ids), self._coming[loss])):
            return True
        self._held.setdefault(loss, _Held()).add(ids)
        return False

    async def passes_whole(self, loss: Loss, number: int, samples: Sequence[str]) -> bool:
        """The same of all there are; asked again, of all that there are by then."""
        self._held.pop(loss, None)
        if self.allowed or not await self.is_too_much(loss, number):
            return True
        self._held[loss] = _Held(number, list(samples))
        return False

    async def wrote(self, done: Mapping[Loss, int]) -> None:
        """So many were done; if this run does not end well, they count in the next one."""
        some = {loss: number for loss, number in done.items() if number}
        if self._safety.overwrite_percent is None:
            some = {loss: number for loss, number in some.items() if loss.kind != "overwrite"}
        self._written.update(some)
        self._own.update(some)
        self._coming.subtract(some)
        if some and not self.allowed:
            await self._store.brakes.add(self._tenant.tenant, some)

    async def refused(self, losses: Mapping[Loss, Sequence[str]]) -> set[str]:
        """Those of these records, by what they would lose, that are held."""
        held: set[str] = set()
        for loss, ids in losses.items():
            if not await self.passes(loss, ids):
                held.update(ids)
        return held

    async def error(self) -> AllowanceNeeded:
        """What an operator is told of all that is held."""
        held = self._held
        would = "; and ".join([await self._would(one, of) for one, of in held.items()])
        said = "\n".join(self._why(one, of) for one, of in held.items())
        return AllowanceNeeded(
            f"The brake is on: this run would {would}\n{said}\nThat is held; the rest went on",
            tenant=self._tenant.tenant,
            entity=next(iter(held)).entity,
            is_new=bool(held.keys() - self._since.keys()),
            remedy=f"See whether it is meant. If it is, run once: crmsync {self._command} --allow (a form has the same "
            "choice). If not, put its cause right: nothing is lost, and the next run looks again by itself. The limits "
            "stand under 'safety' in the tenant file.",
        )

    def was_on(self, loss: Loss) -> bool:
        """Whether a run before this one held some of it."""
        return loss in self._since

    def holds(self, entity: str) -> bool:
        """Whether anything of this entity is held."""
        return any(loss.entity == entity for loss in self._held)

    async def save(self) -> None:
        """Keep what is held, for the status and the next run."""
        rows = [
            Braked(loss, self._written[loss], self._since.get(loss, now()), await self._would(loss, held))
            for loss, held in self._held.items()
        ]
        if rows:
            await self._store.brakes.hold(self._tenant.tenant, rows)

    async def close(self, ended: Callable[[str], bool]) -> None:
        """End a run that has done everything else: raises ``AllowanceNeeded`` where something is held. Else what it has
        done counts no more, nor what was done before it of the entities that are ``ended``: carried as a whole."""
        await self.save()
        if self._held:
            error = await self.error()
            log.warning("%s: %s", self._tenant.tenant, error.message)
            raise error
        if self._written and not self.allowed:
            over = {loss for loss in self._written if ended(loss.entity)}
            kept = {loss: -number for loss, number in self._own.items() if loss not in over}
            await self._store.brakes.release(self._tenant.tenant, over, kept)

    async def _total(self, entity: str) -> int:
        if entity not in self._totals:
            self._totals[entity] = await self._store.brakes.total(self._tenant.tenant, entity)
        return self._totals[entity]

    async def _would(self, loss: Loss, held: _Held) -> str:
        done, whom = self._written[loss], _PLURALS.get(loss.entity, f"{loss.entity} records")
        many = f"{held.number + done:,} of {await self._total(loss.entity):,} {whom}"
        return self._do(loss, many) + (f" ({done:,} of these were done before)" if done else "")

    def _why(self, loss: Loss, held: _Held) -> str:
        percent = self._safety.overwrite_percent if loss.kind == "overwrite" else self._safety.percent
        limits = f"more than {self._safety.at_least:,}, and more than {percent:g} % of them"
        return f"{loss.entity} {loss.field or loss.kind}: {limits}; for example {', '.join(held.samples)}"

    def _do(self, loss: Loss, many: str) -> str:
        where = "Dynamics" if loss.direction == TO_DYNAMICS else "Marketo"
        match loss.kind:
            case "delete":
                flags = loss.entity in _PEOPLE and self._tenant.deleted_in_dynamics == "flag"
                return f"flag {many} as deleted in Marketo" if flags else f"delete {many} in Marketo"
            case "merge":
                return f"merge {many} into others in Marketo"
            case "clear":
                return f"clear {loss.field} of {many} in {where}"
            case "opt-out":
                return f"take back the opt-out {loss.field} of {many} in {where}"
            case "overwrite":
                return f"overwrite {loss.field} of {many} in {where}"
