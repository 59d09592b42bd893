"""Where each tenant stands, what it is bound to, and the audit log of every move."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from crmsync.errors import StateMismatch
from crmsync.state.engine import SubStore
from crmsync.state.lifecycle import MOVES, TenantState, has_reached
from crmsync.state.sql import now, upsert
from crmsync.state.tables import (
    audit,
    back_counters,
    brakes,
    checkpoints,
    collisions,
    counters,
    creations,
    field_sets,
    in_flight,
    marketo_changes,
    own_forms,
    parked_fields,
    participants,
    pending,
    records,
    schemas,
    selections,
    sync_errors,
    tenants,
    watermarks,
)


class Binding(BaseModel):
    """The organization and the subscription that a tenant is bound to (invariant 6)."""

    organization_id: str
    organization_name: str
    organization_url: str
    sync_user_id: str
    subscription: str


class TenantRow(BaseModel):
    """What the store knows of a tenant. ``key_is_fresh``: crmsync itself created the person key field, so that no
    person of the subscription can carry an older value of it. ``doubt`` is the class of an error that stops the tenant
    if it is met again, ``doubt_reason`` what it said and ``doubted_at`` when it was met first (UTC)."""

    tenant: str
    state: TenantState = TenantState.NEW
    reason: str | None = None
    binding: Binding | None = None
    key_is_fresh: bool = False
    doubt: str | None = None
    doubt_reason: str | None = None
    doubted_at: datetime | None = None
    updated_at: datetime | None = None


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

    async def of_subscription(self, subscription: str) -> list[TenantRow]:
        """The tenants that are bound to it."""
        async with self._engine.connect() as connection:
            query = sa.select(tenants).where(tenants.c.subscription == subscription).order_by(tenants.c.tenant)
            return [_row(found) for found in (await connection.execute(query)).mappings()]

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
        """Bind the tenant, or renew its binding; what is known of its records is kept."""
        async with self._engine.begin() as connection:
            row = await _get(connection, tenant)
            state = TenantState.CREDENTIALS_SAVED if row.state == TenantState.NEW else row.state
            await _write(connection, row.model_copy(update={"binding": binding, "state": state}))
            if always_logged or state != row.state:
                await _log(connection, tenant, row.state, state, run, why)

    async def rebind(self, tenant: str, binding: Binding, *, run: str, why: str) -> None:
        """Bind the tenant to another organization or subscription: what was known of the old one is forgotten."""
        async with self._engine.begin() as connection:
            row = await _get(connection, tenant)
            for table in (
                back_counters,
                brakes,
                checkpoints,
                collisions,
                counters,
                creations,
                field_sets,
                in_flight,
                marketo_changes,
                own_forms,
                parked_fields,
                participants,
                pending,
                records,
                schemas,
                selections,
                sync_errors,
                watermarks,
            ):
                await connection.execute(sa.delete(table).where(table.c.tenant == tenant))
            state = TenantState.CREDENTIALS_SAVED
            await _write(connection, TenantRow(tenant=tenant, state=state, binding=binding))
            await _log(connection, tenant, row.state, state, run, why)

    async def doubt(self, tenant: str, kind: str, reason: str, at: datetime) -> None:
        """Note an error that stops the tenant if it is met again. A run that ends well takes it back (``RunStore``)."""
        values = {"doubt": kind, "doubt_reason": reason, "doubted_at": at}
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(tenants).where(tenants.c.tenant == tenant).values(values))

    async def set_key_is_fresh(self, tenant: str) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(tenants).where(tenants.c.tenant == tenant).values(key_is_fresh=True))


async def _get(connection: AsyncConnection, tenant: str) -> TenantRow:
    found = (await connection.execute(sa.select(tenants).where(tenants.c.tenant == tenant))).mappings().first()
    return TenantRow(tenant=tenant) if found is None else _row(found)


def _row(found: sa.RowMapping) -> TenantRow:
    binding = Binding(**{name: found[name] for name in Binding.model_fields}) if found["organization_id"] else None
    return TenantRow(binding=binding, **{name: found[name] for name in TenantRow.model_fields if name != "binding"})


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
