"""Which tombstones stand: a record that went on as another, or whose person was deleted or merged in Marketo, and which
of them life has undone.

A lead that is open again after it was qualified is its own person again, and so is one whose contact is gone and that
is changed; a merged record that is active again was taken back out. Who was deleted or merged in Marketo stays out, by
the tenant's choice (``deleted_in_marketo``), until an operator asks for the record (``sync --record``).

"Lead conversion" (Adobe's white paper on CRM synchronization); "Merge data" (Microsoft's documents).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crmsync.state.records import Known
from crmsync.state.store import Store

TOMBSTONES = ("gone", "merged", "converted")
QUALIFIED, ACTIVE = 1, 0

Row = Mapping[str, Any]


def master_of(row: Row) -> str | None:
    """The record that this one was merged into. One that is active again stands for itself."""
    if row.get("merged") is not True or row.get("statecode") == ACTIVE:
        return None
    master = row.get("_masterid_value")
    return str(master).lower() if master else None


def is_tombstone(state: Known) -> bool:
    """Whether the record's person goes on as another's or is gone; also of one that was deleted in Dynamics then."""
    was = state.status == "deleted" and state.parent_id is not None and not state.in_marketo
    return state.status in TOMBSTONES or was


class Undone:
    """Finds what is undone, of leads and contacts of one tenant. ``recreate``: who was deleted in Marketo is made
    anew."""

    def __init__(self, store: Store, tenant: str, entity: str, *, recreate: bool) -> None:
        self._store = store
        self._tenant = tenant
        self._entity = entity
        self._recreate = recreate

    async def of(
        self, dead: Mapping[str, Known], rows: Mapping[str, Row], *, edited: bool, asked: bool
    ) -> dict[str, Known]:
        """Those of these tombstones that do not stand, as what is known of them from now on. ``edited``: these rows
        were changed, and not only read; ``asked``: an operator names them."""
        heirs_gone = await self._without_heirs(dead)
        return {
            one: _alive(state, self._entity)
            for one, state in dead.items()
            if not self._stands(state, rows[one], one in heirs_gone, edited=edited or asked, asked=asked)
        }

    def _stands(self, state: Known, row: Row, heir_is_gone: bool, *, edited: bool, asked: bool) -> bool:
        if state.status == "gone":
            return not (self._recreate or asked)
        if master_of(row) is not None:
            return True
        if state.status == "merged":
            in_marketo = state.parent_id is None and not state.in_marketo
            return in_marketo and not asked
        if self._entity != "lead":
            return False
        if row.get("statecode") in (QUALIFIED, None):
            return not (heir_is_gone and edited)
        # Custom code converts leads that stay open: of these the contact stands for them as long as it is there.
        return state.middle_id is None and not heir_is_gone

    async def _without_heirs(self, dead: Mapping[str, Known]) -> set[str]:
        """Those whose contact, at the end of the chain, was deleted in Dynamics."""
        named = [one for one, state in dead.items() if state.parent_id is not None]
        if not named or self._entity != "lead":
            return set()
        finals = await self._store.succession.heirs(self._tenant, named)
        heirs = {one: finals.get(one) or str(dead[one].parent_id) for one in named}
        known = await self._store.records.known(self._tenant, "contact", sorted(set(heirs.values())))
        return {one for one, heir in heirs.items() if heir in known and known[heir].status == "deleted"}


def _alive(state: Known, entity: str) -> Known:
    """A record that is its own again: the person under its old id may be another's by now, unless it was only gone.
    A lead remembers the contact that does not continue it any more."""
    own = state.status == "gone" or state.in_marketo
    return state._replace(
        status="gone" if state.status == "gone" else "unknown",
        marketo_id=state.marketo_id if own else None,
        field_set=None,
        fingerprints=None,
        parent_id=None,
        middle_id=(state.middle_id or state.parent_id) if entity == "lead" else None,
    )
