"""The state store's tables: one place that says what crmsync remembers, for SQLite and PostgreSQL alike.

No table holds a secret or a record's values: values are remembered as fingerprints only. All times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


class UtcTime(sa.TypeDecorator[datetime]):
    """An aware UTC time; SQLite, which has no zones, stores it naive."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


metadata = sa.MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"},
)


def _tenant(**options: Any) -> sa.Column[str]:
    return sa.Column("tenant", sa.String(40), nullable=False, **options)


tenants = sa.Table(
    "tenants",
    metadata,
    _tenant(primary_key=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("organization_id", sa.String(36)),
    sa.Column("organization_name", sa.Text),
    sa.Column("organization_url", sa.Text),
    sa.Column("sync_user_id", sa.String(36)),
    sa.Column("subscription", sa.Text),
    sa.Column("key_is_fresh", sa.Boolean, nullable=False, default=False),
    sa.Column("doubt", sa.String(40)),
    sa.Column("doubt_reason", sa.Text),
    sa.Column("doubted_at", UtcTime),
    sa.Column("rights_seen_at", UtcTime),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("renamed_to", sa.String(40)),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _tenant(index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("from_state", sa.String(20), nullable=False),
    sa.Column("to_state", sa.String(20), nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    _tenant(primary_key=True),
    sa.Column("holder", sa.String(36), nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("machine", sa.Text, nullable=False, server_default=""),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("process_started", sa.Float, nullable=False),
    sa.Column("acquired_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
)

schemas = sa.Table(
    "schemas",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _tenant(),
    sa.Column("side", sa.String(10), nullable=False),
    sa.Column("taken_at", UtcTime, nullable=False),
    sa.Column("digest", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("ix_schemas_tenant_side", "tenant", "side"),
)

selections = sa.Table(
    "selections",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _tenant(index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("digest", sa.String(32), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

parked_fields = sa.Table(
    "parked_fields",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("attribute", sa.String(100), primary_key=True),
    sa.Column("marketo_field", sa.String(255), nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("reviewed_at", UtcTime),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("selection_digest", sa.String(32), nullable=False),
    sa.Column("read_number", sa.Integer, nullable=False),
    sa.Column("read_started_at", UtcTime),
    sa.Column("read_done", sa.Boolean, nullable=False),
    sa.Column("records_read", sa.BigInteger, nullable=False),
    sa.Column("records_expected", sa.BigInteger),
    sa.Column("next_link", sa.Text),
    sa.Column("delta_link", sa.Text),
    sa.Column("parents_met", sa.BigInteger),
    sa.Column("moved_at", UtcTime, nullable=False),
    sa.Column("outdated", sa.Text),
)

field_sets = sa.Table(
    "field_sets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _tenant(),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("names", sa.Text, nullable=False),
    sa.Index("ix_field_sets_tenant_entity", "tenant", "entity"),
)

records = sa.Table(
    "records",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("record_id", sa.String(36), primary_key=True),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("in_marketo", sa.Boolean, nullable=False),
    sa.Column("marketo_id", sa.BigInteger),
    sa.Column("field_set", sa.Integer),
    sa.Column("fingerprints", sa.LargeBinary),
    sa.Column("waiting_owner", sa.String(36)),
    sa.Column("waiting_company", sa.String(36)),
    sa.Column("read_number", sa.Integer, nullable=False),
    sa.Column("synced_at", UtcTime),
    sa.Column("parent_id", sa.String(36)),
    sa.Column("middle_id", sa.String(36)),
    sqlite_with_rowid=False,
)
for _column in (records.c.waiting_owner, records.c.waiting_company, records.c.parent_id, records.c.middle_id):
    sa.Index(
        f"ix_records_{_column.name}",
        records.c.tenant,
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )
sa.Index(
    "ix_records_marketo_id",
    records.c.tenant,
    records.c.marketo_id,
    sqlite_where=records.c.marketo_id.is_not(None),
    postgresql_where=records.c.marketo_id.is_not(None),
)

_unnumbered = sa.and_(records.c.marketo_id.is_(None), records.c.in_marketo.is_(True))
sa.Index(
    "ix_records_unnumbered",
    records.c.tenant,
    records.c.entity,
    records.c.record_id,
    sqlite_where=_unnumbered,
    postgresql_where=_unnumbered,
)

pending = sa.Table(
    "pending",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("record_id", sa.String(36), primary_key=True),
    sa.Column("since", UtcTime),
    sqlite_with_rowid=False,
)

participants = sa.Table(
    "participants",
    metadata,
    _tenant(primary_key=True),
    sa.Column("source_id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("opportunity_id", sa.String(36), nullable=False),
    sa.Column("person_id", sa.String(36), nullable=False),
    sa.Column("role_id", sa.String(36)),
    sa.Column("since", UtcTime),
    sa.Column("read_number", sa.Integer, nullable=False),
    sa.Index("ix_participants_tenant_opportunity_id", "tenant", "opportunity_id"),
    sa.Index("ix_participants_tenant_person_id", "tenant", "person_id"),
    sqlite_with_rowid=False,
)

sync_errors = sa.Table(
    "sync_errors",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("record_id", sa.String(36), primary_key=True),
    sa.Column("direction", sa.String(30), primary_key=True),
    sa.Column("field", sa.String(255), primary_key=True, server_default=""),
    sa.Column("operation", sa.String(20), nullable=False),
    sa.Column("code", sa.String(40), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("remedy", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_at", UtcTime, nullable=False),
    sa.Column("last_at", UtcTime, nullable=False),
    sa.Column("next_attempt", UtcTime),
    sa.Column("refused", sa.String(12)),
)

in_flight = sa.Table(
    "in_flight",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    _tenant(index=True),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("job", sa.BigInteger),
    sa.Column("keys", sa.Text, nullable=False),
    sa.Column("sent_at", UtcTime, nullable=False),
    sa.Column("field_set", sa.Integer),
    sa.Column("marks", sa.LargeBinary),
)

counters = sa.Table(
    "counters",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, default=0)
        for name in ("read", "filtered", "unchanged", "created", "updated", "deleted", "failed")
    ),
    sa.Column("last_synced_at", UtcTime),
    sa.Column("tombstones", sa.BigInteger, nullable=False, server_default="0"),
)

watermarks = sa.Table(
    "watermarks",
    metadata,
    _tenant(primary_key=True),
    sa.Column("stream", sa.String(20), primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("moved_at", UtcTime, nullable=False),
    sa.Column("seen", sa.JSON, nullable=False, server_default="[]"),
)

marketo_changes = sa.Table(
    "marketo_changes",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("record_id", sa.String(36), primary_key=True),
    sa.Column("marketo_id", sa.BigInteger, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("not_before", UtcTime),
)

own_forms = sa.Table(
    "own_forms",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("record_id", sa.String(36), primary_key=True),
    sa.Column("field", sa.String(255), primary_key=True),
    sa.Column("sent", sa.LargeBinary, nullable=False),
    sa.Column("stored", sa.LargeBinary, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sqlite_with_rowid=False,
)

creations = sa.Table(
    "creations",
    metadata,
    _tenant(primary_key=True),
    sa.Column("marketo_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("record_id", sa.String(36)),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("not_before", UtcTime),
)

lookup_names = sa.Table(
    "lookup_names",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("record_id", sa.String(36), primary_key=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

collisions = sa.Table(
    "collisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _tenant(index=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("entity", sa.String(100), nullable=False),
    sa.Column("record_id", sa.String(36), nullable=False),
    sa.Column("attribute", sa.String(100), nullable=False),
    sa.Column("marketo_field", sa.String(255), nullable=False),
    sa.Column("dynamics_fingerprint", sa.String(12), nullable=False),
    sa.Column("marketo_fingerprint", sa.String(12), nullable=False),
    sa.Column("winner", sa.String(10), nullable=False),
    sa.Column("rule", sa.String(20), nullable=False),
    sa.Column("run", sa.Text, nullable=False),
)

back_counters = sa.Table(
    "back_counters",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    *(
        sa.Column(name, sa.BigInteger, nullable=False, default=0)
        for name in ("read", "updated", "created", "failed", "collisions")
    ),
    sa.Column("last_synced_at", UtcTime),
)

brakes = sa.Table(
    "brakes",
    metadata,
    _tenant(primary_key=True),
    sa.Column("entity", sa.String(100), primary_key=True),
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("direction", sa.String(30), primary_key=True),
    sa.Column("field", sa.String(255), primary_key=True),
    sa.Column("written", sa.Integer, nullable=False),
    sa.Column("since", UtcTime),
    sa.Column("said", sa.Text),
    sqlite_with_rowid=False,
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _tenant(index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
    sa.Column("outcome", sa.String(20)),
    sa.Column("report", sa.Text),
    sa.Index("ix_runs_tenant_kind", "tenant", "kind", "id"),
)

LEDGER = tuple(
    table for table in metadata.sorted_tables if "tenant" in table.c and table not in (tenants, audit, leases, runs)
)
"""What is known of a tenant's two services: it goes when the tenant is bound to others."""
