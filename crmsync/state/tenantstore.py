"""Where each tenant stands, what it is bound to, and the audit log of every move."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.errors import BindingRefused, LeaseLost, StateMismatch
from crmsync.state.engine import SubStore
from crmsync.state.leases import Lease
from crmsync.state.lifecycle import MOVES, TenantState, has_reached
from crmsync.state.sql import now, upsert
from crmsync.state.tables import LEDGER, audit, leases, metadata, tenants


class Binding(BaseModel):
    """The organization and the subscription that a tenant is bound to (invariant 6)."""

    organization_id: str
    organization_name: str
    organization_url: str
    sync_user_id: str
    subscription: str

    def is_same(self, other: Binding) -> bool:
        """Whether both lead to the same organization and subscription."""
        return self.leads_to(other) and self.subscription == other.subscription

    def leads_to(self, other: Binding) -> bool:
        """Whether both lead to the same organization."""
        return self.organization_id.lower() == other.organization_id.lower()


class TenantRow(BaseModel):
    """What the store knows of a tenant. ``key_is_fresh``: crmsync itself created the person key field, so that no
    person of the subscription can carry an older value of it. ``doubt`` is the class of an error that stops the tenant
    if it is met again, ``doubt_reason`` what it said and ``doubted_at`` when it was met first (UTC).
    ``rights_seen_at``: when the sync user's rights were looked at last (UTC). ``renamed_to`` is the tenant that goes
    on with all that was known of this one."""

    tenant: str
    state: TenantState = TenantState.NEW
    reason: str | None = None
    binding: Binding | None = None
    key_is_fresh: bool = False
    doubt: str | None = None
    doubt_reason: str | None = None
    doubted_at: datetime | None = None
    rights_seen_at: datetime | None = None
    updated_at: datetime | None = None
    renamed_to: str | None = None


NO_DOUBT = {"doubt": None, "doubt_reason": None, "doubted_at": None}


class Move(BaseModel):
    """One row of the audit log."""

    at: datetime
    from_state: TenantState
    to_state: TenantState
    run: str
    why: str


class TenantStore(SubStore):
    """Reads and moves tenants; every move is one row of the audit log, in the same transaction."""

    async def get(self, tenant: str) -> TenantRow:
        """The tenant's row; one that was never seen is ``new``."""
        async with self._engine.connect() as connection:
            return await _get(connection, tenant)

    async def names(self) -> list[str]:
        async with self._engine.connect() as connection:
            return list(await connection.scalars(sa.select(tenants.c.tenant).order_by(tenants.c.tenant)))

    async def in_state(self, state: TenantState) -> set[str]:
        """The tenants that stand there."""
        async with self._engine.connect() as connection:
            query = sa.select(tenants.c.tenant).where(tenants.c.state == str(state))
            return set(await connection.scalars(query))

    async def bindings(self, *, but: str) -> dict[str, Binding]:
        """What every other tenant is bound to."""
        async with self._engine.connect() as connection:
            return await _bindings(connection, but)

    async def first_bound(self, binding: Binding) -> str | None:
        """The tenant that was bound to this organization and subscription before any other."""
        at = sa.select(sa.func.max(audit.c.id)).where(
            audit.c.tenant == tenants.c.tenant, audit.c.to_state == str(TenantState.CREDENTIALS_SAVED)
        )
        query = sa.select(tenants).where(tenants.c.subscription == binding.subscription)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query.order_by(at.scalar_subquery(), tenants.c.tenant))).mappings()
            rows = [_row(row) for row in found]
        return next((row.tenant for row in rows if row.binding and row.binding.is_same(binding)), None)

    async def history(self, tenant: str) -> list[Move]:
        """The audit log, oldest first."""
        query = sa.select(audit).where(audit.c.tenant == tenant).order_by(audit.c.id)
        async with self._engine.connect() as connection:
            return [Move(**row._mapping) for row in await connection.execute(query)]

    async def move(self, tenant: str, to: TenantState, *, run: str, why: str, reason: str | None = None) -> None:
        """Move the tenant; staying where it is is no move. Raises ``StateMismatch`` for a move that is not allowed."""
        async with self._engine.begin() as connection:
            row = await _get(connection, tenant)
            if row.state == to:
                return
            if (row.state, to) not in MOVES:
                raise StateMismatch(
                    f"The tenant is '{row.state}' and cannot become '{to}'",
                    tenant=tenant,
                    remedy="Run 'connect' for the tenant: it takes up the steps that are missing.",
                )
            await _write(connection, row.model_copy(update={"state": to, "reason": reason, **NO_DOUBT}))
            await _log(connection, tenant, row.state, to, run, why)

    async def advance(self, tenant: str, to: TenantState, *, run: str, why: str) -> None:
        """Move forward in the set-up; a tenant that has reached ``to`` already stays where it is."""
        row = await self.get(tenant)
        if not has_reached(row.state, to):
            await self.move(tenant, to, run=run, why=why)

    async def bind(self, tenant: str, binding: Binding, *, run: str, why: str, always_logged: bool = False) -> None:
        """Bind the tenant, or renew its binding; what is known of its records is kept. Raises ``BindingRefused`` when
        another tenant is bound to that subscription."""
        async with self._engine.begin() as connection:
            await _refuse_taken(connection, tenant, binding)
            row = await _get(connection, tenant)
            state = TenantState.CREDENTIALS_SAVED if row.state == TenantState.NEW else row.state
            await _write(connection, row.model_copy(update={"binding": binding, "state": state, "renamed_to": None}))
            if always_logged or state != row.state:
                await _log(connection, tenant, row.state, state, run, why)

    async def rebind(self, tenant: str, binding: Binding, *, run: str, why: str) -> None:
        """Bind the tenant to another organization or subscription: what was known of the old one is forgotten.
        Raises ``BindingRefused`` as ``bind`` does."""
        async with self._engine.begin() as connection:
            await _refuse_taken(connection, tenant, binding)
            row = await _get(connection, tenant)
            await _forget(connection, tenant)
            state = TenantState.CREDENTIALS_SAVED
            await _write(connection, TenantRow(tenant=tenant, state=state, binding=binding))
            await _log(connection, tenant, row.state, state, run, why)

    async def rename(self, old: str, new: str, lease: Lease, *, run: str, why: str, forgetting: bool = False) -> None:
        """Everything of ``old`` is that of ``new`` from now on, but for the leases: of ``old`` remains where it went.

        ``lease`` is that of ``old``. Raises ``LeaseLost`` when it is another run's, and ``StateMismatch`` when
        something is known of ``new`` already, which with ``forgetting`` goes.
        """
        async with self._engine.begin() as connection:
            held = sa.select(leases.c.tenant).where(
                leases.c.tenant == old, leases.c.holder == lease.holder, leases.c.token == lease.token
            )
            if await connection.scalar(held.with_for_update()) is None:
                raise LeaseLost("Another run has taken the tenant over", tenant=old)
            if forgetting:
                await _forget(connection, new)
            elif (known := await _known(connection, new)) is not None:
                raise StateMismatch(
                    f"Something is known of '{new}' already ({known}), so it cannot go on as '{old}' did",
                    tenant=new,
                    remedy=f"To forget what is known of '{new}' and go on with what is known of '{old}', run: "
                    f"crmsync connect {new} --rename {old} --rebind",
                )
            before = await _get(connection, old)
            await connection.execute(sa.delete(tenants).where(tenants.c.tenant == new))
            for table in metadata.sorted_tables:
                if "tenant" in table.c and table is not leases:
                    await connection.execute(sa.update(table).where(table.c.tenant == old).values(tenant=new))
            await _write(connection, TenantRow(tenant=old, renamed_to=new))
            await _log(connection, old, before.state, TenantState.NEW, run, f"renamed to {new}")
            await _log(connection, new, before.state, before.state, run, why)

    async def doubt(self, tenant: str, kind: str, reason: str, at: datetime) -> None:
        """Note an error that stops the tenant if it is met again. A run that ends well takes it back (``RunStore``)."""
        values = {"doubt": kind, "doubt_reason": reason, "doubted_at": at}
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(tenants).where(tenants.c.tenant == tenant).values(values))

    async def saw_rights(self, tenant: str, at: datetime) -> None:
        """The sync user's rights were looked at, and are as they are known."""
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(tenants).where(tenants.c.tenant == tenant).values(rights_seen_at=at))

    async def set_key_is_fresh(self, tenant: str) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(tenants).where(tenants.c.tenant == tenant).values(key_is_fresh=True))


async def _get(connection: AsyncConnection, tenant: str) -> TenantRow:
    found = (await connection.execute(sa.select(tenants).where(tenants.c.tenant == tenant))).mappings().first()
    return TenantRow(tenant=tenant) if found is None else _row(found)


def _row(found: sa.RowMapping) -> TenantRow:
    binding = Binding(**{name: found[name] for name in Binding.model_fields}) if found["organization_id"] else None
    return TenantRow(binding=binding, **{name: found[name] for name in TenantRow.model_fields if name != "binding"})


async def _refuse_taken(connection: AsyncConnection, tenant: str, binding: Binding) -> None:
    """Raise ``BindingRefused`` when another tenant is bound to the subscription; until the transaction ends no other
    can be."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql("LOCK TABLE tenants IN SHARE ROW EXCLUSIVE MODE")
    refuse_taken(tenant, binding, await _bindings(connection, tenant))


async def _bindings(connection: AsyncConnection, but: str) -> dict[str, Binding]:
    query = sa.select(tenants).where(tenants.c.tenant != but, tenants.c.organization_id.is_not(None))
    found = (await connection.execute(query.order_by(tenants.c.tenant))).mappings()
    return {row.tenant: row.binding for row in map(_row, found) if row.binding is not None}


def refuse_taken(tenant: str, binding: Binding, others: Mapping[str, Binding]) -> None:
    """Raise ``BindingRefused`` when one of the others is bound to the subscription. One organization may be bound to
    several subscriptions, each of which has all of it."""
    for name, other in others.items():
        if other.subscription != binding.subscription:
            continue
        if other.leads_to(binding):
            raise taken(tenant, name, binding)
        raise BindingRefused(
            f"Subscription {binding.subscription} is bound to organization '{other.organization_name}' "
            f"by tenant '{name}'",
            tenant=tenant,
            remedy="One subscription takes one organization, because records of two would share its fields and its "
            "companies: name another subscription in the tenant file.",
        )


def taken(tenant: str, other: str, binding: Binding) -> BindingRefused:
    """The error when another tenant is bound to the same organization and subscription."""
    return BindingRefused(
        f"Organization '{binding.organization_name}' ({binding.organization_id}) and subscription "
        f"{binding.subscription} are bound to tenant '{other}', which remembers what was synced between them",
        tenant=tenant,
        remedy=f"If {other}.yaml was renamed to {tenant}.yaml, run: crmsync connect {tenant} --rename {other}. If it "
        f"was copied, delete {tenant}.yaml, or name another organization and subscription in it.",
    )


async def _known(connection: AsyncConnection, tenant: str) -> str | None:
    """The first thing that is known of a tenant's services."""
    if (binding := (await _get(connection, tenant)).binding) is not None:
        return f"its binding to {binding.organization_name} and {binding.subscription}"
    for table in LEDGER:
        if await connection.scalar(
            sa.select(sa.literal(1)).select_from(table).where(table.c.tenant == tenant).limit(1)
        ):
            return f"its {table.name.replace('_', ' ')}"
    return None


async def _forget(connection: AsyncConnection, tenant: str) -> None:
    """Forget what is known of a tenant's services."""
    for table in LEDGER:
        await connection.execute(sa.delete(table).where(table.c.tenant == tenant))


async def _write(connection: AsyncConnection, row: TenantRow) -> None:
    bound = row.binding.model_dump() if row.binding else dict.fromkeys(Binding.model_fields)
    values = row.model_dump(exclude={"binding", "updated_at"}) | bound | {"updated_at": now()}
    await upsert(connection, tenants, [values | {"state": str(row.state)}])


async def _log(connection: AsyncConnection, tenant: str, start: str, end: str, run: str, why: str) -> None:
    values = {
        "tenant": tenant,
        "at": now(),
        "from_state": str(start),
        "to_state": str(end),
        "run": run,
        "why": why,
    }
    await connection.execute(sa.insert(audit), [values])
