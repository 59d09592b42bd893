"""Carries one record at once, on demand: a hot lead does not wait for the next cycle.

Adobe's white paper on CRM synchronization, "on demand": marketers push a lead now, by a flow step or a webhook.
"""

from __future__ import annotations

import re

from crmsync.engine.absence import Absence
from crmsync.engine.datapath import LEAVE_OUT_CUSTOM, DataPath, may_be_left_out
from crmsync.engine.names import names_of
from crmsync.engine.report import SyncReport
from crmsync.engine.session import Session
from crmsync.engine.sync import not_now, reported, stopping
from crmsync.engine.tombstones import is_tombstone
from crmsync.errors import CrmsyncError, OperatorMustAct, RecordMissing
from crmsync.tenants import Tenant

PATIENCE = 60.0
"""Seconds that a record waits for a cycle that is at work to end, before it says that the tenant is busy."""

RECORD_PATTERN = r"^[a-z][a-z0-9_]*:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
"""``lead:GUID``: an entity's logical name and a record's id."""


async def sync_record(session: Session, record: str, *, allow: bool = False) -> SyncReport:
    """Carry ``entity:GUID`` as it is in Dynamics now; its owner and its company first, where Marketo lacks them.

    A record that is gone from Dynamics is carried as deleted, one whose person was deleted or merged in Marketo is
    brought back, and of one that another record continues it is told which. Raises ``RecordMissing`` for one that
    neither side ever had, ``PermissionMissing`` for one that the sync user may not read, ``StateMismatch`` while the
    tenant is not syncing, ``TenantBusy`` when another run does not end in time.
    """
    entity, record_id = parsed(record, session.tenant)
    await not_now(session, force=True)
    kept_out: CrmsyncError
    async with session.lease(patience=PATIENCE), stopping(session):
        command = f"sync {session.name} --record {record}"
        path = await DataPath.open(session, None, allow=allow, command=command)
        path.from_marketo.reads_on = session.tenant.to_dynamics  # the cycles read what happened there
        path.ensure_carried(entity)

        async def carry() -> None:
            known = await session.store.records.known(session.name, entity, [record_id])
            found = await path.carry_record(entity, record_id)
            gone = not found and await Absence(session).gone(path.shape[0].entities[entity], [record_id])
            if gone and record_id not in known:
                raise RecordMissing(
                    f"Dynamics has no {entity} of this id, and crmsync never saw one",
                    tenant=session.name,
                    entity=entity,
                    record=record_id,
                    remedy="Compare the id with the address of the record's page in Dynamics.",
                )
            await path.finish()
            after = (await session.store.records.known(session.name, entity, [record_id])).get(record_id)
            if after is not None and is_tombstone(after) and after.parent_id is not None:
                heirs = await session.store.succession.heirs(session.name, [record_id])
                path.notes.append(f"{entity} {record_id} goes on as {heirs.get(record_id, after.parent_id)}")

        try:
            return await reported(session, "record", path, carry)
        except LEAVE_OUT_CUSTOM as error:
            if not may_be_left_out(entity, error):
                raise
            kept_out = error
    raise kept_out  # no reason to stop the tenant: the rest does without this entity


def parsed(record: str, tenant: Tenant) -> tuple[str, str]:
    """Entity and id of ``entity:GUID``; raises ``OperatorMustAct`` with an example."""
    entity, _, record_id = record.partition(":")
    names = names_of(tenant)
    if not re.match(RECORD_PATTERN, record) or entity not in names:
        raise OperatorMustAct(
            f"'{record}' names no record",
            remedy=f"Give entity and id, for example lead:6f0b1c2d-0000-4000-8000-000000000001. Entities are: "
            f"{', '.join(names)}.",
        )
    return entity, record_id.lower()
