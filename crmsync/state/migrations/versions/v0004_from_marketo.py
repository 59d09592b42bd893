"""Marketo → Dynamics: watermarks, waiting changes and creations, collisions, counters."""

import sqlalchemy as sa
from alembic import op

from crmsync.state.tables import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WHERE = sa.text("marketo_id IS NOT NULL")
_UNNUMBERED = {
    "sqlite": "marketo_id IS NULL AND in_marketo IS 1",
    "postgresql": "marketo_id IS NULL AND in_marketo IS true",
}


def upgrade() -> None:
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.create_index(
            "ix_records_marketo_id",
            ["tenant", "marketo_id"],
            unique=False,
            sqlite_where=_WHERE,
            postgresql_where=_WHERE,
        )
    where = sa.text(_UNNUMBERED[op.get_bind().dialect.name])
    op.create_index(
        "ix_records_unnumbered", "records", ["tenant", "entity"], sqlite_where=where, postgresql_where=where
    )
    op.create_table(
        "watermarks",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("stream", sa.String(length=20), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("moved_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "stream", name=op.f("pk_watermarks")),
    )
    op.create_table(
        "marketo_changes",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("marketo_id", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("not_before", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "entity", "record_id", name=op.f("pk_marketo_changes")),
    )
    op.create_table(
        "creations",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("marketo_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=True),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("not_before", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "marketo_id", name=op.f("pk_creations")),
    )
    op.create_table(
        "collisions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("attribute", sa.String(length=100), nullable=False),
        sa.Column("marketo_field", sa.String(length=255), nullable=False),
        sa.Column("dynamics_fingerprint", sa.String(length=12), nullable=False),
        sa.Column("marketo_fingerprint", sa.String(length=12), nullable=False),
        sa.Column("winner", sa.String(length=10), nullable=False),
        sa.Column("rule", sa.String(length=20), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collisions")),
    )
    with op.batch_alter_table("collisions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_collisions_tenant"), ["tenant"], unique=False)
    op.create_table(
        "back_counters",
        sa.Column("tenant", sa.String(length=40), nullable=False),
        sa.Column("entity", sa.String(length=100), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("collisions", sa.BigInteger(), nullable=False),
        sa.Column("last_synced_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "entity", name=op.f("pk_back_counters")),
    )


def downgrade() -> None:
    op.drop_table("back_counters")
    with op.batch_alter_table("collisions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_collisions_tenant"))

    op.drop_table("collisions")
    op.drop_table("creations")
    op.drop_table("marketo_changes")
    op.drop_table("watermarks")
    op.drop_index("ix_records_unnumbered", "records")
    with op.batch_alter_table("records", schema=None) as batch_op:
        batch_op.drop_index("ix_records_marketo_id", sqlite_where=_WHERE, postgresql_where=_WHERE)
