"""The state store: one object that holds the database and the sub-stores, one for each subject.

``open_store`` is the door; everything in ``engine`` and the command line goes through it. Each method is one
transaction: what belongs together (an outcome, its counters, its checkpoint) is written together or not at all, by the
holder of the tenant's lease only (``crmsync.state.fence``), and in spite of an outage (``crmsync.state.engine``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncEngine

from crmsync.state.brakes import BrakeStore
from crmsync.state.checkpoints import CheckpointStore
from crmsync.state.collisions import CollisionStore
from crmsync.state.database import connect
from crmsync.state.engine import OUTAGE_SECONDS, Patience, PatientEngine
from crmsync.state.flights import FlightStore
from crmsync.state.forms import FormStore
from crmsync.state.inbox import InboxStore
from crmsync.state.leases import LeaseStore
from crmsync.state.names import NameStore
from crmsync.state.participants import ParticipantStore
from crmsync.state.pending import PendingStore
from crmsync.state.people import PeopleStore
from crmsync.state.records import RecordStore
from crmsync.state.runs import RunStore
from crmsync.state.schemas import SchemaStore
from crmsync.state.succession import SuccessionStore
from crmsync.state.syncerrors import SyncErrorStore
from crmsync.state.tenantstore import TenantStore
from crmsync.state.waits import WaitStore


class Store:
    """What crmsync remembers of all tenants."""

    def __init__(self, engine: AsyncEngine, patience: Patience | None = None) -> None:
        self.engine = engine
        self._patient = PatientEngine(engine, patience or Patience(engine.url))

    @property
    def is_away(self) -> bool:
        """Whether the database is being waited for."""
        return self._patient.patience.is_waiting

    @cached_property
    def tenants(self) -> TenantStore:
        return TenantStore(self._patient)

    @cached_property
    def leases(self) -> LeaseStore:
        return LeaseStore(self._patient)

    @cached_property
    def schemas(self) -> SchemaStore:
        return SchemaStore(self._patient)

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        return CheckpointStore(self._patient)

    @cached_property
    def records(self) -> RecordStore:
        return RecordStore(self._patient)

    @cached_property
    def flights(self) -> FlightStore:
        return FlightStore(self._patient)

    @cached_property
    def forms(self) -> FormStore:
        return FormStore(self._patient)

    @cached_property
    def people(self) -> PeopleStore:
        return PeopleStore(self._patient)

    @cached_property
    def pending(self) -> PendingStore:
        return PendingStore(self._patient)

    @cached_property
    def succession(self) -> SuccessionStore:
        return SuccessionStore(self._patient)

    @cached_property
    def participants(self) -> ParticipantStore:
        return ParticipantStore(self._patient)

    @cached_property
    def errors(self) -> SyncErrorStore:
        return SyncErrorStore(self._patient)

    @cached_property
    def inbox(self) -> InboxStore:
        return InboxStore(self._patient)

    @cached_property
    def collisions(self) -> CollisionStore:
        return CollisionStore(self._patient)

    @cached_property
    def brakes(self) -> BrakeStore:
        return BrakeStore(self._patient)

    @cached_property
    def waits(self) -> WaitStore:
        return WaitStore(self._patient)

    @cached_property
    def names(self) -> NameStore:
        return NameStore(self._patient)

    @cached_property
    def runs(self) -> RunStore:
        return RunStore(self._patient)


@asynccontextmanager
async def open_store(url: str | None = None, *, patience: float = OUTAGE_SECONDS) -> AsyncIterator[Store]:
    """The store at ``url`` (else ``CRMSYNC_STATE_URL``, else SQLite in ``.crmsync/``), its tables up to date.

    A database that is away is waited for, now and at every transaction later, for up to ``patience`` seconds; then
    ``StateUnavailable`` is raised. Raises ``OperatorMustAct`` when the database cannot be used as the URL says.
    """
    engine = await connect(url, patience=patience)
    try:
        yield Store(engine, Patience(engine.url, patience))
    finally:
        await engine.dispose()
