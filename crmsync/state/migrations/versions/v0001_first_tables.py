"""The first tables: tenants, audit, leases, schemas, selections, checkpoints, records, sync errors, counters, runs."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("from_state", sa.String(length=20), nullable=False),
        sa.Column("to_state", sa.String(length=20), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_tenant"), ["tenant"], unique=False)

    op.create_table(
        "checkpoints",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("selection_digest", sa.String(length=32), nullable=False),
        sa.Column("read_number", sa.Integer(), nullable=False),
        sa.Column("read_started_at", UtcTime(), nullable=True),
        sa.Column("read_done", sa.Boolean(), nullable=False),
        sa.Column("records_read", sa.BigInteger(), nullable=False),
        sa.Column("records_expected", sa.BigInteger(), nullable=True),
        sa.Column("next_link", sa.Text(), nullable=True),
        sa.Column("delta_link", sa.Text(), nullable=True),
        sa.Column("moved_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "entity", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "counters",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("filtered", sa.BigInteger(), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("last_synced_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "entity", name=op.f("pk_counters")),
    )
    op.create_table(
        "field_sets",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_sets")),
    )
    with op.batch_alter_table("field_sets", schema=None) as batch_op:
        batch_op.create_index("ix_field_sets_tenant_entity", ["tenant", "entity"], unique=False)

    op.create_table(
        "in_flight",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_in_flight")),
    )
    with op.batch_alter_table("in_flight", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_in_flight_tenant"), ["tenant"], unique=False)

    op.create_table(
        "leases",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=36), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.Float(), nullable=False),
        sa.Column("acquired_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_leases")),
    )
    op.create_table(
        "parked_fields",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("attribute", sa.String(length=100), nullable=False),
        sa.Column("marketo_field", sa.String(length=255), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reviewed_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "entity", "attribute", name=op.f("pk_parked_fields")),
    )
    op.create_table(
        "records",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("in_marketo", sa.Boolean(), nullable=False),
        sa.Column("marketo_id", sa.BigInteger(), nullable=True),
        sa.Column("field_set", sa.Integer(), nullable=True),
        sa.Column("fingerprints", sa.LargeBinary(), nullable=True),
        sa.Column("waiting_owner", sa.String(length=36), nullable=True),
        sa.Column("waiting_company", sa.String(length=36), nullable=True),
        sa.Column("read_number", sa.Integer(), nullable=False),
        sa.Column("synced_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "entity", "record_id", name=op.f("pk_records")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.create_index(
            "ix_records_waiting_company",
            ["tenant", "waiting_company"],
            unique=False,
            sqlite_where=sa.text("waiting_company IS NOT NULL"),
            postgresql_where=sa.text("waiting_company IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_records_waiting_owner",
            ["tenant", "waiting_owner"],
            unique=False,
            sqlite_where=sa.text("waiting_owner IS NOT NULL"),
            postgresql_where=sa.text("waiting_owner IS NOT NULL"),
        )

    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("report", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_tenant"), ["tenant"], unique=False)

    op.create_table(
        "schemas",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("side", sa.String(length=10), nullable=False),
        sa.Column("taken_at", UtcTime(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schemas")),
    )
    with op.batch_alter_table("schemas", schema=None) as batch_op:
        batch_op.create_index("ix_schemas_tenant_side", ["tenant", "side"], unique=False)

    op.create_table(
        "selections",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_selections")),
    )
    with op.batch_alter_table("selections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_selections_tenant"), ["tenant"], unique=False)

    op.create_table(
        "sync_errors",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("direction", sa.String(length=30), nullable=False),
        sa.Column("operation", sa.String(length=20), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", UtcTime(), nullable=False),
        sa.Column("last_at", UtcTime(), nullable=False),
        sa.Column("next_attempt", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "entity", "record_id", "direction", name=op.f("pk_sync_errors")),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("organization_id", sa.String(length=36), nullable=True),
        sa.Column("organization_name", sa.Text(), nullable=True),
        sa.Column("organization_url", sa.Text(), nullable=True),
        sa.Column("sync_user_id", sa.String(length=36), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("key_is_fresh", sa.Boolean(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_tenants")),
    )


def downgrade() -> None:
    op.drop_table("tenants")
    op.drop_table("sync_errors")
    with op.batch_alter_table("selections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_selections_tenant"))

    op.drop_table("selections")
    with op.batch_alter_table("schemas", schema=None) as batch_op:
        batch_op.drop_index("ix_schemas_tenant_side")

    op.drop_table("schemas")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_tenant"))

    op.drop_table("runs")
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_records_waiting_owner",
            sqlite_where=sa.text("waiting_owner IS NOT NULL"),
            postgresql_where=sa.text("waiting_owner IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_records_waiting_company",
            sqlite_where=sa.text("waiting_company IS NOT NULL"),
            postgresql_where=sa.text("waiting_company IS NOT NULL"),
        )

    op.drop_table("records")
    op.drop_table("parked_fields")
    op.drop_table("leases")
    with op.batch_alter_table("in_flight", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_in_flight_tenant"))

    op.drop_table("in_flight")
    with op.batch_alter_table("field_sets", schema=None) as batch_op:
        batch_op.drop_index("ix_field_sets_tenant_entity")

    op.drop_table("field_sets")
    op.drop_table("counters")
    op.drop_table("checkpoints")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_tenant"))

    op.drop_table("audit")
