"""A tenant whose file was renamed goes on under its new name, with all that is known of it.

Without that the ledger would begin anew: people who were deleted or merged would come again. What Prefect keeps by the
tenant's name follows from the tenant files (``crmsync deploy``), and the block of its secrets is saved by ``connect``.
"""

from __future__ import annotations

from difflib import get_close_matches

from crmsync.engine.session import Session
from crmsync.errors import BindingRefused, StateMismatch
from crmsync.state.tenantstore import Binding, TenantRow


async def take_over(session: Session, old: str, binding: Binding, *, forgetting: bool = False) -> None:
    """The session's tenant goes on as ``old``, which was bound to the same. Done before, it stays done.

    Raises ``TenantBusy`` while ``old`` runs, ``BindingRefused`` where it was bound to others, and ``StateMismatch``
    where nothing is known of it, or something of the new name already, which is forgotten only with ``forgetting``.
    """
    store, new = session.store, session.name
    row = await store.tenants.get(old)
    if row.renamed_to == new or old == new:
        return
    if row.binding is None:
        raise await _unknown(session, row)
    if not row.binding.is_same(binding):
        raise BindingRefused(
            f"Tenant '{old}' is bound to {_told(row.binding)}; the tenant file of '{new}' leads to {_told(binding)}",
            tenant=new,
            remedy="Correct the tenant file, or leave --rename out: only what leads to the same can go on as the same.",
        )
    lease = await store.leases.take(old, session.run, sleep=session.sleep)
    if lease is None:
        raise await session.busy(old)
    try:
        why = f"renamed from {old}"
        await store.tenants.rename(old, new, lease, run=session.run, why=why, forgetting=forgetting)
    finally:
        await store.leases.give_back(lease)
    session.memo.clear()


def renamed(row: TenantRow) -> StateMismatch:
    """The error of a tenant that goes on under another name."""
    return StateMismatch(
        f"The tenant was renamed to '{row.renamed_to}', and goes on under that name",
        tenant=row.tenant,
        remedy=f"Run it as '{row.renamed_to}', delete {row.tenant}.yaml if it is still there, and run: crmsync deploy",
    )


def _told(binding: Binding) -> str:
    name, number = binding.organization_name, binding.organization_id
    return f"organization '{name}' ({number}) and subscription {binding.subscription}"


async def _unknown(session: Session, row: TenantRow) -> StateMismatch:
    if row.renamed_to is not None:
        return renamed(row)
    names = [name for name in await session.store.tenants.names() if name != session.name]
    near = get_close_matches(row.tenant, names, n=3) or names[:3]
    hint = f"Name the old one: {' or '.join(near)}. " if near else ""
    return StateMismatch(
        f"Nothing is known of a tenant '{row.tenant}' in the state database",
        tenant=session.name,
        remedy=f"{hint}Without an old name, leave --rename out.",
    )
